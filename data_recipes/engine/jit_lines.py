"""Compiled: the line statistics and flags that `line_scan.py` defines, 64 bytes of UTF-8 at a time."""

from typing import Any

import numpy as np

from data_recipes.engine.jit import compiled, inlined
from data_recipes.engine.jit_simd import (
    alnum_mask,
    continuation_mask,
    high_mask,
    less_than_sign_mask,
    load_byte,
    newline_mask,
    ones,
    trailing_zeros,
)

_ONE = np.uint64(1)
_ZERO = np.uint64(0)
_FILLER = np.uint8(0x80)  # counts as no character
_XML = np.frombuffer(b"<?xml version=", dtype=np.uint8)
_XML_CHARS = 100


@inlined
def _byte(address: Any, offset: Any) -> Any:
    return np.int64(load_byte(address + np.uint64(offset)))


@compiled
def _code_point(address: Any, position: Any, size: Any) -> Any:
    """The character whose first byte, outside ASCII, is at a position; 0 where its bytes end too early."""
    first = _byte(address, position)
    more = 3 if first >= 0xF0 else 2 if first >= 0xE0 else 1
    if position + more >= size or first < 0xC0:
        return np.int64(0)
    point = first & (0x3F >> more)
    for offset in range(1, more + 1):
        point = (point << 6) | (_byte(address, position + offset) & 0x3F)
    return point


@compiled
def _is_xml(address: Any, size: Any) -> Any:
    chars, length = 0, len(_XML)
    for start in range(size - length + 1):
        chars += (_byte(address, start) & 0xC0) != 0x80
        if chars + length - 1 > _XML_CHARS:
            return False
        place = 0
        while place < length and _byte(address, start + place) == _XML[place]:
            place += 1
        if place == length:
            return True
    return False


@compiled
def _is_tag(address: Any, position: Any, size: Any) -> Any:
    if position + 1 >= size:
        return False
    after = _byte(address, position + 1)
    lower = after | 0x20
    return (lower >= 97 and lower <= 122) or after == 47 or after == 33 or after == 63


@compiled
def _scan(address: Any, size: Any, alphanumeric: Any, tail: Any) -> Any:
    """Characters, line feeds, the longest line, letters and digits, and whether there is a tag, of one text."""
    chars = newlines = longest = line = letters = np.int64(0)
    has_tag = False
    for position in range(0, size, 64):
        block = address + np.uint64(position)
        if position + 64 > size:
            tail[:] = _FILLER
            for offset in range(size - position):
                tail[offset] = load_byte(block + np.uint64(offset))
            block = np.uint64(tail.ctypes.data)
        starts = ~continuation_mask(block)
        chars += ones(starts)
        letters += ones(alnum_mask(block))
        ends = newline_mask(block)
        newlines += ones(ends)
        rest = starts
        while ends != _ZERO:
            before = (ends & (~ends + _ONE)) - _ONE
            longest = max(longest, line + ones(rest & before))
            line = np.int64(0)
            ends &= ends - _ONE
            rest &= ~(before | (before + _ONE))
        line += ones(rest)
        if not has_tag:
            signs = less_than_sign_mask(block)
            while signs != _ZERO and not has_tag:
                has_tag = _is_tag(address, position + trailing_zeros(signs), size)
                signs &= signs - _ONE
        wide = high_mask(block) & starts
        while wide != _ZERO:
            letters += alphanumeric[_code_point(address, position + trailing_zeros(wide), size)]
            wide &= wide - _ONE
    if size and _byte(address, size - 1) == 10:
        return chars, newlines, newlines, longest, letters, has_tag
    return chars, newlines, newlines + 1, max(longest, line), letters, has_tag


@compiled
def scan_range(low: Any, high: Any, texts: Any, alphanumeric: Any, found: Any, tail: Any) -> None:
    """Fill in what is found in a range of texts."""
    addresses, sizes = texts
    averages, longests, shares, xmls, tags = found
    for row in range(low, high):
        if sizes[row] == 0:
            continue
        chars, newlines, lines, longest, letters, has_tag = _scan(addresses[row], sizes[row], alphanumeric, tail)
        averages[row] = (chars - newlines) / lines
        longests[row] = longest
        shares[row] = letters / chars if chars else 0.0
        xmls[row] = _is_xml(addresses[row], sizes[row])
        tags[row] = has_tag


@compiled
def are_wide(addresses: Any, sizes: Any) -> Any:
    """Return which texts hold a byte outside ASCII."""
    found = np.zeros(len(sizes), dtype=np.bool_)
    for row in range(len(sizes)):
        address, whole = addresses[row], sizes[row] // 64 * 64
        wide = _ZERO
        for offset in range(0, whole, 64):
            wide |= high_mask(address + np.uint64(offset))
        for offset in range(whole, sizes[row]):
            wide |= np.uint64(load_byte(address + np.uint64(offset)) & _FILLER)
        found[row] = wide != _ZERO
    return found
