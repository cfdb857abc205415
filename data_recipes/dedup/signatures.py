"""Compute MinHash signatures of many texts, and keep what clustering needs of them.

Signatures are those of datasketch 2.0's `affine32` (256 permutations, seed 1), bit for bit. A band's key is a 64-bit
hash of its rows. A sketch holds 8 mixed bits of each minimum, so two documents agree in about (1 + 255 J) of 256.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from data_recipes.disk.spill import Spill
from data_recipes.engine.jit import kernel
from data_recipes.engine.shingles import NGRAM, UInt64Array, mix, ngram_set, unigram_set
from data_recipes.engine.texts import Texts
from data_recipes.engine.threads import Workers, ranges

NUM_PERM = 256
MIN_TOKENS = 10
_CHUNK = 1024  # shingles permuted at once: 1 MiB of uint32, which fits the second-level cache
_SKETCH_FACTOR = np.uint32(0x9E3779B1)

UInt32Array = NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Mode:
    """One way to find near-duplicates; `bands` is (bands, rows), None for datasketch's optimum at `threshold`."""

    ngram: int
    threshold: float
    is_verified: bool
    bands: tuple[int, int] | None = None

    def shingles(self, text: str | bytes) -> tuple[UInt64Array, int]:
        """Return the sorted distinct shingles of a text, and its number of tokens."""
        return ngram_set(text) if self.ngram == NGRAM else unigram_set(text)

    def layout(self) -> tuple[int, int]:
        """Return how many bands of how many rows."""
        return self.bands or _optimum(self.threshold)


_OPTIMA: Mapping[float, tuple[int, int]] = {0.7: (25, 10), 0.85: (13, 19)}  # importing datasketch takes half a second


@cache
def _optimum(threshold: float) -> tuple[int, int]:
    if threshold in _OPTIMA:
        return _OPTIMA[threshold]
    from datasketch import MinHashLSH

    index = MinHashLSH(threshold=threshold, num_perm=NUM_PERM)
    return int(index.b), int(index.r)


@cache
def permutations() -> tuple[UInt32Array, UInt32Array]:
    """Return factors and shifts of datasketch's `affine32` permutations of seed 1: odd factors, drawn first."""
    draw = np.random.RandomState(1)
    halves = draw.randint(0, 1 << 31, NUM_PERM, dtype=np.uint32)
    return halves * np.uint32(2) + np.uint32(1), draw.randint(0, 1 << 32, NUM_PERM, dtype=np.uint32)


def signature(shingles: UInt64Array) -> UInt32Array:
    """Return the 256 MinHash values of a set of shingle hashes, equal to datasketch's over their upper 32 bits."""
    a, b = permutations()
    values = (shingles >> np.uint64(32)).astype(np.uint32)
    values ^= values >> np.uint32(16)
    values *= np.uint32(0x85EBCA6B)
    values ^= values >> np.uint32(13)
    values *= np.uint32(0xC2B2AE35)
    values ^= values >> np.uint32(16)
    result = np.full(NUM_PERM, np.iinfo(np.uint32).max, dtype=np.uint32)
    buffer = np.empty((min(_CHUNK, len(values)), NUM_PERM), dtype=np.uint32)
    for start in range(0, len(values), _CHUNK):
        chunk = values[start : start + _CHUNK, None]
        permuted = buffer[: len(chunk)]
        np.multiply(chunk, a, out=permuted)
        permuted += b
        np.minimum(result, permuted.min(axis=0), out=result)
    return result


class Signatures(Protocol):
    """What clustering needs to know of some texts, wherever it is kept."""

    @property
    def tokens(self) -> UInt32Array:
        """The number of tokens of each text."""

    def band(self, number: int) -> UInt64Array:
        """Return the key of each text in one band."""

    def read_sketches(self) -> NDArray[np.uint8]:
        """Return texts x 256 values; no rows where the mode is not verified."""


@dataclass(frozen=True, slots=True)
class Signed:
    """Signatures in memory."""

    tokens: UInt32Array
    keys: UInt64Array  # bands x texts
    sketches: NDArray[np.uint8]

    def band(self, number: int) -> UInt64Array:
        """Return the key of each text in one band."""
        return np.asarray(self.keys[number])

    def read_sketches(self) -> NDArray[np.uint8]:
        """Return texts x 256 values; no rows where the mode is not verified."""
        return self.sketches


@dataclass(frozen=True, slots=True)
class SpilledSignatures:
    """Signatures in a spill; the token counts stay in memory."""

    tokens: UInt32Array
    spill: Spill
    keys_at: int
    sketches_at: int | None

    @classmethod
    def of(cls, signed: Signed, spill: Spill) -> "SpilledSignatures":
        """Move signatures into a spill."""
        sketches_at = spill.add(signed.sketches) if len(signed.sketches) else None
        return cls(signed.tokens, spill, spill.add(signed.keys), sketches_at)

    def band(self, number: int) -> UInt64Array:
        """Return the key of each text in one band."""
        size = 8 * len(self.tokens)
        return self.spill.read(self.keys_at + number * size, size).view(np.uint64)

    def read_sketches(self) -> NDArray[np.uint8]:
        """Return texts x 256 values; no rows where the mode is not verified."""
        if self.sketches_at is None:
            return np.empty((0, NUM_PERM), dtype=np.uint8)
        return self.spill.read(self.sketches_at, NUM_PERM * len(self.tokens)).reshape(-1, NUM_PERM)


def sign(texts: Texts, mode: Mode, crew: Workers) -> Signed:
    """Return token counts, band keys and sketches; rows of fewer than 10 tokens have zeros there."""
    signed = _unsigned(len(texts), mode)

    def work(low: int, high: int, scratch: Any) -> None:
        _sign_range(texts, mode, signed, slice(low, high), scratch)

    crew.each(work, ranges(texts.sizes), scratches(crew.count))
    return signed


def sign_alone(texts: Texts, mode: Mode, scratch: Any) -> Signed:
    """Return the same in the calling thread, which brings one of `scratches`."""
    signed = _unsigned(len(texts), mode)
    _sign_range(texts, mode, signed, slice(0, len(texts)), scratch)
    return signed


def scratches(count: int) -> list[Any]:
    """Return what so many threads sign with."""
    compiled = kernel("tokens")
    return [compiled.new_scratch() if compiled else None for _ in range(count)]


def _unsigned(count: int, mode: Mode) -> Signed:
    return Signed(
        np.zeros(count, dtype=np.uint32),
        np.zeros((mode.layout()[0], count), dtype=np.uint64),
        np.zeros((count if mode.is_verified else 0, NUM_PERM), dtype=np.uint8),
    )


def _sign_range(texts: Texts, mode: Mode, signed: Signed, which: slice, scratch: Any) -> None:
    if (compiled := kernel("tokens")) is None:
        _sign(texts, which, mode, signed)
        return
    where, rows = (texts.addresses, texts.sizes), mode.layout()[1]
    outputs = (signed.tokens, signed.keys, signed.sketches)
    compiled.sign_range(
        which.start, which.stop, where, mode.ngram, rows, MIN_TOKENS, *permutations(), *outputs, scratch
    )


def _sign(texts: Texts, which: slice, mode: Mode, signed: Signed) -> None:
    bands, rows = mode.layout()
    for row in range(which.start, which.stop):
        shingles, tokens = mode.shingles(texts.read(row))
        signed.tokens[row] = min(tokens, 0xFFFFFFFF)
        # Differs from the report: files of fewer than 10 tokens are kept, not dropped; they join no cluster.
        if tokens < MIN_TOKENS:
            continue
        minima = signature(shingles)
        keys = np.zeros(bands, dtype=np.uint64)
        for column in minima[: bands * rows].reshape(bands, rows).T:
            keys = mix(keys + column)
        signed.keys[:, row] = keys
        if len(signed.sketches):
            signed.sketches[row] = (minima * _SKETCH_FACTOR) >> np.uint32(24)
