"""The dataset card: `card.md` filled in from the funnel alone."""

from collections.abc import Mapping
from importlib.resources import files
from string import Template
from typing import Any

import yaml

from data_recipes.pii.rows import PII_COLUMNS
from data_recipes.recipes import NEAR_DEDUP_MODES, RECIPES, configs, steps_of
from data_recipes.sources.row import ROW_SCHEMA
from data_recipes.store.tables import config_rows, funnel_rows, recipe_rows

MAX_LICENSES = 25
NBSP = "\u00a0"
_ABOUT_COLUMNS = {
    "repo": "repository",
    "revision": "commit",
    "stars": "stars of the repository",
    "forks": "its forks",
    "licenses": "licences found in it",
    "date": "date of its last event or commit",
    "comment_share": "share of the characters that is comments and docstrings",
    "chars_per_token": "characters per token of the tokenizer that the run was given",
}


def render_card(funnel: Mapping[str, Any], *, repository: str, title: str = "Source code, made by recipe") -> str:
    """The text of the dataset's README.md; `repository` is what a reader passes to `load_dataset`."""
    recipe = RECIPES[funnel["recipe"]]
    languages = [entry["lang"] for entry in funnel["funnel"] if entry["stages"][2]["files"]]
    found = ", ".join(f"{count:,} {kind}" for kind, count in funnel["redactions"].items() if kind != "files")
    strings = ", ".join(f"{count:,} strings of {name}" for name, count in funnel["benchmarks"].items())
    return Template((files("data_recipes.card") / "card.md").read_text("utf-8")).substitute(
        front_matter=_front_matter(funnel, languages, title),
        title=title,
        recipe=recipe.name,
        columns=_columns(funnel),
        recipe_table=_markdown([[cell.replace(" ", NBSP) for cell in row] for row in recipe_rows(funnel)]),
        recipe_list="\n".join(
            f"- `{name}`: {RECIPES[name].summary} ({RECIPES[name].source})" for name in _shown(funnel)
        ),
        unavailable=_unavailable(funnel),
        funnel_table=_markdown(funnel_rows(funnel)),
        order=", ".join(funnel["order"]),
        thresholds=_thresholds(funnel),
        reject_table=_reject_table(funnel),
        repository=repository,
        config_table="\n".join(f"| `{name}` | {count:,} |" for name, count in config_rows(funnel).items() if count),
        licenses=_licenses(funnel),
        permissions=_permissions(funnel),
        redactions=f"{found}, in {funnel['redactions']['files']:,} files",
        decontamination=f"Searched, ignoring case, for {strings}."
        if strings
        else "No benchmark was given to this run.",
    )


def _shown(funnel: Mapping[str, Any]) -> list[str]:
    return [name for name in RECIPES if name in funnel["recipes"]]


def _front_matter(funnel: Mapping[str, Any], languages: list[str], title: str) -> str:
    total = config_rows(funnel)["base"]
    bounds = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
    size = next((name for bound, name in bounds if total < bound), "1M<n<10M" if total < 10_000_000 else "n>10M")
    recipes = [RECIPES[name] for name in funnel["recipes"]]
    header = {
        "license": "other",
        "language": ["code"],
        "pretty_name": title,
        "task_categories": ["text-generation"],
        "tags": ["code", "santacoder"],
        "size_categories": [size],
        "configs": configs(recipes, languages, funnel["thresholds"], config_rows(funnel)),
    }
    return yaml.safe_dump(header, sort_keys=False, allow_unicode=True)


def _columns(funnel: Mapping[str, Any]) -> str:
    modes = [step for step in _steps(funnel) if step in NEAR_DEDUP_MODES]
    named = [(name, _ABOUT_COLUMNS[name]) for name in (*funnel["provenance"], *funnel["scores"])]
    named += [(name, f"redactions of {kind}") for kind, name in PII_COLUMNS.items()]
    for mode in modes:
        named.append((f"{mode}_keep", f"whether the row is in the recipe `{mode}`"))
        about = "the `hexsha` of the row that is kept for its cluster of near-duplicates, null for a row without any"
        named.append((f"{mode}_cluster", about))
    first = f"Each row is one source file: {', '.join(f'`{name}`' for name in ROW_SCHEMA.names)}, and"
    return "\n".join([first, "", *(f"- `{name}`: {about}" for name, about in named), ""])


def _steps(funnel: Mapping[str, Any]) -> list[str]:
    return steps_of(RECIPES[name] for name in funnel["recipes"])


def _unavailable(funnel: Mapping[str, Any]) -> str:
    lines = [f"- `{name}` is not in this store: {reason}" for name, reason in funnel["unavailable"].items()]
    return "\n".join(["", *lines]) if lines else ""


def _thresholds(funnel: Mapping[str, Any]) -> str:
    read = {"stars": "min_stars", "comments": "comment_share", "fertility": "min_chars_per_token"}
    unread = [part for step, part in read.items() if step not in _steps(funnel)]
    shown = {k: v for k, v in funnel["thresholds"].items() if not any(k.endswith(part) for part in unread)}
    cells = [
        f"{name} {', '.join(f'{x} {y}' for x, y in value.items()) if isinstance(value, Mapping) else value}"
        for name, value in shown.items()
    ]
    return "; ".join(cells)


def _licenses(funnel: Mapping[str, Any]) -> str:
    counts: dict[str, int] = {}
    for entry in funnel["funnel"]:
        for name, count in (entry["licenses"] or {}).items():
            counts[name] = counts.get(name, 0) + count
    if not counts:
        return "The source names no licences. The files are under those of their origin, which `path` names."
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rows = [["licence", "files"], *([name, f"{count:,}"] for name, count in ordered[:MAX_LICENSES])]
    if rest := ordered[MAX_LICENSES:]:
        rows.append([f"{len(rest)} others", f"{sum(count for _, count in rest):,}"])
    note = "As the source names them; a file of a repository with several licences counts for each of them."
    return f"{_markdown(rows)}\n\n{note}"


def _permissions(funnel: Mapping[str, Any]) -> str:
    about, rejects = funnel["permissions"], [reject for entry in funnel["funnel"] for reject in entry["rejects"]]
    left = {
        name: sum(r["files"] for r in rejects if r["reason"] == name) for name in ("opt_out", "unlicensed", "license")
    }
    parts = []
    if about["opt_outs"]:
        parts.append(
            f"An opt-out list of {about['opt_outs']:,} names was applied: {left['opt_out']:,} files are not here."
        )
    if about["licenses"] is not None:
        parts.append(
            f"Only these licences are taken: {', '.join(about['licenses'])}; {left['license']:,} files had others."
        )
    if left["unlicensed"]:
        parts.append(f"{left['unlicensed']:,} files without a known licence are not here.")
    return " ".join(parts) or "Neither an opt-out list nor a licence list was given to this run."


def _reject_table(funnel: Mapping[str, Any]) -> str:
    header = ["language", "stage", "reason", "files", "bytes"]
    body = [
        [entry["lang"] or "unknown", reject["stage"], reject["reason"], f"{reject['files']:,}", f"{reject['bytes']:,}"]
        for entry in funnel["funnel"]
        for reject in entry["rejects"]
    ]
    return _markdown([header, *body]) if body else "No file was left out."


def _markdown(rows: list[list[str]]) -> str:
    head, *body = [f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |" for row in rows]
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])
