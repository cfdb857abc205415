"""Use sandboxes that a process makes by forking: a warm interpreter, or a small launcher.

They are the walls of `sandbox_forkserver`, with a first process in C (`sandbox_native_source`) in the place of Python's: a third of its
processor time. Where there is no C compiler, or the launcher fails, the fork server makes them.
"""

import contextlib
import itertools
import os
import random
import socket
import struct
from collections.abc import Mapping
from typing import Any

from . import sandbox_seccomp
from .sandbox_box import Box, Limits, SandboxError, end_process
from .sandbox_streams import FinishedCommand

_READY_S = 60.0
_ORDER = struct.Struct("=II")
_NUMBERS = struct.Struct("=6Q")
_ANSWER = struct.Struct("=qq4Q80s")
_ENDED, _TIME, _MEMORY, _FAILED, _HIDDEN = range(5)
_LETTERS = {"write": "W", "seal": "S", "run": "R", "adopt": "A", "stop": "T"}

# As root each wall has an id of its own outside, from 20,000 on.
_numbers = itertools.count(random.randrange(40_000))


def next_outer_id() -> int:
    """Return the user id that the next wall has outside it."""
    return 20_000 + next(_numbers) % 40_000


class NativeBox(Box):
    """A wall whose first process is in C."""

    def __init__(self, channel: socket.socket, paths: tuple[str, ...]) -> None:
        super().__init__(channel, -1, paths)
        self._tool = ""

    def close(self) -> None:
        """End every process behind the wall."""
        # Not only closed: another process may have a copy of this end, forked from this one.
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)
        self._channel.close()

    def adopt(self, limits: Limits, timeout_s: float, *, word: bytes = b"") -> FinishedCommand:
        """Run a copy of the interpreter that made this wall, which reads on in the program's file."""
        return self._watched(lambda fds: self._tell({"do": "adopt", **vars(limits)}, fds=fds), timeout_s, word)

    def _tell(self, order: dict[str, Any], blob: bytes = b"", fds: tuple[int, ...] = ()) -> None:
        body = b""
        if order["do"] == "write":
            at = 0
            for name, size in order["files"]:
                label = name.encode()
                body += _ORDER.pack(len(label), size) + label + blob[at : at + size]
                at += size
        elif order["do"] in {"run", "adopt"}:
            body = _NUMBERS.pack(
                *(order[name] for name in ("cpu_s", "file_bytes", "data_bytes", "processes", "memory_bytes")),
                int(order["own_s"] * 1e6),
            )
        elif order["do"] == "stop":
            body = struct.pack("=Q", int(order["limit_s"] * 1e6))
        if order["do"] == "run":
            self._tool = order["argv"][0]
            words = [*order["argv"], *(f"{name}={value}" for name, value in order["env"].items())]
            texts = [word.encode("utf-8", "surrogateescape") + b"\0" for word in words]
            body += _ORDER.pack(len(order["argv"]), len(order["env"])) + b"".join(texts)
        message = _ORDER.pack(ord(_LETTERS[order["do"]]), len(body)) + body
        sent = socket.send_fds(self._channel, [message], fds) if fds else 0
        if sent < len(message):
            self._channel.sendall(message[sent:])

    def _hear(self) -> Mapping[str, Any] | None:
        found = self._channel.recv(_ANSWER.size, socket.MSG_WAITALL)
        if len(found) < _ANSWER.size:
            return None
        kind, status, wall_us, cpu_us, delay_us, memory_bytes, text = _ANSWER.unpack(found)
        if kind == _FAILED:
            return {"error": text.partition(b"\0")[0].decode("utf-8", "replace")}
        if kind == _HIDDEN:
            return {"error": f"{self._tool} is not to be seen or not to be executed behind the wall"}
        answer = {"wall_s": wall_us / 1e6, "cpu_s": cpu_us / 1e6, "delay_s": delay_us / 1e6}
        if kind == _MEMORY:
            answer["memory_bytes"] = memory_bytes
        if kind == _ENDED:
            answer["exit"] = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
        return answer


class Zygote:
    """A process outside any wall, with the view that walls have, which clones itself into a new one for each request."""

    def __init__(self, channel: socket.socket, handle: int, paths: tuple[str, ...], name: str) -> None:
        self._channel, self._handle, self._paths = channel, handle, paths
        # A program's time is not to be spent on its beginning.
        channel.settimeout(_READY_S)
        try:
            is_ready = channel.recv(1) == b"r"
            channel.settimeout(None)
        except OSError:
            is_ready = False
        if not is_ready:
            self.close()
            raise SandboxError(f"{name} did not get warm")

    def open_box(self, program_bytes: int, scratch_bytes: int) -> NativeBox:
        """Return a new wall; where this process is gone, its first order is answered by the end of its socket."""
        ours, theirs = socket.socketpair()
        rows = sandbox_seccomp.rows()
        numbers = (os.geteuid() == 0, next_outer_id(), program_bytes, scratch_bytes, len(rows))
        with theirs:
            try:
                socket.send_fds(self._channel, [struct.pack("=5Q", *numbers) + rows], (theirs.fileno(),))
            except OSError as error:
                ours.close()
                raise SandboxError(f"the process that makes walls has gone ({error})") from error
        return NativeBox(ours, self._paths)

    def close(self) -> None:
        """End the process; walls that it made end with it."""
        if self._handle >= 0:
            self._handle = end_process(self._handle, self._channel)
