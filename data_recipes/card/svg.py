"""Draw shapes and text as SVG, without a library or a font: the same values give the same bytes."""

import re
from collections.abc import Iterable, Mapping
from html import escape

WIDTH = 760
INK, FAINT, RULE, PAPER = "#1f2328", "#6e7781", "#d0d7de", "#ffffff"
COLORS = ("#2f6fde", "#e0782f", "#3b9b6d", "#8a63d2", "#c0527f", "#7a8594")
_SANS = "ui-sans-serif, 'Segoe UI', Helvetica, Arial, sans-serif"
_MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
# XML can't hold these, and bidirectional controls reorder what a reader sees.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)


def text(x: float, y: float, words: str, **style: str | float) -> str:
    """Return words at a place; `anchor`, `size`, `fill`, `weight` and `mono` change their look."""
    family = _MONO if style.pop("mono", 0) else _SANS
    attributes = {
        "x": f"{x:g}",
        "y": f"{y:g}",
        "font-family": family,
        "font-size": style.get("size", 12),
        "fill": style.get("fill", INK),
        "text-anchor": style.get("anchor", "start"),
        "font-weight": style.get("weight", "normal"),
    }
    return f'<text {_attributes(attributes)} xml:space="preserve">{safe(words)}</text>'


def safe(words: str) -> str:
    r"""Return words as XML text, with what it can't hold replaced.

    >>> safe("a < b\x00")
    'a &lt; b\ufffd'
    """
    return escape(_UNSAFE.sub("\ufffd", words), quote=True)


def box(x: float, y: float, width: float, height: float, fill: str, **style: str | float) -> str:
    """Return a filled rectangle; `hint` is what a pointer over it says, `rx` rounds its corners."""
    hint = style.pop("hint", "")
    attributes = {"x": f"{x:g}", "y": f"{y:g}", "width": f"{width:.4g}", "height": f"{height:.4g}", "fill": fill}
    inside = f"<title>{safe(str(hint))}</title>" if hint else ""
    return f"<rect {_attributes({**attributes, **style})}>{inside}</rect>"


def line(x1: float, y1: float, x2: float, y2: float, **style: str | float) -> str:
    """Return a line; dashed with `dash`."""
    attributes = {"x1": f"{x1:g}", "y1": f"{y1:g}", "x2": f"{x2:g}", "y2": f"{y2:g}", "stroke": RULE}
    if dash := style.pop("dash", ""):
        attributes["stroke-dasharray"] = str(dash)
    return f"<line {_attributes({**attributes, **style})}/>"


def picture(height: float, title: str, parts: Iterable[str]) -> str:
    """Return a whole picture of the common width; `title` is what a screen reader reads."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:g}" '
        f'viewBox="0 0 {WIDTH} {height:g}" role="img">'
    )
    paper = box(0, 0, WIDTH, height, PAPER, rx=8)
    return "\n".join([head, f"<title>{safe(title)}</title>", paper, *parts, "</svg>"]) + "\n"


def _attributes(values: Mapping[str, object]) -> str:
    return " ".join(f'{name}="{escape(str(value), quote=True)}"' for name, value in values.items())
