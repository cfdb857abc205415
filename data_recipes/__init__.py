"""Data recipes: Stack rows in, a dataset folder out, with every dropped file accounted for."""

from importlib import import_module
from typing import Any

_HOME = {
    "RECIPES": "recipes",
    "decontaminate": "decontaminate",
    "find_pii": "redact",
    "near_duplicates": "near_dedup",
    "pii_registry": "recognizers",
    "redact": "redact",
    "run": "run",
}

__all__ = ["RECIPES", "decontaminate", "find_pii", "near_duplicates", "pii_registry", "redact", "run"]


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that importing the package costs nothing."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}. Public names: {', '.join(__all__)}.")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
