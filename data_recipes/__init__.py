"""Make datasets of source code: filter, redact, decontaminate, deduplicate; every file left out has a reason."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from data_recipes.builder import SantaStack, register
    from data_recipes.decontamination.benchmarks import decontaminate
    from data_recipes.dedup.modes import near_duplicates
    from data_recipes.dedup.on_disk import near_duplicates_of_files
    from data_recipes.errors import DataError
    from data_recipes.pii.find import find_pii
    from data_recipes.pii.key_rules import load_rules
    from data_recipes.pii.presidio import pii_registry
    from data_recipes.pii.redaction import redact
    from data_recipes.pii.redaction_key import RedactionKey
    from data_recipes.pii.rows import Redactor
    from data_recipes.pipeline import run
    from data_recipes.recipes import RECIPES, Recipe
    from data_recipes.settings import RunSettings

__all__ = [
    "RECIPES",
    "DataError",
    "Recipe",
    "RedactionKey",
    "Redactor",
    "RunSettings",
    "SantaStack",
    "decontaminate",
    "find_pii",
    "load_rules",
    "near_duplicates",
    "near_duplicates_of_files",
    "pii_registry",
    "redact",
    "register",
    "run",
]

_HOME = {
    "DataError": "errors",
    "RECIPES": "recipes",
    "Recipe": "recipes",
    "RedactionKey": "pii.redaction_key",
    "Redactor": "pii.rows",
    "RunSettings": "settings",
    "SantaStack": "builder",
    "decontaminate": "decontamination.benchmarks",
    "find_pii": "pii.find",
    "load_rules": "pii.key_rules",
    "near_duplicates": "dedup.modes",
    "near_duplicates_of_files": "dedup.on_disk",
    "pii_registry": "pii.presidio",
    "redact": "pii.redaction",
    "register": "builder",
    "run": "pipeline",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that importing the package costs nothing."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}. Public names: {', '.join(__all__)}.")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
