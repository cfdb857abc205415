"""End a command within two seconds of Ctrl-C: one line, no traceback, no child process left behind.

Python runs a signal's handler only between two steps of the main thread, so that a library which computes for minutes
(training a tokenizer, compiled loops) would not notice. The system writes the signal's number into a pipe at once,
though: a thread reads it, leaves the command a moment to put its files in order, and then ends the process.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

GRACE_S = 1.2


class Interruption:
    """Watch for Ctrl-C while a command runs.

    Nothing is done outside the main thread, where signals can't be watched, or where the shell lets the process ignore
    Ctrl-C (a job in the background).
    """

    def __init__(self, name: str) -> None:
        self._name = name
        is_main = threading.current_thread() is threading.main_thread()
        self._is_watched = is_main and signal.getsignal(signal.SIGINT) != signal.SIG_IGN
        self._lock = threading.Lock()
        self._is_told = self._is_signalled = self._is_over = False
        _children_leave_it_to_their_parent()

    def __enter__(self) -> Self:
        if not self._is_watched:
            return self
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._handler = signal.signal(signal.SIGINT, self._interrupt)
        self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        try:
            threading.Thread(target=self._watch, name="hf-santa-interrupt", daemon=True).start()
        except KeyboardInterrupt:  # it came in this moment
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over = True
        if self._is_watched:
            signal.set_wakeup_fd(self._wakeup)
            signal.signal(signal.SIGINT, self._handler)
            os.close(self._write)

    def tell(self) -> None:
        """Say once that the command was stopped, and end its children if a signal stopped it."""
        with self._lock:
            if self._is_told:
                return
            self._is_told = True
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
            line = f"{self._name}: stopped. Run the same command again: what was finished is kept.\n"
            with contextlib.suppress(OSError):
                os.write(2, line.encode())
            if self._is_signalled:
                end_descendants(os.getpid())

    def _interrupt(self, _signal: int, _frame: object) -> NoReturn:
        self._is_signalled = True
        raise KeyboardInterrupt

    def _watch(self) -> None:
        while data := os.read(self._read, 1):
            if data[0] == signal.SIGINT:
                self._is_signalled = True
                time.sleep(GRACE_S)
                if not self._is_over:
                    self.tell()
                    os._exit(130)
        os.close(self._read)


@contextlib.contextmanager
def deaf_children() -> Iterator[None]:
    """Start child processes that never notice Ctrl-C: whoever starts them calls `end_descendants`.

    Python prints a traceback of its own when the signal meets it before a program's first line.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_descendants(process: int) -> None:
    """Kill every process that descends from `process`, but not `process` itself."""
    children: dict[int, list[int]] = {}
    for child, parent in _parents():
        children.setdefault(parent, []).append(child)
    found, waiting = [], [process]
    while waiting:
        of_this = children.get(waiting.pop(), [])
        found += of_this
        waiting += of_this
    for child in found:
        with contextlib.suppress(OSError):
            os.kill(child, signal.SIGKILL)


def _parents() -> Iterator[tuple[int, int]]:
    """Yield each process of the machine and its parent: from /proc, or from `ps` where there is none."""
    if Path("/proc/self/stat").exists():
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError, ValueError, IndexError):
                yield int(stat.parent.name), int(stat.read_text().rpartition(")")[2].split()[1])
        return
    with contextlib.suppress(OSError):
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=False)
        for line in listed.stdout.splitlines():
            child, parent = line.split()
            yield int(child), int(parent)


@cache
def _children_leave_it_to_their_parent() -> None:
    """Let forked children ignore Ctrl-C while a command runs; the parent ends them, and none prints a traceback."""

    def ignore() -> None:
        if isinstance(getattr(signal.getsignal(signal.SIGINT), "__self__", None), Interruption):
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=ignore)
