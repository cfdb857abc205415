"""Interpreters kept warm: each has loaded its libraries once, and forks itself into the wall of every program.

What is forked runs our own lines until it is behind the wall (`warm_helper`), and the program's from then on. Where
there is no C compiler for the helper, or it fails, programs are started cold.
"""

import contextlib
import os
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from . import sandbox_seccomp, toolchains_prepared
from .sandbox import start_warm
from .sandbox_box import Box, Limits, SandboxError
from .sandbox_streams import FinishedCommand
from .toolchains import find_tool, visible_folders
from .warm_helper import PERL, PYTHON, RACKET, RUBY, R

_READY_S = 60.0


@dataclass(frozen=True)
class _Recipe:
    tool: str
    lines: str
    script: str = ""  # the program's file, where the copy reads on in it as its own script
    is_preloaded: bool = True
    words: tuple[str, ...] = ()  # on the command line before the lines, where these are not a script


_RACKET = ("-l", "racket/base", "-l", "ffi/unsafe", "-l", "racket", "-l", "rackunit", "-e")
_RECIPES: Mapping[str, _Recipe] = MappingProxyType(
    {
        "pl": _Recipe("perl", PERL, "/program/main.pl"),
        "py": _Recipe("python", PYTHON, is_preloaded=False, words=("-I", "-c")),
        "r": _Recipe("Rscript", R, "/program/main.r", is_preloaded=False),
        "rb": _Recipe("ruby", RUBY),
        "rkt": _Recipe("racket", RACKET, is_preloaded=False, words=_RACKET),
    }
)


class WarmInterpreter:
    """One interpreter; it serves any number of workers."""

    def __init__(self, code: str) -> None:
        recipe = _RECIPES[code]
        library = toolchains_prepared.folder("helper") / "helper.so"
        tool = find_tool(recipe.tool) or recipe.tool
        env = {"SANTA_SCRIPT": recipe.script} if recipe.script else {}
        if recipe.is_preloaded:
            env |= {"LD_PRELOAD": str(library), "SANTA_WAITS": "1"}
        lines = recipe.lines.replace("{library}", str(library)).replace("{{", "{").replace("}}", "}")
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        script_read, self._script = os.pipe()
        self._lock = threading.Lock()
        try:
            with theirs:
                os.write(self._script, lines.encode())
                if not recipe.script:
                    # This one reads its script to the end before it begins.
                    os.close(self._script)
                    self._script = -1
                fds = (theirs.fileno(), script_read)
                words = (*recipe.words, lines) if recipe.words else ("/dev/fd/4",)
                self._handle = start_warm(visible_folders(), [tool, *words], env, fds)
        finally:
            os.close(script_read)

        # A program's time is not to be spent on the interpreter's own beginning.
        self._channel.settimeout(_READY_S)
        try:
            is_ready = self._channel.recv(1) == b"r"
            self._channel.settimeout(None)
        except OSError:
            is_ready = False
        if not is_ready:
            self.close()
            raise SandboxError(f"{recipe.tool} did not get warm")

    def run(self, box: Box, limits: Limits, timeout_s: float, word: bytes) -> FinishedCommand | None:
        """Run the program whose source lies in the box; None where the interpreter could not get in."""
        return box.adopt(self._enter, limits, timeout_s, word=word)

    def _enter(self, files: tuple[int, ...], limits: Limits) -> None:
        numbers = (limits.cpu_s, limits.file_bytes, limits.data_bytes, limits.processes, 1024)
        rows = sandbox_seccomp.rows()
        # Where it is gone, the pipe of the report ends without one, and the program is run cold.
        with self._lock, contextlib.suppress(OSError):
            socket.send_fds(self._channel, [struct.pack("=6Q", *numbers, len(rows)) + rows], files)

    def close(self) -> None:
        """End the interpreter."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        os.close(self._handle)
        self._channel.close()
        if self._script >= 0:
            os.close(self._script)


class WarmInterpreters:
    """The interpreters of one evaluation, started when they are first needed."""

    def __init__(self, way: str) -> None:
        self._is_possible = way == "namespaces"
        self._started: dict[str, WarmInterpreter | None] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """End all of them."""
        for interpreter in self._started.values():
            if interpreter is not None:
                interpreter.close()
        self._started.clear()

    def runner(self, code: str) -> Callable[[Box, Limits, float, bytes], FinishedCommand | None] | None:
        """Return what runs a program of this language warm; None where that can't be."""
        if not self._is_possible or code not in _RECIPES:
            return None
        with self._lock:
            if code not in self._started:
                try:
                    self._started[code] = WarmInterpreter(code)
                except (OSError, SandboxError, subprocess.SubprocessError):
                    self._started[code] = None  # no compiler for the helper, say: cold programs do as well
            interpreter = self._started[code]
        return interpreter.run if interpreter else None

    def give_up(self, code: str) -> None:
        """Go on cold with a language whose interpreter failed."""
        with self._lock:
            interpreter = self._started.get(code)
            self._started[code] = None
        if interpreter is not None:
            interpreter.close()
