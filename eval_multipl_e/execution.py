"""One program, run behind the sandbox's wall: its status, its output, its time.

The clock and the reading of output are here, outside the wall. Output is drained to its end, so that a program that
prints much is never held up; the first megabyte of each stream is kept.
"""

import contextlib
import os
import secrets
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .languages import Language, Marks, find_jar, find_tool, language_of, missing_library, missing_tool
from .sandbox import Launch, Limits, launch, resolve, tool_prefix

KEPT_BYTES = 1 << 20
MODES = ("strict", "compat")
STATUSES = ("OK", "AssertionError", "Exception", "ReferenceError", "SyntaxError", "Timeout", "ToolMissing")
_SETUP_S = 60.0  # for the wall itself, on a machine under load; measured: 0.02
_READ_BYTES = 1 << 16


@dataclass(frozen=True)
class Outcome:
    """What became of one program.

    `exit_code` is 128 + n for a death by signal n, and -1 for Timeout and ToolMissing. `seconds` counts building and
    running, not the wall. `reason` is empty for OK. `dropped_bytes` is the output beyond what was kept.
    """

    status: str
    exit_code: int
    stdout: str
    stderr: str
    seconds: float
    reason: str = ""
    dropped_bytes: int = 0


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
    way = resolve(sandbox)
    # ignore_cleanup_errors: with sandbox="none" a process that escaped its group may still write.
    with tempfile.TemporaryDirectory(prefix="santa-", ignore_cleanup_errors=True) as folder:
        return _Job(row, program, mode, way, Path(folder)).outcome(timeout_s or row.run_timeout_s)


_working: set[tuple[str, str, tuple[str | None, ...]]] = set()


def toolchain_problem(code: str, sandbox: str = "auto") -> str | None:
    """Why a language can't be scored on this machine, or None: its tools are missing, or fail the simplest program.

    The simplest program is run once a process for each language, behind the same sandbox as the others.
    """
    language = language_of(code)
    lacking = missing_tool(language)
    key = (code, sandbox, tuple(find_tool(tool) for tool in language.tools))
    if lacking or key in _working:
        return lacking
    outcome = run_program(language.hello, code, timeout_s=60.0, sandbox=sandbox)
    if outcome.status == "OK":
        _working.add(key)
        return None
    said = " ".join((outcome.stderr or outcome.stdout).split())[-300:]
    return (
        f"eval_multipl_e: toolchain for {code!r} is broken: a program that does nothing ends as {outcome.status} "
        f"({outcome.reason}): {said or 'no words'}. Repair it ({language.install}), make its files readable for all "
        "users, or drop the language. Problems of a broken toolchain are never counted as failed."
    )


class _Job:
    """One program in its own folder."""

    def __init__(self, language: Language, program: str, mode: str, way: str, work: Path) -> None:
        self.language = language
        self.strict = mode == "strict"
        self.way = way
        self.work = work
        self.token = f"santa_{secrets.token_hex(16)}" if self.strict else ""
        self.sources = [language.file_name]
        self.main = language.main
        (work / "program").mkdir(mode=0o755)
        epilogue = language.epilogue if self.strict else ""
        self._write(language.file_name, program + epilogue.replace("{token}", self.token))
        if self.strict and language.driver:
            self.main = language.driver_name
            self.sources.append(f"{self.main}{Path(language.file_name).suffix}")
            self._write(self.sources[-1], language.driver.replace("{token}", self.token))

    def _write(self, name: str, text: str) -> None:
        path = self.work / "program" / name
        # A lone surrogate becomes bytes no compiler takes: the program fails, not the whole run.
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        path.chmod(0o644)

    def outcome(self, run_timeout_s: float) -> Outcome:
        seconds = 0.0
        if self.language.build:
            built = self._step(self.language.build, self.language.build_timeout_s, writable=True)
            if built.exit_code != 0:
                timed_out = built.exit_code is None
                status = "Timeout" if timed_out and self.strict else "SyntaxError"
                return self._named(built, status, "build: time limit" if timed_out else "build failed", seconds)
            seconds = built.seconds
        ran = self._step(self.language.run, run_timeout_s, writable=False)
        status, reason = self._verdict(ran, run_timeout_s)
        return self._named(ran, status, reason, seconds)

    def _step(self, command: tuple[str, ...], timeout_s: float, *, writable: bool) -> "Step":
        tools = {tool: find_tool(tool) or tool for tool in self.language.tools}
        paths = tuple(dict.fromkeys(path for tool in tools.values() for path in tool_prefix(tool)))
        jars = [jar for _, name, _ in self.language.needs if (jar := find_jar(name))]
        paths += tuple(folder for jar in jars if not (folder := str(Path(jar).parent)).startswith("/usr/"))
        limits = Limits(2 * int(timeout_s + 1), self.language.data_bytes, self.language.processes)
        # The wall shows the program's folder under another name; the commands need it before they are wrapped.
        folder = str(self.work / "program") if self.way == "none" else "/program"
        names = {"{dir}": folder, "{main}": self.main, "{jar}": ":".join(jars)}
        argv = [tools[command[0]]]
        for word in command[1:]:
            if word == "{sources}":
                argv += [f"{folder}/{source}" for source in self.sources]
                continue
            for name, value in names.items():
                word = word.replace(name, value)  # noqa: PLW2901  # filled in step by step
            argv.append(word)
        wrapped = launch(argv, way=self.way, work=self.work, limits=limits, writable=writable, paths=paths)
        return run_step(wrapped, timeout_s, self.token.encode())

    def _verdict(self, ran: "Step", timeout_s: float) -> tuple[str, str]:
        if ran.exit_code is None:
            return "Timeout", f"time limit of {timeout_s:g} s"
        longest = max(ran.stdout.total, ran.stderr.total)
        if not self.strict and self.language.compat_blocks_output and longest > (64 << 10) + 10_240 * timeout_s:
            return "Timeout", "upstream reads 10 KB/s and would have stopped here"
        if ran.exit_code == 0:
            if self.strict and not ran.stdout.found:
                return "Exception", "no_sentinel: the program ended before its tests did"
            return "OK", ""
        return self._failure(ran), f"exit code {ran.exit_code}"

    def _failure(self, ran: "Step") -> str:
        if self.strict:
            return _marked(self.language.strict_marks, f"\n{ran.stderr.text()}")
        # Upstream keeps 2 KB of what it reads itself, and all of what subprocess.run reads for it.
        both = self.language.compat_reads_stdout
        text = ran.stdout.text() + ran.stderr.text() if both else ran.stderr.text()[:2048]
        return _marked(self.language.compat_marks, text)

    def _named(self, step: "Step", status: str, reason: str, before_s: float) -> Outcome:
        stdout = step.stdout.text(without=f"\n{self.token}\n" if self.token else "")
        exit_code = -1 if step.exit_code is None else step.exit_code
        dropped = step.stdout.dropped + step.stderr.dropped
        seconds = round(before_s + step.seconds, 4)
        return Outcome(status, exit_code, stdout, step.stderr.text(), seconds, reason, dropped)


def _marked(marks: Marks, text: str) -> str:
    return next((status for status, mark in marks if mark in text), "Exception")


@dataclass
class Capture:
    """The kept beginning of a stream, its length, and whether a word was seen anywhere in it."""

    word: bytes = b""
    kept: bytearray = field(default_factory=bytearray)
    total: int = 0
    found: bool = False
    _tail: bytes = b""

    def feed(self, chunk: bytes) -> None:
        """Takes the next bytes of the stream."""
        self.total += len(chunk)
        if len(self.kept) < KEPT_BYTES:
            self.kept += chunk[: KEPT_BYTES - len(self.kept)]
        if self.word and not self.found:
            # The word may lie across two reads.
            recent = self._tail + chunk
            self.found = self.word in recent
            self._tail = recent[-len(self.word) :]

    @property
    def dropped(self) -> int:
        """How many bytes were read and not kept."""
        return self.total - len(self.kept)

    def text(self, without: str = "") -> str:
        """The kept bytes as text, less one piece; bytes that are not UTF-8 become U+FFFD."""
        return self.kept.decode("utf-8", "replace").replace(without, "", 1)


@dataclass
class Step:
    """One command that was run; `exit_code` is None when the clock ended it."""

    exit_code: int | None
    stdout: Capture
    stderr: Capture
    seconds: float


def run_step(command: Launch, timeout_s: float, word: bytes = b"") -> Step:
    """Runs one command to its end or to the deadline, reads all it prints, and leaves no process of its group."""
    report_read, report_write = os.pipe() if command.reports else (-1, -1)
    try:
        process = subprocess.Popen(
            command.argv,
            stdin=report_write if command.reports else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=command.env,
            cwd=command.cwd,
            start_new_session=True,
            bufsize=0,
        )
    except OSError:
        if command.reports:
            os.close(report_read)
        raise
    finally:
        if command.reports:
            os.close(report_write)
    return _Watch(process, report_read, word).until(timeout_s)


class _Watch:
    """The clock and the ears outside the wall."""

    def __init__(self, process: "subprocess.Popen[bytes]", report_fd: int, word: bytes) -> None:
        self.process = process
        self.report_fd = report_fd
        self.stdout = Capture(word)
        self.stderr = Capture()
        self.report = bytearray()
        self.started = None if report_fd >= 0 else time.monotonic()

    def until(self, timeout_s: float) -> Step:
        readers: dict[int, Callable[[bytes], object]] = {}
        for stream, capture in ((self.process.stdout, self.stdout), (self.process.stderr, self.stderr)):
            if stream is not None:
                readers[stream.fileno()] = capture.feed
        if self.report_fd >= 0:
            readers[self.report_fd] = self._hear
        try:
            timed_out = self._listen(readers, timeout_s)
        finally:
            # The group holds the wall's own processes; with them the kernel ends all that is behind the wall.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            for fd, feed in readers.items():
                _drain(fd, feed)
            for stream in (self.process.stdout, self.process.stderr):
                if stream is not None:
                    stream.close()
            if self.report_fd >= 0:
                os.close(self.report_fd)
        if self.started is None:
            said = " ".join((self.report + self.stderr.kept).decode("utf-8", "replace").split())
            raise RuntimeError(
                f"eval_multipl_e: the sandbox could not be set up: {said or 'no answer'}. The program was not run and "
                "is not scored. Check that the machine has memory and free process ids, then run again."
            )
        return Step(None if timed_out else self._exit_code(), self.stdout, self.stderr, self.ended - self.started)

    def _hear(self, chunk: bytes) -> None:
        self.report += chunk
        if self.started is None and b"ready\n" in self.report:
            self.started = time.monotonic()

    def _listen(self, readers: dict[int, Callable[[bytes], object]], timeout_s: float) -> bool:
        """Feeds the readers until the process ends (False) or the time is over (True)."""
        begun = time.monotonic()
        exit_fd = os.pidfd_open(self.process.pid) if hasattr(os, "pidfd_open") else -1
        try:
            with selectors.DefaultSelector() as selector:
                for fd in readers:
                    os.set_blocking(fd, False)
                    selector.register(fd, selectors.EVENT_READ)
                if exit_fd >= 0:
                    selector.register(exit_fd, selectors.EVENT_READ)
                while True:
                    limit = begun + _SETUP_S if self.started is None else self.started + timeout_s
                    left = limit - time.monotonic()
                    # Without pidfd (not Linux) the end of the process is looked for every 10 ms.
                    ready = selector.select(max(0.0, left if exit_fd >= 0 else min(left, 0.01)))
                    for key, _ in ready:
                        if key.fd in readers and not _read(key.fd, readers[key.fd]):
                            selector.unregister(key.fd)
                    self.ended = time.monotonic()
                    if any(key.fd == exit_fd for key, _ in ready) or self.process.poll() is not None:
                        return False
                    if left <= 0:
                        return True
        finally:
            if exit_fd >= 0:
                os.close(exit_fd)

    def _exit_code(self) -> int:
        words = self.report.split()
        if len(words) >= 2 and words[-2] == b"exit":
            return int(words[-1])
        code = self.process.returncode
        return 128 - code if code < 0 else code


def _read(fd: int, feed: Callable[[bytes], object]) -> bool:
    """Reads once; False at the end of the stream."""
    try:
        chunk = os.read(fd, _READ_BYTES)
    except BlockingIOError:
        return True
    feed(chunk)
    return bool(chunk)


def _drain(fd: int, feed: Callable[[bytes], object]) -> None:
    """Reads what is there, without waiting for a process that kept the stream open; 16 MB at most."""
    for _ in range(256):
        try:
            chunk = os.read(fd, _READ_BYTES)
        except BlockingIOError:
            return
        if not chunk:
            return
        feed(chunk)
