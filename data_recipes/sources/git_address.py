"""Addresses of git repositories: a folder or an address with `git+` before it, and the commit to read after an `@`."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from data_recipes.errors import DataError

SCHEMES = ("https", "http", "ssh", "file")
"""Ways to fetch a repository; git's other ways can run programs that the address names."""

_SCP = re.compile(r"(?:[\w.-]+@)?[\w.-]+:(?!//)(.+)")


@dataclass(frozen=True, slots=True)
class GitAddress:
    """Where a repository is, a folder or an address without `git+`; and a commit, branch or tag of it."""

    place: str
    commit: str = "HEAD"
    is_folder: bool = False


def git_address(source: Any) -> GitAddress | None:
    """Return the repository that a source names; None where it names none.

    >>> git_address("git+https://github.com/bigcode-project/santa@main")
    GitAddress(place='https://github.com/bigcode-project/santa', commit='main', is_folder=False)

    Raises:
        DataError: It begins with `git+` and can't be fetched safely.
    """
    text = str(source)
    if not text.startswith("git+"):
        folder, _, commit = text.rpartition("@")
        for place, at in ((text, "HEAD"), (folder, commit)):
            if place and at and (Path(place) / ".git").exists():
                return GitAddress(place, at, is_folder=True)
        return None
    parts = urlsplit(text.removeprefix("git+"))
    path, _, commit = parts.path.rpartition("@") if "@" in parts.path else (parts.path, "", "HEAD")
    if parts.scheme not in SCHEMES or parts.query or parts.fragment or not path.strip("/"):
        wanted = ", ".join(f"git+{scheme}" for scheme in SCHEMES)
        raise DataError(f"{without_secret(text)}: expected ADDRESS or ADDRESS@COMMIT after one of {wanted}.")
    if not commit or commit.startswith("-"):
        raise DataError(f"{without_secret(text)}: {commit!r} is no commit, branch or tag. Write one after the @.")
    if parts.scheme == "file" and (Path(path) / ".git").exists():
        return GitAddress(path, commit, is_folder=True)
    return GitAddress(parts._replace(path=path).geturl(), commit)


def without_secret(address: str) -> str:
    """Return an address without a user's name and password.

    >>> without_secret("https://ada:secret@example.org/a/b")
    'https://example.org/a/b'
    """
    return re.sub(r"(://)[^/@\s]*@", r"\1", address)


def repository_name(remote: str) -> str:
    """Return the `owner/name` of a remote's address; of a folder its own name alone.

    >>> [repository_name(x) for x in ("git@github.com:ada/code.git", "https://u:p@gitlab.com/a/b/c/", "/srv/git/x.git")]
    ['ada/code', 'a/b/c', 'x']
    """
    text = remote.strip().rstrip("/")
    if "://" in text:
        parts = urlsplit(text)
        path = parts.path if parts.scheme != "file" else parts.path.rpartition("/")[2]
    elif scp := _SCP.fullmatch(text):
        path = scp[1]
    else:
        path = Path(text).name
    return path.strip("/").removesuffix(".git")
