"""Build and run one program in a sandbox, and return its status, output and time."""

import random
import re
import secrets
import shutil
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from . import toolchains_prepared
from .errors import EvalError
from .execution_verdict import named, named_build
from .languages import language_of
from .languages_row import Language
from .sandbox import open_box, resolve
from .sandbox_box import Box, Limits, SandboxError
from .sandbox_none import BareBox
from .sandbox_streams import FinishedCommand
from .scoring_control import changed_program
from .toolchains import find_jar, find_tool, hidden_tool, missing_library, missing_tool, visible_folders
from .warm import Warm
from .warm_compilers import Built, scala_jars

MODES = ("strict", "compat")
# Limits that a program may wait for a processor before it is given up.
_PATIENCE = 20
_HELLO_S = 120.0
# The second run begins up to so many lengths of the first one later, which makes choosing its time no better than drawing
# lots; a thread that waits so holds no place, and several share one.
_WAITS, _LONGEST_WAIT_S, _THREADS_A_PLACE = 4.0, 30.0, 4
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
    "Vacuous",
)


@dataclass(frozen=True)
class Outcome:
    """What became of one program.

    `exit_code` is 128 + n for a death by signal n, and -1 for Timeout and ToolMissing. `seconds` counts building and
    running, not the wall. `reason` is empty for OK. `dropped_bytes` is the output beyond what was kept. `is_starved`
    tells that a program waited for a processor for nearly all of 20 limits, and was given up: run it again on a quiet machine.
    `control` is what became of the program with one expected value changed: "failed", as it should; "passed", which
    makes the status Vacuous; "none" where no value can be changed; empty where it was not run.
    """

    status: str
    exit_code: int
    stdout: str
    stderr: str
    seconds: float
    reason: str = ""
    dropped_bytes: int = 0
    is_starved: bool = False
    control: str = ""


def run_program(
    program: str, language: str, *, timeout_s: float | None = None, mode: str = "strict", sandbox: str = "auto"
) -> Outcome:
    r"""Build and run a whole program (prompt, completion and tests), and return what became of it.

    In "strict" mode OK means exit code 0, a random line printed after the tests, and a second run that fails when one
    expected value of the tests is changed. A program that passes both times has tests that decide nothing: Vacuous.
    "compat" gives MultiPL-E's own statuses. `timeout_s` is for the run; a build keeps its own limit.

    >>> run_program("print(1 + 1)", "py", sandbox="none").stdout
    '2\n'
    >>> run_program("exit(0)", "py", sandbox="none").reason
    'no_sentinel: the program ended before its tests did'
    """
    row = language_of(language)
    if mode not in MODES:
        raise EvalError(f"eval_multipl_e: mode={mode!r} is unknown. Use 'strict' or 'compat'.")
    if timeout_s is not None and not timeout_s > 0:
        raise EvalError(f"eval_multipl_e: timeout_s={timeout_s!r} is not positive. Give seconds, or None.")
    way = resolve(sandbox)
    lacking = missing_tool(row) or (way != "none" and hidden_tool(row)) or missing_library(row, program)
    if lacking:
        return Outcome("ToolMissing", -1, "", "", 0.0, lacking)
    return judged(row, program, way, timeout_s or row.run_timeout_s, strict=mode == "strict")


class Turns:
    """Lets so many programs run at a time; one that waits between its two runs holds no place.

    The wait can't be foreseen: a program could else cheat, sleep until the clock shows a time that it has chosen, and
    fail in the run that then begins, which is its negative control.
    """

    def __init__(self, places: int = 1) -> None:
        self._places = threading.BoundedSemaphore(places)
        self._is_over = threading.Event()
        self.threads = places * _THREADS_A_PLACE

    @contextmanager
    def take(self) -> Iterator[None]:
        """Wait for a place, and hold it inside `with`; CancelledError when `end` was called before."""
        with self._places:
            if self._is_over.is_set():
                raise CancelledError
            yield

    def pause(self, run_s: float) -> None:
        """Wait before the second run of a program whose first took `run_s`."""
        self._is_over.wait(random.SystemRandom().uniform(0, min(_WAITS * run_s, _LONGEST_WAIT_S)))

    def end(self) -> None:
        """Let nobody wait any more, after an error or an interrupt."""
        self._is_over.set()


def judged(
    language: Language,
    program: str,
    way: str,
    run_timeout_s: float,
    *,
    strict: bool,
    warm: Warm | None = None,
    turns: Turns | None = None,
) -> Outcome:
    """Run a program and, where it is strictly OK, its negative control: the same with one expected value changed."""
    turns = turns or Turns()
    job = Job(language, program, strict=strict)
    with turns.take():
        outcome = job.outcome(way, run_timeout_s, warm=warm)
    if not strict or outcome.status != "OK":
        return outcome
    changed = changed_program(language.code, program)
    if changed is None:
        return replace(outcome, control="none")
    turns.pause(job.run_s)
    with turns.take():
        again = Job(language, changed, strict=True).outcome(way, run_timeout_s, warm=warm)
    if again.status != "OK":
        return replace(outcome, control="failed", is_starved=again.is_starved)
    reason = "vacuous: the program passes as well when its tests expect another value"
    return replace(outcome, status="Vacuous", reason=reason, control="passed")


class Job:
    """One program, ready to be built and run."""

    def __init__(self, language: Language, program: str, *, strict: bool, build_slack: float = 1.0) -> None:
        self.language = language
        self._build_timeout_s = language.build_timeout_s * build_slack
        self.strict = strict
        self.run_s = 0.0  # of the run alone, once it was
        self.token = f"santa_{secrets.token_hex(16)}" if strict else ""
        # On a line of its own: a program whose source is printed does not print that.
        self._word = f"\n{self.token}\n".encode() if strict else b""
        self.main = language.main
        self._program = program
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

    def outcome(self, way: str, run_timeout_s: float, *, warm: Warm | None = None) -> Outcome:
        """Build, with a warm compiler where there is one, and run, each behind a wall of its own.

        Behind the wall a limit ends a step when it has had so much processor time, or so much time in which it did not
        wait for a processor, however long that takes: what a loaded machine does to it, does not count.
        """
        is_prepared = self._prepare()
        built = warm.compilers.build(self.language.code, self.files, self._build_timeout_s) if warm else None
        if built is not None and not built.is_built:
            return self._compiler_said(built)
        ran = self._forked(run_timeout_s, warm) if warm else None
        if ran is not None:
            self.run_s = ran.seconds
            status, reason = named(self.language, ran, strict=self.strict, timeout_s=run_timeout_s)
            return self._named(ran, status, reason, ran.seconds, run_timeout_s)
        with open_box(way, visible_folders()) as box:
            if built is not None:
                box.write(built.files)
                seconds, run = built.seconds, self.language.warm_run or self.run
            else:
                box.write(self.files)
                failure, seconds = self._build(box, run_timeout_s, is_warm=warm is not None)
                if failure is not None:
                    return failure
                is_quick = warm is not None and is_prepared and not self.builds and self.language.warm_run
                run = self.language.warm_run if is_quick else self.run
            box.seal()
            left_s = max(1.0, run_timeout_s - seconds) if self.language.is_one_limit else run_timeout_s
            ran = self._step(box, run, left_s)
        self.run_s = ran.seconds
        status, reason = named(self.language, ran, strict=self.strict, timeout_s=run_timeout_s)
        return self._named(ran, status, reason, seconds + ran.seconds, left_s)

    def _prepare(self) -> bool:
        """Make what the language needs beforehand, for the wall shows what is there when it is built; False where it can't be."""
        if self.language.artefacts:
            try:
                toolchains_prepared.folder(self.language.artefacts)
            except (OSError, subprocess.SubprocessError):
                return False
        return True

    def _forked(self, timeout_s: float, warm: Warm) -> FinishedCommand | None:
        """The run of a copy of a warm interpreter behind a wall; None where there is none, or it could not get in."""
        code = self.language.code
        if not re.match(self.language.fork_pattern, self._program, re.MULTILINE):
            return None
        run = warm.interpreters.runner(code)
        if run is None:
            return None
        step = run(self.files, self._limits(timeout_s, own_s=timeout_s), timeout_s * _PATIENCE, self._word)
        if step is None:
            warm.interpreters.give_up(code)
        return step

    def _build(self, box: "Box | BareBox", run_timeout_s: float, *, is_warm: bool) -> tuple[Outcome | None, float]:
        seconds = 0.0
        limit_s = run_timeout_s if self.language.is_one_limit else self._build_timeout_s
        pattern = self.language.warm_pattern
        extra: tuple[str, ...] = ()
        if is_warm and pattern is not None and re.match(pattern, self._program):
            # Not every system has this linker.
            has_gold = shutil.which("ld.gold") is not None
            extra = tuple(word for word in self.language.warm_arguments if has_gold or not word.endswith("=gold"))
        for number, command in enumerate(self.builds):
            built = self._step(box, (*command, *extra), limit_s)
            seconds += built.seconds
            failure = named_build(self.language, built, number, strict=self.strict)
            if failure is not None:
                return self._named(built, *failure, seconds, limit_s), seconds
        return None, seconds

    def _limits(self, timeout_s: float, *, own_s: float) -> Limits:
        return Limits(2 * int(timeout_s + 1), self.language.data_bytes, self.language.processes, own_s=own_s)

    def _step(self, box: "Box | BareBox", command: tuple[str, ...], timeout_s: float) -> FinishedCommand:
        is_patient = isinstance(box, Box)  # without a wall nobody counts what a program waits for
        limits = self._limits(timeout_s, own_s=timeout_s if is_patient else 0.0)
        env = {name: self._filled(value, box.program_dir) for name, value in self.language.env}
        argv = self.argv(command, box.program_dir)
        return box.run(argv, limits, timeout_s * (_PATIENCE if is_patient else 1), word=self._word, env=env)

    def argv(self, command: tuple[str, ...], folder: str) -> list[str]:
        """Return a command of the table with its names filled in."""
        out = [] if command[0].startswith("{") else [find_tool(command[0]) or command[0]]
        for word in command[len(out) :]:
            if word == "{sources}":
                out += [f"{folder}/{name}" for name in self.files]
            else:
                out.append(self._filled(word, folder))
        return out

    def _filled(self, word: str, folder: str) -> str:
        if "{" not in word:
            return word
        jars = [jar for _, name, _ in self.language.needs if (jar := find_jar(name))]
        names = {
            "{dir}": folder,
            "{source}": f"{folder}/{self.language.file_name}",
            "{main}": self.main,
            "{jar}": ":".join(jars),
            "{token}": self.token,
        }
        if "{artefacts}" in word:
            names["{artefacts}"] = str(toolchains_prepared.folder(self.language.artefacts))
        if "{scala}" in word:
            names["{scala}"] = ":".join(scala_jars())
        for name, value in names.items():
            word = word.replace(name, value)
        return word

    def _compiler_said(self, built: Built) -> Outcome:
        status = "SyntaxError" if self.strict else self.language.build_failure[0]
        said = built.messages.decode("utf-8", "replace")
        out, err = (said, "") if self.language.code == "ts" else ("", said)
        return Outcome(status, 1, out, err, round(built.seconds, 4), "build failed")

    def _named(self, step: FinishedCommand, status: str, reason: str, seconds: float, limit_s: float) -> Outcome:
        stdout = step.stdout.text(without=f"\n{self.token}\n" if self.token else "")
        return Outcome(
            status,
            -1 if step.exit_code is None else step.exit_code,
            stdout,
            step.stderr.text(),
            round(seconds, 4),
            reason,
            step.stdout.dropped + step.stderr.dropped,
            is_starved=step.exit_code is None and not step.memory_bytes and step.seconds >= 0.9 * _PATIENCE * limit_s,
        )


_working: set[tuple[str, str, tuple[str | None, ...]]] = set()


def toolchain_problem(code: str, sandbox: str = "auto") -> str | None:
    """Return why a language can't be scored here, or None: its tools are missing, or fail the simplest program.

    The simplest program is run once a process for each language, behind the same sandbox as the others.
    """
    language = language_of(code)
    way = resolve(sandbox)
    lacking = missing_tool(language) or (hidden_tool(language) if way != "none" else None)
    key = (language.code, sandbox, tuple(find_tool(tool) for tool in language.tools))
    if lacking or key in _working:
        return lacking
    # A machine that is busy or has slow disks makes no toolchain a broken one.
    job = Job(language, language.hello, strict=True, build_slack=_HELLO_S / language.build_timeout_s)
    try:
        outcome = job.outcome(way, _HELLO_S)
    except SandboxError as error:
        if "is not to be seen" in str(error):
            return str(error)  # of this toolchain; other languages go on
        raise
    if (outcome.status, outcome.exit_code) == ("OK", 0):
        _working.add(key)
        return None
    said = " ".join((outcome.stderr or outcome.stdout).split())[-300:]
    return (
        f"eval_multipl_e: toolchain for {code!r} is broken: a program that does nothing ends as {outcome.status} "
        f"({outcome.reason}): {said or 'no words'}. Repair it ({language.install}), make its files readable for all "
        "users, or drop the language. Problems of a broken toolchain are never counted as failed."
    )
