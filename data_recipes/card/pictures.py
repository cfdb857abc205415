"""Draw the card's pictures from funnel.json: size of each recipe, histograms, an example of each language."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from data_recipes.card.svg import COLORS, FAINT, INK, PAPER, RULE, WIDTH, box, line, picture, text
from data_recipes.disk.files import remove, write_text
from data_recipes.store.tables import volume_text

_MARGIN, _ROW = 24, 22
_MAX_COLORED = len(COLORS) - 1


def write_pictures(out: Path, funnel: Mapping[str, Any]) -> list[Path]:
    """Write `images/funnel.svg`, `images/histograms.svg` and `images/examples.svg`; the files written."""
    drawn: dict[str, Callable[[Mapping[str, Any]], str]] = {
        "funnel": funnel_picture,
        "histograms": histogram_picture,
        "examples": example_picture,
    }
    paths = [out / "images" / f"{name}.svg" for name in drawn]
    for stale in (out / "images").glob("*.svg"):
        if stale not in paths:
            remove(stale)
    for path, draw in zip(paths, drawn.values(), strict=True):
        write_text(path, draw(funnel))
    return paths


def shown_entries(funnel: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the languages that have rows in the store, the largest first."""
    entries = [entry for entry in funnel["funnel"] if entry["recipes"]["base"]["files"]]
    return sorted(entries, key=lambda entry: -int(entry["recipes"]["base"]["bytes"]))


def funnel_picture(funnel: Mapping[str, Any]) -> str:
    """Draw horizontal bars: for each language the volume read, and what each recipe leaves of it."""
    parts, y = [text(_MARGIN, 32, "Volume by recipe", size=16, weight="bold")], 52.0
    names = list(funnel["definitions"])
    left, right = 190.0, 180.0
    for entry in shown_entries(funnel):
        parts.append(text(_MARGIN, y + 14, entry["lang"], size=13, weight="bold"))
        y += _ROW
        whole = entry["stages"][0]
        rows = [("read", whole, RULE), *((name, entry["recipes"][name], COLORS[0]) for name in names)]
        for name, kept, color in rows:
            width = (WIDTH - left - right) * kept["bytes"] / max(whole["bytes"], 1)
            share = 100 * kept["bytes"] / max(whole["bytes"], 1)
            parts += [
                text(left - 10, y + 14, name, anchor="end", mono=1),
                box(left, y + 3, max(width, 1), 14, color, rx=2, hint=f"{name}: {kept['files']:,} files"),
                text(left + max(width, 1) + 8, y + 14, f"{volume_text(kept['bytes'])} ({share:.1f} %)", fill=FAINT),
            ]
            y += _ROW
        y += 8
    return picture(y + 8, "Volume of each language and recipe", parts)


def histogram_picture(funnel: Mapping[str, Any]) -> str:
    """Draw small histograms of every measure, two a row, stacked by language; dashed lines are the thresholds."""
    entries = shown_entries(funnel)
    columns = list(dict.fromkeys(name for entry in entries for name in entry["histograms"]))
    parts = [text(_MARGIN, 32, "What the files are like (files in each bin)", size=16, weight="bold")]
    x = float(_MARGIN)
    for number, entry in enumerate(entries[: _MAX_COLORED + 1]):
        name = entry["lang"] if number < _MAX_COLORED else "others"
        parts += [box(x, 46, 10, 10, _color(number), rx=2), text(x + 15, 55, name)]
        x += 34 + 7 * len(name)
    width, height = (WIDTH - 3 * _MARGIN) / 2, 132
    for number, column in enumerate(columns):
        at_x, at_y = _MARGIN + (number % 2) * (width + _MARGIN), 76 + (number // 2) * (height + 46)
        parts += _histogram(column, entries, _Frame(at_x, at_y, width, height))
    return picture(76 + (len(columns) + 1) // 2 * (height + 46) + 8, "Histograms of the store's columns", parts)


def _color(number: int) -> str:
    return COLORS[min(number, _MAX_COLORED)]


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where a histogram is drawn."""

    x: float
    y: float
    width: float
    height: float


def _histogram(
    column: str,
    entries: Sequence[Mapping[str, Any]],
    frame: _Frame,
) -> Iterator[str]:
    """One histogram: title, stacked bars, edges below, thresholds."""
    x, y, width, height = frame.x, frame.y, frame.width, frame.height
    found = [(number, entry["histograms"][column]) for number, entry in enumerate(entries)]
    edges = found[0][1]["edges"]
    totals = [sum(counts) for counts in zip(*(each["files"] for _, each in found), strict=True)]
    most, step, floor = max(*totals, 1), width / len(edges), y + height - 6
    yield text(x, y + 10, found[0][1]["title"], weight="bold")
    unknown = sum(each["unknown"] for _, each in found)
    about = f"tallest bar {most:,}" + (f", unknown {unknown:,}" if unknown else "")
    yield text(x + width, y + 10, about, anchor="end", fill=FAINT, size=11)
    for position in range(len(edges)):
        top = floor
        for number, each in found:
            tall = (height - 30) * each["files"][position] / most
            if each["files"][position]:
                top -= tall
                hint = f"{_label(edges, position)}: {each['files'][position]:,} files"
                yield box(x + position * step + 1, top, max(step - 2, 1), tall, _color(number), hint=hint)
    yield line(x, floor, x + width, floor, stroke=FAINT)
    shown = sorted({0, len(edges) // 4, len(edges) // 2, 3 * len(edges) // 4, len(edges) - 1})
    for position in shown:
        yield text(x + position * step, floor + 15, _number(edges[position]), size=10, fill=FAINT)
    for threshold in found[0][1]["thresholds"]:
        at = x + _position(edges, threshold) * step
        yield line(at, y + 18, at, floor, stroke=INK, dash="3 3")


def _position(edges: Sequence[float], value: float) -> float:
    """Where a value lies among the bins, counted in bins."""
    for number, (low, high) in enumerate(pairwise(edges)):
        if low <= value < high:
            return number + (value - low) / (high - low)
    return float(len(edges) - 1)


def _number(value: float) -> str:
    """An edge as it is written below the axis.

    >>> _number(65536), _number(0.05)
    ('64K', '0.05')
    """
    whole = int(value)
    if value == whole and whole >= 1024 and whole % 1024 == 0:
        return f"{whole // 1024}K" if whole < 1 << 20 else f"{whole >> 20}M"
    return f"{value:g}"


def _label(edges: Sequence[float], position: int) -> str:
    if position + 1 == len(edges):
        return f"{_number(edges[position])} and more"
    return f"{_number(edges[position])} to {_number(edges[position + 1])}"


def example_picture(funnel: Mapping[str, Any]) -> str:
    """Draw some lines of one file of each language, as they are published."""
    parts, y = [text(_MARGIN, 32, "Part of one file of each language, as published", size=16, weight="bold")], 50.0
    for entry in shown_entries(funnel)[:_MAX_COLORED]:
        if (example := entry["example"]) is None:
            continue
        lines = example["lines"]
        about = f"{entry['lang']} · {example['path']}"
        parts.append(text(_MARGIN, y + 14, about if len(about) <= 100 else f"{about[:99]}…", fill=FAINT))
        y += 22
        parts.append(box(_MARGIN, y, WIDTH - 2 * _MARGIN, 16 * len(lines) + 14, "#f6f8fa", rx=6, stroke=RULE))
        for number, words in enumerate(lines, start=1):
            label = str(example["first_line"] + number - 1)
            parts.append(text(_MARGIN + 34, y + 6 + 16 * number, label, anchor="end", mono=1, fill=FAINT, size=11))
            parts.append(text(_MARGIN + 46, y + 6 + 16 * number, words, mono=1, size=12))
        y += 16 * len(lines) + 30
    if len(parts) == 1:
        parts.append(text(_MARGIN, y + 14, "No file is short enough to be shown.", fill=FAINT))
        y += 30
    return picture(y + 4, "Examples of files", [*parts, box(WIDTH - 8, 0, 8, y + 4, PAPER, rx=8)])
