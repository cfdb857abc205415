"""Draw scores with their intervals and marks for the published ones, as one SVG file."""

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, LEFT, RIGHT, TOP, STEP = 760, 160, 40, 86, 52
LEGEND = 22  # height of a line of the legend
# Marks differ in shape and colour, so that neither alone carries the meaning.
_SHAPES = (
    "M0-7 7 0 0 7-7 0z",
    "M-6-6H6V6H-6z",
    "M0-7 7 6H-7z",
    "M-6-6 6 6M-6 6 6-6",
    "M0-7V7M-7 0H7",
    "M0 7-7-6H7z",
)
_CONTROLS = re.compile(r"[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_STYLE = """text{font:14px system-ui,sans-serif;fill:#1d2733}.title{font-weight:600;font-size:16px}.small{font-size:12px}
.grid{stroke:#d5dce4}.whisker{stroke:#b3261e;stroke-width:2.5}.dot{fill:#b3261e}.page{fill:#fff}
.m0,.m1,.m2,.m3,.m4,.m5{fill:none;stroke-width:2}.m0{stroke:#0b5cad}.m1{stroke:#257036}.m2{stroke:#8a5a00}.m3{stroke:#6b3fa0}
.m4{stroke:#555}.m5{stroke:#0b7a75}@media(prefers-color-scheme:dark){text{fill:#e6edf3}.grid{stroke:#3a4552}.whisker{stroke:#ff8a80}
.dot{fill:#ff8a80}.page{fill:#12181f}.m0{stroke:#7db8f0}.m1{stroke:#7fd08f}.m2{stroke:#e0b354}.m3{stroke:#c3a3ee}
.m4{stroke:#bbb}.m5{stroke:#6fd0ca}}"""


@dataclass(frozen=True)
class Range:
    """One line of the picture: shares between 0 and 1."""

    label: str
    value: float
    low: float
    high: float
    published: Mapping[str, float]


def interval_chart(title: str, ranges: Sequence[Range], models: Sequence[str], *, unit: str = " %") -> str:
    """Draw dots with whiskers on a common scale, and a mark for each published model that the lines have.

    `models` are those of all pictures of a report, so that a model has the same mark in each.
    """
    marks = {
        model: i for i, model in enumerate(models[: len(_SHAPES)]) if any(model in row.published for row in ranges)
    }
    legend, lines = _legend(marks)
    top = TOP + LEGEND * (lines - 1)
    bottom = top + STEP * len(ranges)
    told = "; ".join(_told(row, unit) for row in ranges)
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 34}" width="{WIDTH}" '
            f'height="{bottom + 34}" role="img" aria-labelledby="t d">'
            f'<title id="t">{_text(title)}</title><desc id="d">{_text(told)}</desc><style>{_STYLE}</style>'
        ),
        f'<rect class="page" width="{WIDTH}" height="{bottom + 34}"/><text class="title" x="16" y="28">{_text(title)}</text>',
        *legend,
    ]
    for tick in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
        x = _x(tick)
        parts.append(f'<line class="grid" x1="{x}" x2="{x}" y1="{top - 8}" y2="{bottom}"/>')
        parts.append(
            f'<text class="small" x="{x}" y="{bottom + 18}" text-anchor="middle">{100 * tick:.0f}{unit}</text>'
        )
    for i, row in enumerate(ranges):
        parts += _row(row, top + STEP * i + 22, marks, unit)
    return "\n".join((*parts, "</svg>")) + "\n"


def _row(row: Range, y: int, marks: Mapping[str, int], unit: str) -> list[str]:
    low, value, high = _x(row.low), _x(row.value), _x(row.high)
    parts = [
        f'<text x="16" y="{y + 5}">{_text(row.label)}</text>',
        f'<text class="small" x="{value}" y="{y - 12}" text-anchor="middle">{100 * row.value:.1f}{unit}</text>',
        f'<line class="whisker" x1="{low}" x2="{high}" y1="{y}" y2="{y}"/>',
        *(f'<line class="whisker" x1="{x}" x2="{x}" y1="{y - 5}" y2="{y + 5}"/>' for x in (low, high)),
        f'<circle class="dot" cx="{value}" cy="{y}" r="5.5"/>',
    ]
    # Below the whisker: a published number must not hide behind ours.
    return parts + [_mark(i, _x(row.published[model]), y + 15) for model, i in marks.items() if model in row.published]


def _legend(marks: Mapping[str, int]) -> tuple[list[str], int]:
    """The legend and how many lines it takes."""
    parts = [
        '<circle class="dot" cx="24" cy="50" r="5.5"/><text class="small" x="36" y="54">measured, 95 % interval</text>'
    ]
    x, line = 204, 0
    for model, i in marks.items():
        width = 34 + 7 * len(model)
        if x + width > WIDTH:
            x, line = 24, line + 1
        y = 50 + LEGEND * line
        parts += [_mark(i, x, y), f'<text class="small" x="{x + 11}" y="{y + 4}">{_text(model)}</text>']
        x += width
    return parts, line + 1


def _mark(i: int, x: float, y: int) -> str:
    return f'<path class="m{i}" transform="translate({x} {y}) scale(.75)" d="{_SHAPES[i]}"/>'


def _told(row: Range, unit: str) -> str:
    published = "".join(f", {model} {100 * value:.1f}{unit}" for model, value in row.published.items())
    return f"{row.label} {100 * row.value:.1f}{unit}, interval {100 * row.low:.1f} to {100 * row.high:.1f}{unit}{published}"


def _x(share: float) -> float:
    return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)


def _text(text: str) -> str:
    return html.escape(_CONTROLS.sub("\ufffd", text))
