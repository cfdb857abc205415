"""Make infilling tasks from solved problems, and compare answers by exact match or by running them."""

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from eval_multipl_e.errors import EvalError

MATCH_MODES = ("strip", "first_line")
_COMMENTS = {"py": ("#",), "js": ("//", "/*", "*"), "java": ("//", "/*", "*")}


def exact_match(predictions: Sequence[str], references: Sequence[str], mode: str = "strip") -> float:
    r"""Return the share of predictions equal to their reference, whitespace at both ends aside.

    "strip" compares all that was generated (SantaCoder's report); "first_line" only the first lines of both that are not
    blank (later papers). Numbers of the two modes must not be compared.

    >>> exact_match(["  return x\n", "a = 1\nb = 2"], ["return x", "a = 1"])
    0.5
    >>> exact_match(["  return x\n", "a = 1\nb = 2"], ["return x", "a = 1"], mode="first_line")
    1.0
    """
    if mode not in MATCH_MODES:
        raise EvalError(f"exact_match: mode={mode!r} is unknown. Use 'strip' or 'first_line'.")
    if len(predictions) != len(references):
        raise EvalError(
            f"exact_match: {len(predictions)} predictions and {len(references)} references. Give one of each."
        )
    if len(predictions) == 0:
        raise EvalError("exact_match: no predictions. Give at least one.")
    return sum(_same(p, r, mode) for p, r in zip(predictions, references, strict=True)) / len(predictions)


def single_line_tasks(
    problems: Iterable[Mapping[str, Any]], *, per_problem: int | None = None, seed: int = 0
) -> list[dict[str, str]]:
    r"""Return infilling tasks that mask one line of a canonical solution, neither blank nor a comment.

    Each has name, language, prefix, middle, suffix and tests; prefix + middle + suffix is prompt + solution, and the
    middle keeps its indentation and its end of line. `per_problem` draws that many lines of each problem by seed and
    name; None takes all.

    >>> problem = {"name": "one", "language": "py", "prompt": "def one():\n", "tests": "assert one() == 1",
    ...            "canonical_solution": "    # one\n    return 1\n"}
    >>> task, = single_line_tasks([problem])
    >>> task["name"], task["middle"], task["suffix"]
    ('one/L1', '    return 1\n', '')
    """
    if per_problem is not None and per_problem < 1:
        raise EvalError(f"single_line_tasks: per_problem={per_problem} is below 1. Give 1 or more, or None for all.")
    tasks = []
    for number, problem in enumerate(problems, 1):
        solution = problem.get("canonical_solution")
        if type(solution) is not str:
            raise EvalError(
                f"single_line_tasks: problem {number} ({problem.get('name')}) has no 'canonical_solution', of which a "
                "line could be masked. Use problems that have one."
            )
        language = problem["language"]
        lines = solution.splitlines(keepends=True)
        maskable = [i for i, line in enumerate(lines) if _is_code(line, language)]
        if per_problem is not None and per_problem < len(maskable):
            # A str seed is hashed with SHA-512, the same in every process.
            maskable = sorted(random.Random(f"{seed}/{language}/{problem['name']}").sample(maskable, per_problem))
        tasks += [
            {
                "name": f"{problem['name']}/L{i}",
                "language": language,
                "prefix": problem["prompt"] + "".join(lines[:i]),
                "middle": lines[i],
                "suffix": "".join(lines[i + 1 :]),
                "tests": problem["tests"],
            }
            for i in maskable
        ]
    return tasks


def infill_problem(row: Mapping[str, Any], number: int) -> dict[str, Any]:
    r"""Return an infilling problem made of a row of `single_line_tasks`, of SantaCoder's benchmark or of OpenAI's.

    SantaCoder's and OpenAI's rows name the prefix `prompt` and the middle `canonical_solution`; OpenAI's are Python,
    and its `test` is a function that takes the `entry_point`.

    >>> row = {"task_id": "t/0", "prompt": "def f():\n", "suffix": "", "canonical_solution": "    return 1\n",
    ...        "test": "def check(candidate):\n    assert candidate() == 1\n", "entry_point": "f"}
    >>> infill_problem(row, 0)["tests"].splitlines()[-1]
    'check(f)'
    """
    test, entry = row.get("test"), row.get("entry_point")
    problem = {
        "name": row.get("name", row.get("task_id")),
        "language": row.get("language", "py" if entry else None),
        "prompt": row.get("prefix", row.get("prompt")),
        "suffix": row.get("suffix"),
        "middle": row.get("middle", row.get("canonical_solution")),
        "tests": row.get("tests", f"{test}\ncheck({entry})\n" if test is not None and entry else None),
    }
    wrong = next((name for name, value in problem.items() if not isinstance(value, str)), None)
    if wrong is not None:
        raise EvalError(
            f"Row {number} is no infilling task: it has no text for {wrong!r}. Fields found: "
            f"{', '.join(sorted(row)) or 'none'}. Expected: name, language, prompt, suffix, canonical_solution, tests."
        )
    return {**problem, "stop_tokens": []}


def first_line(text: str) -> str:
    r"""Return the first line of a text that is not blank, with its indentation and its end of line.

    >>> first_line("\n    x = 1\n    y = 2\n")
    '    x = 1\n'
    """
    return next((line for line in text.split("\n") if line.strip()), "") + ("\n" if "\n" in text.lstrip() else "")


def infilled_program(problem: Mapping[str, Any], middle: str) -> str:
    r"""Return the text to run between a problem's prefix and its tests: a middle put back before its suffix.

    Nothing is mended: a middle that lost its end of line runs into the suffix, as it would in an editor.

    >>> infilled_program({"suffix": "    return x\n"}, "    x = 1\n")
    '    x = 1\n    return x\n'
    """
    return middle + str(problem["suffix"])


def _same(prediction: str, reference: str, mode: str) -> bool:
    left, right = prediction.strip(), reference.strip()
    if mode == "first_line":
        left, right = (text.partition("\n")[0].strip() for text in (left, right))
    return left == right


def _is_code(line: str, language: str) -> bool:
    text = line.strip()
    return bool(text) and not text.startswith(_COMMENTS.get(language, ("#", "//")))
