"""Keep data that is too large for memory in unnamed temporary files; any thread can read any part."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from data_recipes.errors import StoreError

_OFFSET_BITS = 44  # a place is a file's number above an offset of up to 16 TiB


class Spill:
    """Threads append bytes and read them. The files are gone when the process is, however it ends.

    There is a file for each thread that appends at the same time: the system lets one write to a file at once.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = Path(folder or tempfile.gettempdir())
        self._files: list[IO[bytes]] = []
        self._ends: list[int] = []
        self._free: list[int] = []
        self._lock = Lock()
        self._free.append(self._open())

    def _open(self) -> int:
        with self._reported():
            self._files.append(tempfile.TemporaryFile(dir=self._folder))  # noqa: SIM115 -- lives as long as the spill
        self._ends.append(0)
        return len(self._files) - 1

    @contextlib.contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"{self._folder}: can't hold temporary data ({error.strerror}). Expected a writable folder with free "
                "space of about the size of the texts. Free some space, or set TMPDIR to another folder.",
            ) from error

    def add(self, data: Any) -> int:
        """Append the bytes of a buffer; the place where they begin, from which on places can be counted."""
        view = memoryview(data).cast("B")
        with self._lock:
            number = self._free.pop() if self._free else self._open()
        begin, done = self._ends[number], 0
        try:
            with self._reported():
                while done < len(view):
                    done += os.pwrite(self._files[number].fileno(), view[done : done + (1 << 30)], begin + done)
        finally:
            self._ends[number] = begin + done
            with self._lock:
                self._free.append(number)
        return (number << _OFFSET_BITS) + begin

    def read(self, place: int, count: int) -> NDArray[np.uint8]:
        """Return so many bytes from a place on."""
        data = np.empty(count, dtype=np.uint8)
        self.read_into(data.data, place)
        return data

    def read_into(self, view: memoryview, place: int) -> None:
        """Fill a view from a place on; a file that is too short is an error."""
        number, offset = divmod(place, 1 << _OFFSET_BITS)
        file, done = self._files[number].fileno(), 0
        while done < len(view):
            if hasattr(os, "preadv"):
                count = os.preadv(file, [view[done:]], offset + done)
            else:  # macOS
                data = os.pread(file, len(view) - done, offset + done)
                count = len(data)
                view[done : done + count] = data
            if not count:
                raise StoreError(f"A temporary file ends before byte {offset + len(view)}. Run again.")
            done += count

    def close(self) -> None:
        """Give the disk space back."""
        for file in self._files:
            file.close()
