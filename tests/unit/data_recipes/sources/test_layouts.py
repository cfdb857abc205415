"""The Stack's layouts, read unchanged."""

import hashlib
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_recipes.errors import DataError
from data_recipes.sources.layouts import layout_of
from data_recipes.sources.parquet import provided_fields, read_parquet
from data_recipes.sources.row import Reject, Row

_CODE = "x = 1  # é\n"
_SHA = hashlib.sha1(_CODE.encode()).hexdigest()


def _read(tmp_path, columns):
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    return list(read_parquet(tmp_path / "t.parquet")), provided_fields(tmp_path / "t.parquet")


def _v1(**changes):
    return {
        "hexsha": ["a" * 40],
        "size": [11],
        "ext": ["py"],
        "lang": ["Python"],
        "max_stars_repo_path": ["src/a.py"],
        "max_stars_repo_name": ["octocat/hello"],
        "max_stars_repo_head_hexsha": ["b" * 40],
        "max_stars_repo_licenses": [["MIT", "Apache-2.0"]],
        "max_stars_count": [12],
        "max_stars_repo_stars_event_max_datetime": ["2020-01-02T03:04:05.000Z"],
        "max_forks_count": [3],
        "max_issues_count": [None],
        "content": [_CODE],
        "avg_line_length": [10.0],
        "max_line_length": [10],
        "alphanum_fraction": [0.5],
        **changes,
    }


def test_the_stack_v1(tmp_path):
    """Path, repository, commit, stars, forks, licences and date come from the `max_stars_` columns; statistics stay."""
    (row,), fields = _read(tmp_path, _v1())
    assert row == Row(
        _CODE,
        "src/a.py",
        11,
        "py",
        "Python",
        "a" * 40,
        10.0,
        10,
        0.5,
        "octocat/hello",
        "b" * 40,
        12,
        3,
        ["Apache-2.0", "MIT"],
        "2020-01-02T03:04:05.000Z",
        [],
    )
    assert {"stars", "repo", "licenses"} <= fields


def test_the_stack_v1_has_three_repositories(tmp_path):
    """Those of the `max_issues_` and `max_forks_` columns are named, too, each once and without the first."""
    columns = _v1(max_issues_repo_name=["zoe/fork"], max_forks_repo_name=["octocat/hello"])
    (row,), fields = _read(tmp_path, columns)
    assert (row.repo, row.other_repos) == ("octocat/hello", ["zoe/fork"])
    assert "other_repos" in fields


@pytest.mark.parametrize(
    ("stars", "expected"), [([7.0], 7), ([None], None), ([float("nan")], None), (pa.array([9], pa.int32()), 9)]
)
def test_stars_may_be_floating_point_or_missing(tmp_path, stars, expected):
    """Some shards hold stars as float64, with null or NaN for none."""
    (row,), _ = _read(tmp_path, _v1(max_stars_count=stars))
    assert row.stars == expected


def test_wrapped_licences_are_unwrapped(tmp_path):
    """Licences as `{"list": [{"item": …}]}` are read like plain lists; null stays unknown."""
    (row,), _ = _read(tmp_path, _v1(max_stars_repo_licenses=[{"list": [{"item": "MIT"}]}]))
    assert row.licenses == ["MIT"]
    (row,), _ = _read(tmp_path, _v1(max_stars_repo_licenses=pa.array([None], pa.list_(pa.string()))))
    assert row.licenses is None


def test_the_stack_smol(tmp_path):
    """Smol has licences and a repository, no stars, no extension and no hexsha: what can be computed is."""
    columns = {
        "content": [_CODE],
        "avg_line_length": [10.0],
        "max_line_length": [10],
        "alphanum_fraction": [0.5],
        "licenses": [["mit"]],
        "repository_name": ["octocat/hello"],
        "path": ["a.py"],
        "size": [12],
        "lang": ["Python"],
    }
    (row,), fields = _read(tmp_path, columns)
    assert (row.repo, row.licenses, row.stars, row.ext, row.hexsha) == ("octocat/hello", ["mit"], None, "py", _SHA)
    assert "stars" not in fields


def _v2(**changes):
    return {
        "blob_id": ["c" * 40],
        "path": ["/src/a.py"],
        "content_id": ["d" * 40],
        "detected_licenses": [["MIT"]],
        "license_type": ["permissive"],
        "repo_name": ["octocat/hello"],
        "revision_id": ["e" * 40],
        "branch_name": ["main"],
        "revision_date": [datetime(2020, 1, 2, tzinfo=UTC)],
        "star_events_count": [4],
        "fork_events_count": [2],
        "src_encoding": ["UTF-8"],
        "language": ["Python"],
        "length_bytes": [12],
        "content": [_CODE],
        **changes,
    }


def test_the_stack_v2_with_contents(tmp_path):
    """v2's own names are understood, once the contents were fetched."""
    (row,), fields = _read(tmp_path, _v2())
    assert (row.hexsha, row.path, row.lang, row.size, row.ext) == ("c" * 40, "/src/a.py", "Python", 12, "py")
    assert (row.stars, row.forks, row.licenses, row.repo) == (4, 2, ["MIT"], "octocat/hello")
    assert row.date.startswith("2020-01-02")
    assert {"stars", "licenses", "repo"} <= fields


def test_bytes_are_decoded_as_their_row_says(tmp_path):
    """v2 names the encoding of a blob; a wrong or unknown one leaves the bytes as they are."""
    latin = _v2(content=["# caf\xe9\n".encode("latin-1")], src_encoding=["ISO-8859-1"])
    (row,), _ = _read(tmp_path, latin)
    assert row.content == "# café\n"
    for encoding in ("UTF-8", "no-such-code"):
        (reject,), _ = _read(tmp_path, {**latin, "src_encoding": [encoding]})
        assert (reject.reason, reject.hexsha) == ("not_utf8", "c" * 40)


def test_the_stack_v2_without_contents_says_what_to_do(tmp_path):
    """v2 as published has no contents, which is said with the way out."""
    columns = {name: value for name, value in _v2().items() if name != "content"}
    with pytest.raises(DataError, match=r"has no 'content' column\. .* fetch them by blob_id into a column 'content'"):
        _read(tmp_path, columns)


def test_the_stack_v3(tmp_path):
    """A row is a repository: each of its files becomes a row with the repository's name, commit and stars."""
    files = [
        {"file_path": "a.py", "language": "Python", "content": _CODE, "size_bytes": 12, "detected_licenses": ["MIT"]},
        {"file_path": "b.java", "language": "Java", "content": "", "size_bytes": 0, "detected_licenses": []},
        {"file_path": "c.js", "language": "JavaScript", "content": "x()\n", "size_bytes": 4, "detected_licenses": []},
    ]
    columns = {
        "repo_path": ["octocat/hello", "empty/repo", "gone/repo"],
        "commit_id": ["f" * 40] * 3,
        "github_metadata": [{"stars": 12, "is_fork": False}, None, None],
        "files": pa.array([files, [], None]),
    }
    made, fields = _read(tmp_path, columns)
    assert [type(item) for item in made] == [Row, Reject, Row]
    first, empty, last = made
    assert (first.path, first.repo, first.stars, first.revision) == ("a.py", "octocat/hello", 12, "f" * 40)
    assert (first.licenses, first.hexsha, empty.reason, last.licenses) == (["MIT"], _SHA, "empty", [])
    assert {"stars", "repo", "licenses", "path", "content"} <= fields
    assert "forks" not in fields


def test_lower_case_languages_are_spelled_as_ours(tmp_path):
    """`python` and `Python` are one language, by any name that is known; others keep their spelling."""
    columns = {"content": ["a", "b", "c"], "path": ["a.py", "b.rs", "c"], "lang": ["python", "rs", "klingon"]}
    made, _ = _read(tmp_path, columns)
    assert [row.lang for row in made] == ["Python", "Rust", "klingon"]


def test_repeated_columns_are_an_error():
    """Two columns of one name can't be told apart."""
    with pytest.raises(DataError, match=r"t has more than one column named \['size'\]\. Give each column its own name"):
        layout_of("t", ["content", "size", "size"])


@pytest.mark.parametrize(
    ("column", "value", "field", "expected"),
    [
        ("max_stars_count", ["many"], "stars", None),
        ("max_stars_count", [float("inf")], "stars", None),
        ("max_stars_repo_licenses", ["MIT"], "licenses", ["MIT"]),
        ("max_stars_repo_licenses", [7], "licenses", None),
        ("max_stars_repo_name", [7], "repo", "7"),
        ("max_line_length", ["long"], "max_line_length", 10),
        ("avg_line_length", [float("nan")], "avg_line_length", 10.0),
        ("size", ["?"], "size", 12),
    ],
)
def test_values_of_another_kind_are_unknown_ones(tmp_path, column, value, field, expected):
    """A column of the wrong kind gives what can be read of it, or counts as missing; it never breaks a run."""
    (row,), _ = _read(tmp_path, _v1(**{column: value}))
    assert getattr(row, field) == expected


def test_contents_and_files_of_another_kind_are_named_or_passed_over(tmp_path):
    """Content that is no text is an error with its place; a `files` column without structures holds no files."""
    with pytest.raises(DataError, match=r"t\.parquet:0: its content is int, expected text or bytes"):
        _read(tmp_path, _v1(content=[7]))
    assert _read(tmp_path, {"repo_path": ["a/b", "c/d"], "files": [[1, 2], None]})[0] == []


def test_zero_rows_and_odd_values(tmp_path):
    """A table without rows gives none; null paths are named by file and row number."""
    empty = {name: pa.array([], pa.array(value).type) for name, value in _v1().items()}
    assert _read(tmp_path, empty)[0] == []
    made, _ = _read(tmp_path, {"content": ["x"], "path": pa.array([None], pa.string()), "lang": ["Python"]})
    assert made[0].path == "t.parquet:0"
