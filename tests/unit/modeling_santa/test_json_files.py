"""What an earlier step wrote is read back whole, or named as damaged."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_santa.errors_santa import ModelError
from modeling_santa.json_files import read_object, read_objects

FIELDS = {"step": int, "loss": float | int, "name": str}
GOOD = {"step": 3, "loss": 1.5, "name": "a"}


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        (b"", "is not JSON"),
        (b"[1]", "holds a list, expected an object"),
        (b"null", "holds a NoneType"),
        (b'{"step": 3, "loss": 1.5}', "'name' is missing, expected str"),
        (b'{"step": true, "loss": 1.5, "name": "a"}', "'step' is True, expected int"),
        (b'{"step": 3.0, "loss": 1.5, "name": "a"}', "'step' is 3.0, expected int"),
        (b'{"step": 3, "loss": "x", "name": "a"}', "'loss' is 'x', expected float | int"),
        (b'{"step": 3, "loss": null, "name": "a"}', "'loss' is None"),
        (b'\xff{"step": 3}', "is not UTF-8 text"),
        (b'\xef\xbb\xbf{"step": 3}', "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"step": 3, "loss": 1.5, "name": "a"', "is not JSON"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, text, seen):
    """The sentence has the file, what was seen, what was expected, and what to do."""
    path = tmp_path / "about.json"
    path.write_bytes(text)
    with pytest.raises(ModelError) as caught:
        read_object(path, FIELDS, "Make it anew.")
    assert str(caught.value).startswith(str(path))
    assert seen in str(caught.value)
    assert str(caught.value).endswith("Make it anew.")


@pytest.mark.parametrize("make", [Path.exists, Path.mkdir])
def test_what_is_no_file_is_named(tmp_path, make):
    """A file that is not there, and a folder of its name."""
    make(tmp_path / "about.json")
    with pytest.raises(ModelError, match=r"about\.json can't be read"):
        read_object(tmp_path / "about.json", FIELDS, "Make it anew.")


def test_the_line_is_named(tmp_path):
    """Of many objects the one that is damaged, counted from 1."""
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps(GOOD) + "\n" + json.dumps({**GOOD, "step": "x"}) + "\n")
    with pytest.raises(ModelError, match=r"log\.jsonl, line 2: 'step' is 'x'"):
        read_objects(path, FIELDS, "Make it anew.")


@given(names=st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=4), ends=st.booleans())
def test_objects_are_read_as_they_were_written(tmp_path_factory, names, ends):
    """Whatever characters a text holds, U+2028, U+0085 and form feeds among them; with a last line feed or without."""
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    rows = [{**GOOD, "name": name} for name in names]
    text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_bytes((text + "\n" if ends and rows else text).encode())
    assert rows == read_objects(path, FIELDS, "Make it anew.")


@pytest.mark.parametrize("end", ["\u2028", "\u2029", "\x85", "\x7f"])
def test_a_text_may_hold_other_ends_of_lines(tmp_path, end):
    """A line of JSON ends at a line feed alone."""
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps({**GOOD, "name": f"a{end}b"}, ensure_ascii=False) + "\n", "utf-8")
    assert [f"a{end}b"] == [row["name"] for row in read_objects(path, FIELDS, "Make it anew.")]
