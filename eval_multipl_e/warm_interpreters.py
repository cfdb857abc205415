"""Keep interpreters running with their libraries loaded; each forks itself into a program's sandbox.

What is forked runs our own lines until it is behind the wall (`warm_helper`), and the program's from then on. Where
there is no C compiler for the helper, or it fails, programs are started cold.
"""

import os
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from . import toolchains_prepared
from .sandbox import FOLDER_BYTES, start_warm
from .sandbox_box import Limits, SandboxError
from .sandbox_native import Zygote
from .sandbox_streams import FinishedCommand
from .toolchains import find_tool, visible_folders
from .warm_scripts import PERL, PYTHON, RACKET, RUBY, R


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
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        script_read, self._script = os.pipe()
        paths = visible_folders()
        try:
            with theirs:
                os.write(self._script, lines.encode())
                if not recipe.script:
                    # This one reads its script to the end before it begins.
                    os.close(self._script)
                    self._script = -1
                fds = (theirs.fileno(), script_read)
                words = (*recipe.words, lines) if recipe.words else ("/dev/fd/4",)
                handle = start_warm(paths, [tool, *words], env, fds)
            self._zygote = Zygote(ours, handle, paths, recipe.tool)
        except BaseException:
            ours.close()
            self._end_script()
            raise
        finally:
            os.close(script_read)

    def run(self, files: Mapping[str, bytes], limits: Limits, timeout_s: float, word: bytes) -> FinishedCommand | None:
        """Run a program in a copy behind a wall of its own; None where no copy could get in."""
        try:
            with self._zygote.open_box(*FOLDER_BYTES) as box:
                box.write(files)
                box.seal()
                return box.adopt(limits, timeout_s, word=word)
        except SandboxError:
            return None

    def close(self) -> None:
        """End the interpreter."""
        self._zygote.close()
        self._end_script()

    def _end_script(self) -> None:
        if self._script >= 0:
            os.close(self._script)
            self._script = -1


# What runs a program's files under limits, with a time and the word to look for.
Runner = Callable[[Mapping[str, bytes], Limits, float, bytes], FinishedCommand | None]


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

    def runner(self, code: str) -> Runner | None:
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
