"""Count the comments and docstrings of a Python file in one pass over its bytes.

It counts what tokenize and ast give together: comments without their `#`, and the docstrings of modules, classes and
functions as `inspect.cleandoc` leaves them. Where tokenize stops (an open bracket or string at the end of the file, a
dedent to no level) nothing is counted; where Python 3 would not parse the file, and one of its signs is seen (print
statements, `except A, e`, backticks, `$`, inconsistent tabs …), no docstring is.
"""

from typing import Any

import numpy as np

from data_recipes.engine.jit import compiled
from data_recipes.filters.lexer_python_strings import Bytes, cleaned_length, string_end

_OTHER, _SPACE, _NEWLINE, _WORD, _OPEN, _CLOSE, _QUOTE, _HASH, _COLON, _SEMICOLON, _BACKSLASH = range(11)


def _classes() -> Bytes:
    table = np.zeros(256, np.uint8)
    table[[ord(c) for c in " \t\f"]] = _SPACE
    table[[ord(c) for c in "\r\n"]] = _NEWLINE
    table[[c for c in range(256) if c >= 128 or chr(c).isalnum() or c == ord("_")]] = _WORD
    table[[ord(c) for c in "([{"]] = _OPEN
    table[[ord(c) for c in ")]}"]] = _CLOSE
    table[[ord(c) for c in "\"'"]] = _QUOTE
    for char, kind in (("#", _HASH), (":", _COLON), (";", _SEMICOLON), ("\\", _BACKSLASH)):
        table[ord(char)] = kind
    return table


_CLASS = _classes()

# What is remembered between tokens: one slot each of a small array.
_DEPTH = 0  # open brackets
_BEGINS = 1  # the next token begins a statement
_DOC_MAY_FOLLOW = 2  # only a docstring's place: the start of the file, or right after a header's colon
_KEYWORD = 3  # the keyword that the statement began with
_PENDING = 4  # a string that is a docstring if its statement ends now; 1 + its cleaned length
_DOC_CHARS, _DOC_COUNT = 5, 6
_COMMENT_CHARS, _LEADING, _TRAILING = 7, 8, 9  # of the comments' text, and its whitespace at both ends
_UNPARSABLE = 10  # a sign that Python 3 does not parse the file
_LEVELS = 11  # how many indents are open
_SLOTS = 12
_MAX_LEVELS = 100  # tokenizer.c's own limit
_DEF, _ASYNC, _COMMA_ENDS = 1, 2, 3


def _packed(word: str) -> int:
    return int.from_bytes(word.encode(), "big")


_W_DEF, _W_CLASS, _W_ASYNC, _W_LAMBDA = _packed("def"), _packed("class"), _packed("async"), _packed("lambda")
_W_PRINT, _W_EXEC, _W_EXCEPT, _W_RAISE = _packed("print"), _packed("exec"), _packed("except"), _packed("raise")
_OPERATORS = tuple(_packed(word) for word in ("in", "is", "if", "and", "or", "for", "else"))


@compiled
def _read_word(data: Bytes, start: int, end: int) -> int:
    """A word of at most six bytes as one number, big-endian; 0 for a longer one."""
    if end - start > 6:
        return 0
    packed = 0
    for k in range(start, end):
        packed = packed * 256 + data[k]
    return packed


@compiled
def _finish_statement(state: Any) -> None:
    """A statement ends: a string that stood alone at a docstring's place is one."""
    if state[_PENDING] > 1:
        state[_DOC_CHARS] += state[_PENDING] - 1
        state[_DOC_COUNT] += 1
    state[_PENDING] = 0
    state[_KEYWORD] = 0
    state[_BEGINS] = 1


@compiled
def _go_on(state: Any) -> None:
    """A token that is no docstring was seen."""
    state[_BEGINS] = 0
    state[_DOC_MAY_FOLLOW] = 0
    state[_PENDING] = 0


@compiled
def _comment(data: Bytes, i: int, end: int, state: Any) -> int:
    """Count a comment's characters other than `#`; where it ends."""
    while i < end and data[i] != 10 and data[i] != 13:
        c = data[i]
        i += 1
        if c == 35 or c & 0xC0 == 0x80:
            continue
        if c in (32, 9, 12):
            state[_LEADING] += state[_COMMENT_CHARS] == state[_LEADING]
            state[_TRAILING] += 1
        else:
            state[_TRAILING] = 0
        state[_COMMENT_CHARS] += 1
    return i


@compiled
def _string(data: Bytes, start: int, i: int, end: int, state: Any) -> int:
    """A string literal with its prefix from `start` to the quote at `i`; where it ends, -1 if it does not."""
    stop = string_end(data, i, end)
    if stop < 0:
        return -1
    is_raw, is_text = False, True
    for k in range(start, i):
        letter = data[k] | 32
        is_raw = is_raw or letter == 114
        is_text = is_text and letter not in (98, 102, 116)  # b, f, t
    if i - start == 2 and data[start] | 32 == 117:  # ur"…" is Python 2
        state[_UNPARSABLE] = 1
    is_doc = state[_DEPTH] == 0 and is_text and (state[_PENDING] > 0 or (state[_BEGINS] and state[_DOC_MAY_FOLLOW]))
    if not is_doc:
        _go_on(state)
        return stop
    quotes = 3 if stop - i >= 6 and data[i + 1] == data[i] and data[i + 2] == data[i] else 1
    if stop - i < 2 or data[stop - 1] != data[i]:  # cut off by the end of its line
        state[_UNPARSABLE] = 1
    length = cleaned_length(data, i + quotes, stop - quotes, is_raw)
    state[_PENDING] = max(1, state[_PENDING]) + length
    state[_BEGINS] = 0
    state[_DOC_MAY_FOLLOW] = 0
    return stop


@compiled
def _has_bare_argument(data: Bytes, i: int, end: int) -> bool:
    """Whether `print` or `exec` is followed by a value and not by an operator or a bracket: a statement of Python 2."""
    while i < end and (data[i] == 32 or data[i] == 9):
        i += 1
    if i >= end:
        return False
    if _CLASS[data[i]] == _QUOTE:
        return True
    if _CLASS[data[i]] != _WORD:
        return False
    k = i
    while k < end and _CLASS[data[k]] == _WORD:
        k += 1
    return _read_word(data, i, k) not in _OPERATORS


@compiled
def _continues_number(data: Bytes, start: int) -> bool:
    """Whether the digits at `start` are a fraction or an exponent: .05, 1e-06."""
    if start == 0:
        return False
    before = data[start - 1]
    return before == 46 or (before in (43, 45) and start > 1 and data[start - 2] | 32 == 101)


@compiled
def _is_old_number(data: Bytes, start: int, i: int, end: int) -> bool:
    """Whether a number is an octal or long one of Python 2: 0755, 10L."""
    if data[i - 1] | 32 == 108:
        return True
    if data[start] != 48 or i - start < 2 or (i < end and data[i] == 46):
        return False
    is_zero = True
    for k in range(start, i):
        if not 48 <= data[k] < 58:
            return False
        is_zero = is_zero and data[k] == 48
    return not is_zero


@compiled
def _word(data: Bytes, start: int, end: int, state: Any) -> int:
    """A name, keyword, number or prefixed string; where it ends, -1 for a string that does not."""
    i = start
    while i < end and _CLASS[data[i]] == _WORD:
        i += 1
    if i < end and i - start <= 2 and _CLASS[data[i]] == _QUOTE:
        is_prefix = True
        for k in range(start, i):
            is_prefix = is_prefix and data[k] | 32 in (98, 102, 114, 116, 117)  # b f r t u
        if is_prefix:
            return _string(data, start, i, end, state)
    if 48 <= data[start] < 58:
        state[_UNPARSABLE] |= not _continues_number(data, start) and _is_old_number(data, start, i, end)
    elif _read_word(data, start, i) == _W_LAMBDA:
        state[_UNPARSABLE] |= _next_is(data, i, end, 40)
    elif state[_BEGINS] or state[_KEYWORD] == _ASYNC:
        _first_word(data, start, i, end, state)
    _go_on(state)
    return i


@compiled
def _next_is(data: Bytes, i: int, end: int, char: int) -> bool:
    """Whether the next character that is no space is this one."""
    while i < end and data[i] == 32:
        i += 1
    return i < end and data[i] == char


@compiled
def _first_word(data: Bytes, start: int, i: int, end: int, state: Any) -> None:
    """Remember the keyword that a statement begins with."""
    word = _read_word(data, start, i)
    state[_KEYWORD] = 0
    if word in (_W_DEF, _W_CLASS):
        state[_KEYWORD] = _DEF
    elif word == _W_ASYNC:
        state[_KEYWORD] = _ASYNC
    elif word in (_W_PRINT, _W_EXEC):
        state[_UNPARSABLE] |= _has_bare_argument(data, i, end)
    elif word in (_W_EXCEPT, _W_RAISE):
        state[_KEYWORD] = _COMMA_ENDS


@compiled
def _operator(data: Bytes, i: int, end: int, state: Any) -> int:
    """An operator, or a character that Python has none for; where it ends."""
    c = data[i]
    following = data[i + 1] if i + 1 < end else 0
    if (
        c in (36, 63, 96)  # $ ? `
        or (c == 33 and following != 61)
        or (c == 60 and following == 62)
        or (c == 44 and state[_KEYWORD] == _COMMA_ENDS and state[_DEPTH] == 0)
    ):
        state[_UNPARSABLE] = 1
    _go_on(state)
    return i + (2 if c == 33 else 1)


@compiled
def _indent(column: int, alternative: int, indents: Any, state: Any) -> bool:
    """Take a statement's indentation; False where it returns to a level that never was."""
    top = state[_LEVELS]
    if column > indents[0, top]:
        if alternative <= indents[1, top] or top + 1 >= _MAX_LEVELS:
            state[_UNPARSABLE] = 1
        top = min(top + 1, _MAX_LEVELS - 1)
        indents[0, top], indents[1, top] = column, alternative
    while column < indents[0, top]:
        top -= 1
    state[_LEVELS] = top
    state[_UNPARSABLE] |= alternative != indents[1, top]
    return column == indents[0, top]


@compiled
def _structure(kind: int, state: Any) -> None:
    """A bracket, colon or semicolon."""
    if kind == _OPEN:
        state[_DEPTH] += 1
    elif kind == _CLOSE:
        state[_DEPTH] -= 1
    if state[_DEPTH] == 0 and kind == _COLON and state[_KEYWORD] == _DEF:
        _finish_statement(state)
        state[_DOC_MAY_FOLLOW] = 1
        return
    if state[_DEPTH] == 0 and kind == _SEMICOLON:
        _finish_statement(state)
        state[_DOC_MAY_FOLLOW] = 0
        return
    _go_on(state)


@compiled
def python_text_chars(data: Bytes, start: int, end: int) -> int:
    """Return the number of characters of comments and docstrings in the UTF-8 bytes of a Python file."""
    state = np.zeros(_SLOTS, np.int64)
    indents = np.zeros((2, _MAX_LEVELS), np.int64)
    state[_BEGINS] = state[_DOC_MAY_FOLLOW] = 1
    i, column, alternative, at_line_start = start, 0, 0, True
    if end - start > 2 and data[i] == 0xEF and data[i + 1] == 0xBB and data[i + 2] == 0xBF:
        i += 3
    while i < end:
        kind = _CLASS[data[i]]
        if kind == _SPACE:
            if at_line_start:
                tab = data[i] == 9
                alternative += 1
                column = 0 if data[i] == 12 else column + 8 - column % 8 if tab else column + 1
                alternative = 0 if data[i] == 12 else alternative
            i += 1
            continue
        if kind == _NEWLINE:
            if state[_DEPTH] == 0 and not at_line_start:
                _finish_statement(state)
            at_line_start, column, alternative = state[_DEPTH] == 0, 0, 0
            i += 1
            continue
        if kind == _HASH:
            i = _comment(data, i, end, state)
            continue
        if at_line_start:
            at_line_start = False
            if not _indent(column, alternative, indents, state):
                return 0
        if kind == _WORD:
            i = _word(data, i, end, state)
        elif kind == _QUOTE:
            i = _string(data, i, i, end, state)
        elif kind == _BACKSLASH:
            i += 3 if i + 2 < end and data[i + 1] == 13 and data[i + 2] == 10 else 2
        elif kind == _OTHER:
            i = _operator(data, i, end, state)
        else:
            _structure(kind, state)
            i += 1
        if i < 0:
            return 0
    return _total(state)


@compiled
def _total(state: Any) -> int:
    """Docstrings and comments, joined by newlines and stripped, as the reference joins them."""
    if state[_DEPTH] != 0:
        return 0
    _finish_statement(state)
    comments = state[_COMMENT_CHARS] - state[_TRAILING]
    if state[_UNPARSABLE] or not state[_DOC_COUNT]:
        return max(0, comments - state[_LEADING])
    return state[_DOC_CHARS] + state[_DOC_COUNT] - 1 + (comments + 1 if comments else 0)
