"""Write the dataset card: `card.md`, filled in with what funnel.json holds."""

from collections.abc import Mapping
from importlib.resources import files
from string import Template
from typing import Any

import yaml

from data_recipes.sources.row import ROW_SCHEMA
from data_recipes.store.tables import funnel_rows, recipe_rows, unmeasured_lines

MAX_LICENSES = 25
MAX_SHORT = 30
NBSP = "\u00a0"


def render_card(funnel: Mapping[str, Any], *, repository: str, title: str = "Source code, made by recipe") -> str:
    """Return the text of the dataset's README.md; `repository` is what a reader passes to `load_dataset`."""
    found = ", ".join(f"{count:,} {kind}" for kind, count in funnel["redactions"].items() if kind != "files")
    return Template((files("data_recipes.card") / "card.md").read_text("utf-8")).substitute(
        front_matter=_front_matter(funnel, title),
        title=title,
        recipe=funnel["recipe"],
        columns=_columns(funnel),
        recipe_table=_markdown([[cell.replace(" ", NBSP) for cell in row] for row in recipe_rows(funnel)]),
        layout=_layout(funnel),
        recipe_list="\n".join(
            f"- `{name}`: {recipe['summary']} ({recipe['source']}){_own(recipe)}"
            for name, recipe in funnel["definitions"].items()
        ),
        unavailable=_unavailable(funnel) + _classifier(funnel),
        funnel_table=_markdown(funnel_rows(funnel)),
        order=", ".join(funnel["order"]),
        thresholds=_thresholds(funnel),
        reject_table=_reject_table(funnel),
        repository=repository,
        config_table="\n".join(f"| `{entry['config_name']}` | {entry['rows']:,} |" for entry in funnel["configs"]),
        licenses=_licenses(funnel),
        permissions=_permissions(funnel),
        redactions=f"{found}, in {funnel['redactions']['files']:,} files",
        decontamination=_decontamination(funnel),
    )


_SIZES = (  # from 10**3 rows on; a thousand, a million, a billion, as the Hub spells them
    *("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B"),
    *("1B<n<10B", "10B<n<100B", "100B<n<1T"),
)


def _own(recipe: Mapping[str, Any]) -> str:
    """Return the steps, numbers and settings of a recipe of one's own."""
    if not (own := recipe["own"]):
        return ""
    text = yaml.safe_dump({"steps": recipe["steps"], **own}, sort_keys=False, allow_unicode=True)
    lines = ["```yaml", f"# digest {recipe['digest']}", *text.splitlines(), "```"]
    return "\n".join(["", "", *(f"  {line}" for line in lines), ""])


def _decontamination(funnel: Mapping[str, Any]) -> str:
    """Return what was searched for, and which strings were not, because every program has them."""
    strings = ", ".join(f"{count:,} strings of {name}" for name, count in funnel["benchmarks"].items())
    if not strings:
        return "No benchmark was given to this run: nothing was searched for, and no file was left out for it."
    text = f"Searched, ignoring case, for {strings}."
    if short := funnel["not_searched"]:
        shown = ", ".join(f"`{each['string']}` ({each['problem']})".replace("\n", " ") for each in short[:MAX_SHORT])
        more = f" and {len(short) - MAX_SHORT:,} more, listed in `funnel.json`" if len(short) > MAX_SHORT else ""
        text += f" Not searched for, being in many programs: {shown}{more}."
    return text


def _front_matter(funnel: Mapping[str, Any], title: str) -> str:
    total = funnel["totals"]["recipes"]["base"]["files"]
    size = next((name for power, name in enumerate(_SIZES, start=3) if total < 10**power), "n>1T")
    header = {
        "license": "other",
        "language": ["code"],
        "pretty_name": title,
        "task_categories": ["text-generation"],
        "tags": ["code", "santacoder"],
        "size_categories": [size],
        "configs": [{key: value for key, value in entry.items() if key != "rows"} for entry in funnel["configs"]],
    }
    return yaml.safe_dump(header, sort_keys=False, allow_unicode=True)


def _columns(funnel: Mapping[str, Any]) -> str:
    first = f"Each row is one source file: {', '.join(f'`{name}`' for name in ROW_SCHEMA.names)}, and"
    return "\n".join([first, "", *(f"- `{name}`: {about}" for name, about in funnel["columns"].items()), ""])


def _layout(funnel: Mapping[str, Any]) -> str:
    """Return which rows each folder of the data holds, where there is more than one."""
    if not (steps := funnel["steps"]):
        return ""
    name, example = next(item for item in funnel["definitions"].items() if item[1]["steps"])
    order = ", ".join(f"`{step}`" for step in steps)
    return (
        f"A folder of `data/` holds the rows that the same steps keep: one digit a step, `1` where it keeps them, in the "
        f"order {order}.\nSo `{name}` is `{example['files']}`.\n"
    )


def _unavailable(funnel: Mapping[str, Any]) -> str:
    lines = [f"- `{name}` is not in this store: {reason}" for name, reason in funnel["unavailable"].items()]
    lines += [f"- {line}" for line in unmeasured_lines(funnel)]
    return "\n".join(["", *lines]) if lines else ""


def _classifier(funnel: Mapping[str, Any]) -> str:
    """Return what the scores of quality are from, and how far they can be trusted."""
    if (made := funnel.get("classifier")) is None:
        return ""
    held = made["held_out"]
    return (
        f"\n\nThe classifier of `quality_score` learned from {made['files'] - held['files']:,} labelled files (digest "
        f"`{made['sha256'][:12]}`). On {held['files']:,} others it is right about {held['accuracy']:.1%}, where always saying "
        f"what most are is right about {held['majority']:.1%}; AUC {held['auc']:.3f}.\n"
    )


def _thresholds(funnel: Mapping[str, Any]) -> str:
    cells = [
        f"{name} {', '.join(f'{x} {y}' for x, y in value.items()) if isinstance(value, Mapping) else value}"
        for name, value in funnel["thresholds"].items()
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
