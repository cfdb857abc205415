"""List recipes and filters, for people and as JSON: `hf-santa data recipes`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from data_recipes.dedup.modes import MODES
from data_recipes.filters.own import load_files, load_installed
from data_recipes.filters.registry import filters
from data_recipes.recipe_file import read_recipe
from data_recipes.recipes import RECIPES, Recipe, needs

_WHEN = {"base": "always", "store": "--filter", "recipe": "recipe"}


def recipe_facts(files: Sequence[str] = (), filter_modules: Sequence[str] = ()) -> dict[str, Any]:
    """Return the recipes, filters and modes of near-deduplication by name: the built-in ones, and those that are given.

    Raises:
        DataError: A file is no recipe, or no filter.
    """
    load_installed()
    load_files(filter_modules)
    recipes = [*RECIPES.values(), *map(read_recipe, files)]
    return {
        "recipes": {recipe.name: _recipe(recipe) for recipe in recipes},
        "filters": {
            made.name: {
                "summary": made.summary,
                "source": made.source,
                "applied": _WHEN[made.stage],
                "thresholds": dict(made.thresholds),
                "bigcode": dict(made.bigcode),
            }
            for made in filters().values()
        },
        "near_dedup": {
            name: {
                "threshold": mode.threshold,
                "ngram": mode.ngram,
                "bands": list(mode.layout()),
                "is_verified": mode.is_verified,
            }
            for name, mode in MODES.items()
        },
    }


def _recipe(recipe: Recipe) -> dict[str, Any]:
    about = {"summary": recipe.summary, "source": recipe.source, "needs": list(needs(recipe))}
    return {**about, **recipe.about()}


def recipe_lines(facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield the facts as lines for people."""
    yield "Recipes:"
    for name, recipe in facts["recipes"].items():
        yield f"  {name}: {recipe['summary']}"
        yield f"    steps: {', '.join(recipe['steps']) or 'none after base'}"
        for kind in ("thresholds", "near_dedup", "settings"):
            for key, value in recipe[kind].items():
                yield f"    {key}: {value}"
    yield "\nFilters (always; with --filter; or as a step of a recipe):"
    for name, made in facts["filters"].items():
        yield f"  {name} ({made['applied']}): {made['summary']}"
        for key, value in made["thresholds"].items():
            yield f"    {key}: {value}"
    yield "\nNear-deduplication:"
    for name, mode in facts["near_dedup"].items():
        yield f"  {name}: " + ", ".join(f"{key} {value}" for key, value in mode.items())
