"""List which characters count as letters, digits and spaces, as the regular expressions of `tokenizers` do."""

from functools import cache

import numpy as np
import numpy.typing as npt
from tokenizers import Regex, pre_tokenizers

CHUNK = 4096
# Planes 4 to 13 are unassigned, 15 and 16 private: neither letter, number nor white space (a test asks for each).
PROBED = (range(0xD800), range(0xE000, 0x40000), range(0xE0000, 0xE1000))
REST = 3


@cache
def character_kinds() -> npt.NDArray[np.uint8]:
    """Return for every code point 0 numeric, 1 white space, 2 letter, 3 other, 4 number that no digit splitter splits.

    Takes about half a second, once a process. Python's `unicodedata` will not do: its Unicode version is another.
    """
    kinds = np.full(0x110000, REST, dtype=np.uint8)
    for codes in PROBED:
        for start in range(codes.start, codes.stop, CHUNK):
            kinds[start : min(start + CHUNK, codes.stop)] = kinds_of(range(start, min(start + CHUNK, codes.stop)))
    return kinds


def kinds_of(codes: range) -> npt.NDArray[np.uint8]:
    """Return the classes of neighbouring code points."""
    text = "".join(map(chr, codes))
    kinds = np.full(len(text), REST, dtype=np.uint8)
    for pattern, kind in ((r"\p{N}+", 4), (r"\p{L}+", 2), (r"\s+", 1)):
        kinds[_matching(pre_tokenizers.Split(Regex(pattern), "isolated"), text)] = kind
    kinds[_matching(pre_tokenizers.Digits(individual_digits=False), text)] = 0
    return kinds


def _matching(splitter: pre_tokenizers.PreTokenizer, text: str) -> npt.NDArray[np.bool_]:
    """Return which characters a splitter sets apart: its pieces take turns, and the first character here is no match."""
    found = np.zeros(len(text) + 1, dtype=np.bool_)
    for number, (_, (start, end)) in enumerate(splitter.pre_tokenize_str("\0" + text)):
        found[start:end] = number % 2 == 1
    return found[1:]
