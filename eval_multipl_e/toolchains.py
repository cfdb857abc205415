"""Find this machine's compilers and interpreters, their versions, and how to install missing ones."""

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

from . import toolchains_prepared
from .languages import LANGUAGES, language_of
from .languages_row import Language
from .sandbox import tool_prefix

_JARS = {
    "javatuples": (
        "/usr/share/java/javatuples.jar",
        "/usr/share/java/javatuples-1.2.jar",
        "/usr/multiple/javatuples-1.2.jar",
    )
}
_OTHER_NAMES = {"mcs": ("csc", "mcs"), "ldmd2": ("ldmd2", "dmd"), "lua": ("lua", "lua5.3", "lua5.4")}


def find_tool(tool: str) -> str | None:
    """Return where an executable lies, or None; `python` is this process's interpreter, outside its environment."""
    if tool == "python":
        # Not the virtual environment's link: programs are to see the same modules wherever the metric runs.
        base = getattr(sys, "_base_executable", None) or sys.executable
        return os.path.realpath(base) if base else shutil.which("python3")
    found = next((path for name in _OTHER_NAMES.get(tool, (tool,)) if (path := shutil.which(name))), None)
    return _behind_proxy(found) if found else None


def _behind_proxy(path: str) -> str:
    """The compiler itself, where the name on PATH is rustup's: the proxy would look for settings in the home folder."""
    return _rustup_target(path) if Path(os.path.realpath(path)).name == "rustup" else path


@functools.cache
def _rustup_target(path: str) -> str:
    done = subprocess.run([path, "--print", "sysroot"], capture_output=True, text=True, timeout=60, check=False)
    real = Path(done.stdout.strip(), "bin", Path(path).name)
    return str(real) if done.returncode == 0 and real.is_file() else path


def find_jar(jar: str) -> str | None:
    """Return where a Java library lies, or None; HF_SANTA_JAVATUPLES_JAR names a place of one's own."""
    own = os.environ.get(f"HF_SANTA_{jar.upper()}_JAR")
    return next((path for path in ((own,) if own else _JARS[jar]) if Path(path).is_file()), None)


def visible_folders() -> tuple[str, ...]:
    """Return the folders outside the system's that a program must see for the tools and libraries found here."""
    # Looked up anew when the user's settings change: it costs a millisecond, too much for every program.
    return _visible_folders(
        *(os.environ.get(name, "") for name in ("PATH", "HF_SANTA_JAVATUPLES_JAR", "HF_SANTA_EVAL_CACHE"))
    )


@functools.lru_cache(maxsize=4)
def _visible_folders(*_settings: str) -> tuple[str, ...]:
    tools = [path for row in LANGUAGES.values() for tool in row.tools if (path := find_tool(tool))]
    folders = [folder for path in tools if not toolchains_prepared.is_hidden(path) for folder in tool_prefix(path)]
    for row in LANGUAGES.values():
        jars = [jar for _, name, _ in row.needs if (jar := find_jar(name))]
        folders += [folder for jar in jars if not (folder := str(Path(jar).parent)).startswith("/usr/")]
        if row.artefacts and not missing_tool(row):
            folders.append(str(toolchains_prepared.root()))
    return tuple(dict.fromkeys(folders))


def missing_tool(language: Language) -> str | None:
    """Return what a language lacks on this machine, with the command that installs it; None when it lacks nothing."""
    for tool in language.tools:
        if find_tool(tool) is None:
            return (
                f"eval_multipl_e: toolchain for {language.code!r} not found: {tool!r} is not on PATH. "
                f"Install it ({language.install}) or drop the language. "
                "Problems of a missing toolchain are never counted as failed."
            )
    return None


def hidden_tool(language: Language) -> str | None:
    """Say which tool of a language lies where no sandbox can show it; None when none does."""
    for tool in language.tools:
        path = find_tool(tool)
        if path is not None and toolchains_prepared.is_hidden(path):
            return (
                f"eval_multipl_e: toolchain for {language.code!r} can't be used: {path} lies below a folder of which every "
                "program has its own behind the sandbox. Put it elsewhere, below /opt or your home folder. "
                "Problems of a toolchain that can't be used are never counted as failed."
            )
    return None


def missing_library(language: Language, program: str) -> str | None:
    """Return what one program lacks here beyond its toolchain, with the command that installs it; or None."""
    for text, jar, command in language.needs:
        if text in program and find_jar(jar) is None:
            return (
                f"eval_multipl_e: the program uses {text!r} and {jar}.jar was not found. "
                f"Install it ({command}) or name the file in HF_SANTA_{jar.upper()}_JAR. "
                "Such a program is never counted as failed."
            )
    return None


def toolchain_version(code: str) -> str | None:
    """Return the first line a toolchain prints about its version, or None where it is missing."""
    language = language_of(code)
    tool = find_tool(language.version[0])
    if tool is None or missing_tool(language):
        return None
    return _version_line((tool, *language.version[1:]), Path(tool).stat().st_mtime_ns)


@functools.cache
def _version_line(command: tuple[str, ...], _changed_ns: int) -> str:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=60, check=False)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0] if lines else f"{command[0]} (says nothing about its version)"
