"""Benchmark strings in texts."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_recipes.decontaminate import BenchmarkString, Matcher, benchmark_strings, decontaminate, description
from data_recipes.errors import DataError

_DOC = "Return the list of all the prime factors of n."
_PROBLEM = {
    "benchmark": "demo",
    "name": "demo_1",
    "language": "py",
    "prompt": f'def factors(n):\n    """ {_DOC}\n    >>> factors(8)\n    [2, 2, 2]\n    """\n',
    "tests": "assert candidate(8) == [2, 2, 2], 'the eight has three twos'",
    "canonical_solution": "    result = []\n    while n > 1:\n        n -= 1\n    return result",
}


def test_description_and_solution_are_found_whatever_their_case():
    """A file that quotes the docstring or the solution is hit, with benchmark, problem and string."""
    quoted = _PROBLEM["prompt"].upper()
    solved = "def f(n):\n" + _PROBLEM["canonical_solution"] + "\n"
    hits = decontaminate(["nothing here", quoted, solved], [_PROBLEM])
    assert {(hit.row, hit.benchmark, hit.problem) for hit in hits} == {(1, "demo", "demo_1"), (2, "demo", "demo_1")}
    assert [hit.string for hit in hits if hit.row == 2] == [_PROBLEM["canonical_solution"].strip()]


def test_tests_are_not_searched():
    """A file that only holds a problem's assertions is no hit."""
    assert decontaminate([_PROBLEM["tests"]], [_PROBLEM]) == []


@pytest.mark.parametrize(
    "prompt",
    [
        f"//{_DOC}\nfunction f(n){{\n",
        f"# {_DOC}\nf <- function(n) {{\n",
        f"/**\n * \n{_DOC} */\nint f(int n) {{\n",
        f"-- {_DOC}\nlocal function f(n)\n",
        f"class Problem {{\n    // {_DOC}\n    public static long f(long n) {{\n",
    ],
)
def test_comments_of_other_languages_are_descriptions(prompt):
    """The description is taken out of the comments of MultiPL-E's languages, without their markers."""
    assert any(string.endswith(_DOC) for string in description(prompt))


def test_short_and_trivial_strings_are_left_out():
    """Strings under 20 characters and the report's trivial solution are no benchmark strings."""
    short = {"benchmark": "b", "string": "return x + y"}
    trivial = {"benchmark": "b", "string": "return ''.join(strings)"}
    kept = {"benchmark": "b", "string": "  exactly twenty chars  "}
    assert [s.string for s in benchmark_strings([short, trivial, kept])] == ["exactly twenty chars"]


def test_jsonl_files_take_their_stem_as_benchmark(tmp_path):
    """Records of a JSONL file belong to the benchmark that the file is named after."""
    path = tmp_path / "humaneval-py.jsonl"
    record = {key: value for key, value in _PROBLEM.items() if key != "benchmark"}
    path.write_text(json.dumps(record) + "\n\n")
    assert {s.benchmark for s in benchmark_strings([path])} == {"humaneval-py"}


@pytest.mark.parametrize(
    ("line", "message"),
    [("{oops", "line 1: not JSON"), ("[1]", "line 1: list is not"), ('{"text": "x"}', "neither 'string' nor 'prompt'")],
)
def test_bad_benchmark_files_are_errors_by_line(tmp_path, line, message):
    """A broken line or record is named."""
    path = tmp_path / "b.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(DataError, match=message):
        benchmark_strings([path])


def test_missing_benchmark_files_and_single_paths_are_errors(tmp_path):
    """A path that does not exist, or one that is no list, is named."""
    with pytest.raises(DataError, match="no such benchmark file"):
        benchmark_strings([tmp_path / "none.jsonl"])
    with pytest.raises(DataError, match="Pass a list"):
        benchmark_strings("b.jsonl")


_WORDS = st.lists(st.sampled_from(["aab", "baa", "Ä", "ß", " ", "\n", "x", "İ"]), max_size=60).map("".join)


@given(_WORDS, st.lists(_WORDS.filter(lambda s: len(s) >= 8), max_size=4, unique=True))
@settings(deadline=None)
def test_the_one_pass_search_equals_a_loop_over_strings(text, strings):
    """The matcher finds exactly the strings that `in` finds after lower-casing."""
    named = [BenchmarkString("b", str(number), string) for number, string in enumerate(strings)]
    expected = [s for s in named if s.string.lower() in text.lower()]
    assert Matcher(named).find(text) == expected
