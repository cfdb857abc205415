"""Count the comments of a file in any language of `comment_syntax`, in one pass over its bytes.

Comments count with their marks and without the line end. A hashbang is none. What a broken file does to the rest of it
is bounded: a string that is not closed on its line is no string, and searches that fail are counted.
"""

from typing import Any

from data_recipes.engine.jit import compiled
from data_recipes.filters import comment_syntax as syntax
from data_recipes.filters.lexer_c_family import Bytes

_LINE, _BLOCK, _STRING, _CHARACTER = syntax.LINE, syntax.BLOCK, syntax.STRING, syntax.CHARACTER
_RAW_CPP, _RAW_RUST, _LONG_COMMENT = syntax.RAW_CPP, syntax.RAW_RUST, syntax.LONG_COMMENT
_HEREDOC, _QUOTED = syntax.HEREDOC, syntax.QUOTED
_NESTED, _MULTILINE, _FIRST_ON_LINE, _IN_FIRST_COLUMN = (
    syntax.NESTED,
    syntax.MULTILINE,
    syntax.FIRST_ON_LINE,
    syntax.IN_FIRST_COLUMN,
)
_AFTER_BLANK, _NOT_AFTER_WORD, _CONTINUED, _WORD, _AT_ONCE = (
    syntax.AFTER_BLANK,
    syntax.NOT_AFTER_WORD,
    syntax.CONTINUED,
    syntax.WORD,
    syntax.AT_ONCE,
)
_OPENS, _OPEN_BYTES, _KIND, _CLOSES, _CLOSE_BYTES, _ESCAPE, _FLAGS, _NEXT = range(8)
_LF, _CR, _BACKSLASH, _APOSTROPHE, _PARENTHESIS, _HASH = 10, 13, 92, 39, 40, 35
_MAX_LEVELS, _MAX_CHARACTER, _MAX_DELIMITER = 64, 12, 128
_MAX_FAILURES = 32  # of searches that read on: on a line for quotes, in a file for here-documents


@compiled
def _at(data: Bytes, i: int, end: int, word: int, count: int) -> bool:
    """Whether these bytes are here."""
    if i + count > end:
        return False
    k = 0
    while k < count and data[i + k] == (word >> (8 * k)) & 255:
        k += 1
    return k == count


@compiled
def _is_word(c: int) -> bool:
    return c >= 128 or c == 95 or 48 <= c <= 57 or 65 <= c <= 90 or 97 <= c <= 122


@compiled
def _chars(data: Bytes, start: int, stop: int) -> int:
    """The number of characters, of which CR LF is one."""
    count = 0
    for k in range(start, stop):
        count += data[k] & 0xC0 != 0x80 and not (data[k] == _CR and k + 1 < stop and data[k + 1] == _LF)
    return count


@compiled
def _line_end(data: Bytes, i: int, end: int, is_continued: bool) -> int:
    """Where a line comment ends: at its line's end, or with a backslash there at that of the next."""
    while i < end:
        if data[i] == _LF:
            before = i - 1 - (data[i - 1] == _CR)
            if not (is_continued and data[before] == _BACKSLASH):
                return i
        i += 1
    return end


@compiled
def _block_end(data: Bytes, i: int, end: int, mark: Any) -> Any:
    """Where a block comment ends; one that is not closed ends with the file."""
    level = 1
    i += mark[_OPEN_BYTES]
    first_close, first_open = mark[_CLOSES] & 255, mark[_OPENS] & 255
    while i < end:
        if data[i] == first_close and _at(data, i, end, mark[_CLOSES], mark[_CLOSE_BYTES]):
            i += mark[_CLOSE_BYTES]
            level -= 1
            if level == 0:
                return i
        elif (
            mark[_FLAGS] & _NESTED
            and data[i] == first_open
            and level < _MAX_LEVELS
            and _at(data, i, end, mark[_OPENS], mark[_OPEN_BYTES])
        ):
            i += mark[_OPEN_BYTES]
            level += 1
        else:
            i += 1
    return end


@compiled
def _string_end(data: Bytes, i: int, end: int, mark: Any) -> Any:
    """Where a string ends, -1 where it is not closed on the line that it must end on."""
    i += mark[_OPEN_BYTES]
    first = mark[_CLOSES] & 255
    while i < end:
        c = data[i]
        if c == mark[_ESCAPE]:
            i += 2
        elif c == first and _at(data, i, end, mark[_CLOSES], mark[_CLOSE_BYTES]):
            return i + mark[_CLOSE_BYTES]
        elif c == _LF and not mark[_FLAGS] & _MULTILINE:
            return -1
        else:
            i += 1
    return end if mark[_FLAGS] & _MULTILINE else -1


@compiled
def _character_end(data: Bytes, i: int, end: int) -> int:
    r"""Where `'x'` or `'\…'` ends, -1 where this apostrophe is none of a character."""
    k = i + 1
    if k < end and data[k] == _BACKSLASH:
        k += 2
        while k < end and k - i < _MAX_CHARACTER and data[k] not in (_APOSTROPHE, _LF):
            k += 1
    else:
        k += 1
        while k < end and data[k] & 0xC0 == 0x80:
            k += 1
    return k + 1 if k < end and data[k] == _APOSTROPHE else -1


@compiled
def _raw_end(data: Bytes, i: int, end: int, is_cpp: bool) -> int:
    """Where `R"x(…)x"` or `r#"…"#` ends, -1 where there is none."""
    begin = i + 2 if is_cpp else i + 1
    k = begin
    stop_at = _PARENTHESIS if is_cpp else 34
    while k < end and k - begin <= _MAX_DELIMITER and data[k] != stop_at:
        if not is_cpp and data[k] != _HASH:
            return -1
        k += 1
    if k >= end or data[k] != stop_at:
        return -1
    count = k - begin
    k += 1
    while k + count < end:
        if data[k] == (41 if is_cpp else 34):
            m = 0
            while m < count and data[k + 1 + m] == data[begin + m]:
                m += 1
            if m == count and (not is_cpp or (k + 1 + count < end and data[k + 1 + count] == 34)):
                return k + 1 + count + is_cpp
        k += 1
    return end


@compiled
def _long_end(data: Bytes, bracket: int, end: int) -> int:
    """Where Lua's `[==[…]==]` ends whose first bracket is at `bracket`, -1 where there is none."""
    k = bracket + 1
    while k < end and data[k] == 61:
        k += 1
    count = k - bracket - 1
    if k >= end or data[k] != 91 or count > _MAX_DELIMITER:
        return -1
    k += 1
    while k < end:
        if data[k] == 93:
            m = 0
            while k + 1 + m < end and m < count and data[k + 1 + m] == 61:
                m += 1
            if m == count and k + 1 + m < end and data[k + 1 + m] == 93:
                return k + 2 + m
        k += 1
    return end


@compiled
def _heredoc_name(data: Bytes, i: int, end: int) -> tuple[int, int]:
    """Where the name of the here-document that `<<` opens begins and ends; equal numbers where it opens none."""
    k = i + 2
    while k < end and data[k] in (60, 45, 126, 32) and k - i < 6:  # < - ~ and a blank
        if data[k] == 32 and (k + 1 >= end or data[k + 1] not in (34, 39)) and data[k - 1] != 60:
            return i, i
        k += 1
    if k < end and data[k] in (34, 39, _BACKSLASH):
        k += 1
    begin = k
    if k >= end or not (_is_word(data[k]) and not 48 <= data[k] <= 57):
        return i, i
    while k < end and _is_word(data[k]) and k - begin < _MAX_DELIMITER:
        k += 1
    return begin, k


@compiled
def _after_heredoc(data: Bytes, i: int, end: int, name: int, name_end: int) -> int:
    """Where the line of the name that ends a here-document ends, -1 where there is none. `i` is at a line's begin."""
    count = name_end - name
    while i < end:
        k = i
        while k < end and data[k] in (32, 9):
            k += 1
        m = 0
        while m < count and k + m < end and data[k + m] == data[name + m]:
            m += 1
        if m == count and (k + m >= end or not _is_word(data[k + m])):
            return k + m
        while i < end and data[i] != _LF:
            i += 1
        i += 1
    return -1


@compiled
def _counts_here(data: Bytes, i: int, start: int, end: int, mark: Any, is_first: bool) -> Any:
    """Whether a mark counts at this place by its flags."""
    flags = mark[_FLAGS]
    before = data[i - 1] if i > start else _LF
    if flags & _FIRST_ON_LINE and not is_first:
        return False
    if flags & _IN_FIRST_COLUMN and before != _LF:
        return False
    if flags & _AFTER_BLANK and before not in (32, 9, _LF, _CR, 40, 41, 44, 59, 93, 125):
        return False
    if flags & _NOT_AFTER_WORD and _is_word(before):
        return False
    after = i + mark[_OPEN_BYTES]
    is_blank = after >= end or data[after] <= 32
    return not ((flags & _WORD and not is_blank) or (flags & _AT_ONCE and is_blank))


@compiled
def _mark_end(data: Bytes, i: int, end: int, mark: Any, failures: int) -> Any:
    """Where what a mark opens ends; -1 where it opens nothing."""
    kind = mark[_KIND]
    if kind == _LINE:
        stop = _line_end(data, i, end, mark[_FLAGS] & _CONTINUED != 0)
    elif kind == _BLOCK:
        stop = _block_end(data, i, end, mark)
    elif kind == _STRING:
        stop = _string_end(data, i, end, mark) if failures < _MAX_FAILURES else -1
    elif kind == _CHARACTER:
        stop = _character_end(data, i, end)
    elif kind in (_RAW_CPP, _RAW_RUST):
        stop = _raw_end(data, i, end, kind == _RAW_CPP)
    elif kind == _QUOTED:
        stop = min(i + 2, end)
    else:
        stop = _long_end(data, i + mark[_OPEN_BYTES] - 1, end)
    return stop


@compiled
def _begin(data: Bytes, start: int, end: int) -> int:
    """The first byte after a byte order mark and a hashbang line."""
    i = start
    if end - i > 2 and data[i] == 0xEF and data[i + 1] == 0xBB and data[i + 2] == 0xBF:
        i += 3
    if end - i > 2 and data[i] == _HASH and data[i + 1] == 33 and data[i + 2] in (32, 47):
        while i < end and data[i] != _LF:
            i += 1
    return i


@compiled
def table_comment_chars(data: Bytes, start: int, end: int, first: Any, marks: Any) -> int:
    """Count the characters of comments in the UTF-8 bytes of a file, by the language's row of `tables`."""
    total, failures, lost, name, name_end = 0, 0, 0, 0, 0
    is_first = True
    i = _begin(data, start, end)
    while i < end:
        c = data[i]
        row = first[c]
        if row < 0:
            if c == _LF:
                is_first, failures = True, 0
                if name_end > name:
                    stop = _after_heredoc(data, i + 1, end, name, name_end)
                    lost += stop < 0
                    i = stop - 1 if stop >= 0 else i
                    name_end = name
            elif c > 32:
                is_first = False
            i += 1
            continue
        stop = -1
        while row >= 0:
            mark = marks[row]
            if _at(data, i, end, mark[_OPENS], mark[_OPEN_BYTES]) and _counts_here(data, i, start, end, mark, is_first):
                kind = mark[_KIND]
                if kind == _HEREDOC:
                    if lost < _MAX_FAILURES and name_end == name:
                        name, name_end = _heredoc_name(data, i, end)
                        stop = name_end if name_end > name else -1
                else:
                    stop = _mark_end(data, i, end, mark, failures)
                    failures += kind == _STRING and stop < 0
                if stop >= 0:
                    if kind in (_LINE, _BLOCK, _LONG_COMMENT):
                        last = stop - (kind == _LINE and stop > i and data[stop - 1] == _CR)
                        total += _chars(data, i, last)
                    break
            row = marks[row, _NEXT]
        is_first = is_first and c <= 32
        i = stop if stop > i else i + 1
    return total
