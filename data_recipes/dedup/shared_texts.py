"""Keep texts in plain files that all processes of a sharded near-deduplication read."""

import os
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from data_recipes.disk.files import reporting_os_errors
from data_recipes.engine.texts import Texts
from data_recipes.errors import StoreError

_OFFSET_BITS = 44  # a place is a file's number above an offset of up to 16 TiB


class TextWriter:
    """Writes texts one behind the other into a file that is there when all of them are."""

    def __init__(self, path: Path) -> None:
        self._path, self._temporary = path, path.with_name(f".{path.name}.{os.getpid()}.part")
        with reporting_os_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._temporary.open("wb")
        self._end = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        if kind is None:
            with reporting_os_errors(self._path):
                self._temporary.replace(self._path)
        else:
            self._temporary.unlink(missing_ok=True)

    def add(self, texts: Texts) -> NDArray[np.int64]:
        """Append texts; return where each of them begins."""
        begins = self._end + np.cumsum(texts.sizes) - texts.sizes
        with reporting_os_errors(self._path):
            for row in range(len(texts)):
                self._file.write(texts.read(row))
        self._end += int(texts.sizes.sum())
        return begins


class SharedTexts:
    """Reads parts of files by a place: what `FileTexts` needs of a spill."""

    def __init__(self, paths: list[Path]) -> None:
        self._paths = paths
        self._files: dict[int, int] = {}

    def place(self, number: int) -> int:
        """Return the place where a file begins."""
        return number << _OFFSET_BITS

    def read_into(self, view: memoryview, place: int) -> None:
        """Fill a view from a place on.

        Raises:
            StoreError: The file is missing or too short.
        """
        number, offset = divmod(place, 1 << _OFFSET_BITS)
        done = 0
        try:
            if number not in self._files:
                self._files[number] = os.open(self._paths[number], os.O_RDONLY)
            while done < len(view):
                data = os.pread(self._files[number], len(view) - done, offset + done)
                if not data:
                    raise StoreError(f"{self._paths[number]} ends before byte {offset + len(view)}. Run again.")
                view[done : done + len(data)] = data
                done += len(data)
        except OSError as error:
            raise StoreError(f"{self._paths[number]} can't be read ({error.strerror}). Run again.") from error

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            os.close(file)
        self._files.clear()
