"""Open files that may be compressed with gzip or Zstandard; their first bytes tell, not their name."""

import contextlib
import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import pyarrow as pa

from data_recipes.errors import DataError

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


@contextlib.contextmanager
def unpacked(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading its bytes, unpacked.

    Raises:
        DataError: What the file is packed with is damaged.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4)
            file.seek(0)
            if start.startswith(_GZIP):
                with gzip.GzipFile(fileobj=file) as stream:
                    yield cast("IO[bytes]", stream)
            elif start == _ZSTD:
                with pa.input_stream(file, compression="zstd") as stream:
                    yield cast("IO[bytes]", io.BufferedReader(stream))
            else:
                yield file
    except (gzip.BadGzipFile, EOFError, pa.ArrowException) as error:
        raise DataError(f"{path}: damaged, it can't be unpacked ({error}). Write it again.") from error


def text_of(path: Path) -> str:
    """Return the text of a file, unpacked.

    Raises:
        DataError: It is damaged, or no UTF-8.
    """
    with unpacked(path) as stream:
        data = stream.read()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte {error.start}. Write it as UTF-8 text.") from error
