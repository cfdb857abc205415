"""Draw charts and tables of a page as escaped HTML and SVG.

Horizontal positions are percentages and vertical ones pixels, so a chart fills any width while its text keeps its
size; curves sit in a nested `<svg preserveAspectRatio="none">` that stretches only the line.
"""

import html
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

# Control and bidirectional characters, lone surrogates and non-characters: invalid in HTML, or able to reorder it.
_UNSAFE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)
MAX_POINTS = 240  # a curve on a 1,000 px plot shows no more
MAX_ROWS = 40  # of a table beside a curve
NBSP = "\u00a0"


class Html(str):
    """Text that is HTML already: `fill` inserts it as it is and escapes everything else."""

    __slots__ = ()


def escape(text: str) -> Html:
    r"""Return a text as HTML; characters that a page can't hold are spelled out.

    >>> print(escape("<b>\x00"))
    &lt;b&gt;⟨U+0000⟩
    """
    return Html(html.escape(_UNSAFE.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text)))


def fill(template: str, **values: object) -> Html:
    """Replace the braces of a template by escaped values.

    >>> print(fill("<i>{name}</i>", name="a < b"))
    <i>a &lt; b</i>
    """
    escaped = {name: value if isinstance(value, Html) else escape(str(value)) for name, value in values.items()}
    return Html(template.format_map(escaped))


def join(parts: Iterable[Html], between: str = "\n") -> Html:
    """Join pieces of HTML to one."""
    return Html(between.join(parts))


def count(number: int) -> str:
    """Return a whole number with its thousands marked.

    >>> count(3210)
    '3,210'
    """
    return f"{number:,}"


def size(n_bytes: int) -> str:
    """Return a number of bytes in decimal units.

    >>> size(24_000_000).replace(NBSP, " "), size(1000).replace(NBSP, " "), size(12).replace(NBSP, " ")
    ('24.0 MB', '1.0 kB', '12 bytes')
    """
    if n_bytes < 1000:
        return f"{n_bytes}{NBSP}bytes"
    for unit, scale in (("kB", 1e3), ("MB", 1e6)):
        if n_bytes / scale < 999.95:
            return f"{n_bytes / scale:.1f}{NBSP}{unit}"
    return f"{n_bytes / 1e9:,.1f}{NBSP}GB"


def duration(seconds: float) -> str:
    """Return a time in seconds, or in minutes and seconds.

    >>> duration(12.1).replace(NBSP, " "), duration(131).replace(NBSP, " ")
    ('12.1 s', '2 min 11 s')
    """
    if seconds < 59.95:
        return f"{seconds:.1f}{NBSP}s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes:,}{NBSP}min{NBSP}{rest}{NBSP}s"


def percent(share: float) -> str:
    """Return a share of one in per cent, with one decimal.

    >>> percent(0.417).replace(NBSP, " ")
    '41.7 %'
    """
    return f"{100 * share:.1f}{NBSP}%"


def between(low: float, high: float) -> str:
    """Return an interval of shares in per cent.

    >>> between(0, 0.08).replace(NBSP, " ")
    '0.0 to 8.0 %'
    """
    return f"{100 * low:.1f} to {percent(high)}"


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str | Html]], *, n_text: int = 1) -> Html:
    """Return a table whose first column names its rows; columns after the first `n_text` are right-aligned numbers."""

    def cells(row: Sequence[str | Html], first: str, other: str) -> Html:
        kinds = [first] + [other] * (len(row) - 1)
        return join(
            (
                fill(
                    "<{tag}{cls}>{text}</{end}>",
                    tag=Html(kind),
                    cls=Html(' class="num"' if i >= n_text else ""),
                    text=text,
                    end=kind[:2],
                )
                for i, (kind, text) in enumerate(zip(kinds, row, strict=True))
            ),
            "",
        )

    return fill(
        '<div class="scroll" role="group" tabindex="0" aria-label="{caption}"><table><caption>{caption}</caption>\n'
        "<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>",
        caption=caption,
        head=cells(head, 'th scope="col"', 'th scope="col"'),
        rows=join(fill("<tr>{cells}</tr>", cells=cells(row, 'th scope="row"', "td")) for row in rows),
    )


def figure(ident: str, title: str, description: str, *, height: int, drawing: Html, numbers: Html) -> Html:
    """Return a drawing with a name and a description for those who can't see it, and its numbers as a table to open."""
    return fill(
        '<figure><div class="inset"><svg class="chart" role="img" aria-labelledby="{ident}-t" '
        'aria-describedby="{ident}-d" height="{height}">\n<title id="{ident}-t">{title}</title>'
        '<desc id="{ident}-d">{description}</desc>\n{drawing}\n</svg></div>\n'
        "<details><summary>Numbers as a table</summary>\n{numbers}\n</details></figure>",
        ident=ident,
        title=title,
        description=description,
        height=height,
        drawing=drawing,
        numbers=numbers,
    )


def bar(share: float) -> Html:
    """Return a thin bar under a number that stands beside it in words."""
    return fill(
        '<svg class="bar" aria-hidden="true"><rect width="{width}%" height="4" rx="2"/></svg>',
        width=_percent(share),
    )


def stage_bars(ident: str, title: str, stages: Sequence[tuple[str, int, int]]) -> Html:
    """Draw bars of (stage, files, bytes): files thick, bytes thin, each against the largest of its kind."""
    most_files = max(files for _, files, _ in stages) or 1
    most_bytes = max(n_bytes for _, _, n_bytes in stages) or 1
    rows = [
        fill(
            '<text class="strong" x="0" y="{y_text}">{name}</text>'
            '<text x="100%" y="{y_text}" text-anchor="end">{files} · {size}</text>'
            '<rect class="track" y="{y_bar}" width="100%" height="10" rx="2"/>'
            '<rect class="fill" y="{y_bar}" width="{width_files}%" height="10" rx="2"/>'
            '<rect class="second" y="{y_thin}" width="{width_bytes}%" height="4" rx="2"/>',
            name=name,
            files=f"{files:,} file{'' if files == 1 else 's'}",
            size=size(n_bytes),
            y_text=54 * i + 14,
            y_bar=54 * i + 21,
            y_thin=54 * i + 33,
            width_files=_percent(files / most_files),
            width_bytes=_percent(n_bytes / most_bytes),
        )
        for i, (name, files, n_bytes) in enumerate(stages)
    ]
    told = ", ".join(f"{name} {files:,} files and {size(n_bytes)}" for name, files, n_bytes in stages)
    numbers = table(title, ("Stage", "Files", "Size"), ((name, count(n), size(b)) for name, n, b in stages))
    return figure(
        ident, title, f"Bars per stage: {told}.", height=54 * len(stages) - 12, drawing=join(rows), numbers=numbers
    )


def loss_curves(ident: str, loss: Sequence[tuple[int, float]], held: Sequence[tuple[int, float]], base: float) -> Html:
    """Draw held-out bits per byte by step over the dashed unigram line; the training loss on its own scale below."""
    x_max = max((step for step, _ in (*loss, *held)), default=0) or 1
    parts, top, told = [], 0, [f"The unigram baseline scores {base:.2f} bits per byte."]
    if held:
        parts.append(_panel("Bits per byte, held-out files", held, x_max, top=top, height=240, base=base))
        told.append(f"The model goes from {held[0][1]:.2f} at step {held[0][0]:,} to {held[-1][1]:.2f}.")
        top += 300
    if loss:
        parts.append(_panel("Training loss, nats per token", loss, x_max, top=top, height=90, base=None))
        told.append(f"The training loss goes from {loss[0][1]:.2f} to {loss[-1][1]:.2f}.")
        top += 150
    for share, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        label = f"{round(share * x_max):,}" if share else "step 0"
        parts.append(_text(label, 100 * share, top - 4, anchor=anchor))
    numbers = [
        table(caption, ("Step", head), ((count(step), f"{value:.3f}") for step, value in thin(points, MAX_ROWS)))
        for caption, head, points in (
            ("Held-out files", "Bits per byte", held),
            ("Training", "Loss", loss),
        )
        if points
    ]
    return figure(ident, "Loss during training", " ".join(told), height=top, drawing=join(parts), numbers=join(numbers))


def intervals(
    ident: str, title: str, rows: Sequence[tuple[str, float, float, float, float | None]], numbers: Html
) -> Html:
    """Draw dots with whiskers on a scale of 0 to 1: (label, value, low, high, control or None for no diamond)."""
    bottom = 56 * len(rows)
    parts = [
        Html(f'<line class="grid" x1="{tick}%" x2="{tick}%" y1="22" y2="{bottom}"/>') for tick in (0, 25, 50, 75, 100)
    ]
    for i, (label, value, low, high, control) in enumerate(rows):
        y = 56 * i + 38
        parts += [
            _text(label, 0, y - 20, cls="strong halo"),
            _text(f"{percent(value)} ({between(low, high)})", 100, y - 20, anchor="end", cls="halo"),
            Html(f'<line class="grid" x1="0%" x2="100%" y1="{y}" y2="{y}"/>'),
        ]
        if control is not None:
            parts.append(
                Html(
                    f'<svg x="{_percent(control)}%" y="{y}" width="1" height="1" overflow="visible">'
                    '<path class="control" d="M0-8 8 0 0 8-8 0z"/></svg>'
                )
            )
        ends = (_percent(low), _percent(high))
        parts.append(Html(f'<line class="whisker" x1="{ends[0]}%" x2="{ends[1]}%" y1="{y}" y2="{y}"/>'))
        parts += [Html(f'<line class="whisker" x1="{x}%" x2="{x}%" y1="{y - 5}" y2="{y + 5}"/>') for x in ends]
        parts.append(Html(f'<circle class="dot" cx="{_percent(value)}%" cy="{y}" r="6"/>'))
    for tick, anchor in ((0, "start"), (50, "middle"), (100, "end")):
        parts.append(_text(f"{tick}{NBSP}%", tick, bottom + 18, anchor=anchor))
    told = "; ".join(f"{row[0]} {percent(row[1])}, interval {between(row[2], row[3])}" for row in rows)
    return figure(ident, title, f"{told}.", height=bottom + 24, drawing=join(parts), numbers=numbers)


def thin(points: Sequence[tuple[int, float]], most: int) -> list[tuple[int, float]]:
    """Return at most `most` evenly spaced points, the first and the last always among them.

    >>> thin([(1, 9.0), (2, 8.0), (3, 7.0), (4, 6.0), (5, 5.0)], 3)
    [(1, 9.0), (3, 7.0), (5, 5.0)]
    """
    if len(points) <= most:
        return list(points)
    return [points[round(i * (len(points) - 1) / (most - 1))] for i in range(most)]


def scale(low: float, high: float) -> list[float]:
    """Round tick values enclose a range, two to seven of them.

    >>> scale(1.72, 2.95)
    [1.5, 2.0, 2.5, 3.0]
    """
    span = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / 3))
    step = max(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power <= span / 2)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [i * step for i in range(first, max(last, first + 1) + 1)]


def _panel(
    label: str, points: Sequence[tuple[int, float]], x_max: int, *, top: int, height: int, base: float | None
) -> Html:
    """One plot: label, gridlines, an optional baseline, the curve, and the last value at its end."""
    shown = thin(points, MAX_POINTS)
    values = [value for _, value in shown] + ([] if base is None else [base])
    ticks = scale(min(values), max(values))
    plot = top + 34

    def y_of(value: float) -> float:
        return round((ticks[-1] - value) / (ticks[-1] - ticks[0]) * height, 1)

    parts = [_text(label, 0, top + 12, cls="strong")]
    for tick in ticks if base is not None else (ticks[0], ticks[-1]):
        y = plot + y_of(tick)
        parts.append(Html(f'<line class="grid" x1="0%" x2="100%" y1="{y}" y2="{y}"/>'))
        parts.append(_text(f"{tick:g}", 0, y - 4, cls="halo"))
    if base is not None:
        y = plot + y_of(base)
        parts.append(Html(f'<line class="base" x1="0%" x2="100%" y1="{y}" y2="{y}"/>'))
        parts.append(_text(f"unigram {base:.2f}", 100, y - 7, anchor="end", cls="halo"))
    line = " ".join(f"{1000 * step / x_max:.1f},{y_of(value)}" for step, value in shown)
    parts.append(
        Html(
            f'<svg x="0" y="{plot}" width="100%" height="{height}" viewBox="0 0 1000 {height}" overflow="visible" '
            f'preserveAspectRatio="none"><polyline class="{"faint" if base is None else "model"}" points="{line}" '
            'vector-effect="non-scaling-stroke"/></svg>'
        )
    )
    last_step, last = shown[-1]
    x, y = 100 * last_step / x_max, plot + y_of(last)
    if base is not None:
        parts.append(Html(f'<circle class="dot" cx="{x:.2f}%" cy="{y}" r="5"/>'))
    words = f"model {last:.2f}" if base is not None else f"{last:.2f}"
    parts.append(_text(words, x, y + (20 if base is not None else -8), anchor="end", cls="strong halo"))
    return join(parts)


def _text(words: str, x: float, y: float, *, anchor: str = "start", cls: str = "") -> Html:
    return fill(
        '<text x="{x}%" y="{y}" text-anchor="{anchor}"{cls}>{words}</text>',
        x=f"{x:g}",
        y=f"{y:g}",
        anchor=anchor,
        cls=Html(f' class="{cls}"' if cls else ""),
        words=words,
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def page_style() -> str:
    """Return the style sheet that every page shares."""
    return Path(__file__).with_name("page.css").read_text(encoding="utf-8")
