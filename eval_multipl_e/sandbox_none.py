"""Run programs without a sandbox (`sandbox="none"`): only resource limits, a folder and a process group."""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from .sandbox_streams import Capture, FinishedCommand

_SCRIPT = 'ulimit -c 0; ulimit -t "$1"; ulimit -f "$2"; ulimit -d "$3"; shift 3; exec "$@"'


class _Limits(Protocol):
    @property
    def cpu_s(self) -> int: ...
    @property
    def data_bytes(self) -> int: ...
    @property
    def file_bytes(self) -> int: ...


class BareBox:
    """A folder and limits; a process that leaves its group can survive, and everything of the user is in sight."""

    def __init__(self) -> None:
        # ignore_cleanup_errors: a process that escaped its group may still write.
        self._folder = tempfile.TemporaryDirectory(prefix="santa-", ignore_cleanup_errors=True)
        self.program_dir = str(Path(self._folder.name, "program"))
        self._cwd = Path(self._folder.name, "run")
        self._cwd.mkdir()
        self.env = {**{key: os.environ[key] for key in ("PATH",) if key in os.environ}, "HOME": str(self._cwd)}
        self.env |= {"TMPDIR": str(self._cwd), "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._folder.cleanup()

    def write(self, files: Mapping[str, bytes]) -> None:
        """Put files into the program's folder."""
        for name, body in files.items():
            path = Path(self.program_dir, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)

    def seal(self) -> None:
        """Do nothing: without a wall the program could undo it."""

    def run(
        self,
        argv: Sequence[str],
        limits: _Limits,
        timeout_s: float,
        *,
        word: bytes = b"",
        env: Mapping[str, str] | None = None,
    ) -> FinishedCommand:
        """Run one command to its end or to the deadline, read all it prints, and leave no process of its group."""
        numbers = [str(limits.cpu_s), str(limits.file_bytes // 512), str(limits.data_bytes // 1024)]
        process = subprocess.Popen(
            [*_tied_to_us(), "sh", "-c", _SCRIPT, "sh", *numbers, *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**self.env, **(env or {})},
            cwd=self._cwd,
            start_new_session=True,
            bufsize=0,
        )
        return _watch(process, timeout_s, word)


def _tied_to_us() -> list[str]:
    # When this process is killed, so is the program; without util-linux it may go on.
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []


def _watch(process: "subprocess.Popen[bytes]", timeout_s: float, word: bytes) -> FinishedCommand:
    assert process.stdout is not None
    assert process.stderr is not None
    readers = {process.stdout.fileno(): Capture(word), process.stderr.fileno(): Capture()}
    begun = time.monotonic()
    try:
        timed_out = _listen(process, dict(readers), begun + timeout_s)
        seconds = time.monotonic() - begun
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for fd, capture in readers.items():
            capture.drain(fd)
        process.stdout.close()
        process.stderr.close()
    code = process.returncode
    stdout, stderr = readers.values()
    return FinishedCommand(None if timed_out else 128 - code if code < 0 else code, stdout, stderr, seconds)


def _listen(process: "subprocess.Popen[bytes]", readers: dict[int, Capture], deadline: float) -> bool:
    """Feeds the readers until the process ends (False) or the time is over (True)."""
    poll = select.poll()
    for fd in readers:
        os.set_blocking(fd, False)
        poll.register(fd, select.POLLIN)
    while True:
        left = deadline - time.monotonic()
        # The end of the process is looked for every 10 ms: not every system has a descriptor for it.
        for fd, _ in poll.poll(max(0.0, min(left, 0.01) * 1000)):
            if not readers[fd].read_from(fd):
                poll.unregister(fd)
        if process.poll() is not None:
            return False
        if left <= 0:
            return True
