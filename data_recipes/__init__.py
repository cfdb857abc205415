"""Data recipes: Stack rows in, a dataset folder out, with every dropped file accounted for."""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from data_recipes.decontaminate import decontaminate
    from data_recipes.findings import find_pii
    from data_recipes.near_dedup import near_duplicates
    from data_recipes.recipes import RECIPES
    from data_recipes.recognizers import pii_registry
    from data_recipes.redact import redact
    from data_recipes.run import run
    from data_recipes.stack_builder import SantaStack, register

__all__ = [
    "RECIPES",
    "SantaStack",
    "decontaminate",
    "find_pii",
    "near_duplicates",
    "pii_registry",
    "redact",
    "register",
    "run",
]

_HOME = {
    "RECIPES": "recipes",
    "SantaStack": "stack_builder",
    "decontaminate": "decontaminate",
    "find_pii": "findings",
    "near_duplicates": "near_dedup",
    "pii_registry": "recognizers",
    "redact": "redact",
    "register": "stack_builder",
    "run": "run",
}


class _Package(ModuleType):
    """The package, on which `run` is the function even after the module `data_recipes.run` was imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        # The import system binds every imported submodule to its package, which would hide three public functions.
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that importing the package costs nothing."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}. Public names: {', '.join(__all__)}.")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
