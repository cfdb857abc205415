"""Compute what the card shows of a finished store: histograms, licences, an example file."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_recipes.filters import registry

MIN_LINES, SHOWN_LINES, MAX_CHARS = 8, 16, 92
_SEARCHED_ROWS, _READ_ROWS = 2000, 16


def histograms_of(store: pa.Table, thresholds: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return a histogram of each column that the store has and that a filter wants drawn.

    Each has a title, the lower edges of the bins (the last is open), the files in each, the number of files whose value
    is unknown, and the thresholds to mark.
    """
    found = {}
    for drawn in registry.histograms():
        if drawn.column not in store.column_names:
            continue
        edges, values = list(drawn.edges), np.asarray(store[drawn.column].drop_null()).astype(float)
        bins = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 1)
        found[drawn.column] = {
            "title": drawn.title,
            "edges": edges,
            "files": np.bincount(bins, minlength=len(edges)).tolist(),
            "unknown": store.num_rows - len(values),
            "thresholds": [thresholds[name] for name in drawn.thresholds],
        }
    return found


def license_counts(store: pa.Table) -> dict[str, int] | None:
    """Count in how many files each licence stands, the commonest first; None for a source that names none."""
    if "licenses" not in store.column_names:
        return None
    counts = Counter(name for names in store["licenses"].to_pylist() for name in names or ["unknown"])
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def example_of(
    store: pa.Table, mask: pa.BooleanArray, contents: Callable[[pa.Array], pa.ChunkedArray] | None = None
) -> dict[str, Any] | None:
    """Return lines from a third on of the first row kept by `mask` that has 8 or more and narrow ones; None if no row has.

    Rows are ordered by hexsha, so it is as good as drawn at random, and the same in every run. Contents are redacted;
    `contents` reads those of some rows where they are no column of the store.
    """
    if not len(mask):  # pyarrow 24 crashes on an array of no chunks
        return None
    rows = pc.indices_nonzero(mask).slice(0, _SEARCHED_ROWS)
    for start in range(0, len(rows), _READ_ROWS):  # a few at a time: files may be large
        some = rows.slice(start, _READ_ROWS)
        kept = store.select(["path", "hexsha"]).take(some)
        texts = store["content"].take(some) if contents is None else contents(some)
        for path, hexsha, content in zip(kept["path"], kept["hexsha"], texts, strict=True):
            every = content.as_py().expandtabs(4).rstrip().split("\n")
            first = max(0, min(len(every) // 3, len(every) - SHOWN_LINES))
            lines = [line.rstrip() for line in every[first : first + SHOWN_LINES]]
            if len(lines) >= MIN_LINES and max(map(len, lines)) <= MAX_CHARS and any(lines):
                return {"path": path.as_py(), "hexsha": hexsha.as_py(), "first_line": first + 1, "lines": lines}
    return None
