"""Write the ablation's page and Markdown: tables beside the published rows, and figures of the differences."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from hf_santa.ablate.variants import BASELINE, LANGUAGES, PUBLISHED_INFILL, PUBLISHED_PASS, TABLES, VARIANTS
from hf_santa.pages.charts import Html, count, escape, figure, fill, join, page_style, size, table

FIGURES = (
    ("bits_per_byte", "Bits per byte, held-out files: lower is better", 3),
    ("exact_match", "Infilling exact match: higher is better", 3),
)
WORDS = {"bits_per_byte": "bits per byte", "loss": "loss", "exact_match": "infilling exact match", "pass@1": "pass@1"}
Rows = list[tuple[str, ...]]
NONE = "-"
PUBLISHED_PARAMETERS, PUBLISHED_TOKENS = 1_124_886_528, 300_000 * 192 * 2048  # report, section 5.1


def write_pages(out: Path, answer: Mapping[str, Any]) -> Path:
    """Write `ablation.md` and `index.html`; return the page's path."""
    (out / "ablation.md").write_text(markdown(answer), encoding="utf-8")
    (out / "index.html").write_text(page(answer), encoding="utf-8")
    return out / "index.html"


def page(answer: Mapping[str, Any]) -> str:
    """Return the page; the same answer gives the same bytes."""
    here = Path(__file__)
    return Template(here.with_name("page.html").read_text(encoding="utf-8")).substitute(
        style=page_style(),
        lede=escape(lede(answer)),
        limits=join(fill("<p>{text}</p>", text=text) for text in limits(answer)),
        figures=join(differences(answer, metric, title) for metric, title, _ in FIGURES),
        verdicts=table("Each variant against the baseline", *verdicts(answer), n_text=3),
        tables=join(fill('<div class="block">{table}</div>', table=table(*each)) for each in small_tables(answer)),
        data=table("Training text without the held-out files", *volumes(answer)),
    )


def markdown(answer: Mapping[str, Any]) -> str:
    """Return the same tables as Markdown."""
    parts = ["# Ablations in small", lede(answer), *limits(answer), "## Which orderings the evidence supports"]
    parts.append(_lines(*verdicts(answer)))
    for title, head, rows in small_tables(answer):
        parts += [f"## {title}", _lines(head, rows)]
    parts += ["## Data of each recipe", _lines(*volumes(answer))]
    return "\n\n".join(parts) + "\n"


def lede(answer: Mapping[str, Any]) -> str:
    """Say in a sentence what was trained."""
    n = len(answer["variants"])
    first = answer["variants"][BASELINE]
    return (
        f"{n} of the report's eight variants, {'up to ' if answer['until_decided'] else ''}{answer['seeds']} "
        f"seed{'s' if answer['seeds'] != 1 else ''} each, "
        f"{first['parameters']:,} parameters (the baseline), {first['tokens']:,} tokens a model, on recipes of one corpus."
    )


def limits(answer: Mapping[str, Any]) -> list[str]:
    """Say how far the numbers reach."""
    compared = len(answer["variants"]) - 1
    best = max((row["pass@1"]["mean"] for row in answer["variants"].values() if "pass@1" in row), default=None)
    first = answer["variants"][BASELINE]
    larger, longer = PUBLISHED_PARAMETERS / first["parameters"], PUBLISHED_TOKENS / first["tokens"]
    looks = (
        f" Training stopped at each variant's decision, so the differences' intervals are {100 * answer['level']:.2f} %: all "
        "looks together are wrong in one case of twenty."
        if answer["until_decided"]
        else ""
    )
    spread = (
        f"Intervals are 95 % by Student's t over seeds.{looks} A difference pairs the runs of one seed, so it is about training "
        "noise alone: other files, another size or more tokens may order the variants differently."
    )
    chance = f"With {compared} comparisons a number, about one in twenty excludes zero by chance alone; none is corrected for."
    beside = (
        f"The published models are {larger:,.0f} times as large and read {longer:,.0f} times as many tokens; their rows "
        "give one training run each and no interval. The published final model read twice the tokens of the others; here "
        "it reads as many."
    )
    texts = [spread, chance, beside]
    if best is None:
        texts.append("No program was run.")
    elif best == 0:
        texts.append("No program of any model passed its tests: pass@1 is zero everywhere and left out of the tables.")
    return texts + [f"Not run: {name}. {reason}" for name, reason in answer["lacking"].items()]


def verdicts(answer: Mapping[str, Any]) -> tuple[Sequence[str], Rows]:
    """Return a row for each variant and metric: the difference, its interval, and what follows."""
    rows: Rows = []
    for name, row in answer["variants"].items():
        for metric in ("bits_per_byte", "exact_match", "pass@1"):
            if name == BASELINE or metric not in row or (metric == "exact_match" and not VARIANTS[name].fim_rate):
                continue
            if (found := row[metric]["difference"]) is None or (metric == "pass@1" and not _is_above_zero(answer)):
                continue
            published = _published_difference(name, metric)
            enough = row[metric].get("seeds_to_see", NONE) if found["seeds"] > 1 else NONE
            rows.append(
                (
                    name,
                    WORDS[metric],
                    verdict_words(metric, row[metric]["verdict"]),
                    f"{found['mean']:+.4f}",
                    _interval(found),
                    str(found["seeds"]),
                    "over 1,000" if enough is None else str(enough),
                    published,
                )
            )
    head = ("Variant", "Number", "Verdict", "Difference", "Interval", "Seeds", _seeds_to_see(answer))
    return (*head, "Published difference"), rows


def _seeds_to_see(answer: Mapping[str, Any]) -> str:
    return f"Seeds that would show a difference of {answer['matters']:g}"


def small_tables(answer: Mapping[str, Any]) -> list[tuple[str, Sequence[str], Rows]]:
    """Return the report's tables with our rows and the published ones."""
    made: list[tuple[str, Sequence[str], Rows]] = []
    for title, names in TABLES.items():
        is_infill = "infilling" in title
        metrics = (
            ["exact_match"] if is_infill else ["loss", "bits_per_byte", *(["pass@1"] if _is_above_zero(answer) else [])]
        )
        published = PUBLISHED_INFILL if is_infill else PUBLISHED_PASS
        what = "exact match" if is_infill else "pass@100"
        head = ("Variant", *(WORDS[metric] for metric in metrics), f"Published {what}: {', '.join(LANGUAGES)}")
        rows: Rows = []
        for name in names:
            row = answer["variants"].get(name)
            ours = (
                [_with_interval(row[metric]) if metric in row else NONE for metric in metrics]
                if row
                else ["not run"] * len(metrics)
            )
            rows.append((name, *ours, " / ".join(f"{value:.2f}" for value in published[name])))
        made.append((title, head, rows))
    return made


def volumes(answer: Mapping[str, Any]) -> tuple[Sequence[str], Rows]:
    """Return files, size and tokens of each recipe, and the share of the base that it left out."""
    base = answer["volumes"]["base"]["text_bytes"]
    rows: Rows = [
        (
            name,
            count(about["documents"]),
            size(about["text_bytes"]),
            NONE if name == "heldout" else f"{100 * (about['text_bytes'] / base - 1):+.1f} %",
            count(about["tokens"]),
        )
        for name, about in answer["volumes"].items()
    ]
    return ("Recipe", "Files", "Size", "Against base", "Tokens"), rows


def differences(answer: Mapping[str, Any], metric: str, title: str) -> Html:
    """Return a figure: one dot with its interval for each variant, on a scale with zero in it."""
    rows = [
        (name, row[metric]["difference"], verdict_words(metric, row[metric]["verdict"]))
        for name, row in answer["variants"].items()
        if name != BASELINE
        and metric in row
        and row[metric]["difference"]
        # A model without FIM can't fill a gap, so its exact match is no comparison.
        and not (metric == "exact_match" and not VARIANTS[name].fim_rate)
    ]
    if not rows:
        return Html("<p>Nothing to compare.</p>")
    reach = (
        max(abs(end) for _, found, _ in rows for end in (found["mean"], found["low"] or 0, found["high"] or 0)) or 1.0
    )
    bottom = 44 * len(rows) + 8

    def x(value: float) -> str:
        return f"{50 + 48 * value / reach:.2f}%"

    parts = [Html(f'<line class="base" x1="50%" x2="50%" y1="0" y2="{bottom}"/>')]
    for i, (name, found, said) in enumerate(rows):
        y = 44 * i + 30
        parts.append(fill('<text class="strong halo" x="0" y="{y}">{name}</text>', y=y - 14, name=name))
        words = f"{found['mean']:+.3f}, {said}"
        parts.append(
            fill('<text class="halo" x="100%" y="{y}" text-anchor="end">{words}</text>', y=y - 14, words=words)
        )
        if found["low"] is not None:
            parts.append(
                Html(f'<line class="whisker" x1="{x(found["low"])}" x2="{x(found["high"])}" y1="{y}" y2="{y}"/>')
            )
        parts.append(Html(f'<circle class="dot" cx="{x(found["mean"])}" cy="{y}" r="5"/>'))
    for place, anchor, words in (
        ("2%", "start", f"{-reach:+.2f}"),
        ("50%", "middle", f"{BASELINE}"),
        ("98%", "end", f"{reach:+.2f}"),
    ):
        parts.append(
            fill('<text x="{x}" y="{y}" text-anchor="{a}">{w}</text>', x=place, y=bottom + 18, a=anchor, w=words)
        )
    numbers = table(
        title, ("Variant", "Difference", "Interval"), ((n, f"{f['mean']:+.4f}", _interval(f)) for n, f, _ in rows)
    )
    spoken = "; ".join(f"{name} {found['mean']:+.4f}, {said}" for name, found, said in rows)
    chart = figure(f"d-{metric}", title, f"{spoken}.", height=bottom + 24, drawing=join(parts), numbers=numbers)
    return fill('<div class="block"><h3>{title}</h3>{chart}</div>', title=title, chart=chart)


def verdict_words(metric: str, verdict: str) -> str:
    """Return a verdict with whether it is for better or worse.

    >>> verdict_words("bits_per_byte", "higher"), verdict_words("exact_match", "no evidence")
    ('higher, worse', 'no evidence')
    """
    if verdict not in ("higher", "lower"):
        return verdict
    is_better = (verdict == "lower") == (metric in ("bits_per_byte", "loss"))
    return f"{verdict}, {'better' if is_better else 'worse'}"


def _is_above_zero(answer: Mapping[str, Any]) -> bool:
    return any(row.get("pass@1", {}).get("mean", 0) > 0 for row in answer["variants"].values())


def _published_difference(name: str, metric: str) -> str:
    """Return the published difference to the baseline, a mean over the three languages, where there is one."""
    rows = {"exact_match": PUBLISHED_INFILL, "pass@1": PUBLISHED_PASS, "bits_per_byte": {}}[metric]
    if name not in rows:
        return NONE
    unit = "exact match" if metric == "exact_match" else "pass@100"
    return f"{sum(rows[name]) / 3 - sum(rows[BASELINE]) / 3:+.3f} ({unit})"


def _with_interval(found: Mapping[str, Any]) -> str:
    return f"{found['mean']:.3f} ({_interval(found)})"


def _interval(found: Mapping[str, Any]) -> str:
    return "one seed" if found["low"] is None else f"{found['low']:.3f} to {found['high']:.3f}"


def _lines(head: Sequence[str], rows: Rows) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
