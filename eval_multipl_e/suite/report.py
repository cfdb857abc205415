"""Write the report: scores beside the published ones, with pictures, and the Hub's files."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from eval_multipl_e.errors import EvalError
from eval_multipl_e.suite.published import PublishedScore, published_beside
from eval_multipl_e.suite.report_charts import Range, interval_chart
from eval_multipl_e.suite.report_hub import card_with_results, eval_results_files, model_index_text
from eval_multipl_e.suite.results import Measured, read_measured
from eval_multipl_e.suite.shards import write_whole

_CUSTOM = (
    "`custom` marks scores of problems that are not a benchmark's own, or not all of them: no published number is "
    "comparable, and `.eval_results/` leaves them out."
)
_SCALED = 100.0  # BLEU's full scale


def write_report(paths: Sequence[Path], model_name: str, out: Path, *, card: Path | None = None) -> list[Measured]:
    """Write report.md, report.json, figures/, .eval_results/ and model-index.yaml; `card` gets the index, too."""
    rows = read_measured(paths)
    name = " ".join(model_name.split())
    if not name:
        raise EvalError("the model's name is empty. Give the name that the table and the model index shall show.")
    for folder in ("figures", ".eval_results"):
        shutil.rmtree(out / folder, ignore_errors=True)
    charts = _charts(rows, name)
    for title, drawing in charts.items():
        write_whole(out / "figures" / f"{title}.svg", drawing)
    write_whole(out / "report.md", _page(rows, name, list(charts)))
    write_whole(out / "report.json", json.dumps([_beside(row) for row in rows], indent=2) + "\n")
    for file, text in eval_results_files(rows).items():
        write_whole(out / ".eval_results" / file, text)
    write_whole(out / "model-index.yaml", model_index_text(rows, name))
    if card is not None:
        write_whole(card, card_with_results(card, rows, name))
    return rows


def _beside(row: Measured) -> dict[str, Any]:
    published = published_beside(row.benchmark, row.metric, with_ablations=True)
    return {**asdict(row), "published": {model: asdict(score) for model, score in published.items()}}


def _page(rows: Sequence[Measured], name: str, charts: Sequence[str]) -> str:
    models = _models(rows)
    head = ["benchmark", "metric", name, "95 % interval", *models, "published in"]
    lines = [_line(head), _line(["---"] * len(head))]
    lines += [_line(_cells(row, models)) for row in rows]
    parts = [
        f"# {_cell(name)} beside the published numbers",
        "\n".join(lines),
        (
            "An asterisk marks published numbers outside our interval. Intervals are 95 % percentile bootstrap over problems; "
            "the published numbers have none, and a run of theirs has a similar width."
        ),
        (
            "`exact_match/strip` compares all that was generated, as the report does; `exact_match/first_line` only its first "
            "line. Numbers of the two must not be compared. `pass@1` of infill runs the program with the line put back, which "
            "the report did not."
        ),
        *([_CUSTOM] if not all(row.is_benchmark for row in rows) else []),
        *(f"![{chart}](figures/{chart}.svg)" for chart in charts),
        "## How it was measured",
        "\n".join([_line(_HOW), _line(["---"] * len(_HOW)), *dict.fromkeys(_line(_how(row)) for row in rows)]),
    ]
    return "\n\n".join(parts) + "\n"


def _models(rows: Sequence[Measured]) -> list[str]:
    return list(dict.fromkeys(model for row in rows for model in published_beside(row.benchmark, row.metric)))


_HOW = ("task", "problems", "samples", "temperature", "top-p", "mode", "data set", "revision")


def _how(row: Measured) -> list[str]:
    values = (row.benchmark, row.problems, row.samples, row.temperature, row.top_p, row.mode)
    return [
        "not recorded" if value is None else str(value)
        for value in (*values, row.dataset or "a local file", row.dataset_revision or "not pinned")
    ]


def _cells(row: Measured, models: Sequence[str]) -> list[str]:
    published = published_beside(row.benchmark, row.metric)
    where = "; ".join(dict.fromkeys(score.where for score in published.values()))
    interval = f"{_number(row, row.low)} to {_number(row, row.high)}"
    others = [_other(row, published.get(model)) for model in models]
    return [row.benchmark, row.metric, f"**{_number(row, row.value)}**", interval, *others, where or "nowhere"]


def _other(row: Measured, score: PublishedScore | None) -> str:
    if score is None:
        return ""
    return _number(row, score.value) + ("" if row.low <= score.value <= row.high else "*")


def _number(row: Measured, value: float) -> str:
    return f"{value:.2f}" if row.metric == "bleu" else f"{value:.3f}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _charts(rows: Sequence[Measured], name: str) -> dict[str, str]:
    """A picture a metric that was measured."""
    drawings = {}
    models = _models(rows)
    for metric in dict.fromkeys(row.metric for row in rows):
        scale = _SCALED if metric == "bleu" else 1.0
        ranges = [
            Range(
                row.benchmark,
                row.value / scale,
                row.low / scale,
                row.high / scale,
                {m: s.value / scale for m, s in published_beside(row.benchmark, metric).items()},
            )
            for row in rows
            if row.metric == metric
        ]
        drawings[metric.replace("/", "-").replace("@", "-at-")] = interval_chart(
            f"{metric}: {name}", ranges, models, unit="" if metric == "bleu" else " %"
        )
    return drawings
