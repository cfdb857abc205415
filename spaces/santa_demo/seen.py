"""Passages of a text that are in the training data, by an index that `hf-santa data index STORE OUT` wrote.

The index says yes or no to 50 characters in a row, whatever white space lies between the words; it names no file. Its
format is described where it is written, in `data_recipes/store/training_index.py` of hf-santa; this module reads it with NumPy
and nothing else, and unpickles nothing.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from settings import StartError

FORMAT, WIDTH = 1, 50
HEADER_BYTES, BUCKETS = 512, 1 << 16
MAX_BYTES = 1 << 30


@dataclass(frozen=True)
class Seen:
    """Which parts of a text are in the training data, as (start, end), and how many characters could be looked up."""

    spans: tuple[tuple[int, int], ...]
    checked_chars: int


class SeenIndex:
    """An opened index; `about` has its stride, number of files and recipe."""

    def __init__(self, path: Path) -> None:
        self.about, self._starts, self._keys = _read(path)

    @property
    def always_found_from(self) -> int:
        """The length from which a copy is found for certain; a shorter one, from 50 characters, is found by luck."""
        return WIDTH - 1 + int(self.about["stride"])

    def look_up(self, text: str) -> Seen:
        """Return the parts of `text` that are made of passages of the training data."""
        places = [at for word in re.finditer(r"\S+", text) for at in (*range(*word.span()), word.end())][:-1]
        flat = " ".join(word.group() for word in re.finditer(r"\S+", text))
        spans: list[tuple[int, int]] = []
        for first in np.flatnonzero(self._holds(passage_hashes(flat))).tolist():
            start, end = places[first], places[first + WIDTH - 1] + 1
            if spans and start <= spans[-1][1]:
                spans[-1] = (spans[-1][0], end)
            else:
                spans.append((start, end))
        return Seen(tuple(spans), len(flat) if len(flat) >= WIDTH else 0)

    def _holds(self, hashes: Any) -> Any:
        buckets = (hashes >> np.uint64(48)).astype(np.int64)
        keys = ((hashes >> np.uint64(16)) & np.uint64(0xFFFFFFFF)).astype(np.uint32)
        held = np.zeros(len(hashes), bool)
        for place, (bucket, key) in enumerate(zip(buckets, keys, strict=True)):
            chosen = self._keys[self._starts[bucket] : self._starts[bucket + 1]]
            at = np.searchsorted(chosen, key)
            held[place] = at < len(chosen) and chosen[at] == key
        return held


def passage_hashes(flat: str) -> Any:
    """Return the 64-bit hash of every 50 characters in a row: a polynomial, then splitmix64's last lines."""
    codes = np.frombuffer(flat.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint64)
    count = max(0, len(codes) - WIDTH + 1)
    hashes = np.zeros(count, np.uint64)
    for offset in range(WIDTH if count else 0):
        hashes = hashes * np.uint64(0x9E3779B97F4A7C15) + codes[offset : offset + count]
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        hashes = (hashes ^ (hashes >> np.uint64(shift))) * np.uint64(factor)
    return hashes ^ (hashes >> np.uint64(31))


def _read(path: Path) -> tuple[dict[str, Any], Any, Any]:
    """Return the header, the starts of the buckets and the keys; raises StartError if they do not fit together."""
    try:
        size = path.stat().st_size
        with path.open("rb") as opened:
            about = json.loads(opened.read(HEADER_BYTES))
            count, _ = int(about["passages"]), int(about["files"])
            whole = (
                about["format"] == FORMAT and about["width"] == WIDTH and 1 <= about["stride"] <= WIDTH and count >= 0
            )
            expected = HEADER_BYTES + 4 * (BUCKETS + 1 + count)
            if not whole or size != expected or size > MAX_BYTES:
                raise ValueError(f"{size:,} bytes, format {about['format']!r}; expected {expected:,} bytes of format 1")  # noqa: TRY301  # one message for all damage
            starts = np.fromfile(opened, "<u4", BUCKETS + 1)
            keys = np.fromfile(opened, "<u4", count)
        if starts[0] != 0 or starts[-1] != count or (np.diff(starts.astype(np.int64)) < 0).any():
            raise ValueError("its buckets do not follow one another")  # noqa: TRY301  # one message for all damage
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        is_other = isinstance(error, json.JSONDecodeError | UnicodeDecodeError | KeyError | TypeError)
        seen = "it does not begin with the header of an index" if is_other else error
        raise StartError(
            f"The index {path.name!r} cannot be read: {seen}. Write it with `hf-santa data index STORE OUT`, or unset HF_SANTA_INDEX."
        ) from error
    return about, starts, keys
