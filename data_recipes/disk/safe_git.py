"""Run Git in a folder of somebody else without running anything that the folder's settings name."""

import os
import re
import shlex
import subprocess
from pathlib import Path

from data_recipes.errors import DataError

TIMEOUT_S = 600
"""A Git command that runs longer than this is stopped."""

# A repository's own settings may name programs for each of these; settings that are given with a command come first.
_SETTINGS = {
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "core.pager": "cat",
    "core.editor": "false",
    "core.askPass": "false",
    "core.sshCommand": "false",
    "core.gitProxy": "",
    "core.untrackedCache": "false",
    "credential.helper": "",
    "log.showSignature": "false",
    "gpg.program": "false",
    "gpg.ssh.program": "false",
    "gpg.x509.program": "false",
    "submodule.recurse": "false",
    "diff.ignoreSubmodules": "all",
    "safe.bareRepository": "explicit",
}
_ENVIRONMENT = {
    "GIT_ALLOW_PROTOCOL": "none",  # a partial clone would fetch what it lacks
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_PAGER": "cat",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
_BARE = re.compile(r"cannot use bare repository '(.*)' \(")
_OF_ANOTHER = re.compile(r"dubious ownership in repository at '(.+)'")
_DRIVER = re.compile(
    r"filter\..*\.(?:clean|smudge|process|required)\Z|(?:diff\..*\.(?:command|textconv)|merge\..*\.driver)\Z",
    re.IGNORECASE | re.DOTALL,
)
_COMPARING = frozenset(
    {"annotate", "blame", "diff", "diff-files", "diff-index", "diff-tree", "format-patch", "log", "show", "whatchanged"}
)


class RefusedRepositoryError(DataError):
    """Git does not read a repository: it is a bare one that was not named, or belongs to somebody else."""


class SafeGit:
    """Git in one folder: what its commands print, and none of the programs that a repository can name is run.

    Hooks, file system monitors, filters, drivers for differences and for text conversion, pagers, signature checks,
    and whatever fetches are off. Git's own check of who owns a repository stays on, and a bare repository inside a
    folder is not taken for the folder's own. The user's own settings, such as a global list of ignored files, hold.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self._environment = _environment(_SETTINGS)
        self._is_ready = False

    def output(self, command: str, *arguments: str) -> bytes:
        """Return what a Git command prints.

        Raises:
            RefusedRepositoryError: the folder is in a bare repository or in one that belongs to another user.
            DataError: Git is not installed, the folder is in no repository, or a name is unknown to it.
        """
        if not self._is_ready:
            self._environment = _environment(_SETTINGS | self._drivers())
            self._is_ready = True
        done = self._run(command, *arguments)
        if done.returncode:
            text = done.stderr.decode("utf-8", "replace").strip()
            if owned := _OF_ANOTHER.search(text):
                raise RefusedRepositoryError(
                    f"{owned[1]} belongs to another user, so Git does not read it. If you trust it, run "
                    f"git config --global --add safe.directory {shlex.quote(owned[1])}"
                )
            if bare := _BARE.search(text):
                raise RefusedRepositoryError(
                    f"{bare[1]} is a bare repository. It is used only when named, for any folder can be made to look like "
                    f"one: set GIT_DIR={shlex.quote(bare[1])} for this command, or pass a clone of it."
                )
            said = text.splitlines()
            reason = said[-1] if said else f"{arguments[-1] if arguments else command} is not known there"
            raise DataError(f"git {command} failed in {self.folder}: {reason}")
        return done.stdout

    def _drivers(self) -> dict[str, str]:
        """Return the settings that switch off each filter and driver that the repository's settings name."""
        listed = self._run("config", "--list", "--name-only", "-z", "--includes").stdout
        names = [name for name in map(os.fsdecode, listed.split(b"\0")) if _DRIVER.match(name)]
        return {name: "false" if name.endswith("required") else "" for name in names}

    def _run(self, command: str, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
        plain = ("--no-ext-diff", "--no-textconv") if command in _COMPARING else ()
        words = ["git", "--no-pager", "-C", str(self.folder), command, *plain, *arguments]
        try:
            return subprocess.run(
                words,
                capture_output=True,
                check=False,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                timeout=TIMEOUT_S,
            )
        except subprocess.TimeoutExpired as error:
            raise DataError(
                f"git {command} was not done after {TIMEOUT_S} seconds in {self.folder}. Pass files or a plain folder."
            ) from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise DataError(f"git can't be run ({reason}). Install Git, or pass files.") from error


def _environment(settings: dict[str, str]) -> dict[str, str]:
    """Return the environment of a Git command with these settings, after those that the user's environment has."""
    made = os.environ | _ENVIRONMENT
    made.pop("GIT_EXTERNAL_DIFF", None)
    given = made.get("GIT_CONFIG_COUNT", "")
    first = int(given) if given.isascii() and given.isdigit() else 0
    for number, (name, value) in enumerate(settings.items(), first):
        made[f"GIT_CONFIG_KEY_{number}"], made[f"GIT_CONFIG_VALUE_{number}"] = name, value
    made["GIT_CONFIG_COUNT"] = str(first + len(settings))
    return made
