"""Fetch a git repository that a user names, at one commit, into a folder of its own."""

import os
import subprocess
from pathlib import Path

from data_recipes.errors import DataError
from data_recipes.sources.blobs import BlobReader
from data_recipes.sources.git_address import SCHEMES, without_secret

_TIMEOUT_S = 6 * 3600
_EVERYTHING = ("+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")


def fetch_commit(address: str, commit: str, folder: Path) -> tuple[BlobReader, str]:
    """Fetch a commit without its history; return git in the folder, and the name of the commit there.

    Servers that give no single commit are asked for everything. Nobody is asked for a password: what git knows of
    the user's credentials is used.

    Raises:
        DataError: There is no such repository or commit, or it may not be read.
    """
    _git(folder, address, "init", "--quiet", "--template=")
    try:
        _git(folder, address, "fetch", "--quiet", "--no-tags", "--depth=1", "--", address, commit)
    except DataError:
        _git(folder, address, "fetch", "--quiet", "--", address, *_EVERYTHING)
        return BlobReader(folder), _name_in(folder, commit)
    return BlobReader(folder), "FETCH_HEAD"


def _name_in(folder: Path, commit: str) -> str:
    """Return the name that a commit, branch or tag has after everything was fetched."""
    git = BlobReader(folder)
    for name in (f"refs/remotes/origin/{commit}", commit):
        try:
            git.output("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        except DataError:
            continue
        return name
    raise DataError(f"The repository has no commit, branch or tag {commit!r}. Write one that it has after the @.")


def _git(folder: Path, address: str, *arguments: str) -> None:
    environment = os.environ | {
        "GIT_ALLOW_PROTOCOL": ":".join(SCHEMES),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_SSH_COMMAND": os.environ.get("GIT_SSH_COMMAND", "ssh -oBatchMode=yes"),
        "LC_ALL": "C",
    }
    words = ["git", "-C", str(folder), "-c", "core.hooksPath=" + os.devnull, *arguments]
    shown = without_secret(address)
    try:
        done = subprocess.run(
            words, capture_output=True, check=False, env=environment, stdin=subprocess.DEVNULL, timeout=_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = "it took too long" if isinstance(error, subprocess.TimeoutExpired) else "git can't be run"
        raise DataError(f"{shown} can't be fetched: {reason}. Install git, or pass a folder.") from error
    if done.returncode:
        said = [without_secret(line) for line in done.stderr.decode("utf-8", "replace").strip().splitlines()]
        reason = said[-1] if said else f"git ended with {done.returncode}"
        raise DataError(f"{shown} can't be fetched: {reason[:300]}. Check address, commit and your access.")
