"""The named recipes, such as `stars`, `near_dedup` and `final`: which steps a file must pass.

The store's files and configs, the builder's configs, the card, the docs and the command line are derived from this table.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from data_recipes.errors import DataError
from data_recipes.filters.registry import filters

NEAR_DEDUP_MODES = ("near_dedup", "near_dedup_alt", "near_dedup_verified")
"""The steps of a recipe that are modes of near-deduplication; the others are filters."""

_AFTER, _AND = "_after_", "_and_"


@dataclass(frozen=True, slots=True)
class Recipe:
    """A subset of the base rows: those that pass each of its steps, filters and modes of near-deduplication.

    The order of the steps counts. A mode that comes first looks at all base rows; one that comes after other steps looks
    at the rows that passed them, and is named for it: `near_dedup_alt_after_comments`.

    >>> Recipe("mine", "Commented files, each once.", ("comments", "near_dedup_alt"), "me").steps
    ('comments', 'near_dedup_alt_after_comments')

    Attributes:
        name: The name by which `load_dataset` takes it.
        summary: The sentence that the dataset card says of it.
        steps: Its steps in order.
        source: Where it is described.
        thresholds: Thresholds of its filters by name, in place of the filters' own.
        near_dedup: For a mode what differs from `MODES`: `threshold`, `ngram`, `bands`, `is_verified`.
        settings: Settings of the run (`RunSettings`) that it comes with, where the run is not told otherwise.
    """

    name: str
    summary: str
    steps: tuple[str, ...]
    source: str
    thresholds: Mapping[str, Any] = field(default_factory=dict, hash=False)
    near_dedup: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        named: list[str] = []
        for step in self.steps:
            is_later = step in NEAR_DEDUP_MODES and named
            named.append(f"{step}{_AFTER}{_AND.join(named)}" if is_later else step)
        object.__setattr__(self, "steps", tuple(named))

    @property
    def modes(self) -> tuple[str, ...]:
        """The steps that are modes of near-deduplication."""
        return tuple(step for step in self.steps if mode_of(step))

    @property
    def filters(self) -> tuple[str, ...]:
        """The filters among the steps."""
        return tuple(step for step in self.steps if not mode_of(step))

    def before(self, step: str) -> tuple[str, ...]:
        """Return the steps whose rows a step looks at: none for a filter, and for a mode that comes first."""
        return self.steps[: self.steps.index(step)] if mode_of(step) else ()

    def about(self) -> dict[str, Any]:
        """Return all that the recipe decides, as JSON values."""
        settings = {name: list(made) if isinstance(made, tuple) else made for name, made in self.settings.items()}
        return {
            "steps": list(self.steps),
            "thresholds": dict(self.thresholds),
            "near_dedup": {mode: dict(made) for mode, made in self.near_dedup.items()},
            "settings": settings,
        }


def mode_of(step: str) -> str | None:
    """Return the mode of near-deduplication that a step is; None for a filter.

    >>> mode_of("near_dedup_alt_after_comments"), mode_of("comments")
    ('near_dedup_alt', None)
    """
    mode = step.partition(_AFTER)[0]
    return mode if mode in NEAR_DEDUP_MODES else None


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
    Recipe(
        "final_filtered_first",
        "As final, but near-duplicates are looked for among the files that pass comments, so that no cluster is lost.",
        ("comments", "near_dedup_alt"),
        "this project",
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


def find_recipe(name: str | Recipe) -> Recipe:
    """Return the recipe of this name; an unknown name is an error that lists the known ones."""
    if isinstance(name, Recipe):
        if RECIPES.get(name.name) != name:
            check_name(name.name)
            _check_steps(name)
        return name
    if name not in RECIPES:
        advice = "or the path of a file that ends in .yaml."
        raise DataError(f"recipe={name!r} is unknown. Choose one of {', '.join(RECIPES)}, {advice}")
    return RECIPES[name]


_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")


def check_name(name: str) -> None:
    """Raise where a recipe of one's own can't have this name, which is one of `load_dataset`'s, too."""
    if not _NAME.fullmatch(name):
        raise DataError(f"recipe name {name!r}: expected a-z, 0-9, - and _, a letter first, 64 characters at most.")
    taken = next((known for known in (ALL, *RECIPES) if name == known or name.endswith(f"-{known}")), None)
    if taken is not None:
        raise DataError(
            f"recipe name {name!r} is, or ends like, that of a built-in one ({taken}). Choose another name."
        )


def _check_steps(recipe: Recipe) -> None:
    known = filters("recipe")
    for step in recipe.filters:
        if step not in known:
            choices = ", ".join([*known, *NEAR_DEDUP_MODES])
            raise DataError(f"recipe {recipe.name!r}: step {step!r} is unknown. Choose of {choices}.")


def in_order(recipes: Iterable[Recipe]) -> list[Recipe]:
    """Return some recipes in the order of the table, one's own after them."""
    names = list(RECIPES)
    return sorted(recipes, key=lambda recipe: names.index(recipe.name) if recipe.name in names else len(names))


def needs(recipe: Recipe) -> tuple[str, ...]:
    """Return what a recipe needs beyond the contents: columns of the source, and `tokenizer` and `classifier`, which are arguments.

    >>> needs(RECIPES["stars"]), needs(RECIPES["final"])
    (('stars',), ())
    """
    known = filters()
    return tuple(need for step in recipe.filters if (need := known[step].needs))


def chosen_recipes(
    wanted: str | Recipe | Sequence[str | Recipe], lacking: Callable[[str], str | None]
) -> tuple[list[Recipe], dict[str, str]]:
    """Return the recipes of a store, base among them, the default first, and those of `all` it can't have, with why.

    `lacking` says why a need is not met, or None. A recipe asked for by its name whose need is not met is an error.
    """
    names = [wanted] if isinstance(wanted, str | Recipe) else list(wanted)
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
    """Return the steps of some recipes, each once, in order.

    >>> steps_of([RECIPES["final"], RECIPES["comments"]])
    ['near_dedup_alt', 'comments']
    """
    return list(dict.fromkeys(step for recipe in recipes for step in recipe.steps))


def lacking_reason(recipe: Recipe, lacking: Callable[[str], str | None]) -> str | None:
    """Say why the first need of a recipe is not met, if so, with the recipe's name in place of `{recipe}`."""
    reasons = (lacking(need) for need in needs(recipe))
    return next((reason.replace("{recipe}", recipe.name) for reason in reasons if reason), None)


def slug(language: str) -> str:
    """Return a language's name in file and config names.

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
    chosen, known = steps_of(recipes), steps_of(RECIPES.values())
    return [step for step in [*known, *(step for step in chosen if step not in known)] if step in chosen]


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
    for recipe in in_order(recipes):
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
