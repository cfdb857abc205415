"""Compiled: union-find, the exact Jaccard similarity of two texts, and which document of a cluster stays.

The compiled twins of the loops in `clusters.py`; they give the same decisions.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_recipes.engine.jit import compiled, inlined
from data_recipes.engine.jit_simd import equal_mask, ones
from data_recipes.engine.jit_tokens import UInt64Array, begin, next_shingles

SLOTS = 1 << 21  # of a hash table, half of them filled at most; the system gives memory for those that are used
_LARGEST = SLOTS // 2
_EMPTY = np.uint64(0)
_SKETCH = 256


class Tables(NamedTuple):
    """The hash tables of one thread: 40 MiB where a text is as large as that."""

    own: UInt64Array
    tags: NDArray[np.uint32]  # for each shingle of the text, the last candidate that had it
    other: UInt64Array  # the candidate's shingles that the text has not
    seen: NDArray[np.uint32]  # for each document the rank + 1 for which it was last a candidate
    candidates: NDArray[np.int64]
    matches: NDArray[np.int64]


def new_tables(documents: int, candidates: int) -> Tables:
    """Return fresh tables for one thread."""
    return Tables(
        np.zeros(SLOTS, dtype=np.uint64),
        np.zeros(SLOTS, dtype=np.uint32),
        np.zeros(SLOTS, dtype=np.uint64),
        np.zeros(documents, dtype=np.uint32),
        np.zeros(candidates, dtype=np.int64),
        np.zeros(candidates, dtype=np.int64),
    )


@compiled
def unite(parents: Any, left: Any, right: Any) -> None:
    """Join the components of each pair; a component's root is its smallest member."""
    for i in range(len(left)):
        a, b = np.int64(left[i]), np.int64(right[i])
        while parents[a] != a:
            parents[a] = parents[parents[a]]
            a = parents[a]
        while parents[b] != b:
            parents[b] = parents[parents[b]]
            b = parents[b]
        if a < b:
            parents[b] = a
        else:
            parents[a] = b


@compiled
def flatten(parents: Any) -> None:
    """Point every member at its root; a parent is never larger than its child."""
    for i in range(len(parents)):
        parents[i] = parents[parents[i]]


@compiled
def fill_memberships(members: Any, buckets: Any, next_place: Any, placed: Any) -> None:
    """Sort buckets by member: a counting sort, whose places `next_place` holds."""
    for i in range(len(members)):
        member = members[i]
        placed[next_place[member]] = buckets[i]
        next_place[member] += 1


@inlined
def _capacity(tokens: Any) -> Any:
    capacity = np.int64(64)
    while capacity < 2 * tokens and capacity < SLOTS:
        capacity *= 2
    return capacity


@inlined
def _slot(keys: Any, capacity: Any, key: Any) -> Any:
    """Where a key is, or the empty place where it would be."""
    last = np.uint64(capacity - 1)
    slot = (key >> np.uint64(20)) & last
    while keys[slot] != _EMPTY and keys[slot] != key:
        slot = (slot + np.uint64(1)) & last
    return slot


@inlined
def _key(shingle: Any) -> Any:
    return shingle if shingle != _EMPTY else np.uint64(1)


@compiled
def _load(address: Any, size: Any, tokens: Any, ngram: Any, part: Any, parts: Any, scratch: Any, tables: Any) -> Any:
    """Put a text's shingles of one part of the hashes into the first table; how many, and the table's capacity."""
    capacity, distinct = _capacity(tokens // parts + 64), np.int64(0)
    own, tags = tables.own, tables.tags
    own[:capacity] = _EMPTY
    tags[:capacity] = np.uint32(0)
    begin(scratch)
    while True:
        made = next_shingles(address, size, ngram, scratch)
        if made < 0:
            return distinct, capacity
        for i in range(made):
            key = _key(scratch.shingles[i])
            if parts > 1 and np.int64((key >> np.uint64(40)) % np.uint64(parts)) != part:
                continue
            slot = _slot(own, capacity, key)
            # A table is never filled up: hashes that all fall into one part can't be met by chance.
            if own[slot] == _EMPTY and distinct < capacity - 8:
                own[slot] = key
                distinct += 1


@compiled
def _compare(
    address: Any, size: Any, tokens: Any, ngram: Any, part: Any, parts: Any,
    capacity: Any, tag: Any, scratch: Any, tables: Any,
) -> Any:  # fmt: skip
    """How many shingles a text shares with the table's text, and how many of its own are not there."""
    room = _capacity(tokens // parts + 64)
    own, tags, other = tables.own, tables.tags, tables.other
    other[:room] = _EMPTY
    shared = alone = np.int64(0)
    begin(scratch)
    while True:
        made = next_shingles(address, size, ngram, scratch)
        if made < 0:
            return shared, alone
        for i in range(made):
            key = _key(scratch.shingles[i])
            if parts > 1 and np.int64((key >> np.uint64(40)) % np.uint64(parts)) != part:
                continue
            slot = _slot(own, capacity, key)
            if own[slot] == key:
                shared += np.int64(tags[slot] != tag)
                tags[slot] = tag
                continue
            slot = _slot(other, room, key)
            if other[slot] == _EMPTY and alone < room - 8:
                other[slot] = key
                alone += 1


@inlined
def _parts(tokens: Any, other_tokens: Any) -> Any:
    return np.int64(1) + max(np.int64(tokens), np.int64(other_tokens)) // _LARGEST


@inlined
def _ratio(shared: Any, union: Any) -> Any:
    return shared / union if union else 0.0


@compiled
def _similarity_in_parts(left: Any, right: Any, texts: Any, ngram: Any, scratch: Any, tables: Any) -> Any:
    """The Jaccard similarity of two texts, one part of the hashes after another: memory stays bounded."""
    addresses, sizes, tokens = texts
    parts = _parts(tokens[left], tokens[right])
    shared = union = np.int64(0)
    for part in range(parts):
        distinct, capacity = _load(addresses[left], sizes[left], tokens[left], ngram, part, parts, scratch, tables)
        both, alone = _compare(
            addresses[right], sizes[right], tokens[right], ngram, part, parts,
            capacity, np.uint32(1), scratch, tables,
        )  # fmt: skip
        shared += both
        union += distinct + alone
    return _ratio(shared, union)


@compiled
def similarities(lefts: Any, rights: Any, texts: Any, ngram: Any, found: Any, scratch: Any, tables: Any) -> None:
    """Fill in the Jaccard similarity of each pair; neighbours with the same left text share its table."""
    addresses, sizes, tokens = texts
    loaded, distinct, capacity, tag = np.int64(-1), np.int64(0), np.int64(0), np.uint32(0)
    for i in range(len(lefts)):
        left, right = lefts[i], rights[i]
        if _parts(tokens[left], tokens[right]) > 1:
            found[i] = _similarity_in_parts(left, right, texts, ngram, scratch, tables)
            loaded = np.int64(-1)
            continue
        if loaded != left:
            distinct, capacity = _load(addresses[left], sizes[left], tokens[left], ngram, 0, 1, scratch, tables)
            loaded, tag = left, np.uint32(0)
        tag = np.uint32(tag + np.uint32(1))
        both, alone = _compare(
            addresses[right], sizes[right], tokens[right], ngram, 0, 1, capacity, tag, scratch, tables
        )
        found[i] = _ratio(both, distinct + alone)


@inlined
def _agreement(sketches: Any, left: Any, right: Any) -> Any:
    """In how many of their 256 bytes two sketches agree."""
    base = np.uint64(sketches.ctypes.data)
    a, b = base + np.uint64(left * _SKETCH), base + np.uint64(right * _SKETCH)
    total = np.int64(0)
    for offset in range(0, _SKETCH, 64):
        total += ones(equal_mask(a + np.uint64(offset), b + np.uint64(offset)))
    return total


@compiled
def _candidates(rank: Any, first: Any, least: Any, sketches: Any, stars: Any, tables: Any) -> Any:
    """Collect the representatives from rank `first` on that share a bucket and agree in `least` bytes; how many."""
    begins, memberships, starts, fills, representatives = stars
    stamp, found = np.uint32(rank + 1), np.int64(0)
    for i in range(begins[rank], begins[rank + 1]):
        bucket = memberships[i]
        start = starts[bucket]
        for place in range(start + fills[bucket] - 1, start - 1, -1):
            other = np.int64(representatives[place])
            if other < first:
                break
            if tables.seen[other] == stamp:
                continue
            tables.seen[other] = stamp
            agreement = _agreement(sketches, np.int64(rank), other)
            if agreement >= least and found < len(tables.candidates):
                tables.candidates[found] = other
                tables.matches[found] = agreement
                found += 1
    return found


@inlined
def _next_choice(found: Any, tables: Any) -> Any:
    """The candidate that agrees in the most bytes, of equal ones the smaller; it is not chosen again."""
    best = 0
    for i in range(1, found):
        if tables.matches[i] > tables.matches[best] or (
            tables.matches[i] == tables.matches[best] and tables.candidates[i] < tables.candidates[best]
        ):
            best = i
    tables.matches[best] = -1
    return tables.candidates[best]


@compiled
def choose(low: Any, high: Any, least: Any, sketches: Any, stars: Any, choices: Any, tables: Any) -> None:
    """Return for each of a range of documents the representatives to compare it with, in order."""
    for rank in range(low, high):
        found = _candidates(rank, np.int64(0), least, sketches, stars, tables)
        for number in range(min(found, choices.shape[1])):
            choices[rank - low, number] = _next_choice(found, tables)


@compiled
def settle(
    ranks: Any, rule: Any, texts: Any, sketches: Any, stars: Any, kept: Any, similar: Any, scratch: Any, tables: Any
) -> None:  # fmt: skip
    """Compare some documents with those before them, in order; one without a match becomes a representative."""
    least, threshold, ngram, tries, room = rule
    begins, memberships, starts, fills, representatives = stars
    left, right, found_one = np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros(1, np.float64)
    for place in range(len(ranks)):
        rank = ranks[place]
        found = _candidates(rank, ranks[0], least, sketches, stars, tables)
        is_kept = True
        for _ in range(min(found, tries)):
            other = _next_choice(found, tables)
            left[0], right[0] = place, np.searchsorted(ranks, other)
            similarities(left, right, texts, ngram, found_one, scratch, tables)
            if found_one[0] >= threshold:
                kept[rank] = other
                similar[rank] = found_one[0]
                is_kept = False
                break
        if is_kept:
            for i in range(begins[rank], begins[rank + 1]):
                bucket = memberships[i]
                if fills[bucket] < room:
                    representatives[starts[bucket] + fills[bucket]] = np.uint32(rank)
                    fills[bucket] += 1
