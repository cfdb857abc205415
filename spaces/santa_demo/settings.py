"""What the environment and the command line ask for, checked before anything slow is imported.

HF_SANTA_MODEL is a local folder or a Hub repo id, HF_SANTA_REVISION the full commit of a repo id (it runs the
repo's code, so a name that can move is refused unless HF_SANTA_ALLOW_FLOATING=1). HF_SANTA_INDEX is a file that
`hf-santa data index` wrote; INDEX_NAME beside app.py or among the model's files needs no variable. Only the
standard library is imported.
"""

import json
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FULL_SHA = re.compile(r"[0-9a-f]{40}")
INDEX_NAME = "training.index"
REPO_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


class StartError(RuntimeError):
    """The demo cannot start; the message says what was found and what to set instead."""


@dataclass(frozen=True)
class ModelSource:
    """Where the model comes from: a local folder (revision None) or a Hub repo id at a revision."""

    path: str
    revision: str | None = None
    index: str | None = None  # the file with which training data is recognised

    @property
    def is_local(self) -> bool:
        """Whether the model lies in a folder of this machine."""
        return Path(self.path).is_dir()

    @property
    def name(self) -> str:
        """The repo id, or the folder's own name without the path that leads to it."""
        return Path(self.path).resolve().name if self.is_local else self.path


def find_source(environ: Mapping[str, str]) -> ModelSource:
    """Return the model named by HF_SANTA_MODEL and HF_SANTA_REVISION; raises StartError if it is missing or unpinned.

    >>> find_source({"HF_SANTA_MODEL": "org/santa", "HF_SANTA_REVISION": "0123456789" * 4}).name
    'org/santa'
    """
    if not environ.get("HF_SANTA_MODEL"):
        environ = {**environ, **pinned(Path(__file__).with_name("model.json"))}
    path, index = environ.get("HF_SANTA_MODEL", ""), environ.get("HF_SANTA_INDEX") or None
    if index and not Path(index).is_file():
        raise StartError(
            f"HF_SANTA_INDEX={index!r} is no file. Write one with `hf-santa data index STORE OUT`, or unset it."
        )
    revision = environ.get("HF_SANTA_REVISION") or None
    if not path:
        raise StartError("HF_SANTA_MODEL is not set. Set it to a model folder or to a Hub repo id.")
    if Path(path).is_dir():
        if not (Path(path) / "config.json").is_file():
            raise StartError(
                f"HF_SANTA_MODEL={path!r} is a folder without config.json. Name a folder saved for transformers."
            )
        return ModelSource(path, index=index)
    if not REPO_ID.fullmatch(path) or path.startswith("."):
        raise StartError(f"HF_SANTA_MODEL={path!r} is neither an existing folder nor a Hub repo id. Check the path.")
    if environ.get("HF_SANTA_ALLOW_FLOATING") != "1" and not (revision and FULL_SHA.fullmatch(revision)):
        seen = f"HF_SANTA_REVISION={revision!r}" if revision else "HF_SANTA_REVISION is not set, and an empty revision"
        raise StartError(
            f"{seen} is not a full commit sha (40 hex digits), needed because the code in {path!r} will run here. "
            "Pin the commit, set HF_SANTA_ALLOW_FLOATING=1 to accept a moving one, or name an existing folder."
        )
    return ModelSource(path, revision, index)


def pinned(file: Path) -> dict[str, str]:
    """Return the variables that `file` stands for; publishing writes it, a folder of one's own has none.

    Raises StartError if it does not name a model and its commit.
    """
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text("utf-8"))
        return {"HF_SANTA_MODEL": str(found["model"]), "HF_SANTA_REVISION": str(found["revision"])}
    except (ValueError, KeyError, TypeError) as error:
        raise StartError(
            f"{file.name} does not name a model and its revision ({error!r}). Publish it again."
        ) from error


def free_port(host: str, port: int) -> int:
    """Return `port` if it can be bound, or any free one for 0; raises StartError if it is taken."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            raise StartError(f"Port {port} on {host} cannot be used: {error}. Choose another with --port.") from error
        return int(probe.getsockname()[1])


def whole_number(environ: Mapping[str, str], name: str, default: int) -> int:
    """Return the environment variable `name` as a whole number from 0 up; raises StartError if it is not one."""
    text = environ.get(name, str(default))
    if not text.isdecimal():
        raise StartError(f"{name}={text!r} is not a whole number. Set it to one such as {default}, or unset it.")
    return int(text)
