"""Decide which rows are kept: `filters()` lists what can be written into a recipe, one module each in `rules`."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from data_recipes.filters.filter import Drop, Filter
    from data_recipes.filters.registry import filters, find_filter

_HOMES = {
    "Drop": "filter",
    "Filter": "filter",
    "filters": "registry",
    "find_filter": "registry",
}
__all__ = ["Drop", "Filter", "filters", "find_filter"]


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that importing the package costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}. Public names: {', '.join(__all__)}.")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
