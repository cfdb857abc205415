"""What funnel.json says of a finished store: histograms, licences and one example file, from which the card draws."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_STEPS = {
    "size": [0, 256, 512, *(1 << n for n in range(10, 21))],
    "avg_line_length": [0, *range(10, 101, 10)],
    "alphanum_fraction": [round(0.25 + 0.05 * n, 2) for n in range(16)],
    "comment_share": [0.0, 0.01, *(round(0.05 * n, 2) for n in range(1, 21))],
    "chars_per_token": [0.0, *(round(1.5 + 0.25 * n, 2) for n in range(15))],
    "stars": [0, 1, 2, 5, 10, 20, 50, 100, 1000],
}
TITLES = {
    "size": "Size in bytes",
    "avg_line_length": "Average line length",
    "alphanum_fraction": "Share of letters and digits",
    "comment_share": "Share of comments",
    "chars_per_token": "Characters per token",
    "stars": "Stars of the repository",
}
"""The columns of which there are histograms, each with its title."""

MIN_LINES, SHOWN_LINES, MAX_CHARS = 8, 16, 92
_SEARCHED_ROWS = 2000


def histograms(store: pa.Table) -> dict[str, dict[str, Any]]:
    """For each column that the store has: the lower edges of the bins (the last is open), files in each, files unknown."""
    found = {}
    for name, edges in _STEPS.items():
        if name not in store.column_names:
            continue
        values = np.asarray(store[name].drop_null()).astype(float)
        bins = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 1)
        counts = np.bincount(bins, minlength=len(edges)).tolist()
        found[name] = {"edges": edges, "files": counts, "unknown": store.num_rows - len(values)}
    return found


def license_counts(store: pa.Table) -> dict[str, int] | None:
    """In how many files each licence stands, the commonest first; None for a source that names none."""
    if "licenses" not in store.column_names:
        return None
    counts = Counter(name for names in store["licenses"].to_pylist() for name in names or ["unknown"])
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def example_of(
    store: pa.Table, mask: pa.BooleanArray, contents: Callable[[pa.Array], pa.ChunkedArray] | None = None
) -> dict[str, Any] | None:
    """Lines from a third on of the first row kept by `mask` that has 8 or more and narrow ones; None if no row has.

    Rows are ordered by hexsha, so it is as good as drawn at random, and the same in every run. Contents are redacted;
    `contents` reads those of some rows where they are no column of the store.
    """
    rows = pc.indices_nonzero(mask).slice(0, _SEARCHED_ROWS)
    kept = store.select(["path", "hexsha"]).take(rows)
    texts = store["content"].take(rows) if contents is None else contents(rows)
    for path, hexsha, content in zip(kept["path"], kept["hexsha"], texts, strict=True):
        every = content.as_py().expandtabs(4).rstrip().split("\n")
        first = max(0, min(len(every) // 3, len(every) - SHOWN_LINES))
        lines = [line.rstrip() for line in every[first : first + SHOWN_LINES]]
        if len(lines) >= MIN_LINES and max(map(len, lines)) <= MAX_CHARS and any(lines):
            return {"path": path.as_py(), "hexsha": hexsha.as_py(), "first_line": first + 1, "lines": lines}
    return None
