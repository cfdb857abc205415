"""Read the texts that `data redact` looks at: files, folders, standard input, Git's index and commits."""

import logging
import os
import shlex
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from errno import ENOENT
from pathlib import Path

from data_recipes.disk.safe_git import RefusedRepositoryError, SafeGit
from data_recipes.errors import DataError

_LOG = logging.getLogger("hf_santa.data")
STDIN = "-"
_WIDE = ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_BARE_PARTS = ("HEAD", "objects", "refs")
_SKIPPED_FOLDERS = frozenset({".git", ".hg", ".svn", ".venv", "node_modules", "__pycache__"})


@dataclass(frozen=True, slots=True)
class TextSource:
    """A text with the name it is reported by; `path` is the file it can be written back to, if any."""

    name: str
    data: bytes
    path: Path | None = None

    @property
    def is_binary(self) -> bool:
        """Whether it is no text: it has a NUL byte and no mark of UTF-16."""
        return b"\0" in self.data and not self.data.startswith(tuple(mark for mark, _ in _WIDE))

    def decoded(self) -> tuple[str, str]:
        """Return the text and its encoding; other bytes than UTF-8 are kept as lone surrogates.

        Raises:
            UnicodeError: a mark of UTF-16 is followed by what is none.
        """
        for mark, encoding in _WIDE:
            if self.data.startswith(mark):
                return self.data.decode(encoding, "surrogatepass"), encoding
        return self.data.decode("utf-8", "surrogateescape"), "utf-8"


def encoded(text: str, encoding: str) -> bytes:
    """Return a text as the bytes of its file."""
    return text.encode(encoding, "surrogateescape" if encoding == "utf-8" else "surrogatepass")


def read_file(name: str) -> TextSource:
    """Read a regular file, or standard input for `-`.

    Raises:
        OSError: it is no regular file (a FIFO would never end), or can't be read.
    """
    if name == STDIN:
        return TextSource("<stdin>", sys.stdin.buffer.read())
    path = Path(name)
    if not name:
        raise FileNotFoundError(ENOENT, "No such file or directory")
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("it is no regular file")
    return TextSource(name, path.read_bytes(), path)


def file_names(paths: Sequence[str]) -> Iterator[str]:
    """Yield the files of a list of files and folders; in a Git repository those that Git does not ignore."""
    for name in paths:
        if name not in {"", STDIN} and Path(name).is_dir():
            yield from _files_of(Path(name))
        else:
            yield name


def _files_of(folder: Path) -> Iterator[str]:
    try:
        listed = SafeGit(folder).output("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    except DataError as error:
        if all((folder / part).exists() for part in _BARE_PARTS):
            raise DataError(
                f"{folder} is a bare repository: its files are compressed, and nothing would be found in them. Pass a clone of "
                f"it, or check its history: set GIT_DIR={shlex.quote(str(folder))} and pass --since COMMIT."
            ) from error
        if isinstance(error, RefusedRepositoryError):
            _LOG.warning("%s. Until then files that it ignores are read, too.", error)
        for root, folders, files in os.walk(folder):
            folders[:] = sorted(name for name in folders if name not in _SKIPPED_FOLDERS)
            yield from (str(path) for name in sorted(files) if _is_regular(path := Path(root, name)))
        return
    for name in sorted(set(listed.decode("utf-8", "surrogateescape").split("\0")) - {""}):
        if _is_regular(path := folder / name):  # neither a submodule nor a link that leads nowhere
            yield str(path)


def _is_regular(path: Path) -> bool:
    try:
        return not path.is_symlink() and stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def staged(folder: Path) -> Iterator[TextSource]:
    """Yield what is staged for the next commit of the repository that holds a folder."""
    git = SafeGit(folder)
    git.output("rev-parse", "--show-toplevel")  # without a repository `git diff` prints its usage
    names = git.output("diff", "--cached", "--name-only", "-z", "--diff-filter=ACMR", "--ignore-submodules")
    for name in names.decode("utf-8", "surrogateescape").split("\0"):
        if name:
            yield TextSource(name, git.output("cat-file", "blob", f":{name}"))


def since(folder: Path, commit: str) -> Iterator[TextSource]:
    """Yield every version of a file that the commits after `commit` added or changed, each content once."""
    git = SafeGit(folder)
    git.output("rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}")
    commits = git.output("rev-list", "--reverse", f"{commit}..HEAD", "--").decode().split()
    seen: set[str] = set()
    for number in commits:
        fields = (
            git.output("diff-tree", "-r", "-m", "-z", "--root", "--no-commit-id", "--diff-filter=ACMR", number)
            .decode("utf-8", "surrogateescape")
            .split("\0")
        )
        for about, name in zip(fields[::2], fields[1::2], strict=False):
            _, mode, _, blob, *_ = about.split()
            if mode.startswith("100") and blob not in seen:
                seen.add(blob)
                yield TextSource(f"{number[:12]}:{name}", git.output("cat-file", "blob", blob))
