"""The named recipes: those of the filters, those of near-deduplication, and their combinations.

The store's files and configs, the builder's configs, the card, the docs and the command line are derived from this table.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data_recipes.errors import DataError
from data_recipes.filters.registry import filters

NEAR_DEDUP_MODES = ("near_dedup", "near_dedup_alt", "near_dedup_verified")
"""The steps of a recipe that are modes of near-deduplication; the others are filters."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A subset of the base rows: those that pass each of its steps, filters and modes of near-deduplication."""

    name: str
    summary: str
    steps: tuple[str, ...]
    source: str

    @property
    def modes(self) -> tuple[str, ...]:
        """The modes of near-deduplication among the steps."""
        return tuple(step for step in self.steps if step in NEAR_DEDUP_MODES)

    @property
    def filters(self) -> tuple[str, ...]:
        """The filters among the steps."""
        return tuple(step for step in self.steps if step not in NEAR_DEDUP_MODES)


_BASE = Recipe(
    "base",
    "Base filter, personal data redacted; without the files that hold a string of a benchmark, where any was given.",
    (),
    "report, sections 4 and 5.1",
)
_DEDUPLICATED = (
    Recipe(
        "near_dedup",
        "Base without near-duplicates as The Stack v1 finds them: distinct tokens, Jaccard >= .85, verified.",
        ("near_dedup",),
        "report, section 3; The Stack v1",
    ),
    Recipe(
        "near_dedup_alt",
        "Base without near-duplicates as the report's stronger filter finds them: 5-grams, .7, components.",
        ("near_dedup_alt",),
        "report, section 5.1",
    ),
    Recipe(
        "near_dedup_verified",
        "Base, where a file is left out only if a kept file has a true 5-gram Jaccard >= .7 with it.",
        ("near_dedup_verified",),
        "this project",
    ),
    Recipe(
        "final",
        "What the final model was trained on: near_dedup_alt and comments together.",
        ("near_dedup_alt", "comments"),
        "report, section 6.2",
    ),
)


class _Recipes(Mapping[str, Recipe]):
    """The recipes by name. Each filter with stage `recipe` has one of its own name."""

    def _table(self) -> dict[str, Recipe]:
        single = [Recipe(made.name, made.summary, (made.name,), made.source) for made in filters("recipe").values()]
        return {recipe.name: recipe for recipe in (_BASE, *single, *_DEDUPLICATED)}

    def __getitem__(self, name: str) -> Recipe:
        return self._table()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table())

    def __len__(self) -> int:
        return len(self._table())


RECIPES: Mapping[str, Recipe] = _Recipes()
"""The recipes by name."""

CONTENT_DIGITS = 12
"""The length of the digest of a language's rows, which the names of its data files bear."""

ALL = "all"
"""In place of a recipe's name: every recipe for which the source has what it needs."""

DEFAULT_OF_ALL = "near_dedup_verified"


def find_recipe(name: str) -> Recipe:
    """The recipe of this name; an unknown name is an error that lists the known ones."""
    if name not in RECIPES:
        raise DataError(f"recipe={name!r} is unknown. Choose one of {', '.join(RECIPES)}.")
    return RECIPES[name]


def needs(recipe: Recipe) -> tuple[str, ...]:
    """Return what a recipe needs beyond the contents: columns of the source, and `tokenizer`, which is an argument.

    >>> needs(RECIPES["stars"]), needs(RECIPES["final"])
    (('stars',), ())
    """
    known = filters()
    return tuple(need for step in recipe.filters if (need := known[step].needs))


def chosen_recipes(
    wanted: str | Sequence[str], lacking: Callable[[str], str | None]
) -> tuple[list[Recipe], dict[str, str]]:
    """The recipes of a store, base among them and the default first, and those of `all` that it can't have, with why.

    `lacking` says why a need is not met, or None. A recipe asked for by its name whose need is not met is an error.
    """
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    if names == [ALL]:
        reasons = {name: lacking_reason(RECIPES[name], lacking) for name in RECIPES}
        missing = {name: reason for name, reason in reasons.items() if reason}
        default = RECIPES[DEFAULT_OF_ALL]
        return [default, *(r for r in RECIPES.values() if r != default and r.name not in missing)], missing
    recipes = list(dict.fromkeys(find_recipe(name) for name in names))
    if not recipes:
        raise DataError(f"No recipe was given. Choose of {', '.join(RECIPES)}, or {ALL}.")
    for recipe in recipes:
        if reason := lacking_reason(recipe, lacking):
            raise DataError(reason)
    return [*recipes, *([] if RECIPES["base"] in recipes else [RECIPES["base"]])], {}


def steps_of(recipes: Iterable[Recipe]) -> list[str]:
    """The steps of some recipes, each once, in order.

    >>> steps_of([RECIPES["final"], RECIPES["comments"]])
    ['near_dedup_alt', 'comments']
    """
    return list(dict.fromkeys(step for recipe in recipes for step in recipe.steps))


def lacking_reason(recipe: Recipe, lacking: Callable[[str], str | None]) -> str | None:
    """Why the first need of a recipe is not met, if so, with the recipe's name in place of `{recipe}`."""
    reasons = (lacking(need) for need in needs(recipe))
    return next((reason.replace("{recipe}", recipe.name) for reason in reasons if reason), None)


def slug(language: str) -> str:
    """A language's name in file and config names.

    >>> slug("C++"), slug("JavaScript"), slug("F*")
    ('cpp', 'javascript', 'fstar')
    """
    name = language.lower().replace("+", "p").replace("#", "sharp").replace("*", "star")
    return re.sub(r"[^a-z0-9]+", "-", name).strip("-") or "other"


def stored_steps(recipes: Iterable[Recipe]) -> list[str]:
    """Return the steps of a store's recipes in the order that the names of its data folders go by.

    >>> stored_steps([RECIPES["final"], RECIPES["stars"]])
    ['stars', 'comments', 'near_dedup_alt']
    """
    chosen = steps_of(recipes)
    return [step for step in steps_of(RECIPES.values()) if step in chosen]


def folders_of(recipe: Recipe, steps: Sequence[str]) -> str:
    """Return the pattern of the data folders that hold a recipe's rows: `1` for each step of it, any digit for the others.

    >>> folders_of(RECIPES["final"], ["stars", "comments", "near_dedup_alt"])
    '[01]11'
    >>> folders_of(RECIPES["stars"], ["stars", "comments"]), folders_of(RECIPES["base"], ["stars", "comments"])
    ('1*', '*')
    """
    digits = "".join("1" if step in recipe.steps else "[01]" for step in steps)
    return re.sub(r"(\[01\])+$", "*", digits) or "*"


def configs(
    recipes: Sequence[Recipe],
    languages: Mapping[str, str],
    rows: Mapping[str, int],
) -> list[dict[str, Any]]:
    """Return the `configs:` entries of a store, each with its number of rows: each recipe over all and per language.

    A config is whole files and nothing else, because what reads a config on the Hub (its dataset viewer, DuckDB,
    Polars) knows no `filters:`.

    The default is the first of the recipes that has rows. datasets can't load a config without any, so there is none
    for it. datasets also names its cache by this list, so that the digests in it keep two stores apart.

    Args:
        recipes: The recipes of the store, the default first.
        languages: Its languages, each with the digest that the names of its files bear.
        rows: The number of rows by config name.
    """
    entries: list[dict[str, Any]] = []
    default = next((recipe for recipe in recipes if rows[recipe.name]), None)
    steps = stored_steps(recipes)
    for recipe in [recipe for recipe in RECIPES.values() if recipe in recipes]:
        for lang in (None, *languages):
            prefix = "" if lang is None else f"{slug(lang)}-"
            name = "*" if lang is None else f"{prefix}[0-9]*-{languages[lang]}"
            path = f"data/{folders_of(recipe, steps)}/{name}.parquet"
            entry: dict[str, Any] = {
                "config_name": prefix + recipe.name,
                "data_files": [{"split": "train", "path": path}],
            }
            if lang is None and recipe == default:
                entry["default"] = True
            if rows[entry["config_name"]]:
                entries.append({**entry, "rows": rows[entry["config_name"]]})
    return entries
