"""Read a program's output to its end; keep the first megabyte and the last 64 KB, and count the rest."""

import os
import time
from dataclasses import dataclass, field

KEPT_BYTES = 1 << 20
_END_BYTES = 1 << 16
_READ_BYTES = 1 << 16
_MARKS = 200


@dataclass
class Capture:
    """The kept beginning and end of a stream, its length, when it came, and whether a word was seen anywhere in it."""

    word: bytes = b""
    kept: bytearray = field(default_factory=bytearray)
    total: int = 0
    found: bool = False
    begun: float = field(default_factory=time.monotonic)
    arrivals: list[tuple[float, int]] = field(default_factory=list)
    _end: bytes = b""
    _tail: bytes = b""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the stream."""
        self.total += len(chunk)
        if len(self.arrivals) < _MARKS:
            self.arrivals.append((time.monotonic() - self.begun, self.total))
        room = KEPT_BYTES - len(self.kept)
        if room > 0:
            self.kept += chunk[:room]
        if len(chunk) > room:
            self._end = (self._end + chunk[max(0, room) :])[-_END_BYTES:]
        if self.word and not self.found:
            # The word may lie across two reads.
            recent = self._tail + chunk
            self.found = self.word in recent
            self._tail = recent[-len(self.word) :]

    @property
    def dropped(self) -> int:
        """How many bytes were read and not kept."""
        return self.total - len(self.kept) - len(self._end)

    def text(self, without: str = "") -> str:
        """Return the kept bytes as text, less one piece; bytes that are not UTF-8 become U+FFFD, and a gap is named."""
        gap = f"\n[{self.dropped} bytes left out]\n".encode() if self.dropped else b""
        return (self.kept + gap + self._end).decode("utf-8", "replace").replace(without, "", 1)

    def read_from(self, fd: int) -> bool:
        """Read once from a descriptor that does not block; False at the end of the stream."""
        try:
            chunk = os.read(fd, _READ_BYTES)
        except BlockingIOError:
            return True
        self.feed(chunk) if chunk else None
        return bool(chunk)

    def drain(self, fd: int) -> None:
        """Read what is there, without waiting for a process that kept the stream open; 16 MB at most."""
        for _ in range(256):
            before = self.total
            if not self.read_from(fd) or self.total == before:
                return


@dataclass
class FinishedCommand:
    """One command that was run.

    `exit_code` is None when the clock or the limit of memory ended it, 128 + n after a death by signal n. `cpu_s` is
    the processor time of all its processes; `delay_s`, known only when the clock ended it, is how long it waited for
    a processor.
    """

    exit_code: int | None
    stdout: Capture
    stderr: Capture
    seconds: float
    cpu_s: float = 0.0
    delay_s: float = 0.0
    memory_bytes: int = 0  # what it held when the limit of memory ended it
