"""Tokens and shingles of a document as 64-bit hashes, in bulk: no Python object per token.

A document is cut at every character that is not in [A-Za-z_0-9], as The Stack's near-deduplication does. A token's
hash is a polynomial over its bytes modulo 2**64, read off one prefix sum per block, then mixed; a shingle's hash is
a polynomial over its tokens' hashes. Two different shingles collide with a probability of about 2**-64, so sets of
hashes stand for sets of strings and their Jaccard similarity is taken as the true one.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

UInt64Array = NDArray[np.uint64]

NGRAM = 5
_BLOCK_BYTES = 1 << 16  # 64 KiB: the prefix sum of a block (512 KiB) stays in the second-level cache
_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2**64
_INVERSE = pow(_BASE, -1, 1 << 64)
_NGRAM_BASE = np.uint64(0xD6E8FEB86659FD93)
_MIX_1, _MIX_2, _MIX_SHIFT = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53), np.uint64(33)

_IS_SEPARATOR = np.array([not (chr(code).isalnum() and code < 128) and code != ord("_") for code in range(256)])


def mix(values: UInt64Array) -> UInt64Array:
    """MurmurHash3's 64-bit finaliser, a bijection that spreads every input bit over all output bits."""
    values = values ^ (values >> _MIX_SHIFT)
    values *= _MIX_1
    values ^= values >> _MIX_SHIFT
    values *= _MIX_2
    values ^= values >> _MIX_SHIFT
    return values


_BYTE_VALUE = mix(np.arange(1, 257, dtype=np.uint64))


@cache
def _powers(count: int) -> tuple[UInt64Array, UInt64Array]:
    """The first `count` powers of the base and of its inverse."""
    steps = np.full(count, 1, dtype=np.uint64)
    inverse = steps.copy()
    steps[1:], inverse[1:] = np.uint64(_BASE), np.uint64(_INVERSE)
    return np.multiply.accumulate(steps), np.multiply.accumulate(inverse)


def token_hashes(text: str) -> tuple[UInt64Array, NDArray[np.bool_]]:
    """One hash per token of `re.split("[^A-Za-z_0-9]", text)`, and which of the tokens are not empty."""
    data = np.frombuffer(text.encode("utf-8", "surrogatepass"), dtype=np.uint8)
    if not text.isascii():
        # A character of several bytes is one separator: drop its continuation bytes.
        data = data[(data & 0xC0) != 0x80]
    hashes: list[UInt64Array] = []
    filled: list[NDArray[np.bool_]] = []
    start = 0
    while start <= len(data):
        end = _block_end(data, start)
        block_hashes, block_filled = _block_tokens(data[start:end])
        hashes.append(block_hashes)
        filled.append(block_filled)
        start = end + 1
    return np.concatenate(hashes), np.concatenate(filled)


def _block_end(data: NDArray[np.uint8], start: int) -> int:
    """Where a block that begins at `start` ends: at a separator, or at the end of the data."""
    size = _BLOCK_BYTES
    while start + size < len(data):
        separators = np.flatnonzero(_IS_SEPARATOR[data[start : start + size]])
        if len(separators):
            return start + int(separators[-1])
        size *= 2
    return len(data)


def _block_tokens(data: NDArray[np.uint8]) -> tuple[UInt64Array, NDArray[np.bool_]]:
    separators = np.flatnonzero(_IS_SEPARATOR[data])
    starts = np.concatenate([[0], separators + 1])
    ends = np.concatenate([separators, [len(data)]])
    size = max(_BLOCK_BYTES, 1 << len(data).bit_length())
    powers, inverse = _powers(size + 1)
    prefix = np.zeros(len(data) + 1, dtype=np.uint64)
    np.cumsum(_BYTE_VALUE[data] * powers[: len(data)], out=prefix[1:])
    return mix((prefix[ends] - prefix[starts]) * inverse[starts]), ends > starts


def unigram_set(text: str) -> tuple[UInt64Array, int]:
    """The sorted hashes of the distinct non-empty tokens, and the number of non-empty tokens."""
    hashes, filled = token_hashes(text)
    tokens = hashes[filled]
    return np.unique(tokens), len(tokens)


def ngram_set(text: str) -> tuple[UInt64Array, int]:
    """The sorted hashes of the distinct 5-grams of tokens, empty ones included, and the number of tokens."""
    tokens, _ = token_hashes(text)
    if len(tokens) < NGRAM:
        return np.empty(0, dtype=np.uint64), len(tokens)
    count = len(tokens) - NGRAM + 1
    grams = tokens[:count].copy()
    for offset in range(1, NGRAM):
        grams *= _NGRAM_BASE
        grams += tokens[offset : offset + count]
    return np.unique(mix(grams)), len(tokens)


def jaccard(left: UInt64Array, right: UInt64Array) -> float:
    """The Jaccard similarity of two sorted sets of hashes; two empty sets count as 0.

    >>> jaccard(unigram_set("a b c")[0], unigram_set("b c d")[0])
    0.5
    """
    if not len(left) or not len(right):
        return 0.0
    both = np.concatenate([left, right])
    both.sort()
    shared = int(np.count_nonzero(both[1:] == both[:-1]))
    return shared / (len(both) - shared)
