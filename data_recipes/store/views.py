"""Which rows of the store each step of a recipe keeps, and the rejects of those that it leaves out of a view."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

from data_recipes.filters.rules import filters_for
from data_recipes.recipes import Recipe
from data_recipes.sources.row import REJECT_SCHEMA, Row

_READ = ("path", "size", "lang", "hexsha", "stars", "comment_share", "chars_per_token")
_NO_CONTENT = Row("", "", 0, "", "", "", 0.0, 0, 0.0)


def row_filter(store: pa.Table, step: str, compat: str) -> tuple[pa.BooleanArray, pa.Table]:
    """Which rows pass a row filter, and the rejects of the others; these stay in the store, outside of some views."""
    keep_or_drop = filters_for(compat)[step]
    kept, rejects = [], []
    for record in store.select([name for name in _READ if name in store.column_names]).to_pylist():
        drop = keep_or_drop(replace(_NO_CONTENT, **record))
        kept.append(drop is None)
        if drop is not None:
            about = {name: record[name] for name in ("path", "size", "lang", "hexsha")}
            rejects.append({**about, "stage": step, "reason": drop.reason, "detail": drop.detail})
    return pa.array(kept, pa.bool_()), pa.Table.from_pylist(rejects, schema=REJECT_SCHEMA)


def recipe_mask(recipe: Recipe, masks: Mapping[str, pa.BooleanArray], rows: int) -> pa.BooleanArray:
    """Which rows a recipe keeps: those that every step of it keeps."""
    return steps_mask(recipe.steps, masks, rows)


def steps_mask(steps: Sequence[str], masks: Mapping[str, pa.BooleanArray], rows: int) -> pa.BooleanArray:
    """Which rows all of these steps keep."""
    every = pa.array([True] * rows, pa.bool_())
    return reduce(pc.and_, (masks[step] for step in steps), every)
