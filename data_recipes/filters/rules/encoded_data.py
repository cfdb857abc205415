r"""StarCoder2's filter of encoded data: long runs of base64, of hexadecimal bytes or of `\u` escapes."""

import re
from collections.abc import Iterator

from data_recipes.filters.filter import Drop, Filter, Record, Thresholds

_HEX = "[0-9A-Fa-f]{2}"

# Look-behinds and possessive repeats keep the time linear: a run is tried once.
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/=\n])[A-Za-z0-9+/=\n]{64,}+")
_BYTES = re.compile(rf"(?:\b(?:0x)?{_HEX}\b(?:,\s*+|\s++)?+){{8,}}+")
_ESCAPES = {r"\x": re.compile(rf"(?:\\x{_HEX}){{8,}}+"), r"\u": re.compile(rf"(?:\\u{_HEX}{_HEX}){{8,}}+")}

# Few texts hold a run: a pass over the bytes finds those that may, faster than the patterns do.
_IN_BASE64 = bytes(chr(byte).isalnum() or byte in b"+/=\n" if byte < 128 else 0 for byte in range(256))
_IN_BYTES = bytes(byte in b"0123456789abcdefABCDEFx," for byte in range(256))
_BETWEEN_BYTES = bytes(byte for byte in range(256) if byte > 127 or chr(byte).isspace())


def _patterns(content: str) -> Iterator[re.Pattern[str]]:
    """Yield the patterns of which a text may hold a run."""
    data = content.encode("utf-8", "surrogatepass")
    if bytes([1]) * 64 in data.translate(_IN_BASE64):
        yield _BASE64
    if bytes([1]) * 16 in data.translate(None, _BETWEEN_BYTES).translate(_IN_BYTES):
        yield _BYTES
    yield from (pattern for mark, pattern in _ESCAPES.items() if mark in content)


def encoded_chars(content: str) -> tuple[int, int]:
    """Return how many characters of a text are encoded data, and the length of the longest run.

    >>> encoded_chars("key = '" + "QUJD" * 20 + "'")
    (80, 80)
    """
    runs = [found.end() - found.start() for pattern in _patterns(content) for found in pattern.finditer(content)]
    return sum(runs), max(runs, default=0)


def keep(record: Record, thresholds: Thresholds) -> Drop | None:
    """Drop files with a long run of encoded data, and files that are mostly such."""
    content = record["content"]
    total, longest = encoded_chars(content)
    if longest > (most := thresholds["max_encoded_run"]):
        return Drop("encoded_run", f"{longest} > {most}")
    if (share := min(1.0, total / max(len(content), 1))) > (most := thresholds["max_encoded_share"]):
        return Drop("encoded_share", f"{share:.4g} > {most}")
    return None


FILTER = Filter(
    name="encoded_data",
    summary="Files with over 1,024 characters of base64, bytes or escapes in a row, or of more than half such, are out.",
    source="StarCoder2 (Lozhkov et al. 2024), encoded data filter",
    stage="store",
    position=64,
    keep=keep,
    columns=("content",),
    thresholds={"max_encoded_run": 1024, "max_encoded_share": 0.5},
)
