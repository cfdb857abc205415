"""The dataset card: `card.md` filled in from the funnel alone."""

from collections.abc import Mapping
from importlib.resources import files
from string import Template
from typing import Any

import yaml

from data_recipes.funnel import funnel_rows
from data_recipes.recipes import RECIPES, configs, slug


def render_card(funnel: Mapping[str, Any], *, repository: str, title: str = "Source code, made by recipe") -> str:
    """The text of the dataset's README.md; `repository` is what a reader passes to `load_dataset`."""
    recipe = RECIPES[funnel["recipe"]]
    languages = [entry["lang"] for entry in funnel["funnel"] if entry["stages"][2]["files"]]
    found = ", ".join(f"{count:,} {kind}" for kind, count in funnel["redactions"].items() if kind != "files")
    strings = ", ".join(f"{count:,} strings of {name}" for name, count in funnel["benchmarks"].items())
    return Template((files("data_recipes") / "card.md").read_text("utf-8")).substitute(
        front_matter=_front_matter(funnel, languages, title),
        title=title,
        recipe=recipe.name,
        summary=recipe.summary,
        source=recipe.source,
        near_dedup_columns=_near_dedup_columns(recipe.near_dedup),
        funnel_table=_markdown(funnel_rows(funnel)),
        order=", ".join(funnel["order"]),
        thresholds=", ".join(f"{name} {value}" for name, value in funnel["thresholds"].items()),
        reject_table=_reject_table(funnel),
        repository=repository,
        config_table="\n".join(f"| `{name}` | {count:,} |" for name, count in config_rows(funnel).items()),
        redactions=f"{found}, in {funnel['redactions']['files']:,} files",
        decontamination=f"Searched, ignoring case, for {strings}."
        if strings
        else "No benchmark was given to this run.",
    )


def config_rows(funnel: Mapping[str, Any]) -> dict[str, int]:
    """The number of rows of each config."""
    recipe = RECIPES[funnel["recipe"]]
    entries = [entry for entry in funnel["funnel"] if entry["stages"][2]["files"]]
    rows: dict[str, int] = {}
    for shown, stage in {"base": 2, recipe.name: 3 if recipe.near_dedup else 2}.items():
        rows[shown] = sum(entry["stages"][stage]["files"] for entry in entries)
        for entry in entries:
            rows[f"{slug(entry['lang'])}-{shown}"] = entry["stages"][stage]["files"]
    return rows


def _front_matter(funnel: Mapping[str, Any], languages: list[str], title: str) -> str:
    total = config_rows(funnel)["base"]
    bounds = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
    size = next((name for bound, name in bounds if total < bound), "1M<n<10M" if total < 10_000_000 else "n>10M")
    header = {
        "license": "other",
        "language": ["code"],
        "pretty_name": title,
        "task_categories": ["text-generation"],
        "tags": ["code", "santacoder"],
        "size_categories": [size],
        "configs": configs(RECIPES[funnel["recipe"]], languages),
    }
    return yaml.safe_dump(header, sort_keys=False, allow_unicode=True)


def _near_dedup_columns(mode: str | None) -> str:
    if mode is None:
        return ""
    return (
        f"`{mode}_keep` tells whether a row is in the recipe; `{mode}_cluster` is the `hexsha` of the row that is kept "
        "for its cluster of near-duplicates, null for a row without any.\n"
    )


def _reject_table(funnel: Mapping[str, Any]) -> str:
    header = ["language", "stage", "reason", "files", "bytes"]
    body = [
        [entry["lang"] or "unknown", reject["stage"], reject["reason"], f"{reject['files']:,}", f"{reject['bytes']:,}"]
        for entry in funnel["funnel"]
        for reject in entry["rejects"]
    ]
    return _markdown([header, *body]) if body else "No file was left out."


def _markdown(rows: list[list[str]]) -> str:
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])
