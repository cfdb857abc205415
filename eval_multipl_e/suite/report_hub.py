"""Write scores in the Hub's two formats: `.eval_results/*.yaml`, and a card's `model-index`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from eval_multipl_e.errors import EvalError
from eval_multipl_e.suite.results import Measured
from eval_multipl_e.suite.tasks import task_of

# The Hub keeps one value for each task of a benchmark: the first of these that was measured.
_PRIMARY = ("pass@1", "exact_match/strip", "bleu")


def eval_results_files(rows: Sequence[Measured]) -> dict[str, str]:
    """Return the files of `.eval_results/`, one a task, with the one value that a benchmark's task has there.

    Scores of other problems than a benchmark's own have none.
    """
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    files: dict[str, list[EvalResultEntry]] = {}
    for benchmark in dict.fromkeys(row.benchmark for row in rows):
        found = {row.metric: row for row in rows if row.benchmark == benchmark}
        order = _PRIMARY[1:] if "exact_match/strip" in found else _PRIMARY
        row = next((found[metric] for metric in order if metric in found), None)
        if row is None or not row.is_benchmark:
            continue  # the Hub would show it on the benchmark's page
        entry = EvalResultEntry(
            dataset_id=row.dataset or task_of(row.task).dataset,
            task_id=benchmark.replace("/", "-"),
            value=round(row.value, 6),
            dataset_revision=row.dataset_revision,
            notes=f"{row.metric}, 95 % interval {row.low:.4g} to {row.high:.4g}, {_settings(row)}",
        )
        files.setdefault(f"{row.task}.yaml", []).append(entry)
    return {name: _yaml(eval_result_entries_to_yaml(entries)) for name, entries in files.items()}


def model_index(rows: Sequence[Measured], name: str) -> list[dict[str, Any]]:
    """Return the `model-index` of a card with these scores."""
    from huggingface_hub.repocard_data import eval_results_to_model_index

    found: list[dict[str, Any]] = eval_results_to_model_index(name, [_eval_result(row) for row in rows])
    return found


def model_index_text(rows: Sequence[Measured], name: str) -> str:
    """Return the same as YAML, to be put into a card's front matter."""
    return _yaml({"model-index": model_index(rows, name)})


def card_with_results(card: Path, rows: Sequence[Measured], name: str) -> str:
    """Return a card's text with these scores in its `model-index`; scores of other data sets and metrics stay."""
    from huggingface_hub import ModelCard

    try:
        content = ModelCard(card.read_bytes().decode("utf-8"))
        data: Any = content.data
        kept = data.eval_results or []
    except (KeyError, IndexError, TypeError, ValueError, yaml.YAMLError) as error:
        raise EvalError(f"the front matter of {card} can't be read: {error!r}. Mend its YAML first.") from error
    ours = [_eval_result(row) for row in rows]
    new = {(each.dataset_type, each.dataset_config, each.metric_type) for each in ours}
    others = [each for each in kept if (each.dataset_type, each.dataset_config, each.metric_type) not in new]
    data.model_name = name
    data.eval_results = [*others, *ours]
    return str(content)


def _eval_result(row: Measured) -> Any:
    from huggingface_hub import EvalResult

    task = task_of(row.task)
    dataset = (row.dataset or task.dataset) if row.is_benchmark else "custom"
    config = row.benchmark.replace("/", "-") if task.kind == "infill" or not row.is_benchmark else task.config
    return EvalResult(
        task_type="text-generation",
        dataset_type=dataset,
        dataset_name=f"{dataset.rpartition('/')[2]} ({row.benchmark.removeprefix('custom: ')})",
        dataset_config=config,
        dataset_split=task.split if row.is_benchmark else None,
        dataset_revision=row.dataset_revision if row.is_benchmark else None,
        metric_type=row.metric,
        metric_name=f"{row.metric} ({_settings(row)})",
        metric_value=round(row.value, 6),
    )


def _settings(row: Measured) -> str:
    parts = [f"{row.problems} problems", f"n={row.samples}"]
    if row.temperature is not None:
        parts.append(f"temperature {row.temperature:g}")
    if row.top_p is not None and row.temperature:
        parts.append(f"top-p {row.top_p:g}")
    if row.mode:
        parts.append(row.mode)
    # Whoever scores a file answers for its being the data set's: the digest lets others compare.
    source = "problems" if row.dataset else "problems of a local file"
    return ", ".join([*parts, f"{source} sha256 {row.problems_sha256[:12]}"])


def _yaml(value: Any) -> str:
    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120))
