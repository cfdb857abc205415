"""The table of languages: how a program of each is built, run, and how its failure is named.

Codes, file names, commands and time limits are MultiPL-E's. Everything else (checks, messages, the doctor's table)
is derived from `LANGUAGES`.
"""

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

GIB = 1 << 30

# (status, text): the first text found in what a failed program printed gives its status.
Marks = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Language:
    """One language of the table; `{dir}`, `{jar}` and `{main}` in commands are filled in for each program."""

    code: str
    name: str
    file_name: str
    run: tuple[str, ...]
    version: tuple[str, ...]
    install: str
    hello: str  # a whole program that passes: where it does not, the toolchain is broken, not the programs
    run_timeout_s: float
    build: tuple[str, ...] = ()
    build_timeout_s: float = 15.0
    main: str = ""  # what `{main}` is when no driver stands before it
    epilogue: str = ""  # appended in strict mode; `{token}` is printed after the tests
    driver_name: str = ""  # the class of a second source file in strict mode; `{token}` as above
    driver: str = ""
    strict_marks: Marks = ()
    compat_marks: Marks = ()
    compat_reads_stdout: bool = False  # upstream looks for its marks in both streams
    compat_blocks_output: bool = False  # upstream reads 10 KB/s, so that a long output ends in its Timeout
    data_bytes: int = 2 * GIB  # RLIMIT_DATA: private writable memory. RLIMIT_AS would stop node and the JVM at start
    processes: int = 64
    needs: tuple[tuple[str, str, str], ...] = ()  # (text in the program, jar, command that installs it)

    @property
    def tools(self) -> tuple[str, ...]:
        """The executables this language needs, in the order they are used."""
        return tuple(dict.fromkeys(command[0] for command in (self.build, self.run) if command))


_JAVA_DRIVER = """
public class SantaDriver {
    public static void main(String[] args) throws Throwable {
        try {
            Class.forName("Problem").getMethod("main", String[].class).invoke(null, (Object) args);
        } catch (java.lang.reflect.InvocationTargetException error) {
            throw error.getCause();
        }
        new java.io.FileOutputStream(java.io.FileDescriptor.out).write("\\n{token}\\n".getBytes());
    }
}
"""
# Serial collector and no perf file: no helper threads by core count, nothing written outside the program's folder.
_JVM = ("-XX:+UseSerialGC", "-XX:-UsePerfData")
_JAVATUPLES = ("org.javatuples", "javatuples", "apt-get install libjavatuples-java")

_ROWS = (
    Language(
        code="py",
        name="Python",
        file_name="main.py",
        run=("python", "-I", "{dir}/main.py"),
        version=("python", "--version"),
        install="apt-get install python3",
        hello="assert True",
        run_timeout_s=15.0,
        # os.write, for a program may have replaced sys.stdout or print.
        epilogue='\n__import__("os").write(1, b"\\n{token}\\n")\n',
        strict_marks=(
            ("SyntaxError", "\nSyntaxError:"),
            ("SyntaxError", "\nIndentationError:"),
            ("SyntaxError", "\nTabError:"),
            ("AssertionError", "\nAssertionError"),
        ),
        compat_marks=(("SyntaxError", "SyntaxError"),),
        compat_blocks_output=True,
    ),
    Language(
        code="js",
        name="JavaScript",
        file_name="main.js",
        run=("node", "{dir}/main.js"),
        version=("node", "--version"),
        install="apt-get install nodejs",
        hello="require('node:assert').ok(true);",
        run_timeout_s=5.0,
        # globalThis, for a program may well have a function called `process`.
        epilogue='\nglobalThis.process.stdout.write("\\n{token}\\n");\n',
        strict_marks=(
            ("AssertionError", "ERR_ASSERTION"),
            ("SyntaxError", "SyntaxError"),
            ("ReferenceError", "ReferenceError"),
        ),
        compat_marks=(
            ("AssertionError", "ERR_ASSERTION"),
            ("SyntaxError", "SyntaxError"),
            ("ReferenceError", "ReferenceError"),
        ),
        compat_reads_stdout=True,
    ),
    Language(
        code="java",
        name="Java",
        file_name="Problem.java",
        build=(
            "javac",
            *(f"-J{flag}" for flag in _JVM),
            # Measured on a small program: 0.91 s in place of 1.39 s, for it ends before the second compiler pays.
            "-J-XX:TieredStopAtLevel=1",
            "-proc:none",
            "-encoding",
            "UTF8",
            "-cp",
            "{jar}",
            "-d",
            "{dir}",
            "{sources}",
        ),
        run=("java", *_JVM, "-Xmx1g", "-ea", "-cp", "{dir}:{jar}", "{main}"),
        version=("javac", "-version"),
        install="apt-get install default-jdk-headless",
        hello="class Problem { public static void main(String[] args) { assert true; } }",
        run_timeout_s=15.0,
        main="Problem",
        driver_name="SantaDriver",
        driver=_JAVA_DRIVER,
        strict_marks=(("AssertionError", 'Exception in thread "main" java.lang.AssertionError'),),
        compat_blocks_output=True,
        data_bytes=4 * GIB,
        processes=256,
        needs=(_JAVATUPLES,),
    ),
)

# Every language by MultiPL-E's code.
LANGUAGES: Mapping[str, Language] = MappingProxyType({row.code: row for row in _ROWS})

_JARS = {
    "javatuples": (
        "/usr/share/java/javatuples.jar",
        "/usr/share/java/javatuples-1.2.jar",
        "/usr/multiple/javatuples-1.2.jar",
    )
}


def language_of(code: str) -> Language:
    """The row of a code; an unknown code is an error that lists the known ones.

    >>> language_of("py").name
    'Python'
    """
    if not isinstance(code, str) or code not in LANGUAGES:
        known = ", ".join(LANGUAGES)
        raise ValueError(f"eval_multipl_e: language {code!r} is unknown. Use one of MultiPL-E's codes: {known}.")
    return LANGUAGES[code]


def find_tool(tool: str) -> str | None:
    """Where an executable lies, or None; `python` is the interpreter this process runs on, outside its environment."""
    if tool == "python":
        # Not the virtual environment's link: programs are to see the same modules wherever the metric runs.
        base = getattr(sys, "_base_executable", None) or sys.executable
        return os.path.realpath(base) if base else shutil.which("python3")
    return shutil.which(tool)


def find_jar(jar: str) -> str | None:
    """Where a Java library lies, or None; SANTA_JAVATUPLES_JAR names a place of one's own."""
    own = os.environ.get(f"SANTA_{jar.upper()}_JAR")
    return next((path for path in ((own,) if own else _JARS[jar]) if Path(path).is_file()), None)


def missing_tool(language: Language) -> str | None:
    """What a language lacks on this machine, with the command that installs it; None when it lacks nothing."""
    for tool in language.tools:
        if find_tool(tool) is None:
            return (
                f"eval_multipl_e: toolchain for {language.code!r} not found: {tool!r} is not on PATH. "
                f"Install it ({language.install}) or drop the language. "
                "Problems of a missing toolchain are never counted as failed."
            )
    return None


def missing_library(language: Language, program: str) -> str | None:
    """What one program lacks on this machine beyond its toolchain, with the command that installs it; or None."""
    for text, jar, command in language.needs:
        if text in program and find_jar(jar) is None:
            return (
                f"eval_multipl_e: the program uses {text!r} and {jar}.jar was not found. "
                f"Install it ({command}) or name the file in SANTA_{jar.upper()}_JAR. "
                "Such a program is never counted as failed."
            )
    return None


def toolchain_version(code: str) -> str | None:
    """The first line a toolchain prints about its version, or None where it is missing."""
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
