"""Read source packages (tar, wheel, npm, Debian) as rows, without unpacking them onto the disk."""

import bz2
import contextlib
import hashlib
import json
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from email.parser import BytesHeaderParser
from email.policy import compat32
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from data_recipes.disk.packed import unpacked
from data_recipes.errors import DataError
from data_recipes.sources.git_address import repository_name
from data_recipes.sources.language_names import language_of, unknown_language
from data_recipes.sources.left_out import by_content, by_path
from data_recipes.sources.licences import LicencesByFolder, is_licence_file, names_in
from data_recipes.sources.row import MAX_FILE_BYTES, Reject, Row, first_of_its_bytes, make_row

PROVENANCE = ("repo", "revision", "licenses")
"""What a package says of its files: the repository and version that it names, and its licences."""

LEAST_BUDGET_BYTES, BUDGET_RATIO = 1 << 30, 100
"""An archive that unpacks to more than a GiB and to more than 100 times its size is refused."""
MOST_MEMBERS = 2_000_000

_TAR = re.compile(r"\.(?:tar(?:\.(?:gz|bz2|xz|zst))?|tgz|tbz2?|txz|tzst|crate|gem)$", re.IGNORECASE)
_METADATA = re.compile(r"(?:^|/)(?:PKG-INFO|METADATA|package\.json)$")
_METADATA_BYTES = 1 << 20
_BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, NotImplementedError)


def is_archive(path: Path) -> bool:
    """Return whether a file's name says that it is a tar archive, a wheel, or Debian's description of a source package."""
    return path.is_file() and (bool(_TAR.search(path.name)) or path.suffix.lower() in {".whl", ".dsc"})


@dataclass(frozen=True, slots=True)
class _Member:
    """One entry of an archive; `data` is read at once, `max_bytes` and one more at most."""

    path: str
    size: int
    is_file: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class SourcePackage:
    """A package of sources; it is read twice, first for its licences and description."""

    path: Path

    @property
    def archives(self) -> list[Path]:
        """The archives that it consists of."""
        return _named_by(self.path) if self.path.suffix.lower() == ".dsc" else [self.path]

    def rows(self, max_file_bytes: int = MAX_FILE_BYTES) -> Iterator[Row | Reject]:
        """Yield every file once, as a row or as the reject that says why it is none.

        Raises:
            DataError: It is damaged, or unpacks to too much.
        """
        seen: dict[str, str] = {}
        about = _description(self.path.read_bytes()) if self.path.suffix.lower() == ".dsc" else {}
        for archive in self.archives:
            texts: list[tuple[str, bytes]] = []
            for member in _members(archive, _METADATA_BYTES):
                if is_licence_file(PurePosixPath(member.path).name):
                    texts.append((member.path, member.data))
                elif _METADATA.search(member.path) and not about.get("revision"):
                    about = _about(member)
            licences = LicencesByFolder(texts, about.get("licenses"))
            for member in _members(archive, max_file_bytes):
                yield first_of_its_bytes(self._made(member, archive.name, max_file_bytes, licences, about), seen)

    def _made(
        self, member: _Member, label: str, most: int, licences: LicencesByFolder, about: Mapping[str, Any]
    ) -> Row | Reject:
        path, ext = f"{label}/{member.path}", PurePosixPath(member.path).suffix.lower().removeprefix(".")
        lang = language_of(member.path, member.data)
        reason: tuple[str, str] | None = None
        if not member.is_file:
            reason = "symbolic_link", "links and devices are not followed"
        elif member.path.startswith("/") or ".." in PurePosixPath(member.path).parts:
            reason = "unsafe_path", "it leads out of the archive"
        elif not lang:
            reason = "unknown_language", unknown_language(member.path)
        elif member.size > most or len(member.data) > most:
            reason = "too_large", f"{max(member.size, len(member.data))} bytes exceed max_file_bytes={most}"
        if reason := reason or by_path(member.path) or by_content(member.data):
            return Reject(path, lang, member.size, "read", *reason, repo=about.get("repo"))
        given = {name: about[name] for name in ("repo", "revision") if about.get(name)}
        given["licenses"] = licences.of(member.path, member.data)
        made = make_row(member.data, path, ext=ext, lang=lang, given=given)
        return replace(made, repo=about.get("repo")) if isinstance(made, Reject) else made


def _members(archive: Path, max_bytes: int) -> Iterator[_Member]:
    """Yield the entries of an archive but folders, in its order."""
    budget = max(LEAST_BUDGET_BYTES, BUDGET_RATIO * archive.stat().st_size)
    used = count = 0
    try:
        for member in (_of_zip if archive.suffix.lower() == ".whl" else _of_tar)(archive, max_bytes, budget):
            used += max(member.size, len(member.data)) if member.is_file else 0
            count += 1
            if used > budget or count > MOST_MEMBERS:
                raise DataError(_too_much(archive, budget))
            yield member
    except _BROKEN as error:
        raise DataError(f"{archive}: damaged archive ({type(error).__name__}: {str(error)[:120]}).") from error


def _too_much(archive: Path, budget: int) -> str:
    return (
        f"{archive} unpacks to more than {budget:,} bytes or {MOST_MEMBERS:,} members. If it is what it should be, "
        "unpack it into a folder and pass that."
    )


def _of_zip(archive: Path, max_bytes: int, budget: int) -> Iterator[_Member]:
    del budget
    with zipfile.ZipFile(archive) as opened:
        for entry in opened.infolist():
            if not entry.is_dir():
                with opened.open(entry) as stream:
                    yield _Member(
                        _shown(entry.filename), entry.file_size, is_file=True, data=stream.read(max_bytes + 1)
                    )


class _Counted:
    """A stream that ends with an error where more than the budget is read: skipped members are unpacked, too."""

    def __init__(self, stream: IO[bytes], archive: Path, budget: int) -> None:
        self._stream, self._archive, self._budget, self._left = stream, archive, budget, budget

    def read(self, count: int) -> bytes:
        data = self._stream.read(count)
        self._left -= len(data)
        if self._left < 0:
            raise DataError(_too_much(self._archive, self._budget))
        return data


def _of_tar(archive: Path, max_bytes: int, budget: int) -> Iterator[_Member]:
    with _unpacked(archive) as stream:
        counted = cast("IO[bytes]", _Counted(stream, archive, budget))
        with tarfile.open(fileobj=counted, mode="r|", errors="surrogateescape") as opened:
            for entry in opened:
                opened.members = []  # type: ignore[attr-defined]  # they would stay, and are never read again
                if entry.isdir():
                    continue
                stored = opened.extractfile(entry) if entry.isreg() else None
                data = stored.read(max_bytes + 1) if stored else b""
                yield _Member(_shown(entry.name), entry.size, is_file=entry.isreg(), data=data)


@contextlib.contextmanager
def _unpacked(archive: Path) -> Iterator[IO[bytes]]:
    with archive.open("rb") as file:
        start = file.read(6)
    if start.startswith(b"BZh"):
        with bz2.open(archive) as stream:
            yield cast("IO[bytes]", stream)
    elif start == b"\xfd7zXZ\0":
        with lzma.open(archive) as stream:
            yield cast("IO[bytes]", stream)
    else:
        with unpacked(archive) as stream:
            yield stream


def _shown(name: str) -> str:
    """Return a member's name as UTF-8, without `./` before it."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace").removeprefix("./")


def _about(member: _Member) -> dict[str, Any]:
    """Return repository, version and licences that a package's description names, as far as it is readable."""
    if member.path.endswith("package.json"):
        try:
            record = json.loads(member.data)
        except (ValueError, RecursionError):
            return {}
        return _npm(record) if isinstance(record, dict) else {}
    fields = BytesHeaderParser(policy=compat32).parsebytes(member.data)
    links = [line.partition(",") for line in fields.get_all("Project-URL", [])]
    sources = [
        link.strip() for name, _, link in links if name.strip().lower() in {"source", "repository", "source code"}
    ]
    repo = repository_name(sources[0]) if sources else fields.get("Name")
    return _known(repo, fields.get("Version"), names_in(fields.get("License-Expression") or ""))


def _npm(record: Mapping[str, Any]) -> dict[str, Any]:
    repository = record.get("repository")
    address = repository.get("url") if isinstance(repository, Mapping) else repository
    repo = repository_name(address.removeprefix("git+")) if isinstance(address, str) else record.get("name")
    licence = record.get("license")
    return _known(repo, record.get("version"), names_in(licence) if isinstance(licence, str) else None)


def _known(repo: Any, version: Any, licences: list[str] | None) -> dict[str, Any]:
    return {
        "repo": repo if isinstance(repo, str) and repo else None,
        "revision": version if isinstance(version, str) and version else None,
        "licenses": licences,
    }


def _description(data: bytes) -> dict[str, Any]:
    """Return what Debian's description of a source package says of it."""
    fields = BytesHeaderParser(policy=compat32).parsebytes(_without_signature(data))
    address = (fields.get("Vcs-Git") or "").split()
    return _known(repository_name(address[0]) if address else fields.get("Source"), fields.get("Version"), None)


def _without_signature(data: bytes) -> bytes:
    return re.sub(rb"\A-----BEGIN PGP SIGNED MESSAGE-----\r?\n(?:[^\r\n]+\r?\n)*\r?\n", b"", data)


def _named_by(description: Path) -> list[Path]:
    """Return the archives that Debian's description names, beside it and with the checksums that it gives."""
    fields = BytesHeaderParser(policy=compat32).parsebytes(_without_signature(description.read_bytes()))
    found = []
    for line in (fields.get("Checksums-Sha256") or "").split("\n"):
        parts: Sequence[str] = line.split()
        if len(parts) != 3 or not _TAR.search(parts[2]):
            continue
        path = description.parent / Path(parts[2]).name
        if not path.is_file():
            raise DataError(f"{description} names {parts[2]}, which is not beside it. Fetch it: `apt-get source -d`.")
        with path.open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != parts[0].lower():
                raise DataError(f"{path} is not the file that {description.name} names: its checksum differs.")
        found.append(path)
    if not found:
        raise DataError(f"{description} names no tar archive with a SHA-256. Pass a Debian source package's .dsc.")
    return found
