"""One file of a language that is short enough to be shown on the card."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

MIN_LINES, SHOWN_LINES, MAX_CHARS = 8, 16, 92
_SEARCHED_ROWS = 2000


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
