"""HumanEvalPack's rows as problems: what the model sees, what the program has, and what no row may lack."""

import pytest

from eval_multipl_e.errors import EvalError
from eval_multipl_e.scoring_control import changed_program
from eval_multipl_e.suite.completing import _prompt
from eval_multipl_e.suite.grade import _program
from eval_multipl_e.suite.tasks import read_task, task_of

ROW = {
    "task_id": "JavaScript/0",
    "prompt": "/* Adds one. */\nconst next = (x) => {\n",
    "declaration": "\nconst next = (x) => {\n",
    "canonical_solution": "  return x + 1;\n}\n\n",
    "buggy_solution": "  return x + 2;\n}\n\n",
    "test": "const testNext = () => {\n  console.assert(next(1) === 2)\n}\n\ntestNext()\n",
    "entry_point": "next",
}


def _rows(tmp_path, *rows):
    import json

    path = tmp_path / "pack.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_row_is_completed_or_mended(tmp_path):
    """To complete is to go on after the docstring; to mend is to go on after a bug, its tests and the declaration."""
    path = _rows(tmp_path, ROW)
    (complete,) = read_task(task_of("humanevalpack-js"), path=path)
    (fix,) = read_task(task_of("humanevalfix-javascript"), path=path)
    assert ROW["prompt"] == _prompt(complete, 0, 0).text
    asked = _prompt(fix, 0, 0).text
    assert asked.endswith("// Fix bugs in next.\n\n" + ROW["declaration"])
    assert ROW["buggy_solution"] in asked
    assert "Fix bugs" not in _program("program", fix, "  return x + 1;\n")
    assert ("bigcode/humanevalpack", "js", 1) == (
        task_of("humanevalfix-js").dataset,
        task_of("humanevalfix-js").config,
        task_of("humanevalfix-js").n,
    )


@pytest.mark.parametrize(
    ("code", "test"),
    [
        ("js", ROW["test"]),
        ("java", "public class Main {\n  void f() { if (correct.contains(false)) { throw new AssertionError(); } }\n}"),
        ("cpp", "int main(){\n    assert (next(1) == 2);\n}\n"),
        ("py", "def check(next):\n    assert next(1) == 2\n\ncheck(next)\n"),
    ],
)
def test_each_language_has_a_control(code, test, tmp_path):
    """The tests of each language have something that can be changed so that a right program fails."""
    path = _rows(tmp_path, {**ROW, "test": test})
    (problem,) = read_task(task_of(f"humanevalpack-{code}"), path=path)
    program = _program("program", problem, "    return x + 1;") + "\n" + problem["tests"]
    assert changed_program(code, program) not in (None, program)


def test_a_row_of_something_else_is_refused(tmp_path):
    """A row without a bug, and a language whose tests can't be run here, are errors that say so."""
    with pytest.raises(EvalError, match=r"Row 1 is no row of HumanEvalPack: it has no text for 'buggy_solution'"):
        read_task(
            task_of("humanevalfix-js"), path=_rows(tmp_path, {k: v for k, v in ROW.items() if k != "buggy_solution"})
        )
    with pytest.raises(EvalError, match=r"humanevalpack-CODE or humanevalfix-CODE with py, js, java, cpp"):
        task_of("humanevalfix-rs")
