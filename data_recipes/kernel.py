"""The one-pass scan of many texts: line statistics, alphanumeric share, xml and tag flags, as arrays.

Contract of `scan(texts, threads=None)`:

- `texts` is a list of strings, or a string column of Arrow, chunked or not, large or not; a null counts as an empty
  text. Nothing is copied out of Arrow's buffers but blocks of some kilobytes.
- The result has one entry a text, in order:
  `avg_line_length` (float64), `max_line_length` (int64), `alphanum_fraction` (float64): the very numbers that
  `rows.line_statistics` gives, compared with `==`;
  `is_xml` (bool): `"<?xml version=" in text[:100]`;
  `has_tag` (bool): a `<` directly before an ASCII letter, `/`, `!` or `?` stands somewhere in the text, without which
  no HTML parser finds a tag.
- `threads` (default: all cores) changes nothing but the time.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_recipes.rows import line_statistics

XML_START = "<?xml version="
_TAG = re.compile(r"<[A-Za-z/!?]")


class Scan(NamedTuple):
    """What a scan finds in each text; all arrays have one entry a text."""

    avg_line_length: NDArray[np.float64]
    max_line_length: NDArray[np.int64]
    alphanum_fraction: NDArray[np.float64]
    is_xml: NDArray[np.bool_]
    has_tag: NDArray[np.bool_]


def scan(texts: Sequence[str] | pa.Array | pa.ChunkedArray, threads: int | None = None) -> Scan:
    r"""Line statistics and flags of every text; see the module's first lines for what each is.

    >>> scan(["# aaaaaaaa\n000000\n", "<p>"]).max_line_length.tolist()
    [10, 3]
    """
    del threads
    values = texts.to_pylist() if isinstance(texts, pa.Array | pa.ChunkedArray) else texts
    strings = ["" if value is None else value for value in values]
    statistics = [line_statistics(text) for text in strings]
    return Scan(
        np.array([average for average, _, _ in statistics], dtype=np.float64),
        np.array([longest for _, longest, _ in statistics], dtype=np.int64),
        np.array([share for _, _, share in statistics], dtype=np.float64),
        np.array([XML_START in text[:100] for text in strings], dtype=np.bool_),
        np.array([_TAG.search(text) is not None for text in strings], dtype=np.bool_),
    )
