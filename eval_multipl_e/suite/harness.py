"""Make tasks for lm-evaluation-harness and lighteval that are judged by this project's rules."""

import atexit
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from eval_multipl_e.suite.rewarding import reward
from eval_multipl_e.suite.tasks import read_task, task_of


def lm_eval_task(name: str, *, path: str | Path | None = None, limit: int | None = None) -> dict[str, Any]:
    """Return the configuration of a task of programs, to be given to `lm_eval.simple_evaluate(tasks=[...])`.

    The metric is `pass_at_1` of one greedy sample. `path` is a file of problems, in place of the task's data set. Programs
    are run, so HF_ALLOW_CODE_EVAL must be 1.
    """
    problems = _asked(name, path)[:limit]
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
        "doc_to_text": "{{asked}}",
        "doc_to_target": "{{tests}}",
        "process_results": results,
        "generation_kwargs": {"until": stops, "do_sample": False, "max_gen_toks": task_of(name).max_new_tokens},
        "metric_list": [{"metric": "pass_at_1", "aggregation": "mean", "higher_is_better": True}],
    }


def lighteval_task(name: str, *, path: str | Path | None = None) -> Any:
    """Return a `LightevalTaskConfig`, to be put into the `TASKS_TABLE` of a module given as lighteval's custom tasks.

    The metric is `pass_at_1` of one sample. The problems, of the task's data set or of `path`, are put into a folder that
    lighteval reads and that ends with this process. Programs are run, so HF_ALLOW_CODE_EVAL must be 1.
    """
    from lighteval.metrics.metrics_sample import SampleLevelComputation
    from lighteval.metrics.utils.metric_utils import SampleLevelMetric
    from lighteval.tasks.lighteval_task import LightevalTaskConfig
    from lighteval.tasks.requests import Doc, SamplingMethod

    problems = _asked(name, path)
    folder = Path(tempfile.mkdtemp(prefix="santa-lighteval-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    lines = [json.dumps({"problem": json.dumps(row)}) + "\n" for row in problems]
    (folder / "test.jsonl").write_text("".join(lines), encoding="utf-8")

    class PassAtOne(SampleLevelComputation):  # type: ignore[misc]  # lighteval ships no types
        def compute(self, *, model_response: Any, doc: Any, **_: Any) -> float:
            """Run the first answer with its problem's tests."""
            return reward([model_response.final_text[0]], [doc.specific])[0]

    def document(row: Mapping[str, Any], task_name: str | None = None) -> Any:
        problem = json.loads(row["problem"])
        return Doc(task_name=task_name, query=problem["asked"], choices=[""], gold_index=0, specific=problem)

    metric = SampleLevelMetric(
        metric_name="pass_at_1",
        higher_is_better=True,
        category=SamplingMethod.GENERATIVE,
        sample_level_fn=PassAtOne(),
        corpus_level_fn=fmean,
    )
    return LightevalTaskConfig(
        name=name,
        prompt_function=document,
        hf_repo=str(folder),
        hf_subset="default",
        hf_avail_splits=["test"],
        evaluation_splits=["test"],
        metrics=[metric],
        generation_size=task_of(name).max_new_tokens,
        stop_sequence=list(dict.fromkeys(stop for row in problems for stop in row["stop_tokens"])),
    )


def _asked(name: str, path: str | Path | None) -> list[dict[str, Any]]:
    """The problems of a task, each with what a model is asked."""
    problems = read_task(task_of(name), path=path)
    return [{**row, "asked": row.get("context", "") + row["prompt"]} for row in problems]
