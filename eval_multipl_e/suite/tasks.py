"""The tasks by name: their data sets, how rows become problems, and the report's settings."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval_multipl_e.errors import EvalError
from eval_multipl_e.languages import ALIASES, LANGUAGES, language_of
from eval_multipl_e.suite.docstrings import LANGUAGES as DOCSTRING_LANGUAGES
from eval_multipl_e.suite.docstrings import docstring_problem
from eval_multipl_e.suite.humanevalpack import CONFIGS as PACK_CONFIGS
from eval_multipl_e.suite.humanevalpack import pack_problem
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


# OpenAI's infilling sets (Bavarian et al. 2022), published as HumanEval-…Infilling.jsonl.gz: each with its name there,
# the digest of its problems, and enough tokens for its longest middles.
_INFILLING = {
    "infill-single-line": ("SingleLine", "14a5c736a910e69041cee5e03bf9f60b47ebe422152402a738e701b6f4b1ba17", 128),
    "infill-multi-line": ("MultiLine", "6015c8a20f1413df5ffb8634fd303dc9e0812d0e815409efa4edd904231ef77b", 512),
    "infill-random-span": ("RandomSpan", "3084fb9ca33b49abaf1f3e308d86a5f92d7c6be7594594e7a6ec370fdc392042", 512),
    "infill-random-span-light": ("RandomSpan", "4b5b6eae2508f50731d73803ea087d53cc6f49463f940168af326a9cefe109fc", 512),
}
# Digests of problems by which a local file is known to be its task's benchmark.
KNOWN_PROBLEMS: Mapping[str, str] = {
    "humaneval-py": "84c2e81c3c0b3fcfce2953689d59b1ee2c9d352a66241d3b6259df2e211884b3",
    **{name: digest for name, (_, digest, _) in _INFILLING.items()},
}
_PLAIN = {  # Python's own sets: data set, configuration, split
    "humaneval-py": ("openai/openai_humaneval", None, "test"),  # MultiPL-E translates from Python: it publishes none
    "mbpp-py": ("google-research-datasets/mbpp", "full", "test"),
    "humanevalplus-py": ("evalplus/humanevalplus", None, "test"),
    "mbppplus-py": ("evalplus/mbppplus", None, "test"),
}
_PACK = ("humanevalpack", "humanevalfix")  # completed from docstrings, or mended by tests
_CONFIGS = {"ada": "adb"}  # where MultiPL-E's configuration has another name than our code


def task_of(name: str) -> Task:
    """Return the task of a name; the Hub's names of MultiPL-E's configurations are names, too.

    >>> task_of("mbpp-java").dataset, task_of("infill").max_new_tokens, task_of("humaneval-adb").name
    ('nuprl/MultiPL-E', 25, 'humaneval-ada')
    """
    benchmark, _, rest = name.partition("-")
    if name == "infill":
        return Task(name, "infill", "bigcode/santacoder-fim-task", None, "train", 1, 0.2, 25)
    if name in _INFILLING:
        kind, _, tokens = _INFILLING[name]
        config = f"HumanEval-{kind}Infilling" + ("Light" if name.endswith("light") else "")
        return Task(name, "infill", "loubnabnl/humaneval_infilling", config, "test", 1, 0.2, tokens)
    if benchmark == "docstring" and (not rest or rest in DOCSTRING_LANGUAGES):
        config = rest or "python"
        return Task(name, "docstring", "google/code_x_glue_ct_code_to_text", config, "test", 1, 0.0, 128)
    code = ALIASES.get(rest, rest)
    if benchmark in _PACK and code in PACK_CONFIGS:
        return Task(f"{benchmark}-{code}", "program", "bigcode/humanevalpack", PACK_CONFIGS[code], "test", 1)
    if f"{benchmark}-{code}" in _PLAIN:
        return Task(f"{benchmark}-{code}", "program", *_PLAIN[f"{benchmark}-{code}"])
    if benchmark in ("humaneval", "mbpp") and code in LANGUAGES:
        config = f"{benchmark}-{_CONFIGS.get(code, code)}"
        return Task(f"{benchmark}-{code}", "program", "nuprl/MultiPL-E", config, "test")
    raise EvalError(
        f"task {name!r} is unknown. Use humaneval-CODE or mbpp-CODE with a code of {', '.join(LANGUAGES)}; "
        f"humanevalplus-py or mbppplus-py; {' or '.join(f'{name}-CODE' for name in _PACK)} with {', '.join(PACK_CONFIGS)}; infill, {', '.join(_INFILLING)}; docstring; or docstring-LANGUAGE with one of "
        f"{', '.join(DOCSTRING_LANGUAGES)}."
    )


def read_task(
    task: Task, *, path: str | Path | None = None, dataset: str | None = None, revision: str | None = None
) -> list[dict[str, Any]]:
    """Return the checked problems of a task: from a JSON-lines file, or from a data set on the Hub or in a folder."""
    rows = read_rows(path) if path is not None else _from_dataset(task, dataset or task.dataset, revision)
    where = str(path or dataset or task.dataset)
    benchmark, _, rest = task.name.partition("-")
    code = rest if task.kind == "program" else ""
    make = _MAKERS[task.kind]
    if benchmark in _PACK:
        make = functools.partial(pack_problem, code=code, is_fix=benchmark == "humanevalfix")
    problems = checked_problems([make(row, number) for number, row in enumerate(rows, 1)], where)
    wrong = next((row["language"] for row in problems if code and language_of(row["language"]).code != code), None)
    if wrong is not None:
        raise EvalError(
            f"{where} has problems in {wrong!r}, and the task is {task.name}. Give that language's problems."
        )
    return problems


def _program_problem(row: Mapping[str, Any], number: int) -> dict[str, Any]:
    if "tests" not in row and isinstance(row.get("test_list"), list):
        row = _mbpp_problem(row, number)
    elif "entry_point" in row and "tests" not in row:
        row = {
            **row,
            "name": str(row.get("task_id")).replace("/", "_"),
            "language": "py",
            "tests": f"{row.get('test')}\ncheck({row['entry_point']})\n",
            "stop_tokens": list(PY_STOPS),
        }
    return {name: row[name] for name in ("name", "language", "prompt", "tests", "stop_tokens") if name in row}


def _mbpp_problem(row: Mapping[str, Any], number: int) -> dict[str, Any]:
    """A problem of MBPP or MBPP+: what is asked and the tests, as a docstring, are the prompt (Fried et al. 2022).

    MBPP+'s own prompt shows one test; its tests are a script of their own.
    """
    shown = [str(test) for test in row["test_list"]]
    asked, tests = row.get("text"), "\n".join(shown)
    setup = row.get("test_setup_code") or "\n".join(row.get("test_imports") or [])
    if isinstance(row.get("test"), str):
        asked, shown, tests, setup = row.get("prompt"), shown[:1], row["test"], ""
    if not isinstance(asked, str) or not shown:
        raise EvalError(
            f"Row {number} is no row of MBPP: it needs 'text' (or 'prompt') and a 'test_list' that is not empty."
        )
    return {
        "name": f"mbpp_{row.get('task_id')}",
        "language": "py",
        "prompt": '"""\n' + "\n".join([asked, *shown]) + '\n"""\n',
        "tests": f"{setup}\n{tests}\n".lstrip("\n"),
        "stop_tokens": ["\nclass", "\nassert", '\n"""', "\nprint", "\nif", "\n```"],
    }


def _from_dataset(task: Task, dataset: str, revision: str | None) -> list[dict[str, Any]]:
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise EvalError(
            f"{task.name}: the library `datasets` is needed to read {dataset}. Install it, or give a file with --problems."
        ) from error
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
