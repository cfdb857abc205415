"""Turn documents into tokens and shingles, each a 64-bit hash, many documents at a time.

A document is cut at every character that is not in [A-Za-z_0-9], as The Stack's near-deduplication does. A token is
read as words of 8 bytes, the first byte lowest, the last word filled up with zeros; its hash is the sum of the mixed
words times rising powers of an odd number, modulo 2**64. A shingle's hash is a polynomial over its tokens' hashes. Two
different shingles collide with a probability of about 2**-64, so sets of hashes stand for sets of strings and their
Jaccard similarity is taken as the true one.

This module is the definition, in NumPy; `kernel_tokens.py` computes the same numbers in compiled code.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

UInt64Array = NDArray[np.uint64]

NGRAM = 5
MIX_1, MIX_2, MIX_SHIFT = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53), np.uint64(33)
WORD_BASE = np.uint64(0x9E3779B97F4A7C15)
NGRAM_BASE = np.uint64(0xD6E8FEB86659FD93)
WORD_MASKS = np.array([(1 << (8 * count)) - 1 for count in range(9)], dtype=np.uint64)
"""The masks that keep the first 0 to 8 bytes of a word."""

_BLOCK_BYTES = 1 << 16
_WORD = 8
_WORDS_AT_ONCE = 4  # tokens of more than 32 bytes are hashed one by one

_IS_SEPARATOR = np.array([not (chr(code).isalnum() and code < 128) and code != ord("_") for code in range(256)])


def mix(values: UInt64Array) -> UInt64Array:
    """Apply MurmurHash3's 64-bit finaliser, a bijection that spreads every input bit over all output bits."""
    values = values ^ (values >> MIX_SHIFT)
    values *= MIX_1
    values ^= values >> MIX_SHIFT
    values *= MIX_2
    values ^= values >> MIX_SHIFT
    return values


@cache
def _powers(count: int) -> UInt64Array:
    steps = np.full(count, WORD_BASE, dtype=np.uint64)
    steps[0] = 1
    return np.multiply.accumulate(steps)


def token_hashes(text: str | bytes) -> tuple[UInt64Array, NDArray[np.bool_]]:
    """Return one hash per token of `re.split("[^A-Za-z_0-9]", text)`, and which of the tokens are not empty."""
    encoded = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    data = np.frombuffer(encoded, dtype=np.uint8)
    if not encoded.isascii():
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
    lengths = np.concatenate([separators, [len(data)]]) - starts
    padded = np.zeros(len(data) + _WORD, dtype=np.uint8)
    padded[: len(data)] = data
    words = np.ndarray(len(data) + 1, dtype="<u8", buffer=padded, strides=(1,))  # the word at every byte
    hashes = mix(words[starts] & WORD_MASKS[np.minimum(lengths, _WORD)])
    for number in range(1, _WORDS_AT_ONCE):
        long = np.flatnonzero(lengths > number * _WORD)
        left = np.minimum(lengths[long] - number * _WORD, _WORD)
        hashes[long] += mix(words[starts[long] + number * _WORD] & WORD_MASKS[left]) * _powers(_WORDS_AT_ONCE)[number]
    for token in np.flatnonzero(lengths > _WORDS_AT_ONCE * _WORD).tolist():
        hashes[token] = _long_hash(data[starts[token] : starts[token] + lengths[token]])
    return hashes, lengths > 0


def _long_hash(token: NDArray[np.uint8]) -> np.uint64:
    count = -(-len(token) // _WORD)
    padded = np.zeros(count * _WORD, dtype=np.uint8)
    padded[: len(token)] = token
    powers = _powers(1 << count.bit_length())[:count]
    return np.uint64((mix(padded.view("<u8").astype(np.uint64)) * powers).sum(dtype=np.uint64))


def unigram_set(text: str | bytes) -> tuple[UInt64Array, int]:
    """Return the sorted hashes of the distinct non-empty tokens, and the number of non-empty tokens."""
    hashes, filled = token_hashes(text)
    tokens = hashes[filled]
    return np.unique(tokens), len(tokens)


def ngram_set(text: str | bytes) -> tuple[UInt64Array, int]:
    """Return the sorted hashes of the distinct 5-grams of tokens, empty ones included, and the number of tokens."""
    tokens, _ = token_hashes(text)
    return np.unique(ngrams(tokens, NGRAM)), len(tokens)


def ngrams(tokens: UInt64Array, length: int) -> UInt64Array:
    """Return the hash of every run of so many tokens, in order."""
    count = len(tokens) - length + 1
    if count <= 0:
        return np.empty(0, dtype=np.uint64)
    grams = tokens[:count].copy()
    for offset in range(1, length):
        grams *= NGRAM_BASE
        grams += tokens[offset : offset + count]
    return grams


def jaccard(left: UInt64Array, right: UInt64Array) -> float:
    """Return the Jaccard similarity of two sorted sets of hashes; two empty sets count as 0.

    >>> jaccard(unigram_set("a b c")[0], unigram_set("b c d")[0])
    0.5
    """
    if not len(left) or not len(right):
        return 0.0
    both = np.concatenate([left, right])
    both.sort()
    shared = int(np.count_nonzero(both[1:] == both[:-1]))
    return shared / (len(both) - shared)
