"""The tasks by name: where their problems are published, how rows become problems, and the report's settings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval_multipl_e.errors import EvalError
from eval_multipl_e.languages import LANGUAGES, language_of
from eval_multipl_e.suite.docstrings import LANGUAGES as DOCSTRING_LANGUAGES
from eval_multipl_e.suite.docstrings import docstring_problem
from eval_multipl_e.suite.infilling import infill_problem
from eval_multipl_e.suite.problems import checked_problems, read_rows

PY_STOPS = ("\ndef", "\n#", "\nif", "\nclass")  # MultiPL-E's for Python


@dataclass(frozen=True)
class Task:
    """A task: its kind, its data set on the Hub, and how the report completed it."""

    name: str
    kind: str  # "program", "infill" or "docstring"
    dataset: str
    config: str | None
    split: str
    n: int = 200  # report section 5.4; the temperature is 0.2 for pass@1 and 0.8 for pass@10 and pass@100
    temperature: float = 0.2
    max_new_tokens: int = 512


def task_of(name: str) -> Task:
    """The task of a name: humaneval-CODE, mbpp-CODE, infill, docstring or docstring-LANGUAGE.

    >>> task_of("mbpp-java").dataset, task_of("infill").max_new_tokens
    ('nuprl/MultiPL-E', 25)
    """
    benchmark, _, rest = name.partition("-")
    if name == "infill":
        return Task(name, "infill", "bigcode/santacoder-fim-task", None, "train", 1, 0.2, 25)
    if benchmark == "docstring" and (not rest or rest in DOCSTRING_LANGUAGES):
        config = rest or "python"
        return Task(name, "docstring", "google/code_x_glue_ct_code_to_text", config, "test", 1, 0.0, 128)
    if name == "humaneval-py":  # MultiPL-E translates from Python and does not publish it
        return Task(name, "program", "openai/openai_humaneval", None, "test")
    if benchmark in ("humaneval", "mbpp") and rest in LANGUAGES:
        return Task(name, "program", "nuprl/MultiPL-E", name, "test")
    raise EvalError(
        f"task {name!r} is unknown. Use humaneval-CODE or mbpp-CODE with a code of {', '.join(LANGUAGES)}; infill; "
        f"docstring; or docstring-LANGUAGE with one of {', '.join(DOCSTRING_LANGUAGES)}."
    )


def read_task(
    task: Task, *, path: str | Path | None = None, dataset: str | None = None, revision: str | None = None
) -> list[dict[str, Any]]:
    """The problems of a task, each checked: from a JSON-lines file, or from a data set on the Hub or in a folder."""
    rows = read_rows(path) if path is not None else _from_dataset(task, dataset or task.dataset, revision)
    where = str(path or dataset or task.dataset)
    problems = checked_problems([_MAKERS[task.kind](row, number) for number, row in enumerate(rows, 1)], where)
    code = task.name.partition("-")[2] if task.kind == "program" else ""
    wrong = next((row["language"] for row in problems if code and language_of(row["language"]).code != code), None)
    if wrong is not None:
        raise EvalError(
            f"{where} has problems in {wrong!r}, and the task is {task.name}. Give that language's problems."
        )
    return problems


def _program_problem(row: Mapping[str, Any], number: int) -> dict[str, Any]:  # noqa: ARG001  # one signature for all
    if "entry_point" in row and "tests" not in row:
        row = {
            **row,
            "name": str(row.get("task_id")).replace("/", "_"),
            "language": "py",
            "tests": f"{row.get('test')}\ncheck({row['entry_point']})\n",
            "stop_tokens": list(PY_STOPS),
        }
    return {name: row[name] for name in ("name", "language", "prompt", "tests", "stop_tokens") if name in row}


def _from_dataset(task: Task, dataset: str, revision: str | None) -> list[dict[str, Any]]:
    from datasets import load_dataset

    try:
        return [dict(row) for row in load_dataset(dataset, task.config, split=task.split, revision=revision)]
    except (OSError, RuntimeError, ValueError) as error:
        raise EvalError(
            f"the problems of {task.name} could not be loaded from {dataset} (configuration {task.config}): "
            f"{' '.join(str(error).split())[:300]}. Give a file with --problems, or a data set with --dataset."
        ) from error


_MAKERS: Mapping[str, Callable[[Mapping[str, Any], int], dict[str, Any]]] = {
    "program": _program_problem,
    "infill": infill_problem,
    "docstring": docstring_problem,
}
