"""Read the tracked files of a git commit as rows, with repository, commit, date and licences."""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Self

from data_recipes.errors import DataError
from data_recipes.sources.attributes import MAX_BYTES as ATTRIBUTES_BYTES
from data_recipes.sources.attributes import NAME as ATTRIBUTES
from data_recipes.sources.attributes import NOTHING, Attributes, Said
from data_recipes.sources.blobs import BlobReader
from data_recipes.sources.fetch import fetch_commit
from data_recipes.sources.git_address import GitAddress, repository_name
from data_recipes.sources.language_names import is_nameless, language_by_name, language_of, unknown_language
from data_recipes.sources.left_out import by_content
from data_recipes.sources.licences import LicencesByFolder, is_licence_file
from data_recipes.sources.row import MAX_FILE_BYTES, Reject, Row, first_of_its_bytes, make_row
from data_recipes.sources.tree import sampled

PROVENANCE = ("repo", "revision", "licenses", "date")
"""What git and the licence files say of a file. Stars are not known."""

LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\n"
_LICENCE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class TrackedFile:
    """One entry of a commit's tree; `path` is shown, and has U+FFFD where its name is no UTF-8."""

    path: str
    mode: str
    blob: str
    size: int
    ext: str
    said: Said = NOTHING

    @property
    def lang(self) -> str:
        """The language by .gitattributes or the name; empty where that is unknown, or where only the first line tells it."""
        return self.said.language or language_by_name(self.path)


class GitRepository:
    """A repository at a commit. What it names is never executed; its work tree is neither read nor changed.

    Use as a context manager: a repository that was fetched is deleted at the end.
    """

    def __init__(self, address: GitAddress, folder: Path | None = None) -> None:
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        try:
            self._open(address, folder)
        except BaseException:
            self.close()
            raise

    def _open(self, address: GitAddress, folder: Path | None) -> None:
        remote, commit = address.place, address.commit
        if address.is_folder:
            self._git = BlobReader(address.place)
            remote = self._remote() or str(Path(address.place).resolve())
        else:
            self._temporary = tempfile.TemporaryDirectory(prefix="git-", dir=folder, ignore_cleanup_errors=True)
            self._git, commit = fetch_commit(address.place, commit, Path(self._temporary.name))
        found = self._git.output("rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}")
        self.commit = found.decode().strip()
        self.name = repository_name(remote)

    def close(self) -> None:
        """Delete what was fetched."""
        if self._temporary is not None:
            self._temporary.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _remote(self) -> str | None:
        try:
            listed = self._git.output("config", "-z", "--get-regexp", r"^remote\..*\.url$").decode("utf-8", "replace")
        except DataError:
            return None  # no remote
        urls = dict(pair.split("\n", 1) for pair in listed.split("\0") if "\n" in pair)
        return urls.get("remote.origin.url") or next(iter(urls.values()), None)

    @property
    def key(self) -> list[str]:
        """What the rows depend on besides settings."""
        return [self.name, self.commit]

    def files(self) -> list[TrackedFile]:
        """Return the entries of the commit's tree in the order of their paths."""
        listed = self._git.output("ls-tree", "-r", "-z", "-l", "--full-tree", self.commit)
        found = []
        for entry in listed.split(b"\0"):
            about, _, name = entry.partition(b"\t")
            if not name:
                continue
            mode, _, blob, size = about.decode().split()
            path = name.decode("utf-8", "replace")
            ext = PurePosixPath(path).suffix.lower().removeprefix(".")
            found.append(TrackedFile(path, mode, blob, int(size) if size.isdigit() else 0, ext))
        return sorted(found, key=lambda file: (file.path, file.blob))

    def rows(
        self, max_file_bytes: int = MAX_FILE_BYTES, limits: Mapping[str, int] | None = None
    ) -> Iterator[Row | Reject]:
        """Yield every tracked file once, as a row or as the reject that says why it is none."""
        files, chosen = self._with_attributes(self.files()), list[TrackedFile]()
        for file in files:
            if reject := self._left_out(file, max_file_bytes):
                yield reject
            else:
                chosen.append(file)
        date = self._git.output("show", "-s", "--format=%cI", self.commit, "--").decode().strip()
        licences = self._licences(files)
        seen: dict[str, str] = {}
        chosen = sampled(chosen, limits)
        for file, data in zip(chosen, self._git.contents(file.blob for file in chosen), strict=True):
            yield first_of_its_bytes(self._made(file, data, licences, date), seen)

    def _with_attributes(self, files: list[TrackedFile]) -> list[TrackedFile]:
        """Return the files with what the commit's .gitattributes say of them."""
        said = [
            file
            for file in files
            if file.path.rpartition("/")[2] == ATTRIBUTES
            and file.mode.startswith("100")
            and file.size <= ATTRIBUTES_BYTES
        ]
        attributes = Attributes()
        said.sort(key=lambda file: (file.path.count("/"), file.path))
        for file, data in zip(said, self._git.contents(file.blob for file in said), strict=True):
            attributes.add(file.path.rpartition("/")[0], data or b"")
        return [replace(file, said=attributes.of(file.path)) for file in files] if said else files

    def _licences(self, files: list[TrackedFile]) -> LicencesByFolder:
        texts = [
            file
            for file in files
            if file.mode.startswith("100")
            and file.size <= _LICENCE_BYTES
            and is_licence_file(file.path.rpartition("/")[2])
        ]
        contents = self._git.contents(file.blob for file in texts)
        return LicencesByFolder((file.path, data or b"") for file, data in zip(texts, contents, strict=True))

    def _left_out(self, file: TrackedFile, max_file_bytes: int) -> Reject | None:
        reason: tuple[str, str] | None = None
        if file.mode == "160000":
            reason = "submodule", f"commit {file.blob} of another repository"
        elif file.mode == "120000":
            reason = "symbolic_link", "links are not followed"
        elif not file.lang and not is_nameless(file.path):
            reason = "unknown_language", unknown_language(file.path)
        elif file.size > max_file_bytes:
            reason = "too_large", f"{file.size} bytes exceed max_file_bytes={max_file_bytes}"
        if reason := reason or file.said.left_out(file.path):
            return Reject(file.path, file.lang, file.size, "read", *reason, repo=self.name)
        return None

    def _made(self, file: TrackedFile, data: bytes | None, licences: LicencesByFolder, date: str) -> Row | Reject:
        reason: tuple[str, str] | None = None
        if data is None:
            reason = "unreadable", "its content is not in this clone"
        elif data.startswith(LFS_POINTER):
            reason = "lfs_pointer", "its content is kept by Git LFS"
        elif not (lang := file.said.language or language_of(file.path, data)):
            reason = "unknown_language", unknown_language(file.path)
        if data is None or (reason := reason or (None if file.said.generated is False else by_content(data))):
            return Reject(file.path, file.lang, file.size, "read", *(reason or ("", "")), repo=self.name)
        given = {"repo": self.name, "revision": self.commit, "date": date, "licenses": licences.of(file.path, data)}
        made = make_row(data, file.path, ext=file.ext, lang=lang, given=given)
        return replace(made, repo=self.name) if isinstance(made, Reject) else made
