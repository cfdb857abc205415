"""Benchmark strings in texts."""

import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_recipes.decontamination import matcher
from data_recipes.decontamination.benchmarks import (
    BenchmarkString,
    Matcher,
    benchmark_strings,
    decontaminate,
    description,
)
from data_recipes.decontamination.matcher import STRING
from data_recipes.engine.jit import ENGINES, VARIABLE, engine_name
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
    """Compiled or not, the matcher finds exactly the strings that `in` finds after lower-casing."""
    named = [BenchmarkString("b", str(number), string) for number, string in enumerate(strings)]
    expected = [s for s in named if s.string.lower() in text.lower()]
    with pytest.MonkeyPatch.context() as patch:
        for name in ENGINES:
            patch.setenv(VARIABLE, name)
            engine_name.cache_clear()
            assert [s for s in Matcher(named).find(text) if s.kind == STRING] == expected
    engine_name.cache_clear()


_WRAPPED = """
    // given a list of WORDS, return how many of
    // them begin with a vowel and end with another; words of
    // one letter count once.
"""
_VOWELS = "Given a list of words, return how many of them begin with a vowel and end with another."


def test_thirteen_words_in_a_row_are_a_quotation(engine):
    """A description that was wrapped and commented is hit, with the words that were found, once a problem."""
    record = {"benchmark": "b", "name": "vowels", "string": _VOWELS}
    hits = decontaminate(["", _WRAPPED, _WRAPPED[:60], _VOWELS], [record, {**record, "name": "again"}])
    assert [(hit.row, hit.problem, hit.kind) for hit in hits] == [
        (1, "vowels", "13-gram"),
        (3, "vowels", "string"),
        (3, "again", "string"),
    ]
    assert hits[0].string == "given a list of words return how many of them begin with a"


def test_numbers_in_a_row_are_no_quotation(engine):
    """A run of 13 words, most of which are numbers, is not searched for."""
    numbers = ", ".join(str(number) for number in range(40))
    record = {"benchmark": "b", "string": f"the numbers below forty: {numbers}"}
    assert decontaminate([f"x = [{numbers}]"], [record]) == []


def test_many_hits_in_many_texts_are_all_found(engine, monkeypatch):
    """More hits than a compiled call returns at once are found, in order, with any number of threads."""
    monkeypatch.setattr(matcher, "_HITS", 8)
    strings = [BenchmarkString("b", str(number), f"string number {number} of the list") for number in range(5)]
    texts = [" ".join(s.string for s in strings[: row % 6]) + " é" * (row % 2) for row in range(400)]
    expected = [(row, strings[: row % 6]) for row in range(400) if row % 6]
    for threads in (0, 1, 3):
        assert Matcher(strings).find_all(pa.array(texts), threads) == expected


@pytest.mark.parametrize("place", [0, 1, 16_300, 16_384, 16_390, 40_000])
def test_strings_across_blocks_are_found(engine, place):
    """Where a string or a run of words stands in a long text does not matter."""
    strings = [BenchmarkString("b", "p", _VOWELS)]
    for filler in ("x", " ", "y;"):
        text = (filler * place)[:place] + " " + _VOWELS
        assert Matcher(strings).find(text) == strings
        assert [s.kind for s in Matcher(strings).find(text.replace(",", ""))] == ["13-gram"]
