"""Measure the share of a file's characters that is comments or, in Python, docstrings.

Source: section 5.3 of the report; its code reads Python with tokenize and ast and other languages with pygments. The
lexers here read the Arrow buffer of a whole batch, with no Python object a file: Python, Java and JavaScript have one
each, which follows the report's code to the character, all others are read by the table of `comment_syntax`.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_recipes.engine.jit import compiled, engine_name
from data_recipes.filters.comment_syntax import SYNTAX, tables
from data_recipes.filters.lexer_c_family import java_comment_chars, javascript_comment_chars
from data_recipes.filters.lexer_python import python_text_chars
from data_recipes.filters.lexer_table import table_comment_chars

COMMENT_LANGUAGES = ("Python", "Java", "JavaScript")
"""The languages that the report counts comments of."""

_AS_JAVASCRIPT = ("TypeScript", "TSX", "JSX")

# Differs from the report: its code overlooks the docstrings of async functions, which are counted here.
_PYTHON, _JAVA, _JAVASCRIPT, _NONE, _OTHERS = 0, 1, 2, -1, 3
_BLOCK_ROWS = 128


@compiled
def _char_count(data: Any, start: int, end: int) -> int:
    """The number of characters in UTF-8 bytes."""
    count = 0
    for i in range(start, end):
        count += data[i] & 0xC0 != 0x80
    return count


@compiled
def _fill(  # noqa: PLR0917
    data: Any, offsets: Any, kinds: Any, first: int, last: int, shares: Any, firsts: Any, marks: Any
) -> None:
    """Fill in the shares of the rows from `first` to `last` whose language has a lexer."""
    for row in range(first, last):
        kind, start, end = kinds[row], offsets[row], offsets[row + 1]
        if kind == _NONE:
            continue
        chars = _char_count(data, start, end)
        if chars == 0:
            shares[row] = 0.0
        elif kind == _PYTHON:
            shares[row] = python_text_chars(data, start, end) / chars
        elif kind == _JAVA:
            shares[row] = java_comment_chars(data, start, end) / chars
        elif kind == _JAVASCRIPT:
            shares[row] = javascript_comment_chars(data, start, end) / chars
        else:
            shares[row] = table_comment_chars(data, start, end, firsts[kind - _OTHERS], marks) / chars


def comment_shares(
    contents: pa.Array | pa.ChunkedArray | Sequence[str],
    langs: Sequence[str],
    threads: int = 1,
) -> NDArray[np.float64]:
    r"""Return the share of natural text in each file's characters; NaN for a language without a lexer, 0 for no content.

    Lengths are those of the report's code, but for docstrings of async functions, which count: of a Python comment without its `#`, of a docstring as `inspect.cleandoc`
    leaves it, of a Java or JavaScript comment with its markers.

    >>> comment_shares(["x = 1  # one\n", "// all", "x = 1"], ["Python", "Rust", "Brainfuck"]).round(2).tolist()
    [0.23, 1.0, nan]
    """
    offsets, data = _buffers(contents)
    index, firsts, marks = _kinds()
    kinds = np.array([index.get(lang, _NONE) for lang in langs], np.int16)
    shares = np.full(len(kinds), np.nan)
    starts = range(0, len(kinds), _BLOCK_ROWS)

    def work(first: int) -> None:
        _fill(data, offsets, kinds, first, min(first + _BLOCK_ROWS, len(kinds)), shares, firsts, marks)

    if threads > 1 and len(starts) > 1:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, starts))
    else:
        _fill(data, offsets, kinds, 0, len(kinds), shares, firsts, marks)
    return shares


@cache
def _kinds() -> tuple[Mapping[str, int], Any, Any]:
    """The lexer of each language, and the table of those that have none of their own."""
    others = list(SYNTAX)
    index = {lang: _OTHERS + number for number, lang in enumerate(others)}
    index |= {lang: kind for kind, lang in enumerate(COMMENT_LANGUAGES)} | dict.fromkeys(_AS_JAVASCRIPT, _JAVASCRIPT)
    firsts, marks = tables(others)
    return index, firsts, marks


def known_languages() -> list[str]:
    """Return the languages whose comments are counted, in the order of the alphabet."""
    return sorted(_kinds()[0])


def _buffers(contents: Any) -> tuple[Any, Any]:
    """The offsets and the bytes of a column of strings, as plain Python values where nothing is compiled."""
    array = contents if isinstance(contents, pa.Array | pa.ChunkedArray) else pa.array(contents, pa.large_string())
    if isinstance(array, pa.ChunkedArray):
        array = array.cast(pa.large_string()).combine_chunks() if array.num_chunks != 1 else array.chunk(0)
    wide = pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type)
    _, offsets, data = array.buffers()
    kind = np.int64 if wide else np.int32
    if offsets is None or not len(array):
        return np.zeros(1, np.int64), np.zeros(0, np.uint8)
    numbers = np.frombuffer(offsets, kind)[array.offset : array.offset + len(array) + 1].astype(np.int64)
    text = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    return (numbers, text) if engine_name() == "numba" else (numbers.tolist(), text.tobytes())
