"""Near-duplicates by MinHash: three named modes, from the same signatures as datasketch 2.0.

Signatures use datasketch's `affine32` permutations (256, seed 1) and its choice of bands; the join over the bands
and the clustering are array operations, so that a family of thousands of copies costs linear time.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from datasketch import MinHash, MinHashLSH
from numpy.typing import NDArray

from data_recipes.errors import DataError
from data_recipes.shingles import UInt64Array, jaccard, mix, ngram_set, unigram_set

NUM_PERM = 256
MIN_TOKENS = 10
# 256 permutations estimate J=.7 with a standard error of .029: a pair this far below the threshold is five
# standard errors away, so it is not checked exactly.
_ESTIMATE_MARGIN = 0.15
_CHUNK = 1024  # shingles permuted at once: 1 MiB of uint32, which fits the second-level cache
_CACHED_SHINGLES = 8_000_000  # 64 MB of shingle sets of kept rows

UInt32Array = NDArray[np.uint32]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Mode:
    """One way to find near-duplicates; `bands` is (bands, rows), None for datasketch's optimum at `threshold`."""

    shingles: Callable[[str], tuple[UInt64Array, int]]
    threshold: float
    is_verified: bool
    bands: tuple[int, int] | None = None


MODES: dict[str, Mode] = {
    # The Stack v1: distinct tokens, exact re-check, a cluster reduced to its "extremes". datasketch's optimum is
    # 13 x 19 bands, which find 45 % of the pairs at J=.85, 85 % at .9 and 99.8 % at .95.
    "near_dedup": Mode(unigram_set, 0.85, is_verified=True),
    # The report's: connected components of the band collisions, one row kept of each.
    "near_dedup_alt": Mode(ngram_set, 0.7, is_verified=False),
    # Ours: more bands find more pairs (42 x 6 at J=.7: 99.5 %), the exact check removes the false ones.
    "near_dedup_verified": Mode(ngram_set, 0.7, is_verified=True, bands=(42, 6)),
}


def near_duplicates(
    texts_or_table: Sequence[str] | pa.Table,
    mode: str = "near_dedup_verified",
    threads: int | None = None,
    *,
    priority: Sequence[str] = (),
) -> pa.Table:
    r"""The near-duplicate decision for each row: table of row, cluster, kept_row, jaccard, is_kept.

    `cluster` and `kept_row` are the row that is kept for this one (itself where it is kept), `jaccard` the true
    similarity of the mode's shingle sets of the two. Rows with fewer than 10 tokens are kept and join no cluster.

    - `near_dedup`: distinct tokens, removed only if a kept row has J >= .85.
    - `near_dedup_alt`: 5-grams, components of the candidate pairs of 25 x 10 bands, unverified as in the report.
    - `near_dedup_verified`: 5-grams, removed only if a kept row has J >= .7.

    Which row of a cluster is kept does not depend on the order of rows: larger values of the table's `priority`
    columns go first, then the smaller `hexsha` (for plain texts the SHA-1 of the content).

    >>> text = "def area(w, h):\n    '''the area of a w by h box'''\n    return w * h\n"
    >>> near_duplicates([text, "x = 1", text + "\n"], mode="near_dedup")["is_kept"].to_pylist().count(True)
    2
    """
    if mode not in MODES:
        raise DataError(f"near_duplicates: mode={mode!r} is unknown. Choose one of {', '.join(MODES)}.")
    chosen = MODES[mode]
    texts, order = _texts_in_order(texts_or_table, priority)
    workers = threads or os.cpu_count() or 1
    # From here on a document is named by its rank in `order`: a smaller number is a better representative.
    read = _Documents(texts, order, chosen.shingles)
    with ThreadPoolExecutor(workers) as pool:
        signatures, long_enough = _signatures(read, pool)
        kept = np.arange(len(order), dtype=np.int64)
        similarity = np.ones(len(order))
        buckets = _buckets(signatures[long_enough], *_bands(chosen))
        ranks = np.flatnonzero(long_enough)
        if chosen.is_verified:
            for rank, other, exact in _stars(ranks, buckets, signatures, read, chosen.threshold):
                kept[rank], similarity[rank] = other, exact
        else:
            kept[ranks] = ranks[_components(len(ranks), buckets)]
            _measure(read, kept, similarity, pool)
    return _decisions(order, kept, similarity)


def _texts_in_order(source: Sequence[str] | pa.Table, priority: Sequence[str]) -> tuple[Sequence[Any], IntArray]:
    """The texts, and the row numbers from the best representative to the worst."""
    if not isinstance(source, pa.Table):
        if priority:
            raise DataError(
                f"near_duplicates: priority={list(priority)} needs a table. Pass a table with such columns."
            )
        hashes = [hashlib.sha1(t.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest() for t in source]
        return source, np.array(sorted(range(len(source)), key=hashes.__getitem__), dtype=np.int64)
    if missing := [name for name in ("content", *priority) if name not in source.column_names]:
        found = ", ".join(source.column_names)
        raise DataError(f"near_duplicates: the table has no column {missing[0]!r}. Columns found: {found}.")
    if source["content"].null_count:
        row = source["content"].to_pylist().index(None)
        raise DataError(f"near_duplicates: row {row} has no content. Drop such rows, or give them an empty string.")
    texts = source["content"].combine_chunks() if source.num_rows else source["content"]
    names = source["hexsha"].to_pylist() if "hexsha" in source.column_names else None
    if names is None:
        names = [hashlib.sha1(t.as_py().encode(), usedforsecurity=False).hexdigest() for t in texts]
    ranks = [[(value is None, 0 if value is None else -value) for value in source[p].to_pylist()] for p in priority]
    keys = list(zip(*ranks, names, strict=True))
    return texts, np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.int64)


class _Documents:
    """Shingle sets by rank, computed when asked for; a bounded number of them is kept."""

    def __init__(
        self, texts: Sequence[Any], order: IntArray, shingles: Callable[[str], tuple[UInt64Array, int]]
    ) -> None:
        self._texts, self._order, self._shingles = texts, order, shingles
        self._cache: dict[int, UInt64Array] = {}
        self._cached = 0

    def __len__(self) -> int:
        return len(self._order)

    def read(self, rank: int) -> tuple[UInt64Array, int]:
        text = self._texts[int(self._order[rank])]
        return self._shingles(text if isinstance(text, str) else text.as_py())

    def cached_set(self, rank: int) -> UInt64Array:
        if rank not in self._cache:
            if self._cached > _CACHED_SHINGLES:
                self._cache.clear()
                self._cached = 0
            self._cache[rank] = self.read(rank)[0]
            self._cached += len(self._cache[rank])
        return self._cache[rank]


@cache
def _permutations() -> tuple[UInt32Array, UInt32Array]:
    a, b = MinHash(num_perm=NUM_PERM, seed=1, scheme="affine32").permutations
    return a, b


def signature(shingles: UInt64Array) -> UInt32Array:
    """The 256 MinHash values of a set of shingle hashes, equal to datasketch's over their upper 32 bits."""
    a, b = _permutations()
    values = (shingles >> np.uint64(32)).astype(np.uint32)
    values ^= values >> np.uint32(16)
    values *= np.uint32(0x85EBCA6B)
    values ^= values >> np.uint32(13)
    values *= np.uint32(0xC2B2AE35)
    values ^= values >> np.uint32(16)
    result = np.full(NUM_PERM, np.iinfo(np.uint32).max, dtype=np.uint32)
    buffer = np.empty((min(_CHUNK, len(values)), NUM_PERM), dtype=np.uint32)
    for start in range(0, len(values), _CHUNK):
        chunk = values[start : start + _CHUNK, None]
        permuted = buffer[: len(chunk)]
        np.multiply(chunk, a, out=permuted)
        permuted += b
        np.minimum(result, permuted.min(axis=0), out=result)
    return result


def _signatures(read: _Documents, pool: ThreadPoolExecutor) -> tuple[UInt32Array, NDArray[np.bool_]]:
    signatures = np.zeros((len(read), NUM_PERM), dtype=np.uint32)
    long_enough = np.zeros(len(read), dtype=np.bool_)

    def work(block: range) -> None:
        for rank in block:
            shingles, tokens = read.read(rank)
            # Differs from the report: files of fewer than 10 tokens are kept, not dropped; they join no cluster.
            if tokens >= MIN_TOKENS:
                signatures[rank] = signature(shingles)
                long_enough[rank] = True

    list(pool.map(work, [range(i, min(i + 64, len(read))) for i in range(0, len(read), 64)]))
    return signatures, long_enough


@cache
def _optimum(threshold: float) -> tuple[int, int]:
    index = MinHashLSH(threshold=threshold, num_perm=NUM_PERM)
    return int(index.b), int(index.r)


def _bands(mode: Mode) -> tuple[int, int]:
    return mode.bands or _optimum(mode.threshold)


def _buckets(signatures: UInt32Array, bands: int, rows: int) -> list[IntArray]:
    """The groups of documents that agree in all rows of some band; each group is sorted and has two or more."""
    groups: list[IntArray] = []
    for band in range(bands):
        keys = np.zeros(len(signatures), dtype=np.uint64)
        for column in range(band * rows, (band + 1) * rows):
            keys = mix(keys + signatures[:, column])
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        edges = np.concatenate([[0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1, [len(ordered)]])
        groups.extend(order[i:j] for i, j in pairwise(edges.tolist()) if j - i > 1)
    return groups


def _components(count: int, buckets: list[IntArray]) -> IntArray:
    """For each document the smallest member of its connected component."""
    label = np.arange(count, dtype=np.int64)
    if not buckets:
        return label
    left = np.concatenate([np.full(len(group) - 1, group[0]) for group in buckets])
    right = np.concatenate([group[1:] for group in buckets])
    while True:
        a, b = label[left], label[right]
        if not (differ := a != b).any():
            return label
        np.minimum.at(label, np.maximum(a, b)[differ], np.minimum(a, b)[differ])
        while (label[label] != label).any():
            label = label[label]


def _stars(
    ranks: IntArray,
    buckets: list[IntArray],
    signatures: UInt32Array,
    read: _Documents,
    threshold: float,
) -> Iterator[tuple[int, int, float]]:
    """One pass in rank order: a document goes to the kept one it is most similar to, or is kept itself.

    Yields each document that goes, the kept one, and their similarity.
    Buckets hold kept documents only, so a family of copies costs one comparison a copy.
    """
    member_of: dict[int, list[int]] = {}
    for number, group in enumerate(buckets):
        for member in ranks[group].tolist():
            member_of.setdefault(member, []).append(number)
    representatives: list[list[int]] = [[] for _ in buckets]
    for rank in sorted(member_of):
        own = member_of[rank]
        candidates = np.unique(np.concatenate([np.array(representatives[n], dtype=np.int64) for n in own]))
        estimates = (signatures[candidates] == signatures[rank]).mean(axis=1)
        near = np.flatnonzero(estimates >= threshold - _ESTIMATE_MARGIN)
        shingles = read.read(rank)[0] if len(near) else None
        for position in near[np.lexsort((candidates[near], -estimates[near]))].tolist():
            other = int(candidates[position])
            if shingles is not None and (exact := jaccard(read.cached_set(other), shingles)) >= threshold:
                yield rank, other, exact
                break
        else:
            for number in own:
                representatives[number].append(rank)


def _measure(read: _Documents, kept: IntArray, similarity: NDArray[np.float64], pool: ThreadPoolExecutor) -> None:
    """Fill in the true similarity of each removed document with the kept one."""
    removed = np.flatnonzero(kept != np.arange(len(kept)))
    families: dict[int, list[int]] = {}
    for rank in removed.tolist():
        families.setdefault(int(kept[rank]), []).append(rank)

    def work(family: tuple[int, list[int]]) -> None:
        head = read.read(family[0])[0]
        for rank in family[1]:
            similarity[rank] = jaccard(head, read.read(rank)[0])

    list(pool.map(work, families.items()))


def _decisions(order: IntArray, kept: IntArray, similarity: NDArray[np.float64]) -> pa.Table:
    kept_row = np.empty(len(order), dtype=np.int64)
    measured = np.empty(len(order))
    kept_row[order] = order[kept]
    measured[order] = similarity
    row = np.arange(len(order), dtype=np.int64)
    return pa.table(
        {"row": row, "cluster": kept_row, "kept_row": kept_row, "jaccard": measured, "is_kept": kept_row == row},
    )
