"""The one-pass scan."""

import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_recipes.engine.jit import engine_name
from data_recipes.engine.line_scan import XML_START, _alphanumeric, line_statistics, scan_lines

_PIECES = [
    "ab",
    "Z9_",
    " ",
    "\n",
    "\r\n",
    "\r",
    "\u2028",
    "é",
    "日本",
    "😀",
    "٣",
    "<",
    "<p>",
    "</",
    "\ud800",
    "\0",
    "x" * 70,
]
_TEXTS = st.lists(st.sampled_from([*_PIECES, XML_START]), max_size=60).map("".join)


@given(st.lists(_TEXTS, max_size=5))
def test_every_number_is_that_of_the_definition(texts):
    """Statistics equal `line_statistics` exactly, flags equal a search in the text."""
    found = scan_lines(texts)
    assert engine_name() == "numba"
    for row, text in enumerate(texts):
        statistics = found.avg_line_length[row], found.max_line_length[row], found.alphanum_fraction[row]
        assert statistics == line_statistics(text)
        assert found.is_xml[row] == (XML_START in text[:100])
        assert found.has_tag[row] == any(
            text[i : i + 1] == "<" and _opens(text[i + 1 : i + 2]) for i in range(len(text))
        )


def _opens(char):
    return char != "" and char in "/!?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize("chars", [84, 85, 86, 87])
@pytest.mark.parametrize("filler", ["x", "é", "😀"])
def test_the_declaration_counts_within_a_hundred_characters(engine, chars, filler):
    """An xml declaration counts up to character 100, whatever the width of the characters before it."""
    assert scan_lines([filler * chars + XML_START]).is_xml.tolist() == [chars <= 100 - len(XML_START)]


def test_columns_with_nulls_and_threads(engine):
    """A chunked column with nulls gives an entry a row; a null counts as an empty text; threads change nothing."""
    texts = ["a\nbc\n", None, "", "é" * 200, "<a>" * 50] * 40
    column = pa.chunked_array([pa.array(texts[:7]), pa.array(texts[7:])])
    found = scan_lines(column, threads=3)
    expected = scan_lines([text or "" for text in texts], threads=1)
    assert all(np.array_equal(left, right) for left, right in zip(found, expected, strict=True))
    assert found.max_line_length[:4].tolist() == [2, 0, 0, 200]


def test_no_texts_give_empty_arrays(engine):
    """An empty column gives arrays of no entries."""
    assert [len(values) for values in scan_lines(pa.chunked_array([], pa.string()))] == [0] * 5


def test_every_character_counts_as_python_says():
    """The table of letters and digits, which is filled up to a bound, holds `str.isalnum` of every character."""
    codes = [code for code in range(sys.maxunicode + 1) if chr(code).isalnum()]
    assert np.flatnonzero(_alphanumeric()).tolist() == codes
