"""Read folders and zip archives of source files as rows."""

import contextlib
import hashlib
import os
import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol, TypeVar

from data_recipes.disk.files import PathLike
from data_recipes.disk.safe_git import SafeGit
from data_recipes.errors import DataError
from data_recipes.progress import LOGGER
from data_recipes.sources.attributes import MAX_BYTES as ATTRIBUTES_BYTES
from data_recipes.sources.attributes import NAME as ATTRIBUTES
from data_recipes.sources.attributes import NOTHING, Attributes, Said
from data_recipes.sources.language_names import (
    is_nameless,
    language_by_name,
    language_names,
    language_of,
    spelled,
    unknown_language,
)
from data_recipes.sources.left_out import by_content
from data_recipes.sources.row import MAX_FILE_BYTES, Reject, Row, first_of_its_bytes, make_row

HISTORY_FOLDERS = frozenset({".git", ".hg", ".svn"})
"""Folders inside a tree that hold its history: what is in them is no file of the tree."""

INSTALLED_FOLDERS = frozenset({"bower_components", "dist-packages", "node_modules", "site-packages"})
"""Folders of installed packages: inside a tree they are other people's, and a root in one of them is read with all below."""

_UNIX, _MODE_SHIFT = 3, 16  # a zip archive's directory that was made on Unix has a mode in the upper half


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A file of a language that its name says or, with an empty one, its first line may say; nothing of it was read yet."""

    path: str
    file: Path
    member: zipfile.ZipInfo | None
    lang: str
    size: int
    mtime_ns: int
    said: Said = NOTHING


def read_tree(
    roots: PathLike | Iterable[PathLike],
    *,
    limit_bytes_per_language: Mapping[str, int] | None = None,
    max_file_bytes: int = MAX_FILE_BYTES,
) -> Iterator[Row | Reject]:
    """Read rows and rejects of source trees and `.zip` archives of sources, ordered by path.

    Paths begin with the name of their root. Every file outside of HISTORY_FOLDERS is a row or a reject, once: links,
    files of no known language, other people's, minified and generated ones, those that the git repository ignores which
    the root is. A file of more than `max_file_bytes` is rejected by its size and never read. The second and further files
    with the same bytes are rejected as `exact_duplicate`, with the path that was kept as detail.

    `limit_bytes_per_language` takes a sample: files are drawn in the order of the SHA-1 of their path, and a file
    that no longer fits into its language's budget is passed over (and so is every empty one after it), and so is every
    file of a language without a budget. A file's language is then what its name says. So no folder dominates, and the
    same tree gives the same rows in whatever order the file system lists it.

    Raises `DataError` for a root that does not exist, and where no root holds a file that may be of a known language.
    """
    candidates, rejects = _candidates(roots)
    yield from rejects
    oversize = [c for c in candidates if c.size > max_file_bytes]
    chosen = sampled([c for c in candidates if c.size <= max_file_bytes], limit_bytes_per_language)
    for c in oversize:
        detail = f"{c.size} bytes exceed max_file_bytes={max_file_bytes}"
        yield Reject(c.path, c.lang, c.size, "read", "too_large", detail)
    seen: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        archives: dict[Path, zipfile.ZipFile] = {}
        for candidate in chosen:
            if candidate.member is not None and candidate.file not in archives:
                archives[candidate.file] = stack.enter_context(zipfile.ZipFile(candidate.file))
            yield first_of_its_bytes(_read(candidate, archives, max_file_bytes), seen)


def fingerprint(roots: PathLike | Iterable[PathLike]) -> str:
    """Return a digest of path, size and modification time of every source file; an archive counts as one file.

    Reads no more than two bytes of a file, and these only where its name says no language, so that a later run learns
    quickly whether its source is still the same. Raises `DataError` as `read_tree` does, and where no file is of a known
    language.
    """
    digest, count = hashlib.sha256(), 0
    labelled = _labelled(roots)
    for label, root in labelled:
        if root.is_file():
            status = root.stat()
            digest.update(f"{label}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
            count += 1
            continue
        for c in _walk(label, root, [], _ignored_by_git(root)):
            digest.update(f"{c.path}\0{c.size}\0{c.mtime_ns}\n".encode())
            count += bool(c.lang) or _begins_as_program(c.file)
    if not count:
        raise _nothing_found(labelled)
    return digest.hexdigest()


def _begins_as_program(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            return opened.read(2) == b"#!"
    except OSError:
        return False


def _nothing_found(labelled: Iterable[tuple[str, Path]]) -> DataError:
    names = ", ".join(str(root) for _, root in labelled)
    return DataError(
        f"{names}: no source file found. Looked for files of {len(language_names())} languages, by name and first line "
        "(.py, .java, .rs, Makefile, #!/bin/sh …). Pass a folder that holds such files."
    )


def _labelled(roots: PathLike | Iterable[PathLike]) -> list[tuple[str, Path]]:
    """Each root with the name its paths begin with; a repeated name gets a number."""
    given = [roots] if isinstance(roots, str | os.PathLike) else list(roots)
    if not given:
        raise DataError("read_tree: no source folder was given. Pass at least one folder or .zip archive of sources.")
    result: list[tuple[str, Path]] = []
    used: dict[str, int] = {}
    for item in given:
        root = Path(item)
        if not root.exists():
            raise DataError(f"{root}: no such folder or archive. Pass an existing folder or .zip archive of sources.")
        if not root.is_dir() and not zipfile.is_zipfile(root):
            raise DataError(f"{root}: neither a folder nor a zip archive. Pass a folder or a .zip archive of sources.")
        name = _printable(root.resolve().name) or "root"
        used[name] = used.get(name, 0) + 1
        result.append((name if used[name] == 1 else f"{name}-{used[name]}", root))
    return result


def _candidates(roots: PathLike | Iterable[PathLike]) -> tuple[list[_Candidate], list[Reject]]:
    found: list[_Candidate] = []
    rejects: list[Reject] = []
    labelled = _labelled(roots)
    for label, root in labelled:
        found.extend(
            _walk(label, root, rejects, _ignored_by_git(root)) if root.is_dir() else _members(label, root, rejects)
        )
    if not found:
        raise _nothing_found(labelled)
    return sorted(found, key=lambda c: c.path), rejects


def _walk(label: str, root: Path, rejects: list[Reject], ignored: frozenset[str]) -> Iterator[_Candidate]:
    """Yield the files below a root that may be read; all others go to the rejects. Links are not followed."""
    is_installed = not INSTALLED_FOLDERS.isdisjoint(root.resolve().parts)
    attributes = Attributes()
    folders = [(root, "")]
    while folders:
        folder, inside = folders.pop()
        try:
            with os.scandir(folder) as scan:
                entries = sorted(scan, key=lambda entry: os.fsencode(entry.name))
        except OSError as error:
            rejects.append(Reject(f"{label}/{inside}", "", 0, "read", "unreadable", f"folder: {error.strerror}"))
            continue
        if any(entry.name == ATTRIBUTES for entry in entries):
            attributes.add(inside.rstrip("/"), _attributes_in(folder))
        for entry in entries:
            path = inside + _printable(entry.name)
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in HISTORY_FOLDERS:
                    folders.append((Path(entry.path), f"{path}/"))
                continue
            status = entry.stat(follow_symlinks=False)
            said = attributes.of(path)
            lang = said.language or language_by_name(path)
            reason = _left_out(path, lang, status.st_mode, said, is_installed=is_installed)
            if reason is None and ignored and str(Path(entry.path)) in ignored:
                reason = "git_ignored", "by the repository's .gitignore"
            if reason:
                rejects.append(Reject(f"{label}/{path}", lang, status.st_size, "read", *reason))
            else:
                yield _Candidate(
                    f"{label}/{path}", Path(entry.path), None, lang, status.st_size, status.st_mtime_ns, said
                )


def _attributes_in(folder: Path) -> bytes:
    """Return what a folder's .gitattributes holds; nothing where it is no readable file."""
    place = folder / ATTRIBUTES
    try:
        is_file = stat.S_ISREG(place.lstat().st_mode) and place.stat().st_size <= ATTRIBUTES_BYTES
        return place.read_bytes() if is_file else b""
    except OSError:
        return b""


def _ignored_by_git(root: Path) -> frozenset[str]:
    """Return the files that git ignores in a root which is a repository; none in any other folder, or without git."""
    if not (root / ".git").exists():
        return frozenset()
    try:
        listed = SafeGit(root).output("ls-files", "-z", "--others", "--ignored", "--exclude-standard")
    except DataError as error:
        LOGGER.warning("%s: git can't list its ignored files (%s); they are read, too.", root, error)
        return frozenset()
    return frozenset(str(Path(root, os.fsdecode(name))) for name in listed.split(b"\0") if name)


def _left_out(path: str, lang: str, mode: int, said: Said, *, is_installed: bool) -> tuple[str, str] | None:
    """Return why a file of a tree is not read, by what its folder says of it: the reason and what was seen, or None."""
    if stat.S_ISLNK(mode):
        return "symbolic_link", "links are not followed"
    if not stat.S_ISREG(mode):
        return "no_file", "a pipe, socket or device"
    reason = said.left_out(path)
    if reason and not (is_installed and reason[0] == "vendored"):
        return reason
    return None if lang or is_nameless(path) else ("unknown_language", unknown_language(path))


def _members(label: str, archive: Path, rejects: list[Reject]) -> Iterator[_Candidate]:
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            if member.is_dir():
                continue
            path = _printable(member.filename)
            mode = (member.external_attr >> _MODE_SHIFT) if member.create_system == _UNIX else 0
            lang = language_by_name(path)
            if reason := _left_out(
                path, lang, mode if stat.S_IFMT(mode) else stat.S_IFREG, NOTHING, is_installed=False
            ):
                rejects.append(Reject(f"{label}/{path}", lang, member.file_size, "read", *reason))
            else:
                yield _Candidate(f"{label}/{path}", archive, member, lang, member.file_size, 0)


class Sized(Protocol):
    """A file of a source of which path, size and language are known before it is read."""

    @property
    def path(self) -> str:
        """The path that its row gets."""

    @property
    def size(self) -> int:
        """Its bytes."""

    @property
    def lang(self) -> str:
        """The language that its name says; empty where it says none."""


FileT = TypeVar("FileT", bound=Sized)


def sampled(candidates: list[FileT], limits: Mapping[str, int] | None) -> list[FileT]:
    """Return the files that fit into the byte budgets, ordered by path; all of them where there is no budget."""
    if limits is None:
        return candidates
    left = {spelled(name): size for name, size in limits.items()}
    if unknown := sorted(left.keys() - set(language_names())):
        like = sorted(name for name in language_names() if name[:1].lower() == unknown[0][:1].lower())
        raise DataError(
            f"limit_bytes_per_language names {unknown}, which are no languages. Names with that letter: {like}."
        )
    full: set[str] = set()
    chosen = []
    for candidate in sorted(candidates, key=_draw):
        lang = candidate.lang
        if lang not in left:
            continue
        if candidate.size > left[lang]:
            full.add(lang)
        if candidate.size > left[lang] or (lang in full and not candidate.size):
            continue
        left[lang] -= candidate.size
        chosen.append(candidate)
    return sorted(chosen, key=lambda c: c.path)


def _draw(candidate: Sized) -> bytes:
    return hashlib.sha1(candidate.path.encode(), usedforsecurity=False).digest()


def _read(c: _Candidate, archives: Mapping[Path, zipfile.ZipFile], max_file_bytes: int) -> Row | Reject:
    try:
        # One byte more than allowed: a file may have grown, and an archive's directory may lie about sizes.
        with archives[c.file].open(c.member) if c.member else c.file.open("rb") as stream:
            data = stream.read(max_file_bytes + 1)
    except (OSError, RuntimeError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        return Reject(c.path, c.lang, c.size, "read", "unreadable", f"{type(error).__name__}: {error}"[:200])
    if len(data) > max_file_bytes:
        detail = f"more than max_file_bytes={max_file_bytes} bytes"
        return Reject(c.path, c.lang, c.size, "read", "too_large", detail)
    lang = c.said.language or language_of(c.path, data)
    found = None if c.said.generated is False else by_content(data)
    if reason := found if lang else ("unknown_language", unknown_language(c.path)):
        return Reject(c.path, lang, c.size, "read", *reason)
    return make_row(data, c.path, ext=PurePosixPath(c.path).suffix.lower().removeprefix("."), lang=lang)


def _printable(name: str) -> str:
    """A file name as UTF-8: bytes that are none become U+FFFD, since Arrow strings can't hold them."""
    return os.fsencode(name).decode("utf-8", "replace") if not name.isascii() else name
