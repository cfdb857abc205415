"""One program, run behind the sandbox's wall: its status, its output, its time."""

import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from . import artefacts
from .bare import BareBox
from .capture import Capture, Step
from .language import Language
from .languages import language_of
from .sandbox import Box, Limits, open_box, resolve
from .toolchains import find_jar, find_tool, missing_library, missing_tool, visible_folders
from .verdict import named, named_build

MODES = ("strict", "compat")
STATUSES = (
    "OK",
    "AssertionError",
    "Exception",
    "ReferenceError",
    "SyntaxError",
    "SyntaxError (gnatchop)",
    "SyntaxError (gnatmake)",
    "Timeout",
    "ToolMissing",
)


@dataclass(frozen=True)
class Outcome:
    """What became of one program.

    `exit_code` is 128 + n for a death by signal n, and -1 for Timeout and ToolMissing. `seconds` counts building and
    running, not the wall; `cpu_s` and `delay_s` are the run's processor time and, after a Timeout, how long it had to
    wait for a processor. `reason` is empty for OK. `dropped_bytes` is the output beyond what was kept.
    """

    status: str
    exit_code: int
    stdout: str
    stderr: str
    seconds: float
    reason: str = ""
    dropped_bytes: int = 0
    cpu_s: float = field(default=0.0, compare=False)
    delay_s: float = field(default=0.0, compare=False)


def run_program(
    program: str, language: str, *, timeout_s: float | None = None, mode: str = "strict", sandbox: str = "auto"
) -> Outcome:
    r"""Builds and runs a whole program (prompt, completion and tests) and names the outcome.

    In "strict" mode OK means exit code 0 and a random line printed after the tests, so that a program that leaves
    before its tests is not OK. A program written to read its own file can still print that line: the guard is against
    early exits, not against a cheat. "compat" gives MultiPL-E's own statuses. `timeout_s` is for the run; a build
    keeps its own limit.

    >>> run_program("print(1 + 1)", "py", sandbox="none").stdout
    '2\n'
    >>> run_program("exit(0)", "py", sandbox="none").reason
    'no_sentinel: the program ended before its tests did'
    """
    row = language_of(language)
    if mode not in MODES:
        raise ValueError(f"eval_multipl_e: mode={mode!r} is unknown. Use 'strict' or 'compat'.")
    if timeout_s is not None and not timeout_s > 0:
        raise ValueError(f"eval_multipl_e: timeout_s={timeout_s!r} is not positive. Give seconds, or None.")
    lacking = missing_tool(row) or missing_library(row, program)
    if lacking:
        return Outcome("ToolMissing", -1, "", "", 0.0, lacking)
    job = Job(row, program, strict=mode == "strict")
    with open_box(resolve(sandbox), visible_folders()) as box:
        return job.outcome(box, timeout_s or row.run_timeout_s)


class Job:
    """One program, ready to be built and run in a box."""

    def __init__(self, language: Language, program: str, *, strict: bool) -> None:
        self.language = language
        self.strict = strict
        self.token = f"santa_{secrets.token_hex(16)}" if strict else ""
        self.main = language.main
        self._artefacts = str(artefacts.folder(language.artefacts)) if language.artefacts else ""
        text = language.instrumented(program, self.token) if strict else program
        # A lone surrogate becomes bytes no compiler takes: the program fails, not the whole run.
        self.files = {language.file_name: text.encode("utf-8", "surrogatepass")}
        if strict and language.driver:
            package = re.search(r"^\s*package\s+(\w+)", program, re.MULTILINE)
            driver = language.driver.replace("{token}", self.token)
            driver = driver.replace("{package}", package[1] if package else "main")
            self.files[language.driver_name] = driver.encode()
            self.main = self.main and Path(language.driver_name).stem
        self.builds = (strict and language.strict_build) or language.build
        self.run = (strict and language.strict_run) or language.run

    def outcome(self, box: "Box | BareBox", run_timeout_s: float) -> Outcome:
        """Builds and runs in a box of its own."""
        box.write(self.files)
        seconds = 0.0
        limit_s = run_timeout_s if self.language.is_one_limit else self.language.build_timeout_s
        for number, command in enumerate(self.builds):
            built = self._step(box, command, limit_s)
            seconds += built.seconds
            failure = named_build(self.language, built, number, strict=self.strict)
            if failure is not None:
                return self._named(built, *failure, seconds)
        box.seal()
        left_s = max(1.0, run_timeout_s - seconds) if self.language.is_one_limit else run_timeout_s
        ran = self._step(box, self.run, left_s)
        status, reason = named(self.language, ran, strict=self.strict, timeout_s=run_timeout_s)
        return self._named(ran, status, reason, seconds + ran.seconds)

    def _step(self, box: "Box | BareBox", command: tuple[str, ...], timeout_s: float) -> Step:
        limits = Limits(2 * int(timeout_s + 1), self.language.data_bytes, self.language.processes)
        env = {name: value.replace("{artefacts}", self._artefacts) for name, value in self.language.env}
        return box.run(self.argv(command, box.program_dir), limits, timeout_s, word=self.token.encode(), env=env)

    def argv(self, command: tuple[str, ...], folder: str) -> list[str]:
        """A command of the table with its names filled in."""
        jars = [jar for _, name, _ in self.language.needs if (jar := find_jar(name))]
        names = {
            "{dir}": folder,
            "{source}": f"{folder}/{self.language.file_name}",
            "{main}": self.main,
            "{jar}": ":".join(jars),
            "{token}": self.token,
        }
        out = [] if command[0].startswith("{") else [find_tool(command[0]) or command[0]]
        for word in command[len(out) :]:
            if word == "{sources}":
                out += [f"{folder}/{name}" for name in self.files]
                continue
            for name, value in names.items():
                word = word.replace(name, value)  # noqa: PLW2901  # filled in step by step
            out.append(word)
        return out

    def _named(self, step: Step, status: str, reason: str, seconds: float) -> Outcome:
        stdout = step.stdout.text(without=f"\n{self.token}\n" if self.token else "")
        return Outcome(
            status,
            -1 if step.exit_code is None else step.exit_code,
            stdout,
            step.stderr.text(),
            round(seconds, 4),
            reason,
            step.stdout.dropped + step.stderr.dropped,
            step.cpu_s,
            step.delay_s,
        )


_working: set[tuple[str, str, tuple[str | None, ...]]] = set()


def toolchain_problem(code: str, sandbox: str = "auto") -> str | None:
    """Why a language can't be scored on this machine, or None: its tools are missing, or fail the simplest program.

    The simplest program is run once a process for each language, behind the same sandbox as the others.
    """
    language = language_of(code)
    lacking = missing_tool(language)
    key = (language.code, sandbox, tuple(find_tool(tool) for tool in language.tools))
    if lacking or key in _working:
        return lacking
    outcome = run_program(language.hello, code, timeout_s=60.0, sandbox=sandbox)
    if (outcome.status, outcome.exit_code) == ("OK", 0):
        _working.add(key)
        return None
    said = " ".join((outcome.stderr or outcome.stdout).split())[-300:]
    return (
        f"eval_multipl_e: toolchain for {code!r} is broken: a program that does nothing ends as {outcome.status} "
        f"({outcome.reason}): {said or 'no words'}. Repair it ({language.install}), make its files readable for all "
        "users, or drop the language. Problems of a broken toolchain are never counted as failed."
    )


__all__ = ["MODES", "STATUSES", "Capture", "Job", "Outcome", "run_program", "toolchain_problem"]
