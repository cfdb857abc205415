"""Compiled: the tokens, shingles and signatures that `shingles.py` defines, over raw bytes, without the GIL.

A text goes through in blocks of 16 KiB, so memory does not depend on its length. A block is copied without the
continuation bytes of UTF-8, its separators become bits, and each bit ends a token; hashing tokens, making 5-grams and
permuting are loops over arrays that LLVM turns into vector instructions. The work of a thread lives in one `Scratch`.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_recipes.engine.jit import compiled, inlined
from data_recipes.engine.jit_simd import (
    copy_64,
    copy_64_lowered,
    high_mask,
    load_byte,
    load_word,
    trailing_zeros,
    word_mask,
)
from data_recipes.engine.shingles import MIX_1, MIX_2, MIX_SHIFT, NGRAM, NGRAM_BASE, WORD_BASE, WORD_MASKS

SKETCH_FACTOR = np.uint32(0x9E3779B1)
BLOCK = 1 << 14
_SPARE = 192  # a block may hold 7 carried bytes and one closing separator, and 64 bytes are read at once
_CARRIED = NGRAM - 1
_RECENT = 4096  # 16 KiB of 32-bit hashes seen last, in the first-level cache
_SHIFT_32 = np.uint64(32)
_ONE = np.uint64(1)
_SPACE = np.uint8(32)
_LETTER = np.uint8(ord("a"))
# What the state of a text holds, by index.
_POSITION, _LEFT_OVER, _TOKENS, _IN_HAND, _IS_DONE, _LONG_WORDS, _LONG_SUM, _LONG_POWER, _IS_LOWERED = range(9)

UInt64Array = NDArray[np.uint64]


class Scratch(NamedTuple):
    """The arrays that one thread works in."""

    block: NDArray[np.uint8]
    first: UInt64Array  # the first 8 bytes of each token of a block
    second: UInt64Array  # the next 8
    tokens: UInt64Array  # hashes of the tokens: 4 of the block before, then the block's own
    shingles: UInt64Array  # hashes of the block's shingles
    values: NDArray[np.uint32]  # what is permuted
    recent: NDArray[np.uint32]
    state: UInt64Array
    words: UInt64Array  # masks of 0 to 8 bytes


def new_scratch() -> Scratch:
    """Return fresh arrays for one thread: about 700 KiB."""
    size = BLOCK + _SPARE
    return Scratch(
        np.zeros(size + 64, dtype=np.uint8),
        np.zeros(size, dtype=np.uint64),
        np.zeros(size, dtype=np.uint64),
        np.zeros(size + _CARRIED, dtype=np.uint64),
        np.zeros(size, dtype=np.uint64),
        np.zeros(size + 8, dtype=np.uint32),
        np.zeros(_RECENT, dtype=np.uint32),
        np.zeros(9, dtype=np.uint64),
        WORD_MASKS,
    )


@inlined
def mixed(value: Any) -> Any:
    """Return `shingles.mix` of one number."""
    value ^= value >> MIX_SHIFT
    value *= MIX_1
    value ^= value >> MIX_SHIFT
    value *= MIX_2
    value ^= value >> MIX_SHIFT
    return value


@compiled
def begin(scratch: Any) -> None:
    """Get ready for a new text."""
    scratch.state[:] = np.uint64(0)
    scratch.state[_LONG_POWER] = _ONE


@compiled
def begin_lowered(scratch: Any) -> None:
    """Get ready for a new text, of which A to Z are read as a to z."""
    begin(scratch)
    scratch.state[_IS_LOWERED] = _ONE


@compiled
def _fill(address: Any, size: Any, scratch: Any) -> Any:
    """Copy the next bytes of a text behind what is left over; how many bytes the block then holds."""
    block, state = scratch.block, scratch.state
    target = np.uint64(block.ctypes.data)
    position, filled = np.int64(state[_POSITION]), np.int64(state[_LEFT_OVER])
    end = min(position + BLOCK, size)
    while position + 64 <= end:
        source = np.uint64(address + np.uint64(position))
        if high_mask(source) == np.uint64(0):
            copy_64(target + np.uint64(filled), source)
            filled += 64
        else:
            for offset in range(64):
                byte = load_byte(source + np.uint64(offset))
                block[filled] = byte
                filled += np.int64((byte & np.uint8(0xC0)) != np.uint8(0x80))
        position += 64
    while position < end:
        byte = load_byte(address + np.uint64(position))
        block[filled] = byte
        filled += np.int64((byte & np.uint8(0xC0)) != np.uint8(0x80))
        position += 1
    if state[_IS_LOWERED] != np.uint64(0):
        for offset in range(0, filled, 64):
            copy_64_lowered(target + np.uint64(offset), target + np.uint64(offset))
    state[_POSITION] = np.uint64(position)
    if position >= size:
        state[_IS_DONE] = _ONE
        block[filled] = _SPACE  # ends the last token, which may be empty
        filled += 1
    for offset in range(filled, filled + 64):
        block[offset] = _LETTER  # ends nothing
    return filled


@inlined
def _hash_of_words(base: Any, length: Any, total: Any, power: Any, masks: Any) -> Any:
    """`total` plus the words of a token times rising powers."""
    offset = np.int64(0)
    while offset < length:
        word = load_word(base + np.uint64(offset)) & masks[min(length - offset, 8)]
        total += mixed(word) * power
        power *= WORD_BASE
        offset += 8
    return total, power


@compiled
def _tokens_of(filled: Any, scratch: Any) -> Any:
    """Hash the tokens that end in the block, keep what is begun; how many tokens ended."""
    block, first, second = scratch.block, scratch.first, scratch.second
    tokens, masks = scratch.tokens, scratch.words
    base = np.uint64(block.ctypes.data)
    count = start = position = long_ones = np.int64(0)
    while position < filled:
        ends = ~word_mask(base + np.uint64(position))
        while ends != np.uint64(0):
            end = position + trailing_zeros(ends)
            ends &= ends - _ONE
            length = end - start
            begun = base + np.uint64(start)
            first[count] = load_word(begun) & masks[min(length, 8)]
            second[count] = load_word(begun + np.uint64(8)) & masks[min(max(length - 8, 0), 8)]
            if length > 16:
                # Rare: remembered from the back of the same array, where no token of this block can come.
                long_ones += 1
                scratch.shingles[BLOCK + _SPARE - long_ones] = np.uint64(count) | (np.uint64(start) << _SHIFT_32)
            count += 1
            start = end + 1
        position += 64
    for i in range(count):
        tokens[_CARRIED + i] = mixed(first[i]) + mixed(second[i]) * WORD_BASE
    for number in range(1, long_ones + 1):
        note = scratch.shingles[BLOCK + _SPARE - number]
        token, begin_at = np.int64(note & np.uint64(0xFFFFFFFF)), np.int64(note >> _SHIFT_32)
        length = np.int64(0)
        while word_at(block, begin_at + length):
            length += 1
        total, _ = _hash_of_words(base + np.uint64(begin_at), length, np.uint64(0), _ONE, masks)
        tokens[_CARRIED + token] = total
    _carry_over(filled, count, start, scratch)
    return count


@inlined
def word_at(block: Any, position: Any) -> Any:
    """Return whether a byte of a block belongs to a token."""
    byte = block[position]
    lower = byte | np.uint8(0x20)
    return (
        (lower >= np.uint8(97) and lower <= np.uint8(122))
        or (byte >= np.uint8(48) and byte <= np.uint8(57))
        or byte == np.uint8(95)
    )


@inlined
def _carry_over(filled: Any, count: Any, start: Any, scratch: Any) -> None:
    """Finish a token that began in an earlier block, and fold what is begun here into whole words."""
    block, tokens, state, masks = scratch.block, scratch.tokens, scratch.state, scratch.words
    base = np.uint64(block.ctypes.data)
    if count and state[_LONG_WORDS] != np.uint64(0):
        length = np.int64(0)
        while word_at(block, length):
            length += 1
        total, _ = _hash_of_words(base, length, state[_LONG_SUM], state[_LONG_POWER], masks)
        tokens[_CARRIED] = total
        scratch.first[0] = _ONE  # not empty, even where all of it was in earlier blocks
        state[_LONG_WORDS] = np.uint64(0)
        state[_LONG_SUM] = np.uint64(0)
        state[_LONG_POWER] = _ONE
    if state[_IS_DONE] == np.uint64(0):
        whole = (filled - start) // 8 * 8
        if whole:
            total, power = _hash_of_words(base + np.uint64(start), whole, state[_LONG_SUM], state[_LONG_POWER], masks)
            state[_LONG_SUM] = total
            state[_LONG_POWER] = power
            state[_LONG_WORDS] = _ONE
        rest = filled - start - whole
        for offset in range(rest):
            block[offset] = block[start + whole + offset]
        state[_LEFT_OVER] = np.uint64(rest)


@compiled
def next_shingles(address: Any, size: Any, ngram: Any, scratch: Any) -> Any:
    """Put the hashes of the next block's shingles into `scratch.shingles`; how many, or -1 after the last block.

    With `ngram` 1 the shingles are the tokens that are not empty; `state[_TOKENS]` counts all tokens of 5-grams and
    the filled ones of unigrams.
    """
    state, tokens, shingles = scratch.state, scratch.tokens, scratch.shingles
    if state[_IS_DONE] != np.uint64(0):
        return np.int64(-1)
    count = _tokens_of(_fill(address, size, scratch), scratch)
    made = np.int64(0)
    if ngram == 1:
        for i in range(count):
            shingles[made] = tokens[_CARRIED + i]
            made += np.int64(scratch.first[i] != np.uint64(0))
        state[_TOKENS] += np.uint64(made)
        return made
    held = np.int64(state[_IN_HAND])  # tokens of earlier blocks, at most 4, at the end of their place
    made = max(held + count - _CARRIED, np.int64(0))
    begin_at = _CARRIED - held
    for i in range(made):
        at = begin_at + i
        gram = tokens[at]
        gram = gram * NGRAM_BASE + tokens[at + 1]
        gram = gram * NGRAM_BASE + tokens[at + 2]
        gram = gram * NGRAM_BASE + tokens[at + 3]
        shingles[i] = gram * NGRAM_BASE + tokens[at + 4]
    now = min(held + count, np.int64(_CARRIED))
    for i in range(now):
        tokens[_CARRIED - now + i] = tokens[_CARRIED + count - now + i]
    state[_IN_HAND] = np.uint64(now)
    state[_TOKENS] += np.uint64(count)
    return made


@compiled
def token_count(scratch: Any) -> Any:
    """Return how many tokens the text had so far."""
    return np.int64(scratch.state[_TOKENS])


@compiled
def _permute(values: Any, count: Any, a: Any, b: Any, lowest: Any) -> None:
    """Lower each of the 256 minima to the smallest a * x + b (modulo 2**32) of the values, eight of them at a time."""
    while count % 8:
        values[count] = values[count - 1]
        count += 1
    for i in range(0, count, 8):
        x0, x1, x2, x3 = values[i], values[i + 1], values[i + 2], values[i + 3]
        x4, x5, x6, x7 = values[i + 4], values[i + 5], values[i + 6], values[i + 7]
        for p in range(256):
            factor, shift = a[p], b[p]
            y0 = min(np.uint32(factor * x0 + shift), np.uint32(factor * x1 + shift))
            y2 = min(np.uint32(factor * x2 + shift), np.uint32(factor * x3 + shift))
            y4 = min(np.uint32(factor * x4 + shift), np.uint32(factor * x5 + shift))
            y6 = min(np.uint32(factor * x6 + shift), np.uint32(factor * x7 + shift))
            y0, y4 = min(y0, y2), min(y4, y6)
            lowest[p] = min(lowest[p], y0, y4)


@compiled
def _values_of(made: Any, kept: Any, scratch: Any) -> Any:
    """The upper halves of the shingles through MurmurHash3's 32-bit finaliser, most repeated ones left out."""
    values, recent, shingles = scratch.values, scratch.recent, scratch.shingles
    for i in range(made):
        value = np.uint32(shingles[i] >> _SHIFT_32)
        value ^= value >> np.uint32(16)
        value = np.uint32(value * np.uint32(0x85EBCA6B))
        value ^= value >> np.uint32(13)
        value = np.uint32(value * np.uint32(0xC2B2AE35))
        value ^= value >> np.uint32(16)
        values[i] = value
    for i in range(made):
        value = values[i]
        slot = value & np.uint32(_RECENT - 1)
        values[kept] = value
        kept += np.int64(recent[slot] != value)
        recent[slot] = value
    return kept


@compiled
def signature_of(address: Any, size: Any, ngram: Any, a: Any, b: Any, lowest: Any, scratch: Any) -> Any:
    """Fill in the 256 minima of one text; how many tokens it has."""
    lowest[:] = np.uint32(0xFFFFFFFF)
    for slot in range(_RECENT):
        scratch.recent[slot] = ~np.uint32(slot)  # a value that can't be in this slot
    begin(scratch)
    while True:
        made = next_shingles(address, size, ngram, scratch)
        if made < 0:
            return token_count(scratch)
        kept = _values_of(made, np.int64(0), scratch)
        if kept:
            _permute(scratch.values, kept, a, b, lowest)


@compiled
def sign_range(
    low: Any, high: Any, texts: Any, ngram: Any, rows: Any, least: Any, a: Any, b: Any,
    tokens: Any, keys: Any, sketches: Any, scratch: Any,
) -> None:  # fmt: skip
    """Fill in tokens, band keys and, where there is room for them, sketches of a range of texts."""
    addresses, sizes = texts
    lowest = np.empty(256, dtype=np.uint32)
    for row in range(low, high):
        count = signature_of(addresses[row], sizes[row], ngram, a, b, lowest, scratch)
        tokens[row] = np.uint32(min(count, np.int64(0xFFFFFFFF)))
        if count < least:
            continue
        for band in range(keys.shape[0]):
            key = np.uint64(0)
            for column in range(band * rows, (band + 1) * rows):
                key = mixed(key + np.uint64(lowest[column]))
            keys[band, row] = key
        if len(sketches):
            for column in range(256):
                sketches[row, column] = np.uint8(np.uint32(lowest[column] * SKETCH_FACTOR) >> np.uint32(24))
