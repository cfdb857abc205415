"""Problem files and completing."""

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval_multipl_e.suite.problems import complete, cut_at_stop, read_completions, read_problems, read_rows

PROBLEM = {"name": "p", "language": "py", "prompt": "def f():\n", "tests": "f()", "stop_tokens": ["\ndef"]}


def _write(path, *rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def test_problems_come_back_as_written(tmp_path):
    """Reading gives the rows of the file, also those with line separators inside texts."""
    rows = [PROBLEM, {**PROBLEM, "name": "q", "prompt": "a\u2028b\x85c"}]
    assert rows == read_problems(_write(tmp_path / "p.jsonl", *rows))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**PROBLEM, "tests": None}, "Row 2 of .*'tests' is NoneType"),
        ({"name": "q"}, "Row 2 of .*'language' is absent.*Fields found: name"),
        ({**PROBLEM, "name": "q", "stop_tokens": "x"}, "Row 2 of .*'stop_tokens'"),
        (PROBLEM, "Rows 1 and 2 .*may occur once"),
        ([1], "Line 2 of .* is list"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, row, message):
    """A row that is not of the schema is an error with its number and the field."""
    with pytest.raises(ValueError, match=message):
        read_problems(_write(tmp_path / "p.jsonl", PROBLEM, row))


@pytest.mark.parametrize(("text", "message"), [("", "no rows"), ("{", "Line 1 of .* no JSON")])
def test_a_wrong_file_is_named(tmp_path, text, message):
    """A file without rows or without JSON is an error that says so."""
    path = tmp_path / "p.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_problems(path)


def test_completions_must_be_lists(tmp_path):
    """A single text in place of a list of completions is refused."""
    with pytest.raises(ValueError, match="'completions' is no list"):
        read_completions(_write(tmp_path / "c.jsonl", {"name": "p", "language": "py", "completions": "x"}))


@given(st.text("ab\n", max_size=30), st.lists(st.text("ab\n", min_size=1, max_size=3), max_size=3))
def test_what_is_kept_has_no_stop_token_and_begins_the_text(text, stops):
    """The cut is a beginning of the text, holds no stop token, and is the longest such one that ends at a stop."""
    kept = cut_at_stop(text, stops)
    assert text.startswith(kept)
    assert not any(stop in kept for stop in stops)
    assert kept == text or any(text[len(kept) :].startswith(stop) for stop in stops)


def test_completing_keeps_order_and_cuts():
    """Completions come in the problems' order whatever the batch size, cut at the stop tokens."""
    problems = [{**PROBLEM, "name": str(i), "prompt": f"{i}:"} for i in range(5)]

    def generate(prompts, n):
        return [[f"{prompt}{j}\ndef g" for j in range(n)] for prompt in prompts]

    expected = [{"name": str(i), "language": "py", "completions": [f"{i}:0", f"{i}:1"]} for i in range(5)]
    for batch_size in (1, 2, 8):
        assert expected == complete(problems, generate, n=2, batch_size=batch_size)


def test_a_generator_that_gives_too_few_is_refused():
    """A generate callable must give n texts for each prompt."""
    with pytest.raises(ValueError, match=r"gave \[1\] texts for 1 prompts and n=2"):
        complete([PROBLEM], lambda *_: [["x"]], n=2)


def test_gzipped_rows_are_read_and_damaged_ones_refused(tmp_path):
    """A file as OpenAI publishes it is read as it is; one cut short is an error that says so."""
    data = gzip.compress(b'{"a": 1}\n')
    path = tmp_path / "p.jsonl.gz"
    path.write_bytes(data)
    assert [{"a": 1}] == read_rows(path)
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\n')  # an editor's mark
    assert [{"a": 1}] == read_rows(path)
    path.write_bytes(data[:-6])
    with pytest.raises(ValueError, match="damaged gzip"):
        read_rows(path)
    path.write_bytes(b"\xff\xfe{")
    with pytest.raises(ValueError, match="no UTF-8"):
        read_rows(path)
