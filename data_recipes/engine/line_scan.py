"""Scan many texts once: line statistics, share of letters and digits, flags for XML and tags.

Contract of `scan_lines(texts, threads=None)`:

- `texts` is a list of strings, or a string column of Arrow, chunked or not, large or not; a null counts as an empty
  text. Nothing is copied out of Arrow's buffers but blocks of some kilobytes.
- The result has one entry a text, in order:
  `avg_line_length` (float64), `max_line_length` (int64), `alphanum_fraction` (float64): the very numbers that
  `line_statistics` gives, compared with `==`;
  `is_xml` (bool): `"<?xml version=" in text[:100]`;
  `has_tag` (bool): a `<` directly before an ASCII letter, `/`, `!` or `?` stands somewhere in the text, without which
  no HTML parser finds a tag.
- `threads` (default: all cores) changes nothing but the time.
"""

import re
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_recipes.engine.jit import kernel
from data_recipes.engine.texts import Texts, texts_of
from data_recipes.engine.threads import ranges, workers

XML_START = "<?xml version="
_TAG = re.compile(r"<[A-Za-z/!?]")
_NOT_ALPHANUMERIC = bytes(code for code in range(128) if not chr(code).isalnum())
_ASCII_RUN = re.compile(r"[\x00-\x7f]+")


class LineScan(NamedTuple):
    """What a scan finds in each text; all arrays have one entry a text."""

    avg_line_length: NDArray[np.float64]
    max_line_length: NDArray[np.int64]
    alphanum_fraction: NDArray[np.float64]
    is_xml: NDArray[np.bool_]
    has_tag: NDArray[np.bool_]


def scan_lines(texts: Sequence[str] | pa.Array | pa.ChunkedArray, threads: int | None = None) -> LineScan:
    r"""Return line statistics and flags of every text; see the module's first lines for what each is.

    >>> scan_lines(["# aaaaaaaa\n000000\n", "<p>"]).max_line_length.tolist()
    [10, 3]
    """
    found = texts_of(texts)
    compiled = kernel("lines")
    if compiled is None:
        return _scanned(found)
    result = LineScan(*(np.zeros(len(found), dtype=kind) for kind in (float, np.int64, float, np.bool_, np.bool_)))
    where, table = (found.addresses, found.sizes), _alphanumeric()

    def work(low: int, high: int, tail: Any) -> None:
        compiled.scan_range(low, high, where, table, tuple(result), tail)

    with workers(threads) as crew:
        crew.each(work, ranges(found.sizes), [np.zeros(64, dtype=np.uint8) for _ in range(crew.count)])
    return result


def line_statistics(content: str) -> tuple[float, int, float]:
    r"""Return average and longest line in characters, and the share of alphanumeric ones, as The Stack counts them.

    Lines end at "\n" and nowhere else (not at CR, form feed or U+2028, where `str.splitlines` would cut); a final
    newline starts no further line, the newline itself is not counted, a CR before it is.

    >>> line_statistics("# aaaaaaaa\n000000\n")  # a row of The Stack v2: 8.0, 10, 0.778
    (8.0, 10, 0.7777777777777778)
    """
    if not content:
        return 0.0, 0, 0.0
    lines = content.removesuffix("\n").split("\n")
    lengths = [len(line) for line in lines]
    ascii_part = content.encode("ascii", "ignore")
    alphanumeric = len(ascii_part.translate(None, _NOT_ALPHANUMERIC))
    if len(ascii_part) != len(content):
        alphanumeric += sum(map(str.isalnum, _ASCII_RUN.sub("", content)))
    return sum(lengths) / len(lengths), max(lengths), alphanumeric / len(content)


_NO_LETTERS_FROM = 0x40000  # planes 4 to 13 are empty, 14 holds tags, 15 and 16 are private


@cache
def _alphanumeric() -> NDArray[np.bool_]:
    """For every character whether `str.isalnum` holds; none does from _NO_LETTERS_FROM on."""
    found = np.zeros(sys.maxunicode + 1, dtype=np.bool_)
    found[:_NO_LETTERS_FROM] = np.fromiter(map(str.isalnum, map(chr, range(_NO_LETTERS_FROM))), np.bool_)
    return found


def _scanned(texts: Texts) -> LineScan:
    """The definition, in Python."""
    strings = [texts.read(row).decode("utf-8", "surrogatepass") for row in range(len(texts))]
    statistics = [line_statistics(text) for text in strings]
    return LineScan(
        np.array([average for average, _, _ in statistics], dtype=np.float64),
        np.array([longest for _, longest, _ in statistics], dtype=np.int64),
        np.array([share for _, _, share in statistics], dtype=np.float64),
        np.array([XML_START in text[:100] for text in strings], dtype=np.bool_),
        np.array([_TAG.search(text) is not None for text in strings], dtype=np.bool_),
    )
