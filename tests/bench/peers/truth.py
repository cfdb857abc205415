"""The truth that near-duplicate results are judged by: exact Jaccard of 5-gram sets, found without MinHash.

Two sets of Jaccard t or more share one of their rarest elements: the first (1 - t) of each set in a common order.
So an index over those prefixes finds every such pair, and each pair is then counted exactly. All of it is NumPy over
the definition in `shingles.py`, nothing of the compiled code.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from data_recipes.engine.shingles import jaccard, ngram_set

MIN_TOKENS = 10
_PARTS = 8  # of the hashes, one at a time in memory


class Truth:
    """Exact similarities within one corpus."""

    def __init__(self, texts: Sequence[bytes], threshold: float) -> None:
        self.threshold = threshold
        self.sets: list[NDArray[np.uint64]] = []
        for text in texts:
            grams, tokens = ngram_set(text)
            self.sets.append(grams if tokens >= MIN_TOKENS else grams[:0])
        self._keys, self._rows = self._index()

    def _index(self) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
        """The prefix elements that more than one document has, sorted, and whose they are."""
        sizes = np.array([len(grams) for grams in self.sets])
        every = np.concatenate([*self.sets, np.zeros(0, dtype=np.uint64)])
        counts = np.zeros(len(every), dtype=np.int32)
        for part in range(_PARTS):
            chosen = np.flatnonzero((every >> np.uint64(40)) % np.uint64(_PARTS) == part)
            _, inverse, count = np.unique(every[chosen], return_inverse=True, return_counts=True)
            counts[chosen] = count[inverse]
        keys, rows, start = [], [], 0
        for row, size in enumerate(sizes.tolist()):
            own, count = every[start : start + size], counts[start : start + size]
            start += size
            prefix = np.lexsort((own, count))[: size - int(np.ceil(self.threshold * size)) + 1]
            shared = own[prefix[count[prefix] > 1]]
            keys.append(shared)
            rows.append(np.full(len(shared), row, dtype=np.int32))
        key, row = np.concatenate(keys), np.concatenate(rows)
        order = np.argsort(key, kind="stable")
        return key[order], row[order]

    def partners(self, row: int) -> Iterator[tuple[int, float]]:
        """Every other document with a Jaccard of at least the threshold, and that Jaccard."""
        own = self.sets[row]
        place = np.searchsorted(self._keys, own)
        end = np.searchsorted(self._keys, own, side="right")
        found = [self._rows[a:b] for a, b in zip(place.tolist(), end.tolist(), strict=True) if b > a]
        for other in np.unique(np.concatenate([*found, np.zeros(0, dtype=np.int32)])).tolist():
            smaller, larger = sorted((len(own), len(self.sets[other])))
            if other == row or smaller < self.threshold * larger:
                continue
            if (similarity := jaccard(own, self.sets[other])) >= self.threshold:
                yield other, similarity

    def similarity(self, left: int, right: int) -> float:
        """The exact Jaccard similarity of two documents."""
        return jaccard(self.sets[left], self.sets[right])
