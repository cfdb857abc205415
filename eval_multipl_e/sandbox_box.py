"""Talk to the first process of a sandbox: tell it what to run, and hear how that ended."""

import contextlib
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .errors import EvalError
from .sandbox_forkserver import receive, send
from .sandbox_mounts import PROGRAM
from .sandbox_streams import Capture, FinishedCommand

_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
_GRACE_S = 10.0


@dataclass(frozen=True)
class Limits:
    """What a program may use: processor time, memory and files for one process, memory and processes for all."""

    cpu_s: int
    data_bytes: int
    processes: int
    memory_bytes: int = min(4 << 30, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2)
    file_bytes: int = 64 << 20
    own_s: float = 0.0  # where set, the run ends after this much time, less what it waited for a processor


class SandboxError(EvalError, RuntimeError):
    """No sandbox works here, or one could not be set up; the program was not run and is not scored."""


def environment(paths: Sequence[str], home: str = "/tmp") -> dict[str, str]:  # noqa: S108  # the private one
    """Return the whole environment of a program; `paths` are folders of tools outside the system's."""
    tools = os.pathsep.join([*(str(Path(path, "bin")) for path in paths), _PATH])
    return {"PATH": tools, "HOME": home, "TMPDIR": home, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}


def end_process(handle: int, channel: socket.socket) -> int:
    """Kill the process of a handle, close the handle and the channel to it, and return what stands for no handle."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    os.close(handle)
    channel.close()
    return -1


class Box:
    """One wall, and the first process inside it, which does what it is told; close it and all inside ends."""

    program_dir = PROGRAM

    def __init__(self, channel: socket.socket, handle: int, paths: tuple[str, ...], owner: Any = None) -> None:
        self._channel = channel
        self._handle = handle
        self._owner = owner
        self.env = environment(paths)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End every process behind the wall."""
        if self._handle < 0:
            return
        self._handle = end_process(self._handle, self._channel)
        if self._owner is not None:
            self._owner.wait()

    def write(self, files: Mapping[str, bytes]) -> None:
        """Put files into the program's folder."""
        with self._honest():
            order = {"do": "write", "files": [[name, len(body)] for name, body in files.items()]}
            self._tell(order, b"".join(files.values()))

    def seal(self) -> None:
        """Make the program's folder read-only (not behind bubblewrap, where it is the program's own all along)."""
        with self._honest():
            self._tell({"do": "seal"})

    def run(
        self,
        argv: Sequence[str],
        limits: Limits,
        timeout_s: float,
        *,
        word: bytes = b"",
        env: Mapping[str, str] | None = None,
    ) -> FinishedCommand:
        """Run one command to its end or to the deadline, read all it prints, and leave no process of it."""
        return self._watched(lambda fds: self._order(argv, limits, {**self.env, **(env or {})}, fds), timeout_s, word)

    def _watched(self, begin: Callable[[tuple[int, ...]], None], timeout_s: float, word: bytes) -> FinishedCommand:
        """Has something begun that writes to two pipes, and reads both until the first process says how it ended."""
        reads, writes = zip(os.pipe(), os.pipe(), strict=True)
        try:
            try:
                with self._honest():
                    begin(writes)
            finally:
                for fd in writes:
                    os.close(fd)
            readers = dict(zip(reads, (Capture(word), Capture()), strict=True))
            answer = self._listen(readers, timeout_s)
            if answer is None:
                answer = self._stop(readers, timeout_s)
            for fd, capture in readers.items():
                capture.drain(fd)
        finally:
            for fd in reads:
                os.close(fd)
        return _step(answer, list(readers.values()))

    def _tell(self, order: dict[str, Any], blob: bytes = b"", fds: tuple[int, ...] = ()) -> None:
        send(self._channel, order, blob, fds)

    def _hear(self) -> Mapping[str, Any] | None:
        answer = receive(self._channel)
        return answer[0] if answer else None

    def _order(self, argv: Sequence[str], limits: Limits, env: dict[str, str], fds: tuple[int, ...]) -> None:
        order = {"do": "run", "argv": list(argv), "env": env, "cwd": "/tmp", **vars(limits)}  # noqa: S108  # the private one
        self._tell(order, fds=fds)

    def start(self, argv: Sequence[str], limits: Limits, env: Mapping[str, str], fds: tuple[int, int, int]) -> None:
        """Start a command that serves on the given standard streams until the box is closed."""
        with self._honest():
            self._order(argv, limits, {**self.env, **env}, fds)

    def _stop(self, readers: dict[int, Capture], timeout_s: float) -> Mapping[str, Any]:
        with contextlib.suppress(OSError):
            self._tell({"do": "stop", "limit_s": timeout_s})
        answer = self._listen(readers, _GRACE_S)
        if answer is None:  # its first process does not answer
            self.close()
            return {"wall_s": timeout_s}
        return answer

    @contextlib.contextmanager
    def _honest(self) -> Iterator[None]:
        try:
            yield
        except (OSError, EOFError) as error:
            raise _not_set_up(self._last_words() or str(error)) from error

    def _last_words(self) -> str:
        self._channel.setblocking(False)
        try:
            answer = self._hear()
        except (OSError, EOFError, ValueError):
            return ""
        return str(answer.get("error", "")) if answer else ""

    def _listen(self, readers: dict[int, Capture], timeout_s: float) -> Mapping[str, Any] | None:
        """Reads all streams until the wall's first process answers; None when the time is over."""
        deadline = time.monotonic() + timeout_s
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        for fd in readers:
            os.set_blocking(fd, False)
            poll.register(fd, select.POLLIN)
        while True:
            left = deadline - time.monotonic()
            for fd, _ in poll.poll(max(0.0, left * 1000)):
                if fd in readers:
                    if not readers[fd].read_from(fd):
                        poll.unregister(fd)
                    continue
                try:
                    answer = self._hear()
                except (OSError, EOFError):
                    answer = None
                if answer is None or "error" in answer:
                    raise _not_set_up(answer["error"] if answer else "it ended before the program did")
                return answer
            if left <= 0:
                return None


def _not_set_up(said: str) -> SandboxError:
    return SandboxError(
        f"eval_multipl_e: the sandbox could not be set up: {said or 'no answer'}. The program was not run and "
        "is not scored. Check that the machine has memory and free process ids, then run again."
    )


def _step(answer: Mapping[str, Any], captures: list[Capture]) -> FinishedCommand:
    return FinishedCommand(
        answer.get("exit"),
        captures[0],
        captures[1],
        answer["wall_s"],
        cpu_s=answer.get("cpu_s", 0.0),
        delay_s=answer.get("delay_s", 0.0),
        memory_bytes=answer.get("memory_bytes", 0),
    )
