"""Compiled: cut text into GPT-2's words, look up known ones in a table, merge the others.

Contract of `encode_range`: for every document of the range its ids, in order, each document followed by `end_id`
where that is not negative. All arrays are the caller's; the cache belongs to one thread.

Classes of characters: 0 is numeric (always a word of its own), 1 white space, 2 letter, 3 the rest, 4 what the
pattern calls a number and the digit splitter does not.
"""

import numba
import numpy as np

NUMERIC, SPACE = 0, 1
SLOTS = 1 << 19  # of a thread's cache, 32 bytes each: 16 MiB
INLINE = 4  # ids that a slot holds itself
LONGEST = 64  # bytes of a word that is kept in the cache
NONE = np.int64(1 << 62)


@numba.njit(cache=True, nogil=True)
def character(text, at, stop):
    """Return the code point at `at` and the number of its bytes."""
    first = text[at]
    if first < 0x80:
        return np.int64(first), 1
    if first < 0xE0:
        return (np.int64(first & 0x1F) << 6) | (text[at + 1] & 0x3F), 2
    if first < 0xF0:
        return (np.int64(first & 0x0F) << 12) | (np.int64(text[at + 1] & 0x3F) << 6) | (text[at + 2] & 0x3F), 3
    high = (np.int64(first & 0x07) << 18) | (np.int64(text[at + 1] & 0x3F) << 12)
    return high | (np.int64(text[at + 2] & 0x3F) << 6) | (text[at + 3] & 0x3F), 4


@numba.njit(cache=True, nogil=True)
def run_end(text, at, stop, kinds, kind):
    """Return where the run of characters of one kind ends."""
    while at < stop:
        code, size = character(text, at, stop)
        if kinds[code] != kind:
            break
        at += size
    return at


@numba.njit(cache=True, nogil=True)
def contraction(text, at, stop):
    """Return the length of 's, 't, 'm, 'd, 're, 've or 'll at `at`, or 0."""
    if at + 1 >= stop:
        return 0
    second = text[at + 1]
    if second == 115 or second == 116 or second == 109 or second == 100:
        return 2
    if at + 2 < stop:
        third = text[at + 2]
        if (third == 101 and (second == 114 or second == 118)) or (second == 108 and third == 108):
            return 3
    return 0


@numba.njit(cache=True, nogil=True)
def word_end(text, at, stop, kinds):
    """Return where the word that starts at `at` ends: GPT-2's pattern between numeric characters."""
    code, size = character(text, at, stop)
    if code == 39:
        length = contraction(text, at, stop)
        if length:
            return at + length
    kind = kinds[code]
    if kind == NUMERIC:
        return at + size
    if kind != SPACE:
        return run_end(text, at + size, stop, kinds, kind)
    if code == 32 and at + 1 < stop:
        following = kinds[character(text, at + 1, stop)[0]]
        if following > SPACE:
            return run_end(text, at + 1, stop, kinds, following)
    # A run of white space leaves its last character to the word behind it, if there is one before the next digit.
    end, last = at + size, at
    while end < stop:
        code, size = character(text, end, stop)
        if kinds[code] != SPACE:
            break
        last = end
        end += size
    if end < stop and kinds[character(text, end, stop)[0]] != NUMERIC and last > at:
        return last
    return end


@numba.njit(cache=True, nogil=True)
def mixed(low, high):
    """Return a hash of two words of 64 bits."""
    value = (low ^ (high * np.uint64(0x9E3779B97F4A7C15))) * np.uint64(0xD6E8FEB86659FD93)
    value ^= value >> np.uint64(32)
    value *= np.uint64(0xD6E8FEB86659FD93)
    return value ^ (value >> np.uint64(29))


@numba.njit(cache=True, nogil=True)
def pair_slot(keys, key):
    """Return the slot of a pair of tokens in the table of merges, or of the free one where it would stand."""
    mask = np.uint64(len(keys) - 1)
    at = mixed(key, np.uint64(1)) & mask
    while keys[at] != key and keys[at] != np.uint64(0xFFFFFFFFFFFFFFFF):
        at = (at + np.uint64(1)) & mask
    return at


@numba.njit(cache=True, nogil=True)
def build_pairs(pairs, keys, ranks, results):
    """Fill the table of merges from rows of (left, right, result); a later rank of the same pair wins."""
    for rank in range(len(pairs)):
        key = (np.uint64(pairs[rank, 0]) << np.uint64(32)) | np.uint64(pairs[rank, 1])
        at = pair_slot(keys, key)
        keys[at], ranks[at], results[at] = key, rank, pairs[rank, 2]


@numba.njit(cache=True, nogil=True)
def ranked(left, right, keys, ranks, results):
    """Return a pair's rank and the token it becomes; the rank is NONE where the two do not merge."""
    key = (np.uint64(left) << np.uint64(32)) | np.uint64(right)
    at = pair_slot(keys, key)
    if keys[at] != key:
        return NONE, np.int64(0)
    return np.int64(ranks[at]), np.int64(results[at])


@numba.njit(cache=True, nogil=True)
def merge_short(tokens, costs, count, keys, ranks, results):
    """Merge the cheapest pair, leftmost first, until none is left; return how many tokens stay."""
    for at in range(count - 1):
        costs[at] = ranked(tokens[at], tokens[at + 1], keys, ranks, results)[0]
    while count > 1:
        best, cost = 0, NONE
        for at in range(count - 1):
            if costs[at] < cost:
                best, cost = at, costs[at]
        if cost == NONE:
            break
        tokens[best] = ranked(tokens[best], tokens[best + 1], keys, ranks, results)[1]
        count -= 1
        for at in range(best + 1, count):
            tokens[at] = tokens[at + 1]
            costs[at] = costs[at + 1]
        if best > 0:
            costs[best - 1] = ranked(tokens[best - 1], tokens[best], keys, ranks, results)[0]
        if best < count - 1:
            costs[best] = ranked(tokens[best], tokens[best + 1], keys, ranks, results)[0]
    return count


@numba.njit(cache=True, nogil=True)
def push(heap, size, value):
    """Add to a binary heap; return its new size."""
    at = size
    while at > 0 and heap[(at - 1) >> 1] > value:
        heap[at] = heap[(at - 1) >> 1]
        at = (at - 1) >> 1
    heap[at] = value
    return size + 1


@numba.njit(cache=True, nogil=True)
def pop(heap, size):
    """Move the smallest entry of a binary heap behind its end; return the new size."""
    size -= 1
    smallest, value, at = heap[0], heap[size], 0
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= value:
            break
        heap[at] = heap[child]
        at = child
    heap[at] = value
    heap[size] = smallest
    return size


@numba.njit(cache=True, nogil=True)
def merge_long(tokens, count, keys, ranks, results):
    """Do what `merge_short` does, in n log n steps: for a megabyte of one letter."""
    heap = np.empty(3 * count + 3, dtype=np.int64)  # rank and place in one number
    left, right = np.arange(-1, count - 1), np.arange(1, count + 1)
    size = 0
    for at in range(count - 1):
        rank = ranked(tokens[at], tokens[at + 1], keys, ranks, results)[0]
        if rank != NONE:
            size = push(heap, size, (rank << 40) | at)
    while size:
        size = pop(heap, size)
        rank, at = heap[size] >> 40, heap[size] & 0xFFFFFFFFFF
        if tokens[at] < 0 or right[at] >= count:
            continue
        found, result = ranked(tokens[at], tokens[right[at]], keys, ranks, results)
        if found != rank:
            continue
        gone = right[at]
        tokens[at], tokens[gone] = result, -1
        right[at] = right[gone]
        if right[at] < count:
            left[right[at]] = at
            rank = ranked(result, tokens[right[at]], keys, ranks, results)[0]
            if rank != NONE:
                size = push(heap, size, (rank << 40) | at)
        if left[at] >= 0:
            rank = ranked(tokens[left[at]], result, keys, ranks, results)[0]
            if rank != NONE:
                size = push(heap, size, (rank << 40) | left[at])
    kept = 0
    for at in range(count):
        if tokens[at] >= 0:
            tokens[kept] = tokens[at]
            kept += 1
    return kept


@numba.njit(cache=True, nogil=True)
def merged(text, at, end, tables, scratch, costs, out, to):
    """Encode one word by merging; return where the next id goes."""
    byte_ids, keys, ranks, results = tables
    count = end - at
    if count <= LONGEST:
        for place in range(count):
            scratch[place] = byte_ids[text[at + place]]
        kept = merge_short(scratch, costs, count, keys, ranks, results)
        for place in range(kept):
            out[to + place] = scratch[place]
        return to + kept
    tokens = np.empty(count, dtype=np.int64)
    for place in range(count):
        tokens[place] = byte_ids[text[at + place]]
    kept = merge_long(tokens, count, keys, ranks, results)
    for place in range(kept):
        out[to + place] = tokens[place]
    return to + kept


@numba.njit(cache=True, nogil=True)
def eight(text, at, end):
    """Return up to eight bytes as one number."""
    value = np.uint64(0)
    for place in range(min(8, end - at)):
        value |= np.uint64(text[at + place]) << np.uint64(8 * place)
    return value


@numba.njit(cache=True, nogil=True)
def encode_word(text, at, end, tables, cache, out, to):
    """Encode one word, from the thread's cache where it is there; return where the next id goes.

    A slot holds the first 16 bytes, then size, number of ids and place in the long store, then up to four ids.
    """
    slots, words, ids, used, scratch, costs = cache
    size = end - at
    if size == 1:
        out[to] = tables[0][text[at]]
        return to + 1
    if size > LONGEST:
        return merged(text, at, end, tables, scratch, costs, out, to)
    low, high, tail = eight(text, at, end), np.uint64(0), np.uint64(size)
    if size > 8:
        high = eight(text, at + 8, end)
        if size > 16:
            tail = mixed(eight(text, end - 8, end), tail)
    mask = np.uint64(SLOTS - 1)
    home = mixed(low, high ^ (tail * np.uint64(0x9E3779B97F4A7C15))) & mask
    slot = home
    while slots[slot, 2]:
        about = slots[slot, 2]
        if slots[slot, 0] == low and slots[slot, 1] == high and (about & np.uint64(0xFF)) == np.uint64(size):
            count, start = np.int64((about >> np.uint64(8)) & np.uint64(0xFF)), np.int64(about >> np.uint64(16))
            if size <= 16 and count <= INLINE:
                four = slots[slot, 3]
                for place in range(count):
                    out[to + place] = (four >> np.uint64(16 * place)) & np.uint64(0xFFFF)
                return to + count
            is_same = True
            for place in range(16, size):
                if words[start + place] != text[at + place]:
                    is_same = False
                    break
            if is_same:
                for place in range(count):
                    out[to + place] = ids[start + place]
                return to + count
        slot = (slot + np.uint64(1)) & mask
    after = merged(text, at, end, tables, scratch, costs, out, to)
    count = after - to
    is_stored = size > 16 or count > INLINE
    if used[0] >= SLOTS // 2 or used[1] + size > len(words):  # full: start anew, memory stays as it is
        slots[:, 2] = 0
        used[0] = used[1] = 0
        slot = home
    slots[slot, 0], slots[slot, 1] = low, high
    slots[slot, 2] = np.uint64(size) | (np.uint64(count) << np.uint64(8)) | (np.uint64(used[1]) << np.uint64(16))
    slots[slot, 3] = np.uint64(0)
    used[0] += 1
    if is_stored:
        for place in range(size):
            words[used[1] + place] = text[at + place]
        for place in range(count):
            ids[used[1] + place] = out[to + place]
        used[1] += size
    else:
        for place in range(count):
            slots[slot, 3] |= np.uint64(out[to + place]) << np.uint64(16 * place)
    return after


@numba.njit(cache=True, nogil=True)
def encode_range(text, bounds, first, last, kinds, tables, cache, end_id, out, counts):
    """Encode the documents `first` to `last` - 1 of `bounds` into `out`; return how many ids that are.

    The usual case, a short word that is in the cache, stands here: a call would pass a hundred numbers, 100 ns a word.
    """
    to, slots, byte_ids, mask = 0, cache[0], tables[0], np.uint64(SLOTS - 1)
    for row in range(first, last):
        at, stop, started = bounds[row], bounds[row + 1], to
        while at < stop:
            end = word_end(text, at, stop, kinds)
            size = end - at
            if size == 1:
                out[to] = byte_ids[text[at]]
                to += 1
                at = end
                continue
            if size <= 16:
                low, high = np.uint64(0), np.uint64(0)
                for place in range(min(8, size)):
                    low |= np.uint64(text[at + place]) << np.uint64(8 * place)
                for place in range(8, size):
                    high |= np.uint64(text[at + place]) << np.uint64(8 * place - 64)
                slot = mixed(low, high ^ (np.uint64(size) * np.uint64(0x9E3779B97F4A7C15))) & mask
                about = slots[slot, 2]
                while about and (
                    slots[slot, 0] != low or slots[slot, 1] != high or (about & np.uint64(0xFF)) != np.uint64(size)
                ):
                    slot = (slot + np.uint64(1)) & mask
                    about = slots[slot, 2]
                count = np.int64((about >> np.uint64(8)) & np.uint64(0xFF))
                if about and count <= INLINE:
                    four = slots[slot, 3]
                    for _ in range(count):
                        out[to] = four & np.uint64(0xFFFF)
                        four >>= np.uint64(16)
                        to += 1
                    at = end
                    continue
            to = encode_word(text, at, end, tables, cache, out, to)
            at = end
        if end_id >= 0:
            out[to] = end_id
            to += 1
        counts[row] = to - started
    return to
