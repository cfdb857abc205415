"""Source trees and zip archives of sources as rows."""

import contextlib
import hashlib
import os
import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from data_recipes.disk.files import PathLike
from data_recipes.disk.safe_git import SafeGit
from data_recipes.errors import DataError
from data_recipes.progress import LOGGER
from data_recipes.sources.left_out import GENERATED, MINIFIED
from data_recipes.sources.row import LANGUAGES, MAX_FILE_BYTES, Reject, Row, first_of_its_bytes, make_row

SKIPPED_FOLDERS = frozenset({".git", ".hg", ".svn", "dist-packages", "site-packages"})
"""Folders inside a tree that hold its history or other people's installed packages; as roots they are read."""


VENDORED_FOLDERS = frozenset({"node_modules", "bower_components"})
"""Folders inside a tree that hold other people's packages: their source files are rejects, unless the root is in one."""

UNREAD_LANGUAGES = frozenset(
    [
        "asm",
        "bash",
        "c",
        "cc",
        "clj",
        "cljs",
        "coffee",
        "cpp",
        "cs",
        "css",
        "cu",
        "cxx",
        "dart",
        "ex",
        "exs",
        "f90",
        "go",
        "groovy",
        "h",
        "hh",
        "hpp",
        "hs",
        "html",
        "hxx",
        "ipynb",
        "jl",
        "kt",
        "kts",
        "less",
        "lua",
        "m",
        "ml",
        "mm",
        "php",
        "pl",
        "pm",
        "pyi",
        "pyx",
        "r",
        "rb",
        "rs",
        "scala",
        "scss",
        "sh",
        "sql",
        "svelte",
        "swift",
        "tex",
        "ts",
        "tsx",
        "vb",
        "vue",
        "zig",
        "zsh",
    ]
)
"""Extensions of source code in languages that trees are not read for: each such file is a reject that says so."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A file that has a known extension; nothing of it was read yet."""

    path: str
    file: Path
    member: zipfile.ZipInfo | None
    ext: str
    size: int
    mtime_ns: int


def read_tree(
    roots: PathLike | Iterable[PathLike],
    *,
    limit_bytes_per_language: Mapping[str, int] | None = None,
    max_file_bytes: int = MAX_FILE_BYTES,
) -> Iterator[Row | Reject]:
    """Rows and rejects of source trees and `.zip` archives of sources, ordered by path.

    Paths begin with the name of their root. Symbolic links and SKIPPED_FOLDERS are not followed. Source files of other
    languages, in VENDORED_FOLDERS, ignored by the git repository that the root is, and those whose names say minified or
    generated are rejects. A file of more than
    `max_file_bytes` is rejected by its size and never read. The second and further files with the same bytes are rejected as
    `exact_duplicate`, with the path that was kept as detail.

    `limit_bytes_per_language` takes a sample: files are drawn in the order of the SHA-1 of their path, and a file
    that no longer fits into its language's budget is passed over (and so is every empty one after it); languages without a limit are read whole. So no
    folder dominates, and the same tree gives the same rows whatever order the file system lists it in.

    Raises `DataError` for a root that does not exist, and where no root holds a file of a known extension.
    """
    candidates, rejects = _candidates(roots)
    yield from rejects
    oversize = [c for c in candidates if c.size > max_file_bytes]
    chosen = sampled([c for c in candidates if c.size <= max_file_bytes], limit_bytes_per_language)
    for c in oversize:
        detail = f"{c.size} bytes exceed max_file_bytes={max_file_bytes}"
        yield Reject(c.path, LANGUAGES[c.ext], c.size, "read", "too_large", detail)
    seen: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        archives: dict[Path, zipfile.ZipFile] = {}
        for candidate in chosen:
            if candidate.member is not None and candidate.file not in archives:
                archives[candidate.file] = stack.enter_context(zipfile.ZipFile(candidate.file))
            yield first_of_its_bytes(_read(candidate, archives, max_file_bytes), seen)


def fingerprint(roots: PathLike | Iterable[PathLike]) -> str:
    """A digest of path, size and modification time of every source file; an archive counts as one file.

    Reads no file, so that a later run learns quickly whether its source is still the same. Raises `DataError` as
    `read_tree` does.
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
            count += 1
    if not count:
        raise _nothing_found(labelled)
    return digest.hexdigest()


def _nothing_found(labelled: Iterable[tuple[str, Path]]) -> DataError:
    names = ", ".join(str(root) for _, root in labelled)
    wanted = ", ".join(f".{ext}" for ext in LANGUAGES)
    return DataError(f"{names}: no source file found. Looked for {wanted}. Pass a folder that holds such files.")


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
        found.extend(_walk(label, root, rejects, _ignored_by_git(root)) if root.is_dir() else _members(label, root))
    if not found:
        raise _nothing_found(labelled)
    return sorted(found, key=lambda c: c.path), rejects


def _walk(
    label: str, folder: Path, rejects: list[Reject], ignored: frozenset[str], *, is_vendored: bool = False
) -> Iterator[_Candidate]:
    """Yield the source files below a folder; what of them is not read goes to the rejects. Links are not followed."""
    try:
        with os.scandir(folder) as scan:
            entries = sorted(scan, key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        rejects.append(Reject(label, "", 0, "read", "unreadable", f"folder: {error.strerror}"))
        return
    for entry in entries:
        path = f"{label}/{_printable(entry.name)}"
        if entry.is_dir(follow_symlinks=False):
            if entry.name in SKIPPED_FOLDERS:
                continue
            inside = is_vendored or (entry.name in VENDORED_FOLDERS and VENDORED_FOLDERS.isdisjoint(folder.parts))
            yield from _walk(path, Path(entry.path), rejects, ignored, is_vendored=inside)
            continue
        ext = _extension(entry.name)
        unread = entry.name.rpartition(".")[2].lower() if "." in entry.name else ""
        if ext is None and unread not in UNREAD_LANGUAGES:
            continue
        status = entry.stat(follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode):
            continue
        reason = _left_out(entry.name, ext, unread, is_vendored=is_vendored)
        if reason is None and ignored and str(Path(entry.path)) in ignored:
            reason = "git_ignored", "by the repository's .gitignore"
        if reason:
            rejects.append(Reject(path, LANGUAGES[ext] if ext else "", status.st_size, "read", *reason))
        elif ext is not None:
            yield _Candidate(path, Path(entry.path), None, ext, status.st_size, status.st_mtime_ns)


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


def _left_out(name: str, ext: str | None, unread: str, *, is_vendored: bool) -> tuple[str, str] | None:
    """Return why a source file of a tree is not read by its name alone: the reason and what was seen; None where it is."""
    if is_vendored:
        return "vendored", f"in a folder of {' or '.join(sorted(VENDORED_FOLDERS))}"
    if ext is None:
        return "unknown_language", f"trees are not read for .{unread}"
    if MINIFIED.search(name):
        return "minified", "by its name"
    return ("generated", "by its name") if GENERATED.search(name) else None


def _members(label: str, archive: Path) -> Iterator[_Candidate]:
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            ext = _extension(member.filename)
            if ext is not None and not member.is_dir():
                yield _Candidate(f"{label}/{_printable(member.filename)}", archive, member, ext, member.file_size, 0)


class Sized(Protocol):
    """A file of a source of which path, size and language are known before it is read."""

    @property
    def path(self) -> str:
        """The path that its row gets."""

    @property
    def size(self) -> int:
        """Its bytes."""

    @property
    def ext(self) -> str:
        """Its extension, which LANGUAGES has."""


FileT = TypeVar("FileT", bound=Sized)


def sampled(candidates: list[FileT], limits: Mapping[str, int] | None) -> list[FileT]:
    """Return the files that fit into the byte budgets, ordered by path; all of them where there is no budget."""
    if limits is None:
        return candidates
    known = set(LANGUAGES.values())
    if unknown := sorted(set(limits) - known):
        raise DataError(f"limit_bytes_per_language names {unknown}. Known languages: {sorted(known)}.")
    left = dict(limits)
    full: set[str] = set()
    chosen = []
    for candidate in sorted(candidates, key=_draw):
        lang = LANGUAGES[candidate.ext]
        if lang in left:
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
    lang = LANGUAGES[c.ext]
    try:
        # One byte more than allowed: a file may have grown, and an archive's directory may lie about sizes.
        with archives[c.file].open(c.member) if c.member else c.file.open("rb") as stream:
            data = stream.read(max_file_bytes + 1)
    except (OSError, RuntimeError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        return Reject(c.path, lang, c.size, "read", "unreadable", f"{type(error).__name__}: {error}"[:200])
    if len(data) > max_file_bytes:
        detail = f"more than max_file_bytes={max_file_bytes} bytes"
        return Reject(c.path, lang, c.size, "read", "too_large", detail)
    return make_row(data, c.path, ext=c.ext, lang=lang)


def _extension(name: str) -> str | None:
    ext = name.rpartition(".")[2].lower()
    return ext if ext in LANGUAGES and "." in name else None


def _printable(name: str) -> str:
    """A file name as UTF-8: bytes that are none become U+FFFD, since Arrow strings can't hold them."""
    return os.fsencode(name).decode("utf-8", "replace") if not name.isascii() else name
