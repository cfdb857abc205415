"""A nameless file that takes what memory should not hold; any part of it can be read back, from any thread."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_recipes.errors import StoreError


class Spill:
    """Threads append bytes and read them. The file is gone when the process is, however it ends."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = Path(folder or tempfile.gettempdir())
        with self._reported():
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 -- lives as long as the spill
        self._end = 0
        self._lock = Lock()

    @contextlib.contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"{self._folder}: can't hold temporary data ({error.strerror}). Expected a writable folder with free "
                "space of about the size of the texts. Free some space, or set TMPDIR to another folder.",
            ) from error

    @property
    def file(self) -> int:
        """The file's descriptor, for reading."""
        return self._file.fileno()

    def add(self, data: Any) -> int:
        """Append the bytes of a buffer; where they begin."""
        view = memoryview(data).cast("B")
        with self._lock:
            place = self._end
            self._end += len(view)
        done = 0
        with self._reported():
            while done < len(view):
                done += os.pwrite(self.file, view[done : done + (1 << 30)], place + done)
        return place

    def read(self, place: int, count: int) -> NDArray[np.uint8]:
        """So many bytes from a place on."""
        data = np.empty(count, dtype=np.uint8)
        read_into(self.file, data.data, place)
        return data

    def close(self) -> None:
        """Give the disk space back."""
        self._file.close()


def read_into(file: int, view: memoryview, place: int) -> None:
    """Fill a view from a place of a file on; a file that is too short is an error."""
    done = 0
    while done < len(view):
        if hasattr(os, "preadv"):
            count = os.preadv(file, [view[done:]], place + done)
        else:  # macOS
            data = os.pread(file, len(view) - done, place + done)
            count = len(data)
            view[done : done + count] = data
        if not count:
            raise StoreError(f"A temporary file ends before byte {place + len(view)}. Run again.")
        done += count
