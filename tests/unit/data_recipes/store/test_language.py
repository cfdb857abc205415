"""A language's rows with their contents on disk."""

import hashlib
from contextlib import closing

import numpy as np
import pyarrow as pa
import pytest

from data_recipes.dedup.modes import near_duplicates
from data_recipes.dedup.on_disk import near_duplicates_of_texts
from data_recipes.engine.texts import texts_of
from data_recipes.store import language
from data_recipes.store.annotated import CONTENT_SHA1
from data_recipes.store.language import LanguageRows

_TEXTS = [" ".join(f"word{(i * 7 + n) % 90}" for n in range(60)) + "é" * (i % 3) for i in range(40)]


def _sha1(text):
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _table(rows):
    return pa.table(
        {
            "content": [_TEXTS[row] for row in rows],
            "path": [f"p{row:02d}" for row in rows],
            "size": [len(_TEXTS[row].encode()) for row in rows],
            "lang": ["Python" for row in rows],
            "hexsha": [f"{(row * 37) % 41:040d}" for row in rows],
            CONTENT_SHA1: [_sha1(_TEXTS[row]) for row in rows],
        }
    ).filter(pa.array([row % 4 != 3 for row in rows], pa.bool_()))


def _write(table, path):
    """Write an annotated file, in batches of five rows."""
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=5)


def _schema(path):
    with pa.ipc.open_file(str(path)) as reader:
        return reader.schema


def _rows(paths, folder, **changes):
    """The rows of annotated files."""
    return closing(LanguageRows("Python", paths, folder, _schema(paths[0]), **changes))


@pytest.fixture
def paths(tmp_path):
    """Three shards of which the last has no row; the rows 3, 4 and 5 are in two of them."""
    tables = [_table(range(6)), _table(range(3, 40)), _table([0]).slice(1)]
    for number, table in enumerate(tables):
        _write(table, tmp_path / f"{number}.arrow")
    return sorted(tmp_path.glob("*.arrow"))


def test_rows_are_sorted_and_each_hexsha_is_there_once(paths, tmp_path):
    """The table and the contents are those of the language in hexsha order; what was there twice is a reject."""
    with _rows(paths, tmp_path) as rows:
        wanted = _table(range(40)).sort_by("hexsha").drop_columns(CONTENT_SHA1)
        assert rows.table.equals(wanted.drop_columns("content"))
        assert rows.contents(np.arange(wanted.num_rows)).to_pylist() == wanted["content"].to_pylist()
        assert sorted((r["path"], r["detail"]) for r in rows.repeated.to_pylist()) == [
            ("p04", "same bytes as p04"),
            ("p05", "same bytes as p05"),
        ]
        assert sorted(path.name for path in tmp_path.iterdir()) == ["0.arrow", "1.arrow", "2.arrow"]


def test_row_groups_hold_all_columns_with_content_first(paths, tmp_path, monkeypatch):
    """Row groups put together are the sorted table with its contents, also where a group's content is read in pieces."""
    monkeypatch.setattr(language, "_PIECE_BYTES", 600)
    monkeypatch.setattr(language, "GROUP_BYTES", 4000)
    monkeypatch.setattr(language, "GROUP_ROWS", 7)
    with _rows(paths, tmp_path) as rows:
        parts = list(rows.groups(np.arange(rows.table.num_rows)))
        assert len(parts) > 2
        assert {part.schema for part in parts} == {rows.schema}
        wanted = _table(range(40)).sort_by("hexsha").drop_columns(CONTENT_SHA1)
        assert pa.concat_tables(parts).equals(wanted)
        assert parts[0].column_names[0] == "content"


def test_a_language_without_rows_has_no_groups(paths, tmp_path):
    """A language that only the rejects know gives an empty table of the same columns."""
    with closing(LanguageRows("Rust", [], tmp_path, _schema(paths[0]))) as rows:
        assert (rows.table.num_rows, rows.repeated.num_rows, list(rows.groups(np.arange(0)))) == (0, 0, [])
        found = near_duplicates_of_texts(rows.texts, rows.table, "near_dedup_verified", folder=tmp_path)
        assert found.num_rows == 0


def test_texts_on_disk_are_decided_as_those_in_memory(engine, paths, tmp_path):
    """Clustering reads contents from the file and gives the decisions of the table in memory."""
    with _rows(paths, tmp_path) as rows:
        whole = pa.concat_tables(rows.groups(np.arange(rows.table.num_rows)))
        for mode in ("near_dedup", "near_dedup_alt", "near_dedup_verified"):
            found = near_duplicates_of_texts(rows.texts, rows.table, mode, 2, folder=tmp_path)
            assert found.equals(near_duplicates(whole, mode))


def test_our_mode_keeps_the_licensed_file_with_most_stars(tmp_path):
    """Licence, stars, forks, date and hexsha decide in this order; the report's mode goes by hexsha alone."""
    content = [_TEXTS[0] + f" copy{row}" for row in range(5)]
    table = pa.table(
        {
            "content": content,
            "path": [f"p{row}" for row in range(5)],
            "size": [len(text) for text in content],
            "lang": ["Python"] * 5,
            "hexsha": list("01234"),
            CONTENT_SHA1: list("01234"),
            "stars": pa.array([900, 5, 7, 7, None]),
            "forks": pa.array([0, 9, 1, 1, 99]),
            "licenses": pa.array([[], ["mit"], ["mit"], ["isc"], None], pa.list_(pa.string())),
            "date": ["2020", "2021", "2020", "2022", None],
        }
    )
    _write(table, tmp_path / "a.arrow")
    with _rows([tmp_path / "a.arrow"], tmp_path) as rows:
        ours = near_duplicates_of_texts(rows.texts, rows.table, "near_dedup_verified")
        reports = near_duplicates_of_texts(rows.texts, rows.table, "near_dedup_alt")
    assert set(ours["kept_row"].to_pylist()) == {3}
    assert set(reports["kept_row"].to_pylist()) == {0}


def test_texts_of_every_layout_are_read_and_spilled(tmp_path):
    """Empty texts, nulls and slices have their bytes, in memory and on disk."""
    column = pa.chunked_array([pa.array(["x", "", None, "é"]).slice(1), pa.array(["", ""]), pa.array([], pa.string())])
    found = texts_of(column)
    assert [found.read(row) for row in range(len(found))] == [b"", b"", "é".encode(), b"", b""]
    assert found.take(np.array([2])).read(0) == "é".encode()


def _copies(folder, order):
    """Five copies of one text in two annotated files, in some order: a fork without stars, the original, and others."""
    copies = [
        ("aa", 0, "src/a.py", "zed/fork"),
        ("bb", 5000, "src/a.py", "ada/original"),
        ("bb", 5000, "src/a.py", "bob/copy"),
        ("bb", 5000, "lib/z.py", "eve/copy"),
        ("00", None, "src/a.py", "nil/unknown"),
    ]
    paths = [folder / f"{number}.arrow" for number in range(2)]
    for number, path in enumerate(paths):
        chosen = [copies[place] for place in order[number::2]]
        table = {"content": [_TEXTS[0]] * len(chosen), "size": [9] * len(chosen), "lang": ["Python"] * len(chosen)}
        table |= {name: [copy[i] for copy in chosen] for i, name in enumerate(("hexsha", "stars", "path", "repo"))}
        table["stars"] = pa.array(table["stars"], pa.int64())
        _write(pa.table({**table, CONTENT_SHA1: [_sha1(_TEXTS[0])] * len(chosen)}), path)
    return paths


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (4, 3, 2, 1, 0), (2, 0, 4, 1, 3)])
def test_the_copy_with_most_stars_stays_in_any_order_of_shards(tmp_path, order):
    """Stars decide, then hexsha, path and repository; the others are rejects that name the kept one."""
    with _rows(_copies(tmp_path, order), tmp_path) as rows:
        (kept,) = rows.table.to_pylist()
        assert (kept["stars"], kept["path"], kept["repo"], kept["hexsha"]) == (5000, "lib/z.py", "eve/copy", "bb")
        rejects = rows.repeated.to_pylist()
    assert sorted(r["repo"] for r in rejects) == ["ada/original", "bob/copy", "nil/unknown", "zed/fork"]
    assert {(r["kept_hexsha"], r["detail"]) for r in rejects} == {("bb", "same bytes as lib/z.py of eve/copy")}


def test_the_copy_of_who_opted_out_makes_room_for_another(tmp_path):
    """A file that was opted out is a reject without path and repository; another copy of it stays."""
    gone = {"eve/copy", "ada/original"}
    with _rows(_copies(tmp_path, range(5)), tmp_path, is_left_out=lambda repo, _: repo in gone) as rows:
        assert [row["repo"] for row in rows.table.to_pylist()] == ["bob/copy"]
        assert [(r["path"], r["repo"], r["reason"]) for r in rows.opted_out.to_pylist()] == [("", None, "opt_out")] * 2


def test_a_hexsha_that_is_no_digest_drops_no_file(tmp_path):
    """Files of different content that share a hexsha all stay, each under the SHA-1 of its own content."""
    table = _table([0, 1, 2])
    table = table.set_column(table.column_names.index("hexsha"), "hexsha", pa.array(["c0ffee"] * 3))
    _write(table, tmp_path / "a.arrow")
    with _rows([tmp_path / "a.arrow"], tmp_path) as rows:
        assert rows.table["hexsha"].to_pylist() == sorted(_sha1(_TEXTS[row]) for row in range(3))
