"""Say where the bytes of many texts stand in memory, so that compiled code can read Arrow's columns."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_recipes.disk.spill import Spill


@dataclass(frozen=True, slots=True)
class Texts:
    """Addresses and sizes of texts in UTF-8; `owners` keeps their memory alive."""

    addresses: NDArray[np.uint64]
    sizes: NDArray[np.int64]
    owners: tuple[Any, ...]

    def __len__(self) -> int:
        return len(self.sizes)

    def read(self, row: int) -> bytes:
        """Return a copy of one text's bytes."""
        return ctypes.string_at(int(self.addresses[row]), int(self.sizes[row])) if self.sizes[row] else b""

    def add_to(self, spill: Spill) -> NDArray[np.int64]:
        """Write texts that stand side by side in memory to a spill; where each of them begins there."""
        if not self.sizes.any():
            return np.zeros(len(self), dtype=np.int64)
        filled = np.flatnonzero(self.sizes)
        first, last = (
            int(self.addresses[filled[0]]),
            int(self.addresses[filled[-1]] + np.uint64(self.sizes[filled[-1]])),
        )
        data = (ctypes.c_char * (last - first)).from_address(first)
        return self.addresses.astype(np.int64) - first + spill.add(data)

    def view(self, rows: NDArray[np.int64]) -> "Texts":
        """Return some of the texts, to be read now."""
        return self.take(rows)

    def take(self, rows: NDArray[np.int64]) -> "Texts":
        """Return some of the texts, in this order; nothing is copied but addresses."""
        return Texts(self.addresses[rows], self.sizes[rows], self.owners)


class ReadableAtPlaces(Protocol):
    """What gives the bytes from a place on: a `Spill`, or files that processes share."""

    def read_into(self, view: memoryview, place: int) -> None:
        """Fill a view from a place on."""


@dataclass(frozen=True, slots=True)
class FileTexts:
    """Texts that stay on disk; a view reads some of them. Mapped memory would count as the process's own."""

    spill: ReadableAtPlaces
    places: NDArray[np.int64]
    sizes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.sizes)

    def take(self, rows: NDArray[np.int64]) -> "FileTexts":
        """Return some of the texts, in this order; nothing is read."""
        return FileTexts(self.spill, self.places[rows], self.sizes[rows])

    def view(self, rows: NDArray[np.int64]) -> Texts:
        """Return some of the texts in memory."""
        sizes = self.sizes[rows]
        ends = np.cumsum(sizes)
        buffer = np.empty(int(ends[-1]) if len(rows) else 0, dtype=np.uint8)
        begins = ends - sizes
        view = buffer.data
        for place, begin, end in zip(self.places[rows].tolist(), begins.tolist(), ends.tolist(), strict=True):
            self.spill.read_into(view[begin:end], place)
        return Texts(np.uint64(buffer.ctypes.data) + begins.astype(np.uint64), sizes, (buffer,))


def texts_of(source: Sequence[str] | pa.Array | pa.ChunkedArray) -> Texts:
    """Return the texts of a list or of an Arrow column, where a null is an empty text.

    >>> texts_of(pa.array(["a", None, "bc"])).read(2)
    b'bc'
    """
    if not isinstance(source, pa.Array | pa.ChunkedArray):
        source = pa.array([text.encode("utf-8", "surrogatepass") for text in source], pa.large_binary())
    chunks = source.chunks if isinstance(source, pa.ChunkedArray) else [source]
    parts = [_of_chunk(chunk) for chunk in chunks]
    if not parts:
        return Texts(np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.int64), ())
    return Texts(
        np.concatenate([part.addresses for part in parts]),
        np.concatenate([part.sizes for part in parts]),
        tuple(owner for part in parts for owner in part.owners),
    )


def _of_chunk(chunk: pa.Array) -> Texts:
    kind = chunk.type
    if not (pa.types.is_string(kind) or pa.types.is_binary(kind)):
        if not (pa.types.is_large_string(kind) or pa.types.is_large_binary(kind)):
            chunk = chunk.cast(pa.large_string())
        width: type[Any] = np.int64
    else:
        width = np.int32
    _, offset_buffer, data = chunk.buffers()
    if not len(chunk) or data is None:
        return Texts(np.zeros(len(chunk), dtype=np.uint64), np.zeros(len(chunk), dtype=np.int64), (chunk,))
    offsets = np.frombuffer(offset_buffer, dtype=width)[chunk.offset : chunk.offset + len(chunk) + 1].astype(np.int64)
    sizes = np.diff(offsets)
    if chunk.null_count:
        sizes[~np.asarray(chunk.is_valid())] = 0
    return Texts(np.uint64(data.address) + offsets[:-1].astype(np.uint64), sizes, (chunk,))
