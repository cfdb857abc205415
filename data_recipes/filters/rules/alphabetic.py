"""StarCoder2's filter of files with few letters: tables of numbers, and drawings in characters."""

import re

from data_recipes.filters.filter import Drop, Filter, Record, Thresholds

_DIGITS_COUNT = frozenset({"motorola 68k assembly", "webassembly"})
_ASCII = re.compile(r"[\x00-\x7f]+")
_NO_LETTERS = bytes(byte for byte in range(256) if byte > 127 or not chr(byte).isalpha())
_NO_LETTERS_OR_DIGITS = bytes(byte for byte in range(256) if byte > 127 or not chr(byte).isalnum())


def letter_share(content: str, *, with_digits: bool = False) -> float:
    """Return the share of the characters that are letters, or letters and digits; 0 of an empty text.

    >>> letter_share("ab12")
    0.5
    >>> letter_share("äb12", with_digits=True)
    1.0
    """
    others = _NO_LETTERS_OR_DIGITS if with_digits else _NO_LETTERS
    count = len(content.encode("utf-8", "surrogatepass").translate(None, others))
    if not content.isascii():
        count += sum(map(str.isalnum if with_digits else str.isalpha, _ASCII.sub("", content)))
    return count / max(len(content), 1)


def keep(record: Record, thresholds: Thresholds) -> Drop | None:
    """Drop files with few letters; of two assembly languages, files with few letters and digits."""
    with_digits = record["lang"].lower() in _DIGITS_COUNT
    share, least = letter_share(record["content"], with_digits=with_digits), thresholds["min_letter_share"]
    return Drop("letter_share", f"{share:.4g} < {least}") if share < least else None


FILTER = Filter(
    name="alphabetic",
    summary="Files of which less than 25 % is letters (68K assembly, WebAssembly: letters and digits) are left out.",
    source="StarCoder2 (Lozhkov et al. 2024), alpha filter",
    stage="store",
    position=62,
    keep=keep,
    columns=("content", "lang"),
    thresholds={"min_letter_share": 0.25},
)
