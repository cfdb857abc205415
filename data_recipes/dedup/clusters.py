"""Decide which documents are kept: from shared MinHash bands to candidates, to clusters, to one that stays.

Documents are named by rank, where a smaller one is a better representative. All of it is loops over arrays, so a
family of any number of copies costs linear time. The compiled twins are in `kernel_pairs.py`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_recipes.dedup.signatures import NUM_PERM, Mode, Signatures
from data_recipes.engine.jit import kernel
from data_recipes.engine.shingles import UInt64Array, jaccard
from data_recipes.engine.texts import FileTexts, Texts
from data_recipes.engine.threads import Workers, ranges

# 256 permutations estimate J=.7 with a standard error of .029: a pair whose estimate is this far below the threshold
# is two standard errors away, so it is not compared exactly. Measured against .1 and 32 tries: half the comparisons, and
# .42 % instead of .19 % of the kept files still have a kept near-duplicate.
_ESTIMATE_MARGIN = 0.06
# What bounds the time in a family of files that are alike but not enough to be duplicates: representatives a bucket
# holds, candidates collected for a document, and exact comparisons of one document.
_BUCKET_ROOM, _CANDIDATES, _TRIES = 1024, 4096, 16
# Documents compared with the representatives of earlier blocks side by side; their texts are in memory together.
_BLOCK, _BLOCK_BYTES = 2048, 64 << 20
_SORTED_AT_ONCE = 1 << 24  # keys of a band: 128 MiB, three times that while they are sorted

IntArray = NDArray[np.int64]


class Stars(NamedTuple):
    """Buckets of each document (`memberships[begins[rank]:begins[rank + 1]]`), and representatives of each bucket."""

    begins: IntArray
    memberships: NDArray[np.uint32]
    starts: IntArray
    fills: NDArray[np.int32]
    representatives: NDArray[np.uint32]


def groups(keys: Sequence[UInt64Array], ranks: NDArray[np.uint32]) -> Iterator[tuple[NDArray[np.uint32], IntArray]]:
    """Return the documents that share a key of one band with another, group by group, and where each group begins.

    `keys` are the band's keys, in pieces; `ranks` the rank of each document, or the number of documents for one that
    takes no part. Members of a group are in ascending order. Many keys are sorted in parts of equal upper bits.
    """
    parts = key_ranges(len(ranks))
    for part in range(parts):
        yield groups_in_range(keys, ranks, part, parts)


def key_ranges(documents: int) -> int:
    """Return in how many parts the keys of a band are sorted."""
    return -(-documents // _SORTED_AT_ONCE)


def groups_in_range(
    keys: Iterable[UInt64Array], ranks: NDArray[np.uint32], part: int, parts: int
) -> tuple[NDArray[np.uint32], IntArray]:
    """Return the groups of one part of a band's keys; no more than that part and one piece is in memory."""
    chosen_keys: list[UInt64Array] = [np.zeros(0, dtype=np.uint64)]
    chosen_ranks: list[NDArray[np.uint32]] = [np.zeros(0, dtype=np.uint32)]
    row = 0
    for piece in keys:
        piece_ranks = ranks[row : row + len(piece)]
        row += len(piece)
        takes_part = piece_ranks < len(ranks)
        if parts > 1:
            takes_part &= (piece >> np.uint64(32)) % np.uint64(parts) == part
        chosen_keys.append(piece[takes_part])
        chosen_ranks.append(piece_ranks[takes_part])
    return _grouped(np.concatenate(chosen_keys), np.concatenate(chosen_ranks))


def _shared(keys: UInt64Array) -> IntArray:
    """The places of all keys that are there more than once, and of a few others.

    Upper bits with the place below them are sorted by value, which vector instructions do without a jump to memory.
    """
    low = np.uint64((1 << max(1, len(keys) - 1).bit_length()) - 1)
    both = np.sort((keys & ~low) | np.arange(len(keys), dtype=np.uint64))
    same = (both[1:] ^ both[:-1]) <= low
    is_shared = np.zeros(len(keys), dtype=np.bool_)
    is_shared[1:] = same
    is_shared[:-1] |= same
    return (both[is_shared] & low).astype(np.int64)


def _grouped(keys: UInt64Array, ranks: NDArray[np.uint32]) -> tuple[NDArray[np.uint32], IntArray]:
    shared = _shared(keys)
    keys, ranks = keys[shared], ranks[shared]
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


_FEW = 4096  # documents of which a band is sorted faster than a thread begins


def bands_of(signatures: Sequence[Signatures], ranks: NDArray[np.uint32], crew: Workers, bands: int) -> Iterator[Any]:
    """Return the groups of every band, in the order of the bands; each thread sorts a band at a time."""

    def of(band: int) -> list[Any]:
        return list(groups([part.band(band) for part in signatures], ranks))

    if crew.count == 1 or len(ranks) < _FEW:
        for band in range(bands):
            yield from of(band)
        return
    for first in range(0, bands, crew.count):
        some = range(first, min(first + crew.count, bands))
        for found in crew.pool.map(of, some):
            yield from found


def components(signatures: Sequence[Signatures], ranks: NDArray[np.uint32], crew: Workers, bands: int) -> IntArray:
    """Return for each rank the smallest member of its connected component of band collisions."""
    return roots_of(bands_of(signatures, ranks, crew, bands), len(ranks))


def roots_of(groups_of_bands: Iterable[tuple[NDArray[np.uint32], IntArray]], count: int) -> IntArray:
    """Return for each of so many ranks the smallest one that groups join it with, over any number of them."""
    roots = np.arange(count, dtype=np.int64)
    compiled = kernel("pairs")
    for members, starts in groups_of_bands:
        heads = np.repeat(members[starts], np.diff(starts, append=len(members)))
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


def stars_of(signatures: Sequence[Signatures], ranks: NDArray[np.uint32], crew: Workers, bands: int) -> Stars:
    """Return the buckets of all bands, without representatives yet."""
    members: list[NDArray[np.uint32]] = []
    sizes: list[IntArray] = []
    for group_members, starts in bands_of(signatures, ranks, crew, bands):
        members.append(group_members)
        sizes.append(np.diff(starts, append=len(group_members)))
    return stars_from(members, sizes, len(ranks))


def stars_from(members: Sequence[NDArray[np.uint32]], sizes: Sequence[IntArray], count: int) -> Stars:
    """Return the buckets of so many ranks from their members and sizes, in the order of the bands."""
    every = np.concatenate([*members, np.zeros(0, dtype=np.uint32)])
    lengths = np.concatenate([*sizes, np.zeros(0, dtype=np.int64)])
    buckets = np.repeat(np.arange(len(lengths), dtype=np.uint32), lengths)
    begins = np.zeros(count + 1, dtype=np.int64)
    np.cumsum(np.bincount(every, minlength=count), out=begins[1:])
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
    """What comparisons read, all by rank."""

    texts: Texts | FileTexts
    tokens: NDArray[np.uint32]
    sketches: NDArray[np.uint8]
    mode: Mode

    def similarities(self, left: IntArray, right: IntArray, arrays: Any) -> NDArray[np.float64]:
        """Return the true Jaccard similarity of each pair of ranks; neighbours with the same left one cost less."""
        wanted = np.unique(np.concatenate([left, right]))
        texts, found = self.texts.view(wanted), np.zeros(len(left))
        left, right = np.searchsorted(wanted, left), np.searchsorted(wanted, right)
        if (compiled := kernel("pairs")) is None:
            pairs = zip(left.tolist(), right.tolist(), strict=True)
            found[:] = [exact_similarity(self.mode, texts.read(a), texts.read(b)) for a, b in pairs]
        else:
            where = (texts.addresses, texts.sizes, self.tokens[wanted])
            compiled.similarities(left, right, where, self.mode.ngram, found, *arrays)
        return found

    def new_arrays(self) -> Any:
        """Return what one thread compares with."""
        compiled, tokens = kernel("pairs"), kernel("tokens")
        return (tokens.new_scratch(), compiled.new_tables(len(self.tokens), _CANDIDATES)) if compiled and tokens else ()


def exact_similarity(mode: Mode, left: bytes, right: bytes) -> float:
    """Return the Jaccard similarity of two texts by the definition."""
    return jaccard(mode.shingles(left)[0], mode.shingles(right)[0])


def block_starts(sizes: IntArray) -> IntArray:
    """Return the first rank of each block of a star pass, from the sizes of the texts by rank."""
    ends, high = np.cumsum(sizes), 0
    starts: list[int] = []
    while high < len(ends):
        low, before = high, int(ends[high - 1]) if high else 0
        starts.append(low)
        high = min(low + _BLOCK, max(low + 1, int(np.searchsorted(ends, before + _BLOCK_BYTES, side="right"))))
    return np.array(starts, dtype=np.int64)


def star_pass(data: Comparison, stars: Stars, crew: Workers, starts: IntArray) -> tuple[IntArray, NDArray[np.float64]]:
    """Return the kept document of each rank and their similarity; a document goes only to one that is near enough.

    Ranks are taken in blocks, which begin at `starts`. A block's documents are first compared with the representatives of earlier blocks, most
    similar sketch first; what is left is compared within the block, one after the other, and stays where nothing is
    near enough. So the result depends on neither the number of threads nor the order of rows.
    """
    search = _Search(data, stars, np.arange(len(data.tokens), dtype=np.int64), np.ones(len(data.tokens)))
    arrays = [data.new_arrays() for _ in range(crew.count)]
    for low, high in pairwise([*starts.tolist(), len(data.tokens)]):
        if low:
            jobs = ((low + a, low + b) for a, b in ranges(data.texts.sizes[low:high]))
            crew.each(search.assign, jobs, arrays)
        search.settle(low, high, arrays[0])
    return search.kept, search.similar


@dataclass(frozen=True, slots=True)
class _Search:
    """The state of a star pass."""

    data: Comparison
    stars: Stars
    kept: IntArray
    similar: NDArray[np.float64]

    @property
    def _least(self) -> int:
        return int(np.ceil(1 + (NUM_PERM - 1) * (self.data.mode.threshold - _ESTIMATE_MARGIN)))

    def assign(self, low: int, high: int, arrays: Any) -> None:
        """Compare a range of ranks with the representatives there are; may run beside other ranges."""
        choices = np.full((high - low, _TRIES), -1, dtype=np.int64)
        if (compiled := kernel("pairs")) is None:
            for rank in range(low, high):
                found = self._candidates(rank, 0)
                choices[rank - low, : len(found)] = found
        else:
            compiled.choose(low, high, self._least, self.data.sketches, self.stars, choices, arrays[1])
        pending = np.flatnonzero(choices[:, 0] >= 0)
        for number in range(_TRIES):
            pending = pending[choices[pending, number] >= 0]
            if not len(pending):
                return
            others = choices[pending, number]
            similar = self.data.similarities(pending + low, others, arrays)
            near = similar >= self.data.mode.threshold
            self.kept[pending[near] + low], self.similar[pending[near] + low] = others[near], similar[near]
            pending = pending[~near]

    def settle(self, low: int, high: int, arrays: Any) -> None:
        """Compare what is left of a block with each other, in order; what finds no match becomes a representative."""
        is_shared = self.stars.begins[low:high] < self.stars.begins[low + 1 : high + 1]
        left = low + np.flatnonzero(is_shared & (self.kept[low:high] == np.arange(low, high)))
        texts = self.data.texts.view(left)
        if (compiled := kernel("pairs")) is None:
            for place, rank in enumerate(left.tolist()):
                self._settle(place, rank, left, texts)
            return
        rule = (self._least, self.data.mode.threshold, self.data.mode.ngram, _TRIES, _BUCKET_ROOM)
        where = (texts.addresses, texts.sizes, self.data.tokens[left])
        compiled.settle(left, rule, where, self.data.sketches, self.stars, self.kept, self.similar, *arrays)

    def _settle(self, place: int, rank: int, left: IntArray, texts: Texts) -> None:
        for other in self._candidates(rank, int(left[0])).tolist():
            theirs = texts.read(int(np.searchsorted(left, other)))
            similarity = exact_similarity(self.data.mode, texts.read(place), theirs)
            if similarity >= self.data.mode.threshold:
                self.kept[rank], self.similar[rank] = other, similarity
                return
        stars = self.stars
        own = stars.memberships[stars.begins[rank] : stars.begins[rank + 1]]
        own = own[stars.fills[own] < _BUCKET_ROOM]
        stars.representatives[stars.starts[own] + stars.fills[own]] = rank
        stars.fills[own] += 1

    def _candidates(self, rank: int, first: int) -> IntArray:
        """The representatives from rank `first` on to compare a rank with, in the order in which to do so."""
        data, stars = self.data, self.stars
        found: list[NDArray[np.uint32]] = [np.empty(0, dtype=np.uint32)]
        for bucket in stars.memberships[stars.begins[rank] : stars.begins[rank + 1]].tolist():
            start = stars.starts[bucket]
            held = stars.representatives[start : start + stars.fills[bucket]]
            found.append(held[held >= first][::-1])
        every = np.concatenate(found)
        _, position = np.unique(every, return_index=True)
        others = every[np.sort(position)].astype(np.int64)  # in the order in which the buckets name them
        agreement = np.count_nonzero(data.sketches[others] == data.sketches[rank], axis=1)
        near = np.flatnonzero(agreement >= self._least)[:_CANDIDATES]
        return others[near][np.lexsort((others[near], -agreement[near]))][:_TRIES]


def kept_similarity(data: Comparison, kept: IntArray, crew: Workers) -> NDArray[np.float64]:
    """Return the true similarity of each document with the one that is kept for it."""
    similar = np.ones(len(kept))
    removed = np.flatnonzero(kept != np.arange(len(kept)))
    removed = removed[np.argsort(kept[removed], kind="stable")]

    def compare(low: int, high: int, arrays: Any) -> None:
        rows = removed[low:high]
        similar[rows] = data.similarities(kept[rows], rows, arrays)

    crew.each(compare, ranges(data.texts.sizes[removed]), [data.new_arrays() for _ in range(crew.count)])
    return similar
