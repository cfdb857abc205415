"""Read results files of a model: a row for each number, with its interval and how it was measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval_multipl_e.errors import EvalError
from eval_multipl_e.suite.files import read_results_file
from eval_multipl_e.suite.tasks import KNOWN_PROBLEMS, task_of

_REPORT_TEMPERATURES = {"pass@1": 0.2, "pass@10": 0.8, "pass@100": 0.8}


@dataclass(frozen=True)
class Measured:
    """One of our numbers with its interval, and how it came about."""

    task: str
    benchmark: str  # as in the table of published numbers: the task, and for infilling its language
    metric: str
    value: float
    low: float
    high: float
    problems: int
    samples: int
    dataset: str | None
    dataset_revision: str | None
    temperature: float | None
    top_p: float | None
    mode: str | None
    problems_sha256: str
    is_benchmark: bool  # the problems are the task's own, all of them


def read_measured(paths: Sequence[Path]) -> list[Measured]:
    """Return the scores of results files; of two temperatures, pass@1 is taken at 0.2, the others at 0.8, as reported."""
    best: dict[tuple[str, str], tuple[bool, Path, Measured]] = {}
    for path in paths:
        for row in _measured(_results(path)):
            wanted = (
                _REPORT_TEMPERATURES.get(row.metric) if row.benchmark.removeprefix("custom: ") == row.task else None
            )
            is_as_reported = wanted is not None and row.temperature == wanted
            key = (row.benchmark, row.metric)
            if key in best and best[key][0] == is_as_reported:
                raise EvalError(
                    f"{best[key][1]} and {path} both give {row.metric} of {row.benchmark}. Report one model, and each "
                    "task once a temperature."
                )
            if key not in best or is_as_reported:
                best[key] = (is_as_reported, path, row)
    return sorted((row for _, _, row in best.values()), key=_place)


def _place(row: Measured) -> tuple[Any, ...]:
    """Programs first, then infilling, then docstrings; pass@1 before pass@10 before pass@100."""
    kind = ("program", "infill", "docstring").index(task_of(row.task).kind)
    return kind, row.benchmark, row.metric.startswith("pass@"), len(row.metric), row.metric


def _results(path: Path) -> dict[str, Any]:
    found = read_results_file(path)
    try:
        task_of(found.get("task") or "of no name")
    except EvalError as error:
        raise EvalError(f"{path} can't be reported: {error}") from error
    if found["shard"] != [0, 1]:
        raise EvalError(f"{path} is shard {found['shard']} alone. Merge all shards first.")
    if not found["intervals"] or not found["results"]:
        raise EvalError(f"{path} holds no score. Was every toolchain missing?")
    return found


def _measured(found: Mapping[str, Any]) -> list[Measured]:
    task = task_of(found["task"])
    settings = found.get("settings", {})
    per_problem = len(found["results"]) // found["problems"]
    is_benchmark = _is_benchmark(found, settings)
    own = "" if is_benchmark else "custom: "
    rows = []
    for key, (low, high) in found["intervals"].items():
        metric, language = _split(key)
        if (language is not None) != (task.kind == "infill"):
            continue  # a task of one language: its score and that of all are one
        problems = {row["problem"] for row in found["results"] if language in (None, row["language"])}
        rows.append(
            Measured(
                task.name,
                own + (f"{task.name}/{language}" if language else task.name),
                metric,
                found[key],
                low,
                high,
                len(problems),
                settings.get("n", per_problem),
                settings.get("dataset"),
                settings.get("dataset_revision"),
                settings.get("temperature"),
                settings.get("top_p"),
                found.get("mode"),
                found["problems_sha256"],
                is_benchmark,
            )
        )
    return rows


def _is_benchmark(found: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    """Whether the problems are the benchmark that the task is named after.

    They are where their digest is known, or where all of them came from the task's own data set: then the loader
    answers for them, and the digest in the report lets others compare.
    """
    task = task_of(found["task"])
    if KNOWN_PROBLEMS.get(task.name) == found["problems_sha256"]:
        return True
    source = settings.get("dataset", found.get("dataset"))
    return source == task.dataset and settings.get("limit") is None


def _split(key: str) -> tuple[str, str | None]:
    """A score's metric and language: "exact_match/strip/py" has both, "exact_match/strip" only the first."""
    parts = key.split("/")
    size = 2 if parts[0] == "exact_match" else 1
    return "/".join(parts[:size]), parts[size] if len(parts) > size else None
