"""Compiled: the search for benchmark strings and for 13 words in a row; `matcher.py` does it in NumPy."""

from typing import Any

import numpy as np

from data_recipes.engine.jit import compiled, inlined
from data_recipes.engine.jit_simd import copy_64_lowered, load_byte, load_word
from data_recipes.engine.jit_tokens import begin_lowered, next_shingles
from data_recipes.engine.shingles import NGRAM_BASE

BLOCK = 1 << 14
WINDOW = 8
HASH = np.uint64(0x9E3779B97F4A7C15)
TABLE_BITS = 20  # 128 KiB of bits, in the second-level cache
_SHIFT = np.uint64(64 - TABLE_BITS)
_ONE = np.uint64(1)


@inlined
def _may_hold(bits: Any, value: Any) -> Any:
    """Whether a value may be in the set that a table of bits stands for."""
    place = (value * HASH) >> _SHIFT
    return (bits[place >> np.uint64(6)] >> (place & np.uint64(63))) & _ONE


@compiled
def fill_bits(bits: Any, values: Any) -> None:
    """Set the bit of each value."""
    for value in values:
        place = (value * HASH) >> _SHIFT
        bits[place >> np.uint64(6)] |= _ONE << (place & np.uint64(63))


@inlined
def _lowered(byte: Any) -> Any:
    return byte | 0x20 if byte >= 65 and byte <= 90 else byte


@compiled
def _is_there(address: Any, size: Any, start: Any, data: Any, begin: Any, end: Any) -> Any:
    """Whether a string stands at a place of a text, ignoring ASCII case."""
    if start < 0 or start + end - begin > size:
        return False
    for place in range(end - begin):
        if _lowered(np.int64(load_byte(address + np.uint64(start + place)))) != np.int64(data[begin + place]):
            return False
    return True


@compiled
def _search(address: Any, size: Any, strings: Any, row: Any, stamps: Any, hits: Any, count: Any, block: Any) -> Any:
    """Append the numbers of the strings that are in a text."""
    bits, values, firsts, numbers, offsets, data, begins = strings
    target = np.uint64(block.ctypes.data)
    for position in range(0, size - WINDOW + 1, BLOCK):
        held = min(BLOCK + WINDOW - 1, size - position)
        whole = held // 64 * 64
        for offset in range(0, whole, 64):
            copy_64_lowered(target + np.uint64(offset), address + np.uint64(position + offset))
        for offset in range(whole, held):
            block[offset] = _lowered(np.int64(load_byte(address + np.uint64(position + offset))))
        for offset in range(held - WINDOW + 1):
            value = load_word(target + np.uint64(offset))
            if not _may_hold(bits, value):
                continue
            at = np.searchsorted(values, value)
            if at == len(values) or values[at] != value:
                continue
            for entry in range(firsts[at], firsts[at + 1]):
                number = numbers[entry]
                if stamps[number] != row + 1 and _is_there(
                    address, size, position + offset - offsets[entry], data, begins[number], begins[number + 1]
                ):
                    stamps[number] = row + 1
                    hits[count, 0] = row
                    hits[count, 1] = number
                    count += 1
    return count


@compiled
def _search_grams(
    address: Any, size: Any, grams: Any, row: Any, hits: Any, count: Any, held: Any, scratch: Any
) -> Any:  # fmt: skip
    """Append the numbers of the grams that are in a text, each time they are met, as long as there is room."""
    bits, values, length, top = grams
    begin_lowered(scratch)
    seen, gram = np.int64(0), np.uint64(0)
    while True:
        made = next_shingles(address, size, 1, scratch)
        if made < 0:
            return count
        for i in range(made):
            token = scratch.shingles[i]
            slot = seen % length
            if seen >= length:
                gram -= held[slot] * top
            gram = gram * NGRAM_BASE + token
            held[slot] = token
            seen += 1
            if seen < length or not _may_hold(bits, gram):
                continue
            at = np.searchsorted(values, gram)
            if at < len(values) and values[at] == gram and count < len(hits):
                hits[count, 0] = row
                hits[count, 1] = at
                count += 1


@compiled
def find_strings(low: Any, high: Any, texts: Any, strings: Any, stamps: Any, hits: Any, block: Any) -> Any:
    """Search a range of texts until `hits` may not hold another text's; how many hits, and the next text."""
    addresses, sizes = texts
    count, most = np.int64(0), len(stamps)
    for row in range(low, high):
        if count + most > len(hits):
            return count, row
        count = _search(addresses[row], sizes[row], strings, row, stamps, hits, count, block)
    return count, high


@compiled
def find_grams(low: Any, high: Any, texts: Any, grams: Any, hits: Any, held: Any, scratch: Any) -> Any:
    """Search a range of texts for grams; how many hits, and the next text. One text has half of the room at most."""
    addresses, sizes = texts
    count = np.int64(0)
    for row in range(low, high):
        if count > len(hits) // 2:
            return count, row
        count = _search_grams(addresses[row], sizes[row], grams, row, hits, count, held, scratch)
    return count, high
