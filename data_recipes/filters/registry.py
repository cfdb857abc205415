"""Look up filters by name: the built-in ones of `rules/`, and a user's.

A new filter is one module in `rules/` that defines `FILTER`. Its recipe, its view, its histogram, its sentences on the
card and its place among the choices of the command line all come from that object.
"""

import pkgutil
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any

from data_recipes.errors import DataError
from data_recipes.filters.filter import Filter, Histogram

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_registered: dict[str, Filter] = {}
_own: dict[str, tuple[Filter, str]] = {}


@cache
def _built_in() -> Mapping[str, Filter]:
    package = import_module("data_recipes.filters.rules")
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    found = [import_module(f"{package.__name__}.{name}").FILTER for name in names]
    return {made.name: made for made in found}


def filters(stage: str | None = None) -> dict[str, Filter]:
    """Return the filters by name in their order: all, or those of one stage (`base`, `store` or `recipe`)."""
    every = [*_built_in().values(), *(made for made, _ in _own.values()), *_registered.values()]
    ordered = sorted(every, key=lambda made: (made.position, made.name))
    return {made.name: made for made in ordered if stage in {None, made.stage}}


def add(made: Filter, where: str) -> None:
    """Add a filter of one's own for good; the same name from the same place (`where`) replaces it.

    Raises:
        DataError: Another filter has the name, or measures the same column.
    """
    if made.name in _own and _own[made.name][1] != where:
        raise DataError(f"{where}: filter {made.name!r} is already defined by {_own[made.name][1]}. Rename one.")
    _check_new(made, [other for other in filters().values() if other.name not in _own or other.name != made.name])
    _own[made.name] = (made, where)


def _check_new(made: Filter, others: Iterable[Filter]) -> None:
    if not _NAME.fullmatch(made.name):
        raise DataError(f"filter {made.name!r}: expected a name of a-z, 0-9 and _ that begins with a letter.")
    for other in others:
        if made.name == other.name or (made.measures and made.measures == other.measures):
            raise DataError(f"filter {made.name!r}: {other.name!r} has the same name or measures the same column.")
        if shared := made.thresholds.keys() & other.thresholds.keys():
            raise DataError(f"filter {made.name!r}: {other.name!r} has a threshold {min(shared)!r}, too. Rename it.")


@contextmanager
def registered(made: Filter) -> Iterator[Filter]:
    """Add a filter for the duration of a `with` block.

    Raises:
        DataError: There is already a filter of this name, or one that measures the same column.
    """
    _check_new(made, filters().values())
    _registered[made.name] = made
    try:
        yield made
    finally:
        del _registered[made.name]


def find_filter(name: str) -> Filter:
    """Return the filter of this name; an unknown name is an error that lists the known ones."""
    if name not in (known := filters()):
        raise DataError(f"filter {name!r} is unknown. Choose one of {', '.join(known)}.")
    return known[name]


def thresholds_for(compat: str, names: list[str] | None = None) -> dict[str, Any]:
    """Return the thresholds of some filters (default: all) by name.

    >>> thresholds_for("bigcode", ["stars"])
    {'min_stars': 6}
    """
    chosen = [find_filter(name) for name in (filters() if names is None else names)]
    return {key: value for made in chosen for key, value in made.thresholds_for(compat).items()}


def measuring_filters(steps: list[str]) -> list[Filter]:
    """Return the filters that measure a column which one of these steps reads, in their order.

    >>> [made.measures for made in measuring_filters(["comments"])]
    ['comment_share']
    """
    known = filters()
    read = {column for step in steps if step in known for column in known[step].columns}
    return [made for made in known.values() if made.measures in read]


def histograms() -> list[Histogram]:
    """Return what the card draws: of the base filter's columns, then of measured ones, then of the source's, each once."""
    ordered = sorted(filters().values(), key=lambda made: (made.stage != "base", made.measures is None))
    return list({drawn.column: drawn for made in ordered for drawn in made.histograms}.values())


def about_columns() -> dict[str, str]:
    """Return what each measured column holds."""
    return {made.measures: made.about for made in filters().values() if made.measures}
