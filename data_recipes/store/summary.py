"""Put together what funnel.json holds, for the card, `data stats` and `data explain`."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from data_recipes.dedup.signatures import MIN_TOKENS
from data_recipes.disk.markers import digest
from data_recipes.filters.registry import about_columns
from data_recipes.pii.rows import PII_COLUMNS, column_of
from data_recipes.recipes import Recipe, configs, folders_of, in_order, mode_of, slug, stored_steps

_ABOUT_PROVENANCE = {
    "repo": "repository",
    "revision": "commit",
    "stars": "stars of the repository",
    "forks": "its forks",
    "licenses": "licences found in it",
    "date": "date of its last event or commit",
    "other_repos": "further repositories that hold the file",
}


def store_funnel(
    recipes: Sequence[Recipe],
    entries: Sequence[Mapping[str, Any]],
    *,
    unavailable: Mapping[str, str],
    thresholds: Mapping[str, Any],
    about: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what funnel.json holds of a store with these recipes and these entries of its languages.

    `about` has what was applied to the rows: filters, compat, permissions, provenance, scores, redaction,
    redaction_key, benchmarks, not_searched, paths, classifier, and the modes of near-deduplication by name.
    `recipes` are named in the order that they were asked for; the first is the default.
    """
    redactions: Counter[str] = Counter()
    for entry in entries:
        redactions.update(entry["redactions"])
    ordered = in_order(recipes)
    steps = stored_steps(recipes)
    modes = [mode for recipe in ordered for mode in recipe.modes]
    used = dict.fromkeys(mode for step in modes if (mode := mode_of(step)))
    values = {**thresholds, **{f"{mode}_jaccard": about["modes"][mode].threshold for mode in used}}
    if modes:
        values["min_tokens"] = MIN_TOKENS
    present = [entry for entry in entries if entry["stages"][2]["files"]]
    languages = {entry["lang"]: entry["digest"] for entry in present}
    return {
        "recipe": recipes[0].name,
        "recipes": [recipe.name for recipe in recipes],
        "steps": steps,
        "definitions": {
            recipe.name: {
                "summary": recipe.summary,
                "source": recipe.source,
                "steps": list(recipe.steps),
                "files": f"data/{folders_of(recipe, steps)}/*.parquet",
                "digest": digest(recipe.about()),
                "own": {name: made for name, made in recipe.about().items() if name != "steps" and made},
            }
            for recipe in ordered
        },
        "unavailable": dict(unavailable),
        "unmeasured": _unmeasured(entries),
        "order": ["base filter", "redaction", *(["decontamination"] if about["benchmarks"] else []), *recipes[0].steps],
        **{name: about[name] for name in ("filters", "compat", "permissions", "paths", "provenance", "scores")},
        "columns": dict(_columns(about, modes)),
        "thresholds": values,
        **{name: about[name] for name in ("redaction", "redaction_key", "benchmarks", "not_searched")},
        **({"classifier": about["classifier"]} if about.get("classifier") else {}),
        "configs": configs(recipes, languages, config_rows(ordered, present)),
        "redactions": dict(redactions),
        "totals": _totals(entries),
        "funnel": list(entries),
    }


def _unmeasured(entries: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Return for each step the languages that it can't measure, with their files: the step leaves out all of them."""
    found: dict[str, dict[str, int]] = {}
    for entry in entries:
        for reject in entry["rejects"]:
            if reject["reason"] == f"{reject['stage']}_unknown":
                found.setdefault(reject["stage"], {})[entry["lang"]] = reject["files"]
    return found


def config_rows(recipes: Sequence[Recipe], entries: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return the number of rows of each config: of each recipe over all languages, and of each language."""
    rows: dict[str, int] = {}
    for recipe in recipes:
        rows[recipe.name] = sum(entry["recipes"][recipe.name]["files"] for entry in entries)
        for entry in entries:
            rows[f"{slug(entry['lang'])}-{recipe.name}"] = entry["recipes"][recipe.name]["files"]
    return rows


def _columns(about: Mapping[str, Any], modes: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the columns of the store beside The Stack's, each with what it holds."""
    named = {**_ABOUT_PROVENANCE, **about_columns()}
    yield from ((name, named[name]) for name in (*about["provenance"], *about["scores"]))
    kinds = dict.fromkeys((*PII_COLUMNS, *about["redaction"]["types"]))
    yield from ((column_of(kind), f"redactions of {kind}") for kind in kinds)
    for mode in dict.fromkeys(modes):
        yield (
            f"{mode}_keep",
            f"whether the step `{mode}` keeps the row; null for a row that the steps before it left out",
        )
        yield (
            f"{mode}_cluster",
            "the `hexsha` of the row that is kept for its cluster of near-duplicates, null for a row without any",
        )


def _totals(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return files and bytes of each stage and of each recipe over all languages."""
    stages = [
        {"name": same[0]["name"], **{unit: sum(each[unit] for each in same) for unit in ("files", "bytes")}}
        for same in zip(*(entry["stages"] for entry in entries), strict=True)
    ]
    names = list(entries[0]["recipes"]) if entries else []
    recipes = {
        name: {unit: sum(entry["recipes"][name][unit] for entry in entries) for unit in ("files", "bytes")}
        for name in names
    }
    return {"stages": stages, "recipes": recipes}
