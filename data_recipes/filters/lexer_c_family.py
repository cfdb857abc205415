"""Count the comments of a Java or JavaScript file in one pass over its bytes.

They are what pygments calls Comment.Single and Comment.Multiline, with their markers and without the line feed that
ends the former. A `/*` that is never closed is no comment; a hashbang line is none either.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_recipes.engine.jit import compiled

Bytes = NDArray[np.uint8]

_QUOTE, _APOSTROPHE, _BACKTICK, _SLASH, _STAR, _BACKSLASH, _DOLLAR = 34, 39, 96, 47, 42, 92, 36
_OPEN_BRACE, _CLOSE_BRACE, _LF, _CR = 123, 125, 10, 13
_MAX_TEMPLATES = 64
_MAX_FAILURES = 32  # of regular expressions on a line that are not closed: a line of `/[/[/[…` costs linear time

_IS_WORD = np.array([c >= 128 or chr(c).isalnum() or chr(c) in "_$" for c in range(256)])
_IS_SPACE = np.array([chr(c) in " \t\f\v\r\n" for c in range(256)])
# After these a slash divides; after every other mark it opens a regular expression.
_ENDS_VALUE = np.array([chr(c) in ")]}" for c in range(256)])


def _packed(word: str) -> int:
    return int.from_bytes(word.encode(), "big")


_REGEX_AFTER = tuple(
    _packed(word)
    for word in (
        *("await", "case", "delete", "do", "else", "extends", "import", "export", "in", "new", "of", "return"),
        *("throw", "typeof", "void", "yield", "default"),
    )
)


@compiled
def _line_comment(data: Bytes, i: int, end: int) -> tuple[int, int]:
    """Where a comment that ends with its line ends, and its characters."""
    chars = 0
    while i < end and data[i] != _LF:
        if data[i] & 0xC0 != 0x80 and not (data[i] == _CR and (i + 1 == end or data[i + 1] == _LF)):
            chars += 1
        i += 1
    return i, chars


@compiled
def _block_comment(data: Bytes, i: int, end: int) -> tuple[int, int]:
    """Where a `/* … */` ends, and its characters; -1 where it is not closed. CR LF counts as one character."""
    chars = 2
    i += 2
    while i + 1 < end:
        if data[i] == _STAR and data[i + 1] == _SLASH:
            return i + 2, chars + 2
        if data[i] & 0xC0 != 0x80 and not (data[i] == _CR and data[i + 1] == _LF):
            chars += 1
        i += 1
    return -1, 0


@compiled
def _string_end(data: Bytes, i: int, end: int) -> int:
    """Where the string in quotes that opens at `i` ends; one that is not closed ends with its line."""
    quote = data[i]
    i += 1
    while i < end:
        if data[i] == _BACKSLASH:
            i += 3 if i + 2 < end and data[i + 1] == _CR and data[i + 2] == _LF else 2
        elif data[i] == quote:
            return i + 1
        elif data[i] == _LF:
            return i
        else:
            i += 1
    return end


@compiled
def _text_block_end(data: Bytes, i: int, end: int) -> int:
    """Where the Java text block that opens at `i` ends."""
    i += 3
    while i + 2 < end:
        if data[i] == _BACKSLASH:
            i += 2
        elif data[i] == _QUOTE and data[i + 1] == _QUOTE and data[i + 2] == _QUOTE:
            return i + 3
        else:
            i += 1
    return end


@compiled
def java_comment_chars(data: Bytes, start: int, end: int) -> int:
    """Return the number of characters of comments in the UTF-8 bytes of a Java file."""
    total, i, is_open = 0, start, True
    while i < end:
        c = data[i]
        following = data[i + 1] if i + 1 < end else 0
        if c == _SLASH and following == _SLASH:
            i, chars = _line_comment(data, i, end)
            total += chars
        elif c == _SLASH and following == _STAR and is_open:
            stop, chars = _block_comment(data, i, end)
            is_open = stop >= 0
            total += chars
            i = stop if is_open else i + 2
        elif c == _QUOTE and following == _QUOTE and i + 2 < end and data[i + 2] == _QUOTE:
            i = _text_block_end(data, i, end)
        elif c in (_QUOTE, _APOSTROPHE):
            i = _string_end(data, i, end)
        else:
            i += 1
    return total


@compiled
def _regex_end(data: Bytes, i: int, end: int) -> int:
    """Where the regular expression that opens at `i` ends; -1 if there is none on this line."""
    in_class = False
    i += 1
    while i < end and data[i] != _LF:
        c = data[i]
        if c == _BACKSLASH:
            i += 1
        elif c == 91:
            in_class = True
        elif c == 93:
            in_class = False
        elif c == _SLASH and not in_class:
            return i + 1
        i += 1
    return -1


@compiled
def _template_end(data: Bytes, i: int, end: int) -> int:
    """Where the text of a template literal from `i` on ends: after its backtick, or after the `${` that interrupts it."""
    while i < end:
        c = data[i]
        if c == _BACKSLASH:
            i += 2
        elif c == _BACKTICK:
            return i + 1
        elif c == _DOLLAR and i + 1 < end and data[i + 1] == _OPEN_BRACE:
            return i + 2
        else:
            i += 1
    return end


@compiled
def _word_allows_regex(data: Bytes, i: int, stop: int) -> bool:
    """Whether a slash after this word opens a regular expression: after `return`, not after a name or number."""
    if stop - i > 7:
        return False
    packed = 0
    for k in range(i, stop):
        packed = packed * 256 + data[k]
    return packed in _REGEX_AFTER


@compiled
def _word_end(data: Bytes, i: int, end: int) -> int:
    """Where a name or number ends."""
    while i < end and _IS_WORD[data[i]]:
        i += 1
    return i


@compiled
def _skip_hashbang(data: Bytes, i: int, end: int) -> int:
    """The first byte after a hashbang line."""
    if end - i > 1 and data[i] == 35 and data[i + 1] == 33:
        while i < end and data[i] != _LF:
            i += 1
    return i


@compiled
def _brace(c: int, depths: Any, level: int) -> bool:
    """Count braces inside a template's `${…}`; True where its own one closes."""
    if level == 0:
        return False
    if c == _OPEN_BRACE:
        depths[level - 1] += 1
        return False
    depths[level - 1] -= 1
    return bool(depths[level - 1] < 0)


@compiled
def javascript_comment_chars(data: Bytes, start: int, end: int) -> int:
    """Return the number of characters of comments in the UTF-8 bytes of a JavaScript file."""
    total, is_open, may_be_regex, failures = 0, True, True, 0
    depths, level = np.zeros(_MAX_TEMPLATES, np.int64), 0  # open braces inside each `${` that is open
    i = _skip_hashbang(data, start, end)
    while i < end:
        c = data[i]
        following = data[i + 1] if i + 1 < end else 0
        if _IS_SPACE[c]:
            # As pygments has it: a slash that begins a line opens a regular expression, if one is closed there.
            may_be_regex = may_be_regex or c == _LF
            failures = 0 if c == _LF else failures
            i += 1
        elif c == _SLASH and following == _SLASH:
            i, chars = _line_comment(data, i, end)
            total += chars
        elif c == _SLASH and following == _STAR and is_open:
            stop, chars = _block_comment(data, i, end)
            is_open = stop >= 0
            total += chars
            i = stop if is_open else i + 2
        elif c == _SLASH:
            stop = _regex_end(data, i, end) if may_be_regex and failures < _MAX_FAILURES else -1
            failures += may_be_regex and stop < 0
            may_be_regex = stop < 0
            i = stop if stop >= 0 else i + 1
        elif c in (_QUOTE, _APOSTROPHE):
            i, may_be_regex = _string_end(data, i, end), False
        elif _IS_WORD[c]:
            stop = _word_end(data, i, end)
            may_be_regex = _word_allows_regex(data, i, stop)
            i = stop
        else:
            is_text = c == _BACKTICK or (c in (_OPEN_BRACE, _CLOSE_BRACE) and _brace(c, depths, level))
            level -= is_text and c == _CLOSE_BRACE
            may_be_regex = not _ENDS_VALUE[c]
            i += 1
            if is_text:
                i = _template_end(data, i, end)
                may_be_regex = data[i - 1] == _OPEN_BRACE
                if may_be_regex and level < _MAX_TEMPLATES:
                    depths[level] = 0
                    level += 1
    return total
