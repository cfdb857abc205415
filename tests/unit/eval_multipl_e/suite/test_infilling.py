"""Infilling tasks and exact match."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval_multipl_e.suite.infilling import exact_match, first_line, infill_problem, infilled_program, single_line_tasks


def _problem(solution, language="py"):
    return {"name": "p", "language": language, "prompt": "def f():\n", "tests": "", "canonical_solution": solution}


@given(st.lists(st.text("ab #/*\t", max_size=6), max_size=8), st.booleans())
def test_every_task_puts_the_solution_together_again(lines, ends_with_newline):
    """The texts prefix + middle + suffix make prompt + solution, byte for byte, in every task."""
    solution = "\n".join(lines) + ("\n" if ends_with_newline else "")
    for task in single_line_tasks([_problem(solution)]):
        assert "def f():\n" + solution == task["prefix"] + task["middle"] + task["suffix"]
        assert task["middle"].strip()
        assert not task["middle"].strip().startswith("#")


@pytest.mark.parametrize(("language", "comment"), [("py", "# c"), ("js", "// c"), ("java", "/* c */")])
def test_blank_and_comment_lines_are_not_masked(language, comment):
    """Only lines with code become tasks, named by their line."""
    tasks = single_line_tasks([_problem(f"    {comment}\n\n    x = 1\n", language)])
    assert [(task["name"], task["middle"]) for task in tasks] == [("p/L2", "    x = 1\n")]


def test_a_draw_is_repeatable_and_bounded():
    """`per_problem` lines are drawn by seed, the same ones each time, in the order of the source."""
    solution = "".join(f"    x{i} = {i}\n" for i in range(30))
    draws = [[t["name"] for t in single_line_tasks([_problem(solution)], per_problem=3, seed=s)] for s in (0, 0, 1)]
    assert draws[0] == draws[1]
    assert draws[0] != draws[2]
    assert sorted(draws[0], key=lambda name: int(name[3:])) == draws[0]


def test_a_problem_without_solution_is_named():
    """A problem that lacks a solution is an error that names it."""
    with pytest.raises(ValueError, match=r"problem 1 \(p\) has no 'canonical_solution'"):
        single_line_tasks([{**_problem(""), "canonical_solution": None}])


def test_the_modes_differ_only_after_the_first_line():
    """A right first line followed by more matches in first_line mode alone."""
    assert exact_match(["\n  a\nb"], ["a"], mode="strip") == 0.0
    assert exact_match(["\n  a\nb"], ["a"], mode="first_line") == 1.0


@given(st.text("ab \n", max_size=12))
def test_the_first_line_is_what_the_mode_compares(text):
    """What `first_line` keeps for running is what the mode of that name compares."""
    line = first_line(text)
    assert line in text or not text.strip()
    assert line.count("\n") <= 1
    assert exact_match([text], [line], mode="first_line") == 1.0


def test_three_schemas_give_the_same_problem():
    """Our tasks, SantaCoder's rows and OpenAI's become the same prefix, middle, suffix and tests."""
    (task,) = single_line_tasks([{**_problem("    return 1\n"), "tests": "def check(c): c()\n\ncheck(f)\n"}])
    santa = {**task, "prompt": task["prefix"], "canonical_solution": task["middle"]}
    openai = {**santa, "task_id": task["name"], "test": "def check(c): c()\n", "entry_point": "f"}
    santa = {name: value for name, value in santa.items() if name not in {"prefix", "middle"}}
    openai = {
        name: openai[name] for name in ("task_id", "prompt", "suffix", "canonical_solution", "test", "entry_point")
    }
    expected = infill_problem(task, 0)
    assert expected == infill_problem(santa, 0) == infill_problem(openai, 0)
    assert "    return 1\n" == infilled_program(expected, expected["middle"])


@pytest.mark.parametrize(
    ("change", "wrong"), [({"suffix": None}, "suffix"), ({"language": 3}, "language"), ({"tests": None}, "tests")]
)
def test_a_row_that_is_no_task_is_named(change, wrong):
    """A row without one of the texts is an error with its number, the field and the fields found."""
    row = {"name": "p", "language": "py", "prompt": "", "suffix": "", "canonical_solution": "x", "tests": ""}
    with pytest.raises(ValueError, match=f"Row 4 is no infilling task: it has no text for '{wrong}'.*Fields found"):
        infill_problem({**row, **change}, 4)


@pytest.mark.parametrize(
    ("predictions", "references", "mode", "message"),
    [([], [], "strip", "no predictions"), (["a"], [], "strip", "1 predictions and 0"), (["a"], ["a"], "x", "mode='x'")],
)
def test_wrong_arguments_of_exact_match_are_refused(predictions, references, mode, message):
    """Empty lists, unequal lengths and unknown modes are errors that say so."""
    with pytest.raises(ValueError, match=message):
        exact_match(predictions, references, mode)


def test_references_match_themselves_in_both_modes():
    """A middle of many lines is its own exact match, by all of its text and by its first line."""
    middles = ["    x = 1\n    y = 2\n", "\n\n  return x\n", "a", ""]
    for mode in ("strip", "first_line"):
        assert 1.0 == exact_match(middles, middles, mode)
    assert 0.5 == exact_match(["x\ny", "z"], ["x\nw", "a\nz"], "first_line")
