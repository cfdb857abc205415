"""Our tasks for lm-evaluation-harness: a task's problems, its stops, and passing by our verdict as the metric."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eval_multipl_e.suite.rewarding import reward
from eval_multipl_e.suite.tasks import read_task, task_of


def lm_eval_task(name: str, *, path: str | Path | None = None, limit: int | None = None) -> dict[str, Any]:
    """Return the configuration of a task of programs, to be given to `lm_eval.simple_evaluate(tasks=[...])`.

    The metric is `pass_at_1` of one greedy sample. `path` is a file of problems, in place of the task's data set. Programs
    are run, so HF_ALLOW_CODE_EVAL must be 1.
    """
    problems = read_task(task_of(name), path=path)[:limit]
    stops = list(dict.fromkeys(stop for row in problems for stop in row["stop_tokens"]))

    def dataset(**_: Any) -> dict[str, Any]:
        from datasets import Dataset

        return {"test": Dataset.from_list(problems)}

    def results(problem: Mapping[str, Any], texts: Sequence[str]) -> dict[str, float]:
        return {"pass_at_1": reward(texts[:1], [problem])[0]}

    return {
        "task": name,
        "custom_dataset": dataset,
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "{{prompt}}",
        "doc_to_target": "{{tests}}",
        "process_results": results,
        "generation_kwargs": {"until": stops, "do_sample": False, "max_gen_toks": task_of(name).max_new_tokens},
        "metric_list": [{"metric": "pass_at_1", "aggregation": "mean", "higher_is_better": True}],
    }
