"""Search many texts for many strings: one pass for whole strings, one for 13 words in a row.

Every string is represented by one of its 8-byte windows, the one with the most distinct bytes. All windows of a text
are looked up in a table of 2**20 bits (about one in a thousand passes with 1,000 strings); what passes is compared in
full. So the cost a byte hardly depends on the number of strings, as with an Aho-Corasick automaton, without its jumps
through memory. The compiled loops are in `engine/jit_strings.py`.
"""

import re
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_recipes.engine.jit import compiled_kernel, kernel
from data_recipes.engine.shingles import NGRAM_BASE, UInt64Array, ngrams, token_hashes
from data_recipes.engine.texts import Texts, texts_of
from data_recipes.engine.threads import ranges, workers
from data_recipes.errors import DataError

STRING, GRAM = "string", "13-gram"
GRAM_WORDS = 13
MIN_NAMES = 7
"""A run of 13 words counts only if so many begin with a letter or underscore: tables of numbers are no quotation."""

_WINDOW = 8  # bytes compared at once; every string has at least one such window
_WINDOWS = 200  # windows of a string to choose from
_TABLE_BITS = 20
_HASH = np.uint64(0x9E3779B97F4A7C15)
_HASH_SHIFT = np.uint64(64 - _TABLE_BITS)
_HITS = 1 << 14  # how many a compiled call returns at once
_WORD = re.compile(rb"[A-Za-z0-9_]+")


@dataclass(frozen=True, slots=True)
class BenchmarkString:
    """One string to search for, and the problem it belongs to; found as a run of words, those words."""

    benchmark: str
    problem: str
    string: str
    kind: str = STRING


class Matcher:
    """Finds many strings in a text in one pass, ignoring case, and runs of 13 of their words."""

    def __init__(self, strings: Sequence[BenchmarkString]) -> None:
        self._strings = list(strings)
        self._lowered = [s.string.lower().encode("utf-8", "surrogatepass") for s in strings]
        self._anchored: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for number, lowered in enumerate(self._lowered):
            if len(lowered) < _WINDOW:
                raise DataError(f"Benchmark string {strings[number].string!r} is shorter than {_WINDOW} bytes.")
            windows = [lowered[i : i + _WINDOW] for i in range(min(len(lowered) - _WINDOW + 1, _WINDOWS))]
            # The window with the most distinct bytes is the one least likely to be indentation or a rule of dashes.
            offset = max(range(len(windows)), key=lambda i: (len(set(windows[i])), -i))
            self._anchored[int.from_bytes(windows[offset], "little")].append((number, offset))
        self._grams = self._grams_of(self._lowered)
        self._own = threading.local()

    @staticmethod
    def _grams_of(lowered: Iterable[bytes]) -> dict[int, tuple[int, int, bytes]]:
        """The hash of every run of 13 words, the string that has it first, where, and the words."""
        grams: dict[int, tuple[int, int, bytes]] = {}
        for number, string in enumerate(lowered):
            words = _WORD.findall(string)
            names = np.array([not word[:1].isdigit() for word in words], dtype=np.int64)
            enough = np.convolve(names, np.ones(GRAM_WORDS, dtype=np.int64), "valid") if len(words) else names
            for place, value in enumerate(ngrams(_words_of(string), GRAM_WORDS).tolist()):
                if enough[place] >= MIN_NAMES:
                    grams.setdefault(value, (number, place, b" ".join(words[place : place + GRAM_WORDS])))
        return grams

    def find(self, text: str) -> list[BenchmarkString]:
        """Return the strings in the text, each once, in their given order; then the runs of words of other problems.

        Of a problem of which no string is in the text, the first run of words is told.
        """
        return dict(self.find_all([text], threads=0)).get(0, [])

    def find_all(
        self, texts: Sequence[str] | pa.Array | pa.ChunkedArray, threads: int | None = None
    ) -> list[tuple[int, list[BenchmarkString]]]:
        """Return what `find` finds in each text in which it finds something; 0 threads work in the calling one."""
        if not self._strings:
            return []
        found = texts_of(texts)
        if kernel("strings") is None:
            pairs = [self._found_in(found.read(row)) for row in range(len(found))]
            return [(row, self._named(*hits)) for row, hits in enumerate(pairs) if any(hits)]
        strings: dict[int, set[int]] = defaultdict(set)
        grams: dict[int, set[int]] = defaultdict(set)

        def work(low: int, high: int, arrays: Any) -> None:
            for row, number, is_gram in self._search(found.take(np.arange(low, high)), arrays):
                (grams if is_gram else strings)[low + row].add(number)

        if threads == 0:
            if not hasattr(self._own, "arrays"):
                self._own.arrays = self._new_arrays()
            work(0, len(found), self._own.arrays)
        else:
            with workers(threads) as crew:
                crew.each(work, ranges(found.sizes), [self._new_arrays() for _ in range(crew.count)])
        return [(row, self._named(strings[row], grams[row])) for row in sorted({*strings, *grams})]

    def _named(self, numbers: Iterable[int], grams: Iterable[int]) -> list[BenchmarkString]:
        found = [self._strings[number] for number in sorted(numbers)]
        told = {(string.benchmark, string.problem) for string in found}
        for number, _, words in sorted(self._grams[gram] for gram in grams):
            string = self._strings[number]
            if (string.benchmark, string.problem) not in told:
                told.add((string.benchmark, string.problem))
                found.append(BenchmarkString(string.benchmark, string.problem, words.decode(), GRAM))
        return found

    @cached_property
    def _table(self) -> NDArray[np.bool_]:
        table = np.zeros(1 << _TABLE_BITS, dtype=np.bool_)
        table[(np.array(list(self._anchored), dtype=np.uint64) * _HASH) >> _HASH_SHIFT] = True
        return table

    @cached_property
    def _gram_values(self) -> UInt64Array:
        return np.sort(np.array(list(self._grams), dtype=np.uint64))

    def _found_in(self, data: bytes) -> tuple[set[int], set[int]]:
        """The numbers of the strings and the hashes of the runs of words in a text, in NumPy."""
        words = ngrams(_words_of(data.lower()), GRAM_WORDS)
        grams = set(words[np.isin(words, self._gram_values)].tolist())
        data, found = _lowered(data), set()
        for phase in range(min(_WINDOW, max(0, len(data) - _WINDOW + 1))):
            values = np.frombuffer(data, dtype="<u8", offset=phase, count=(len(data) - phase) // _WINDOW)
            for index in np.flatnonzero(self._table[(values * _HASH) >> _HASH_SHIFT]).tolist():
                for number, offset in self._anchored.get(int(values[index]), ()):
                    start = phase + index * _WINDOW - offset
                    if start >= 0 and data.startswith(self._lowered[number], start):
                        found.add(number)
        return found, grams

    @cached_property
    def _compiled_strings(self) -> tuple[Any, ...]:
        """The strings and the grams as the arrays that compiled code takes."""
        compiled = compiled_kernel("strings")
        values = sorted(self._anchored)
        entries = [entry for value in values for entry in self._anchored[value]]
        begins = np.cumsum([0, *map(len, self._lowered)])
        bits, gram_bits = (np.zeros(1 << (_TABLE_BITS - 6), dtype=np.uint64) for _ in range(2))
        anchors = np.array(values, dtype=np.uint64)
        compiled.fill_bits(bits, anchors)
        compiled.fill_bits(gram_bits, self._gram_values)
        top = np.uint64(pow(int(NGRAM_BASE), GRAM_WORDS - 1, 1 << 64))
        strings = (
            bits,
            anchors,
            np.cumsum([0, *(len(self._anchored[value]) for value in values)]),
            np.array([number for number, _ in entries], dtype=np.int64),
            np.array([offset for _, offset in entries], dtype=np.int64),
            np.frombuffer(b"".join(self._lowered), dtype=np.uint8),
            begins,
        )
        return strings, (gram_bits, self._gram_values, GRAM_WORDS, top)

    def _new_arrays(self) -> tuple[Any, ...]:
        tokens = compiled_kernel("tokens")
        return (
            np.zeros(len(self._strings), dtype=np.int64),
            np.zeros((max(_HITS, len(self._strings)), 2), dtype=np.int64),
            np.zeros(tokens.BLOCK + 128, dtype=np.uint8),
            np.zeros(GRAM_WORDS, dtype=np.uint64),
            tokens.new_scratch(),
        )

    def _search(self, texts: Texts, arrays: Any) -> Iterator[tuple[int, int, bool]]:
        """Row, number of the string or hash of the run of words, and which of the two; in compiled code."""
        compiled = compiled_kernel("strings")
        stamps, hits, block, held, scratch = arrays
        stamps[:] = 0
        for_strings, for_grams = self._compiled_strings
        where, start = (texts.addresses, texts.sizes), 0
        while start < len(texts):
            count, start = compiled.find_grams(start, len(texts), where, for_grams, hits, held, scratch)
            yield from ((row, int(self._gram_values[place]), True) for row, place in hits[:count].tolist())
        lowered, start = _with_lowered(texts), 0
        where = (lowered.addresses, lowered.sizes)
        while start < len(texts):
            count, start = compiled.find_strings(start, len(texts), where, for_strings, stamps, hits, block)
            yield from ((row, number, False) for row, number in hits[:count].tolist())


def _words_of(data: bytes) -> UInt64Array:
    hashes, filled = token_hashes(data)
    return hashes[filled]


def _lowered(data: bytes) -> bytes:
    """The bytes of `text.lower()`."""
    if data.isascii():
        return data.lower()
    return data.decode("utf-8", "surrogatepass").lower().encode("utf-8", "surrogatepass")


def _with_lowered(texts: Texts) -> Texts:
    """The texts, where those outside ASCII, which the compiled search does not lower, are lowered copies."""
    addresses, sizes, copies = texts.addresses.copy(), texts.sizes.copy(), []
    for row in np.flatnonzero(compiled_kernel("lines").are_wide(addresses, sizes)).tolist():
        copies.append(np.frombuffer(_lowered(texts.read(row)), dtype=np.uint8))
        addresses[row], sizes[row] = copies[-1].ctypes.data, len(copies[-1])
    return Texts(addresses, sizes, (*texts.owners, *copies))
