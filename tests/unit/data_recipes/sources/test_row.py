"""Records from bytes and from parquet."""

import hashlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_recipes.engine.line_scan import line_statistics
from data_recipes.errors import DataError
from data_recipes.sources.parquet import read_parquet
from data_recipes.sources.row import (
    ANNOTATED_REJECT_SCHEMA,
    PROVENANCE_SCHEMA,
    REJECT_SCHEMA,
    ROW_SCHEMA,
    Reject,
    Row,
    make_row,
    rows_table,
)


def _row(content, path="a.py"):
    made = make_row(content.encode(), path, ext="py", lang="Python")
    assert isinstance(made, Row)
    return made


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("# aaaaaaaa\n000000\n", (8.0, 10, 14 / 18)),  # a published row of The Stack v2
        ("ab\r\ncd\r\n", (3.0, 3, 0.5)),
        ("ab\rcd", (5.0, 5, 0.8)),
        ("ab\u2028cd", (5.0, 5, 0.8)),
        ("\n", (0.0, 0, 0.0)),
        ("", (0.0, 0, 0.0)),
        ("é٣_", (3.0, 3, 2 / 3)),
    ],
)
def test_line_statistics_are_those_of_the_stack(content, expected):
    """Only LF ends a line, a final LF starts none, and length is counted in characters without the LF."""
    assert line_statistics(content) == pytest.approx(expected)


@given(st.text(min_size=1))
@settings(deadline=None)
def test_alphanumeric_share_equals_the_plain_definition(content):
    """The table-driven count is the share of characters for which `str.isalnum` holds."""
    assert line_statistics(content)[2] == sum(map(str.isalnum, content)) / len(content)


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "empty"), (b"a\0b", "nul_bytes"), (b"caf\xe9", "not_utf8"), (b"\xed\xa0\x80", "not_utf8")],
)
def test_unusable_bytes_become_named_rejects(data, reason):
    """Bytes that are no text are rejected with a reason and the hash of what was seen."""
    made = make_row(data, "a.py", ext="py", lang="Python")
    assert isinstance(made, Reject)
    assert (made.reason, made.hexsha) == (reason, hashlib.sha1(data).hexdigest())


def test_parquet_round_trip(tmp_path):
    """Rows written as parquet come back as the same rows."""
    rows = [_row("x = 1\n", "a.py"), _row("y = 'é'\n", "b.py")]
    pq.write_table(rows_table(rows), tmp_path / "rows.parquet")
    assert list(read_parquet(tmp_path / "rows.parquet")) == rows


def test_missing_columns_are_computed(tmp_path):
    """A table of content and path alone gives the same row as the bytes of the file."""
    pq.write_table(pa.table({"content": ["x = 1\n"], "path": ["src/a.py"]}), tmp_path / "plain.parquet")
    assert list(read_parquet(tmp_path)) == [_row("x = 1\n", "src/a.py")]


def test_stack_v1_names_are_understood(tmp_path):
    """The Stack's `max_stars_repo_path` serves as path, and its given statistics are kept."""
    table = pa.table(
        {"content": ["x"], "max_stars_repo_path": ["m.js"], "lang": ["JavaScript"], "avg_line_length": [7.0]}
    )
    pq.write_table(table, tmp_path / "v1.parquet")
    (row,) = read_parquet(tmp_path)
    assert (row.path, row.lang, row.ext, row.avg_line_length) == ("m.js", "JavaScript", "js", 7.0)


def test_a_table_without_content_is_an_error_that_names_its_columns(tmp_path):
    """A missing content column is reported with the columns found."""
    pq.write_table(pa.table({"text": ["x"], "path": ["a.py"]}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"has no 'content' column\. Columns found: text, path"):
        list(read_parquet(tmp_path))


def test_a_truncated_parquet_file_is_an_error_that_names_it(tmp_path):
    """A half-written shard is named, with what to do."""
    path = tmp_path / "rows.parquet"
    pq.write_table(rows_table([_row("x = 1\n")]), path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"rows\.parquet: not a readable parquet file .* write it again"):
        list(read_parquet(path))


def test_odd_parquet_rows_become_rejects(tmp_path):
    """Null, binary, oversized and unknown-language content is rejected by name, never raised; a copy is a row."""
    values = [None, b"\xff", b"x" * 50, b"ok = 1", b"ok = 1", b"fn main() {}"]
    paths = ["n.py", "b.py", "l.py", "o.py", "d.py", "m.what"]
    pq.write_table(pa.table({"content": pa.array(values, pa.binary()), "path": paths}), tmp_path / "t.parquet")
    made = list(read_parquet(tmp_path, max_file_bytes=40))
    reasons = [item.reason if isinstance(item, Reject) else "row" for item in made]
    assert reasons == ["empty", "not_utf8", "too_large", "row", "row", "unknown_language"]


def test_an_empty_folder_is_an_error(tmp_path):
    """A folder without parquet says how to make some."""
    with pytest.raises(DataError, match=r"no \.parquet file found\. Write rows first"):
        list(read_parquet(tmp_path))


def test_schemas_are_documented_fields():
    """The Arrow schemas and the record types name the same columns."""
    assert [*ROW_SCHEMA.names, *PROVENANCE_SCHEMA.names, "scores"] == list(Row.__dataclass_fields__)
    assert set(ANNOTATED_REJECT_SCHEMA.names) == set(Reject.__dataclass_fields__)
    assert {*REJECT_SCHEMA.names, "other_repos"} == set(ANNOTATED_REJECT_SCHEMA.names)
