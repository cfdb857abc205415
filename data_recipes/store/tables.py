"""Make the tables of `data stats` and of the dataset card from funnel.json."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any


def funnel_rows(funnel: Mapping[str, Any]) -> list[list[str]]:
    """Return the funnel as a table: a header, a row per language, a row of totals.

    Files of no known language are left out while reading, and have no row. Each cell after the first stage gives the volume and its change from the stage before.
    """
    entries = [
        *((e["lang"], e["stages"]) for e in funnel["funnel"] if e["lang"]),
        ("total", funnel["totals"]["stages"]),
    ]
    rows = [["", "files", *(stage["name"] for stage in entries[0][1]), "files left"]]
    for label, stages in entries:
        cells = [volume_text(stages[0]["bytes"])]
        cells += [f"{volume_text(after['bytes'])} {_change(before, after)}" for before, after in pairwise(stages)]
        rows.append([label, f"{stages[0]['files']:,}", *cells, f"{stages[-1]['files']:,}"])
    return rows


def recipe_rows(funnel: Mapping[str, Any]) -> list[list[str]]:
    """Return the volume of each recipe as the report's Table 3: a row per language, a column per recipe, change to base."""
    names = list(funnel["definitions"])
    rows = [["", *names]]
    entries = [(e["lang"], e["recipes"]) for e in funnel["funnel"] if e["lang"]]
    for label, kept in [*entries, ("total", funnel["totals"]["recipes"])]:
        others = [f"{volume_text(kept[name]['bytes'])} {_change(kept['base'], kept[name])}" for name in names[1:]]
        rows.append([label, volume_text(kept["base"]["bytes"]), *others])
    return rows


def unmeasured_lines(funnel: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each step that can't measure some languages, which recipes with it therefore leave out."""
    lines = []
    for step, languages in funnel["unmeasured"].items():
        named = ", ".join(f"{lang} ({files:,} files)" for lang, files in languages.items())
        lines.append(f"{step} can't be measured for {named}: recipes with it leave these files out.")
    return lines


def _change(before: Mapping[str, int], after: Mapping[str, int]) -> str:
    """Return by how much the volume shrank, in brackets."""
    removed = 100 * (1 - after["bytes"] / before["bytes"]) if before["bytes"] else 0.0
    return f"({f'-{removed:.1f}' if removed >= 0.05 else '0.0'} %)"


def volume_text(size: int) -> str:
    """Return bytes as people read them.

    >>> volume_text(75_610_000_000), volume_text(1_500)
    ('75.61 GB', '1.5 kB')
    """
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if size >= factor:
            return f"{size / factor:.2f} {unit}"
    return f"{size / 1e3:.1f} kB"
