"""Benchmark strings in texts."""

import gzip
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
    searched_and_not,
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
    [
        ("{oops", "line 1: not JSON"),
        ("[1]", "line 1: list is not"),
        ('{"text": "x"}', "line 1 of benchmark 'b' has none of"),
    ],
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


_HUMANEVAL = {
    "task_id": "HumanEval/53",
    "prompt": 'def add(x: int, y: int):\n    """Add two numbers x and y, and give their sum."""\n',
    "canonical_solution": "    return x + y\n",
    "entry_point": "add",
}
_MBPP = {
    "task_id": 601,
    "text": "Write a function to find the longest chain of pairs.",
    "code": "class Pair(object): \r\n\tdef __init__(self, a, b): \r\n\t\tself.a = a",
    "test_list": ["assert max_chain_length([Pair(5, 24)]) == 3"],
}


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lambda data: pa.compress(data, "zstd", asbytes=True)])
def test_the_benchmarks_own_files_are_read_as_they_are(tmp_path, pack):
    """HumanEval's and MBPP's lines, packed or not, give named problems; solutions of common words are listed."""
    path = tmp_path / "Bench.jsonl.gz"
    path.write_bytes(pack("".join(json.dumps(each) + "\n" for each in (_HUMANEVAL, _MBPP)).encode()))
    searched, not_searched = searched_and_not([path])
    assert [(each.benchmark, each.problem, each.string.split("\n")[0].strip()) for each in searched] == [
        ("Bench", "HumanEval/53", "Add two numbers x and y, and give their sum."),
        ("Bench", "601", _MBPP["text"]),
        ("Bench", "601", "class Pair(object):"),
    ]
    assert "\r" not in searched[-1].string
    assert [(each.problem, each.string) for each in not_searched] == [("HumanEval/53", "return x + y")]


def test_damaged_and_foreign_benchmarks_are_named(tmp_path):
    """A file that is cut off, one that is no text, and a record of another kind are said with their place."""
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"x" * 1000)[:20])
    with pytest.raises(DataError, match=r"cut\.gz: damaged, it can't be unpacked .* Write it again"):
        benchmark_strings([tmp_path / "cut.gz"])
    (tmp_path / "a.jsonl").write_bytes(b"\xff\xfe{}")
    with pytest.raises(DataError, match=r"a\.jsonl: not UTF-8 at byte 0"):
        benchmark_strings([tmp_path / "a.jsonl"])
    (tmp_path / "b.jsonl").write_text('{"string": "a string of some length"}\n{"question": "why?"}\n')
    with pytest.raises(DataError, match=r"b\.jsonl line 2 of benchmark 'b' has none of 'string', .* found: question"):
        benchmark_strings([tmp_path / "b.jsonl"])
