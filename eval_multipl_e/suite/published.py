"""The published scores of SantaCoder's report and model card, each with its table."""

import json
from dataclasses import dataclass
from pathlib import Path

PUBLISHED = Path(__file__).with_name("published.json")
ABLATION = "ablation: "  # begins the names of models that the report trained to compare, 118 billion tokens each


@dataclass(frozen=True)
class PublishedScore:
    """One number of a table: shares between 0 and 1, BLEU between 0 and 100."""

    model: str
    benchmark: str
    metric: str
    value: float
    where: str


def published_scores(path: Path = PUBLISHED) -> list[PublishedScore]:
    """Return all published numbers, those of the report before those of the card.

    >>> next(row for row in published_scores() if (row.model, row.benchmark) == ("SantaCoder", "humaneval-java"))
    PublishedScore(model='SantaCoder', benchmark='humaneval-java', metric='pass@100', value=0.41, where='report, table 7')
    """
    found = json.loads(path.read_text(encoding="utf-8"))
    return [
        PublishedScore(model, benchmark, table["metric"], value, _where(table))
        for table in found["tables"]
        for model, values in table["rows"].items()
        for benchmark, value in zip(table["benchmarks"], values, strict=True)
        if value is not None
    ]


def published_beside(benchmark: str, metric: str, *, with_ablations: bool = False) -> dict[str, PublishedScore]:
    """Return the published numbers of one benchmark and metric by model, the report's where both sources have one."""
    found: dict[str, PublishedScore] = {}
    for row in published_scores():
        is_wanted = (row.benchmark, row.metric) == (benchmark, metric)
        if is_wanted and (with_ablations or not row.model.startswith(ABLATION)):
            found.setdefault(row.model, row)
    return found


def _where(table: dict[str, str | None]) -> str:
    if table["table"] is None:
        return f"{table['source']}, {table['section']}"
    tables = str(table["table"])
    return f"{table['source']}, table{'s' if ',' in tables else ''} {tables}"
