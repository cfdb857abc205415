"""Decide which rows each step of a recipe keeps, and into which files of the store rows go."""

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data_recipes.filters.registry import find_filter
from data_recipes.recipes import Recipe
from data_recipes.sources.row import REJECT_SCHEMA

_ABOUT = ("path", "size", "lang", "hexsha")


def row_filter(store: pa.Table, step: str, thresholds: Mapping[str, Any]) -> tuple[pa.BooleanArray, pa.Table]:
    """Return which rows pass a filter, and the rejects of the others; these stay in the store, outside of some recipes."""
    made, kept, rejects = find_filter(step), [], []
    if made.fit is not None:
        thresholds = made.fit(store, thresholds)
    read = dict.fromkeys([*_ABOUT, *made.columns])
    for record in store.select([name for name in read if name in store.column_names]).to_pylist():
        drop = made.keep(record, thresholds)
        kept.append(drop is None)
        if drop is not None:
            about = {name: record[name] for name in _ABOUT}
            rejects.append({**about, "stage": step, "reason": drop.reason, "detail": drop.detail})
    return pa.array(kept, pa.bool_()), pa.Table.from_pylist(rejects, schema=REJECT_SCHEMA)


def recipe_mask(recipe: Recipe, masks: Mapping[str, pa.BooleanArray], rows: int) -> pa.BooleanArray:
    """Return which rows a recipe keeps: those that every step of it keeps."""
    return steps_mask(recipe.steps, masks, rows)


def steps_mask(steps: Sequence[str], masks: Mapping[str, pa.BooleanArray], rows: int) -> pa.BooleanArray:
    """Return which rows all of these steps keep."""
    every = pa.array([True] * rows, pa.bool_())
    return reduce(pc.and_, (masks[step] for step in steps), every)


def combinations(
    steps: Sequence[str], masks: Mapping[str, pa.BooleanArray], rows: int
) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield the rows that the same steps keep, in their order, with a digit for each step: `1` where it keeps them.

    Each row is in one combination, so that a recipe is the combinations that have `1` for each of its steps. Without
    steps all rows are `base`.

    >>> masks = {"stars": pa.array([True, False, True]), "comments": pa.array([True, True, False])}
    >>> [(digits, found.tolist()) for digits, found in combinations(list(masks), masks, 3)]
    [('01', [1]), ('10', [2]), ('11', [0])]
    """
    number = np.zeros(rows, dtype=np.int64)
    for step in steps:
        number = number * 2 + np.asarray(masks[step]).astype(np.int64)
    for found in np.unique(number).tolist():
        yield f"{found:0{len(steps)}b}" if steps else "base", np.flatnonzero(number == found)
