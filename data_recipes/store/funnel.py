"""Count how many files and bytes of a language are left after each stage, and why the others are not."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from data_recipes.pii.rows import counted_types
from data_recipes.recipes import Recipe
from data_recipes.store.facts import example_of, histograms_of, license_counts
from data_recipes.store.views import recipe_mask, steps_mask

STORE_STAGES = ("read", "base", "decontaminated")
"""The stages whose rejects are not in the store; those after it are the steps of views."""


def language_entry(
    recipes: Sequence[Recipe],
    store: pa.Table,
    rejects: pa.Table,
    masks: Mapping[str, pa.BooleanArray],
    *,
    thresholds: Mapping[str, Any],
    contents: Callable[[pa.Array], pa.ChunkedArray],
) -> dict[str, Any]:
    """Return the funnel of one language: files and bytes after each stage and in each recipe, rejects by stage and reason.

    The stages are those of the store and the steps of the first recipe, one after the other. A reject's stage is the
    one it did not pass. Bytes are those of the original files.

    Args:
        recipes: The recipes of the store, the default first.
        store: The rows of the language without contents.
        rejects: What was left out, of all stages.
        masks: Which rows of the store each step keeps.
        thresholds: The thresholds to mark in histograms.
        contents: Reads the contents of some rows.
    """
    files: Counter[tuple[str, str]] = Counter()
    volume: Counter[tuple[str, str]] = Counter()
    for record in rejects.select(["stage", "reason", "size"]).to_pylist():
        files[record["stage"], record["reason"]] += 1
        volume[record["stage"], record["reason"]] += record["size"]
    entries = []
    for number, stage in enumerate(STORE_STAGES):
        later = [key for key in files if key[0] in STORE_STAGES[number + 1 :]]
        left = store.num_rows + sum(files[key] for key in later)
        entries.append({"name": stage, "files": left, "bytes": _total(store, "size") + sum(volume[k] for k in later)})
    steps = recipes[0].steps
    for number, step in enumerate(steps, start=1):
        entries.append({"name": step, **_kept(store, steps_mask(steps[:number], masks, store.num_rows))})
    order = {stage: number for number, stage in enumerate([*STORE_STAGES, *masks])}
    reasons = [
        {"stage": stage, "reason": reason, "files": files[stage, reason], "bytes": volume[stage, reason]}
        for stage, reason in sorted(files, key=lambda key: (order[key[0]], key[1]))
    ]
    return {
        "stages": entries,
        "recipes": {recipe.name: _kept(store, recipe_mask(recipe, masks, store.num_rows)) for recipe in recipes},
        "rejects": reasons,
        "redactions": redactions(store),
        "licenses": license_counts(store),
        "histograms": histograms_of(store, thresholds),
        "example": example_of(store, recipe_mask(recipes[0], masks, store.num_rows), contents),
    }


def _kept(store: pa.Table, mask: pa.BooleanArray) -> dict[str, int]:
    return {"files": int(pc.sum(mask).as_py() or 0), "bytes": int(pc.sum(store["size"].filter(mask)).as_py() or 0)}


def redactions(store: pa.Table) -> dict[str, int]:
    """Return redactions by type in the rows of a store, and in how many files there are any."""
    counted = counted_types(store.column_names)
    counts = {kind: _total(store, column) for kind, column in counted.items()}
    redacted = [any(record.values()) for record in store.select(list(counted.values())).to_pylist()]
    return {**counts, "files": sum(redacted)}


def _total(table: pa.Table, column: str) -> int:
    return int(pc.sum(table[column]).as_py() or 0)
