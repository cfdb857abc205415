"""Define a language: its files, its commands, its limits, and how a finished program is judged."""

import re
from collections.abc import Callable
from dataclasses import dataclass

GIB = 1 << 30

# (status, text): the first text found in what a failed program printed gives its status.
Marks = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Ending:
    """How a command ended: `exit_code` is None for the time limit; the streams are what the rule may look at."""

    exit_code: int | None
    stdout: str
    stderr: str

    @property
    def both(self) -> str:
        """Both streams."""
        return self.stdout + self.stderr


Rule = Callable[[Ending], str]


def marked(*marks: tuple[str, str], polled: bool = True) -> Rule:
    """Return a status by the commonest rule: Timeout, OK for exit code 0, else the first mark in standard error or both."""

    def rule(ending: Ending) -> str:
        if ending.exit_code is None:
            return "Timeout"
        if ending.exit_code == 0:
            return "OK"
        text = ending.stderr if polled else ending.both
        return next((status for status, mark in marks if mark in text), "Exception")

    return rule


@dataclass(frozen=True)
class Language:
    """One language of the table.

    In commands `{dir}` is the program's folder, `{source}` the program's file, `{sources}` all source files, `{jar}`
    the Java libraries, `{main}` the class to start, `{token}` the line that strict mode looks for, `{artefacts}` what was
    prepared for the toolchain. A command that
    needs a tool names it first; `upstream` is MultiPL-E's own command, where ours must differ.
    """

    code: str
    name: str
    file_name: str
    run: tuple[str, ...]
    version: tuple[str, ...]
    install: str
    hello: str  # a whole program that passes: where it does not, the toolchain is broken, not the programs
    rule: Rule  # MultiPL-E's name for an ending of the run
    run_timeout_s: float = 15.0
    build: tuple[tuple[str, ...], ...] = ()
    build_timeout_s: float = 15.0
    build_failure: tuple[str, ...] = ("SyntaxError",)  # MultiPL-E's status for each build command
    build_timeout: str = "SyntaxError"  # MultiPL-E's status for a build that runs out of time
    build_rule: Rule | None = None  # where MultiPL-E names a failed build by what it printed
    is_one_limit: bool = False  # build and run share the time limit of the run
    is_polled: bool = True  # MultiPL-E reads 1 KB every 0.1 s and keeps 2 KB, of the others it reads all
    env: tuple[tuple[str, str], ...] = ()
    main: str = ""  # what `{main}` is when no driver stands before it
    epilogue: str = ""  # appended in strict mode; `{token}` is printed after the tests
    swap: tuple[str, str] = ("", "")  # in strict mode the last match of a pattern is replaced by a text
    is_epilogue_only_without_swap: bool = False
    driver_name: str = ""  # a second source file in strict mode, and the class in it
    driver: str = ""
    strict_build: tuple[tuple[str, ...], ...] = ()  # where strict mode needs other commands
    strict_run: tuple[str, ...] = ()
    strict_marks: Marks = ()  # where strict mode can tell more than MultiPL-E's rule
    strict_rule: Rule | None = None  # where exit code 0 and the line after the tests do not show that they passed
    data_bytes: int = 2 * GIB  # RLIMIT_DATA: private writable memory. RLIMIT_AS would stop node and the JVM at start
    processes: int = 64
    needs: tuple[tuple[str, str, str], ...] = ()  # (text in the program, jar, command that installs it)
    warm_run: tuple[str, ...] = ()  # how to run what a warm compiler made, where that is quicker
    warm_arguments: tuple[str, ...] = ()  # added to a build of a program that `warm_pattern` matches
    warm_pattern: str | None = None
    fork_pattern: str = ""  # a program that does not match this is not run by a copy of a warm interpreter
    artefacts: str = ""  # what is prepared once for the toolchain and shown at `{artefacts}` (`artefacts`)
    upstream: str = ""
    is_run_here: bool = True  # False where no toolchain could be had to test the row against

    @property
    def tools(self) -> tuple[str, ...]:
        """The executables this language needs, in the order they are used."""
        commands = (*self.build, *self.strict_build, self.run, self.strict_run, self.version)
        words = (command[0] for command in commands if command)
        return tuple(dict.fromkeys(word for word in words if not word.startswith("{")))

    def instrumented(self, program: str, token: str) -> str:
        """Return the program with the line that strict mode looks for printed after its tests."""
        pattern, text = self.swap
        found = list(re.finditer(pattern, program)) if pattern else []
        if found:
            last = found[-1]
            program = program[: last.start()] + text.replace("{token}", token) + program[last.end() :]
            if self.is_epilogue_only_without_swap:
                return program
        return program + self.epilogue.replace("{token}", token)
