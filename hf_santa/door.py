"""Turn an error of any package into one line on standard error and an exit code; this is the only place.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | a check found something |
| 2 | a mistake in the arguments, a file or a setting |
| 3 | incomplete: something that is needed is missing, or the work was stopped before its end |
| 70 | a fault of hf-santa: a traceback is printed |
| 130 | stopped by Ctrl-C |
| 141 | the reader of the output closed the pipe |
"""

import argparse
import contextlib
import errno
import importlib
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator

from hf_santa.interrupt import Interruption

USER_MISTAKE, CHECK_FAILED, INCOMPLETE, FAULT, INTERRUPTED, CLOSED_PIPE = 2, 1, 3, 70, 130, 141
Command = Callable[[argparse.Namespace], int]

_ERRORS = {  # the base class of each room's errors; only loaded rooms can have raised one
    "data_recipes.errors": "DataError",
    "modeling_santa.errors_santa": "ModelError",
    "eval_multipl_e.errors": "EvalError",
    "hf_santa.errors": "HfSantaError",
}
_OF_THE_MACHINE = frozenset(
    getattr(errno, name)
    for name in (
        *("EACCES", "EDQUOT", "EEXIST", "EFBIG", "EISDIR", "ELOOP", "ENAMETOOLONG", "ENOENT", "ENOSPC", "ENOTDIR"),
        *("ENOTEMPTY", "EPERM", "EROFS", "ENXIO", "EADDRINUSE"),
    )
)
_EXTRA_OF_PACKAGE = {  # for what only some settings of a command need
    "accelerate": "finetune",
    "datatrove": "scale",
    "gguf": "gguf",
    "gradio": "space",
    "huggingface_hub": "hub",
    "hyperscan": "pii",
    "nanotron": "train",
    "peft": "finetune",
    "presidio_analyzer": "presidio",
    "pygments": "bigcode",
}
_EXTRA_OF_COMMAND = {  # for everything else that is missing; the longest beginning counts
    "hf-santa": "all",
    "hf-santa data": "data",
    "hf-santa data redact": "redact",
    "hf-santa eval": "metric",
    "hf-santa eval complete": "model",
    "hf-santa finetune": "finetune",
    "hf-santa model": "model",
    "hf-santa tokenizer": "model",
    "hf-santa train": "train",
    "hf-santa tune": "finetune",
}
_LACKS_MEMORY = re.compile(
    "DefaultCPUAllocator: (?:can't|not enough)|CUDA out of memory|Cannot allocate memory"
)  # torch's
_MORE_MEMORY = "Free some, use a smaller model or fewer workers, or a machine with more, then run again."
_PACKAGES = {
    *_EXTRA_OF_PACKAGE,
    *("datasets", "datasketch", "evaluate", "llvmlite", "numba", "pyarrow", "re2", "safetensors", "tldextract"),
    *("tokenizers", "torch", "transformers"),
}


def run(command: Command, arguments: argparse.Namespace, name: str) -> int:
    """Run a command and return its exit code; whatever it raises becomes one line that begins with its name.

    Args:
        command: Takes the arguments and returns an exit code.
        arguments: Those of the command; `debug`, `quiet` and `verbose` are the door's own.
        name: What the user typed, for example `hf-santa data run`.
    """
    interruption = Interruption(name)
    try:
        with _logging(arguments, name), interruption:
            return _answered(command, arguments, name)
    except KeyboardInterrupt:
        interruption.tell()
        return INTERRUPTED


def _answered(command: Command, arguments: argparse.Namespace, name: str) -> int:
    """Run a command and return its exit code, whatever it raises; only Ctrl-C passes."""
    try:
        code = command(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED_PIPE
    except Exception as error:  # noqa: BLE001 - the door is where every error ends
        return _told(error, name, is_debug=getattr(arguments, "debug", False))
    return code


def _told(error: Exception, name: str, *, is_debug: bool) -> int:
    """Print what happened and return the exit code."""
    if is_debug:
        traceback.print_exception(error)
    message, code = _explained(error, name)
    if code == FAULT and not is_debug:
        traceback.print_exception(error)
    print(f"{name}: {_without_token(message)}", file=sys.stderr)
    return code


def _explained(error: Exception, name: str) -> tuple[str, int]:
    """Return the line for an error, and the exit code."""
    if isinstance(error, _known_errors()):
        return str(error), getattr(error, "exit_code", USER_MISTAKE)
    if isinstance(error, ModuleNotFoundError) and (package := (error.name or "").partition(".")[0]) in _PACKAGES:
        extra = _EXTRA_OF_PACKAGE.get(package) or _extra_of(name)
        return (
            f"this command needs the package {package!r}, which is not installed. "
            f"Install it with: pip install 'hf-santa[{extra}]'"
        ), USER_MISTAKE
    if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
        place = f"{error.filename}: " if error.filename is not None else ""
        return f"{place}{error.strerror}. {_advice(error.errno)}", USER_MISTAKE
    if isinstance(error, MemoryError) or _LACKS_MEMORY.search(str(error)):
        return f"there is too little memory: {_first_line(error)}. {_MORE_MEMORY}", INCOMPLETE
    sentence = "This is a fault of hf-santa, not of yours: please report it with the lines above."
    return f"{type(error).__name__}: {error}. {sentence}", FAULT


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "").rstrip(". ") or type(error).__name__


def _extra_of(command: str) -> str:
    words = command.split()
    beginnings = (" ".join(words[:count]) for count in range(len(words), 0, -1))
    return next((_EXTRA_OF_COMMAND[found] for found in beginnings if found in _EXTRA_OF_COMMAND), "all")


def _advice(number: int | None) -> str:
    if number in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return "Free some space, or choose another output folder, then run again."
    if number in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return "Choose a place that you may read and write."
    if number == errno.EADDRINUSE:
        return "Choose another port."
    return "Check the path, then run again."


def _known_errors() -> tuple[type[Exception], ...]:
    loaded = (module for module in _ERRORS if module in sys.modules)
    return tuple(getattr(importlib.import_module(module), _ERRORS[module]) for module in loaded)


def _without_token(text: str) -> str:
    """Return the text without the Hub's token, whatever library wrote it there."""
    token = os.environ.get("HF_TOKEN", "").strip()
    return text.replace(token, "(token)") if token else text


class _Lines(logging.Formatter):
    """Progress as it is; warnings and errors after the command's name."""

    def __init__(self, name: str) -> None:
        super().__init__("%(message)s")
        self._name = name

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for a record."""
        line = super().format(record)
        return f"{self._name}: {line}" if record.levelno >= logging.WARNING else line


@contextlib.contextmanager
def _logging(arguments: argparse.Namespace, name: str) -> Iterator[None]:
    """Show what the rooms log on standard error: progress by default, warnings under -q, everything under -v."""
    level = logging.INFO
    if getattr(arguments, "quiet", False):
        level = logging.WARNING
    elif getattr(arguments, "verbose", False):
        level = logging.DEBUG
    logger, handler = logging.getLogger("hf_santa"), logging.StreamHandler()
    before = logger.level, logger.propagate
    handler.setFormatter(_Lines(name))
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]
