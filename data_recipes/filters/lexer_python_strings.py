"""Find where a Python string literal ends, and how long it is as a docstring."""

import numpy as np
from numpy.typing import NDArray

from data_recipes.engine.jit import compiled

Bytes = NDArray[np.uint8]


@compiled
def string_end(data: Bytes, i: int, end: int) -> int:
    """Return where the string literal that opens at `i` ends; -1 for a triple-quoted one that does not.

    One in single quotes ends with its line.
    """
    quote = data[i]
    triple = i + 2 < end and data[i + 1] == quote and data[i + 2] == quote
    i += 3 if triple else 1
    while i < end:
        c = data[i]
        if c == 92:  # backslash
            i += 3 if i + 2 < end and data[i + 1] == 13 and data[i + 2] == 10 else 2
        elif c == quote:
            if not triple:
                return i + 1
            if i + 2 < end and data[i + 1] == quote and data[i + 2] == quote:
                return i + 3
            i += 1
        elif not triple and c in (10, 13):
            return i
        else:
            i += 1
    return -1 if triple else end


@compiled
def _value(data: Bytes, i: int, end: int, is_raw: bool) -> tuple[int, int]:
    """The next character of a string's value (1 for any that is neither whitespace nor newline, 0 for none), and where it ends."""
    c = data[i]
    if c == 13:
        return 10, i + 2 if i + 1 < end and data[i + 1] == 10 else i + 1
    if c != 92 or is_raw or i + 1 >= end:
        k = i + 1
        while k < end and data[k] & 0xC0 == 0x80:
            k += 1
        return (c if c in (9, 10, 32) else 1), k
    escape, k = data[i + 1], i + 2
    if escape in (10, 13):  # a joined line
        return 0, k + 1 if escape == 13 and k < end and data[k] == 10 else k
    if escape == 120:  # \xhh
        k += 2
    elif escape == 117:  # \uhhhh
        k += 4
    elif escape == 85:  # \Uhhhhhhhh
        k += 8
    elif 48 <= escape < 56:
        while k < min(i + 4, end) and 48 <= data[k] < 56:
            k += 1
    elif escape == 78 and k < end and data[k] == 123:  # \N{name}
        while k < end and data[k] != 125:
            k += 1
        k += 1
    while k < end and data[k] & 0xC0 == 0x80:
        k += 1
    return (10 if escape == 110 else 9 if escape == 116 else 1), min(k, end)


@compiled
def _margin(data: Bytes, i: int, end: int, is_raw: bool) -> int:
    """The smallest indentation of a docstring's lines after the first that are not blank."""
    margin, column, line, is_blank = 1 << 30, 0, 0, True
    while i < end:
        value, i = _value(data, i, end, is_raw)
        if value == 10:
            line, column, is_blank = line + 1, 0, True
        elif value == 9:
            column += 8 - column % 8
        elif value == 32:
            column += 1
        elif value == 1 and is_blank:
            is_blank = False
            if line:
                margin = min(margin, column)
    return margin


@compiled
def cleaned_length(data: Bytes, i: int, end: int, is_raw: bool) -> int:
    """Return how many characters `inspect.cleandoc` leaves of the string value between `i` and `end`."""
    margin = _margin(data, i, end, is_raw)
    total, newlines, line, column, first_text = 0, 0, 0, 0, -1
    while i < end:
        value, i = _value(data, i, end, is_raw)
        if value == 10:
            length = _line_length(column, line, margin, first_text)
            if length or total:
                total += length + newlines if length else 0
                newlines = newlines + 1 if not length else 1
            line, column, first_text = line + 1, 0, -1
        elif value:
            if value == 1 and first_text < 0:
                first_text = column
            column += 8 - column % 8 if value == 9 else 1
    length = _line_length(column, line, margin, first_text)
    return total + newlines + length if length else total


@compiled
def _line_length(column: int, line: int, margin: int, first_text: int) -> int:
    """A line's length without its margin; the first line loses all its leading whitespace."""
    if line == 0:
        return column - first_text if first_text >= 0 else 0
    return max(0, column - margin) if margin < 1 << 30 else column
