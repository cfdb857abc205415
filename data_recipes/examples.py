"""One file of a language that is short enough to be shown on the card."""

from typing import Any

import pyarrow as pa

MIN_LINES, SHOWN_LINES, MAX_CHARS = 8, 16, 92
_SEARCHED_ROWS = 2000


def example_of(store: pa.Table, mask: pa.BooleanArray) -> dict[str, Any] | None:
    """The first of the rows kept by `mask` with 8 lines or more, of which the first 16 fit into the picture.

    Rows are ordered by hexsha, so it is as good as drawn at random, and the same in every run. Contents are redacted.
    """
    kept = store.select(["path", "hexsha", "content"]).filter(mask).slice(0, _SEARCHED_ROWS)
    for path, hexsha, content in zip(*(kept[name] for name in ("path", "hexsha", "content")), strict=True):
        lines = content.as_py().expandtabs(4).split("\n")[:SHOWN_LINES]
        if len(lines) >= MIN_LINES and max(map(len, lines)) <= MAX_CHARS and any(line.strip() for line in lines):
            return {"path": path.as_py(), "hexsha": hexsha.as_py(), "lines": [line.rstrip() for line in lines]}
    return None
