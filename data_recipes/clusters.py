"""From band keys to kept documents: the join over the bands, connected components, and the star pass.

Documents are named by rank, where a smaller one is a better representative. All of it is loops over arrays, so a
family of any number of copies costs linear time. The compiled twins are in `kernel_pairs.py`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_recipes.engine import kernel
from data_recipes.shingles import UInt64Array, jaccard
from data_recipes.signatures import NUM_PERM, Mode, Signed, Workers, ranges
from data_recipes.texts import Texts

# 256 permutations estimate J=.7 with a standard error of .029: a pair whose estimate is this far below the threshold
# is three and a half standard errors away, so it is not compared exactly.
_ESTIMATE_MARGIN = 0.1
# What bounds the time in a family of files that are alike but not enough to be duplicates: representatives a bucket
# holds, candidates collected for a document, and exact comparisons of one document.
_BUCKET_ROOM, _CANDIDATES, _TRIES = 1024, 4096, 32
_BLOCK = 2048  # documents compared with the representatives of earlier blocks side by side
_SORTED_AT_ONCE = 1 << 24  # keys of a band: 128 MiB, three times that while they are sorted

IntArray = NDArray[np.int64]
Key = Callable[[int], UInt64Array]


class Stars(NamedTuple):
    """Buckets of each document (`memberships[begins[rank]:begins[rank + 1]]`), and representatives of each bucket."""

    begins: IntArray
    memberships: NDArray[np.uint32]
    starts: IntArray
    fills: NDArray[np.int32]
    representatives: NDArray[np.uint32]


def groups(keys: Sequence[UInt64Array], ranks: NDArray[np.uint32]) -> Iterator[tuple[NDArray[np.uint32], IntArray]]:
    """The documents that share a key of one band with another, group by group, and where each group begins.

    `keys` are the band's keys, in pieces; `ranks` the rank of each document, or the number of documents for one that
    takes no part. Members of a group are in ascending order. Many keys are sorted in parts of equal upper bits.
    """
    parts = -(-len(ranks) // _SORTED_AT_ONCE)
    for part in range(parts):
        chosen_keys, chosen_ranks, row = [], [], 0
        for piece in keys:
            piece_ranks = ranks[row : row + len(piece)]
            row += len(piece)
            takes_part = piece_ranks < len(ranks)
            if parts > 1:
                takes_part &= (piece >> np.uint64(32)) % np.uint64(parts) == part
            chosen_keys.append(piece[takes_part])
            chosen_ranks.append(piece_ranks[takes_part])
        yield _grouped(np.concatenate(chosen_keys), np.concatenate(chosen_ranks))


def _grouped(keys: UInt64Array, ranks: NDArray[np.uint32]) -> tuple[NDArray[np.uint32], IntArray]:
    order = np.argsort(keys)
    keys = keys[order]
    same = keys[1:] == keys[:-1]
    in_group = np.zeros(len(keys), dtype=np.bool_)
    in_group[1:] = same
    in_group[:-1] |= same
    is_first = np.ones(len(keys), dtype=np.bool_)
    is_first[1:] = ~same
    numbers = np.cumsum(is_first[in_group]).astype(np.uint64)
    both = np.sort((numbers << np.uint64(32)) | ranks[order[in_group]])
    starts = np.flatnonzero(np.diff(both >> np.uint64(32), prepend=np.uint64(0)))
    return both.astype(np.uint32), starts


def bands_of(signed: Sequence[Signed], ranks: NDArray[np.uint32], crew: Workers) -> Iterator[list[Any]]:
    """The groups of every band, in the order of the bands; as many bands are sorted at once as there are threads."""
    count = len(signed[0].keys) if signed else 0
    for first in range(0, count, crew.count):
        bands = range(first, min(first + crew.count, count))
        yield from crew.pool.map(lambda band: list(groups([part.keys[band] for part in signed], ranks)), bands)


def components(signed: Sequence[Signed], ranks: NDArray[np.uint32], crew: Workers) -> IntArray:
    """For each rank the smallest member of its connected component of band collisions."""
    roots = np.arange(len(ranks), dtype=np.int64)
    compiled = kernel("pairs")
    for found in bands_of(signed, ranks, crew):
        for members, starts in found:
            sizes = np.diff(starts, append=len(members))
            heads = np.repeat(members[starts], sizes)
            if compiled is None:
                _unite(roots, heads, members)
            else:
                compiled.unite(roots, heads, members)
    if compiled is not None:
        compiled.flatten(roots)
    return roots


def _unite(roots: IntArray, left: NDArray[np.uint32], right: NDArray[np.uint32]) -> None:
    while True:
        a, b = roots[left], roots[right]
        if not (differ := a != b).any():
            return
        np.minimum.at(roots, np.maximum(a, b)[differ], np.minimum(a, b)[differ])
        while not np.array_equal(nearer := roots[roots], roots):
            roots[:] = nearer


def stars_of(signed: Sequence[Signed], ranks: NDArray[np.uint32], crew: Workers) -> Stars:
    """The buckets of all bands, without representatives yet."""
    members: list[NDArray[np.uint32]] = []
    sizes: list[IntArray] = []
    for found in bands_of(signed, ranks, crew):
        for group_members, starts in found:
            members.append(group_members)
            sizes.append(np.diff(starts, append=len(group_members)))
    every = np.concatenate([*members, np.zeros(0, dtype=np.uint32)])
    lengths = np.concatenate([*sizes, np.zeros(0, dtype=np.int64)])
    buckets = np.repeat(np.arange(len(lengths), dtype=np.uint32), lengths)
    begins = np.zeros(len(ranks) + 1, dtype=np.int64)
    np.cumsum(np.bincount(every, minlength=len(ranks)), out=begins[1:])
    if (compiled := kernel("pairs")) is None:
        memberships = buckets[np.argsort(every, kind="stable")]
    else:
        memberships = np.empty_like(buckets)
        compiled.fill_memberships(every, buckets, begins[:-1].copy(), memberships)
    starts = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=starts[1:])
    return Stars(begins, memberships, starts, np.zeros(len(lengths), dtype=np.int32), np.empty_like(buckets))


@dataclass(frozen=True, slots=True)
class Comparison:
    """What exact comparisons read, all by rank; `release` gives mapped memory back and may be called at any time."""

    texts: Texts
    tokens: NDArray[np.uint32]
    sketches: NDArray[np.uint8]
    mode: Mode
    release: Callable[[], None]

    def similarity(self, left: int, right: int) -> float:
        """The true Jaccard similarity of two documents."""
        return jaccard(*(self.mode.shingles(self.texts.read(rank))[0] for rank in (left, right)))


def star_pass(data: Comparison, stars: Stars, crew: Workers) -> tuple[IntArray, NDArray[np.float64]]:
    """The kept document of each rank and their similarity: a document goes only to a kept one that is near enough.

    Ranks are taken in blocks. A block's documents are first compared with the representatives of earlier blocks, most
    similar sketch first; what is left is compared within the block, one after the other, and stays where nothing is
    near enough. So the result depends on neither the number of threads nor the order of rows.
    """
    kept = np.arange(len(data.texts), dtype=np.int64)
    similar = np.ones(len(data.texts))
    least = int(np.ceil(1 + (NUM_PERM - 1) * (data.mode.threshold - _ESTIMATE_MARGIN)))
    compiled, tokens_kernel = kernel("pairs"), kernel("tokens")
    if compiled is None or tokens_kernel is None:
        search = _Search(data, stars, least, kept, similar)
        for low in range(0, len(kept), _BLOCK):
            search.block(low, min(low + _BLOCK, len(kept)))
        return kept, similar
    rule = (least, data.mode.threshold, data.mode.ngram, _TRIES)
    texts = (data.texts.addresses, data.texts.sizes, data.tokens)

    def make() -> tuple[Any, Any]:
        return tokens_kernel.new_scratch(), compiled.new_tables(len(kept), _CANDIDATES)

    def assign(low: int, high: int, arrays: tuple[Any, Any]) -> None:
        compiled.assign(low, high, rule, texts, data.sketches, stars, kept, similar, *arrays)

    sequential = make()
    free = [make() for _ in range(crew.count)]
    for low in range(0, len(kept), _BLOCK):
        high = min(low + _BLOCK, len(kept))
        if low:
            jobs = ((low + a, low + b) for a, b in ranges(data.texts.sizes[low:high]))
            crew.each(assign, jobs, free)
        compiled.settle(low, high, _BUCKET_ROOM, rule, texts, data.sketches, stars, kept, similar, *sequential)
        data.release()
    return kept, similar


@dataclass(frozen=True, slots=True)
class _Search:
    """The star pass in NumPy."""

    data: Comparison
    stars: Stars
    least: int
    kept: IntArray
    similar: NDArray[np.float64]

    def block(self, low: int, high: int) -> None:
        """Decide one block of ranks."""
        stars = self.stars
        for rank in range(low, high):
            self._look_up(rank, 0)
        for rank in range(low, high):
            own = stars.memberships[stars.begins[rank] : stars.begins[rank + 1]]
            if self.kept[rank] != rank or not len(own):
                continue
            self._look_up(rank, low)
            if self.kept[rank] == rank:
                open_buckets = own[stars.fills[own] < _BUCKET_ROOM]
                stars.representatives[stars.starts[open_buckets] + stars.fills[open_buckets]] = rank
                stars.fills[open_buckets] += 1

    def _look_up(self, rank: int, first: int) -> None:
        """Find the kept document for one rank among the representatives from rank `first` on."""
        data, stars = self.data, self.stars
        found: list[NDArray[np.uint32]] = []
        for bucket in stars.memberships[stars.begins[rank] : stars.begins[rank + 1]].tolist():
            start = stars.starts[bucket]
            held = stars.representatives[start : start + stars.fills[bucket]]
            found.append(held[held >= first][::-1])
        if not found or not len(every := np.concatenate(found)):
            return
        _, position = np.unique(every, return_index=True)
        others = every[np.sort(position)]  # in the order in which the buckets name them
        agreement = np.count_nonzero(data.sketches[others] == data.sketches[rank], axis=1)
        near = np.flatnonzero(agreement >= self.least)[:_CANDIDATES]
        order = np.lexsort((others[near], -agreement[near]))[:_TRIES]
        for other in others[near][order].tolist():
            similarity = data.similarity(rank, other)
            if similarity >= data.mode.threshold:
                self.kept[rank], self.similar[rank] = other, similarity
                return


def measure(data: Comparison, kept: IntArray, crew: Workers) -> NDArray[np.float64]:
    """The true similarity of each document with the one that is kept for it."""
    similar = np.ones(len(kept))
    removed = np.flatnonzero(kept != np.arange(len(kept)))
    removed = removed[np.argsort(kept[removed], kind="stable")]
    found = np.zeros(len(removed))
    compiled, tokens_kernel = kernel("pairs"), kernel("tokens")
    texts = (data.texts.addresses, data.texts.sizes, data.tokens)

    def compare(low: int, high: int, arrays: Any) -> None:
        rows = removed[low:high]
        if compiled is None:
            found[low:high] = [data.similarity(int(kept[row]), int(row)) for row in rows]
        else:
            compiled.similarities(kept[rows], rows, texts, data.mode.ngram, found[low:high], *arrays)
        data.release()

    def make() -> Any:
        return (tokens_kernel.new_scratch(), compiled.new_tables(0, 0)) if compiled and tokens_kernel else ()

    crew.each(compare, ranges(data.texts.sizes[removed]), [make() for _ in range(crew.count)])
    similar[removed] = found
    return similar
