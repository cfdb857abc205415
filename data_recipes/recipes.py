"""The named recipes: one table; the dataset's configs, the card and the command line are derived from it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from data_recipes.errors import DataError


@dataclass(frozen=True, slots=True)
class Recipe:
    """A subset of the rows: which filters a row must pass, and which near-duplicate mode thins them out."""

    name: str
    summary: str
    filters: tuple[str, ...]
    near_dedup: str | None
    source: str

    @property
    def view(self) -> list[list[Any]]:
        """The parquet filters that narrow the store to this recipe."""
        return [[f"{self.near_dedup}_keep", "==", True]] if self.near_dedup else []


_TABLE = (
    Recipe(
        "base",
        "Base filter, personal data redacted, no file with a benchmark string.",
        ("base",),
        None,
        "report, sections 4 and 5.1",
    ),
    Recipe(
        "near_dedup",
        "Base without near-duplicates as The Stack v1 finds them: distinct tokens, Jaccard >= .85, verified.",
        ("base",),
        "near_dedup",
        "report, section 3; The Stack v1",
    ),
    Recipe(
        "near_dedup_alt",
        "Base without near-duplicates as the report's stronger filter finds them: 5-grams, .7, components.",
        ("base",),
        "near_dedup_alt",
        "report, section 5.1",
    ),
    Recipe(
        "near_dedup_verified",
        "Base, where a file is left out only if a kept file has a true 5-gram Jaccard >= .7 with it.",
        ("base",),
        "near_dedup_verified",
        "this project",
    ),
)

RECIPES: Mapping[str, Recipe] = {recipe.name: recipe for recipe in _TABLE}
"""The recipes by name."""


def find_recipe(name: str) -> Recipe:
    """The recipe of this name; an unknown name is an error that lists the known ones."""
    if name not in RECIPES:
        raise DataError(f"recipe={name!r} is unknown. Choose one of {', '.join(RECIPES)}.")
    return RECIPES[name]


def slug(language: str) -> str:
    """A language's name in file and config names.

    >>> slug("C++"), slug("JavaScript")
    ('cpp', 'javascript')
    """
    return re.sub(r"[^a-z0-9]+", "-", language.lower().replace("+", "p").replace("#", "sharp")).strip("-") or "other"


def configs(recipe: Recipe, languages: Iterable[str]) -> list[dict[str, Any]]:
    """The `configs:` entries of a store made by this recipe: `base` and the recipe, over all and per language."""
    entries: list[dict[str, Any]] = []
    for shown in dict.fromkeys((RECIPES["base"], recipe)):
        for prefix, pattern in [
            ("", "data/*.parquet"),
            *((f"{slug(x)}-", f"data/{slug(x)}-*.parquet") for x in languages),
        ]:
            entry: dict[str, Any] = {
                "config_name": prefix + shown.name,
                "data_files": [{"split": "train", "path": pattern}],
            }
            if shown.view:
                entry["filters"] = shown.view
            if not prefix and shown is recipe:
                entry["default"] = True
            entries.append(entry)
    return entries
