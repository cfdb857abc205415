"""A language's rows with their contents on disk."""

from contextlib import closing

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_recipes.dedup.modes import near_duplicates
from data_recipes.dedup.on_disk import near_duplicates_of_texts
from data_recipes.engine.texts import texts_of
from data_recipes.store import language
from data_recipes.store.language import LanguageRows

_TEXTS = [" ".join(f"word{(i * 7 + n) % 90}" for n in range(60)) + "é" * (i % 3) for i in range(40)]


def _table(rows):
    return pa.table(
        {
            "content": [_TEXTS[row] for row in rows],
            "path": [f"p{row:02d}" for row in rows],
            "size": [len(_TEXTS[row].encode()) for row in rows],
            "lang": ["Java" if row % 4 == 3 else "Python" for row in rows],
            "hexsha": [f"{(row * 37) % 41:040d}" for row in rows],
        }
    )


@pytest.fixture
def paths(tmp_path):
    """Three shards of which the last has no row; the rows 3, 4 and 5 are in two of them."""
    tables = [_table(range(6)), _table(range(3, 40)), _table([0]).slice(1)]
    for number, table in enumerate(tables):
        pq.write_table(table, tmp_path / f"{number}.parquet")
    return sorted(tmp_path.glob("*.parquet"))


def test_rows_are_sorted_and_each_hexsha_is_there_once(paths, tmp_path, monkeypatch):
    """The table and the contents are those of the language in hexsha order; what was there twice is a reject."""
    monkeypatch.setattr(language, "_BATCH_ROWS", 5)
    with closing(LanguageRows("Python", paths, tmp_path)) as rows:
        wanted = _table([row for row in range(40) if row % 4 != 3]).sort_by("hexsha")
        assert rows.table.equals(wanted.drop_columns("content"))
        assert rows.contents(np.arange(wanted.num_rows)).to_pylist() == wanted["content"].to_pylist()
        assert [(r["path"], r["reason"]) for r in rows.repeated.to_pylist()] == [
            ("p05", "exact_duplicate"),
            ("p04", "exact_duplicate"),
        ]
        assert sorted(path.name for path in tmp_path.iterdir()) == ["0.parquet", "1.parquet", "2.parquet"]


def test_shards_hold_all_columns_with_content_first(paths, tmp_path, monkeypatch):
    """Shards put together are the sorted table with its contents, also where a shard's content is read in pieces."""
    monkeypatch.setattr(language, "_PIECE_BYTES", 600)
    with closing(LanguageRows("Python", paths, tmp_path)) as rows:
        parts = list(rows.shards(4000))
        assert len(parts) > 2
        wanted = _table([row for row in range(40) if row % 4 != 3]).sort_by("hexsha")
        assert pa.concat_tables(parts).equals(wanted)
        assert parts[0].column_names[0] == "content"


def test_a_language_without_rows_has_no_shards(paths, tmp_path):
    """A language that only the rejects know gives an empty table of the same columns."""
    with closing(LanguageRows("Rust", paths, tmp_path)) as rows:
        assert (rows.table.num_rows, rows.repeated.num_rows, list(rows.shards(100))) == (0, 0, [])
        found = near_duplicates_of_texts(rows.texts, rows.table, "near_dedup_verified", folder=tmp_path)
        assert found.num_rows == 0


def test_texts_on_disk_are_decided_as_those_in_memory(engine, paths, tmp_path):
    """Clustering reads contents from the file and gives the decisions of the table in memory."""
    with closing(LanguageRows("Python", paths, tmp_path)) as rows:
        whole = pa.concat_tables(rows.shards(1 << 20))
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
            "stars": pa.array([900, 5, 7, 7, None]),
            "forks": pa.array([0, 9, 1, 1, 99]),
            "licenses": pa.array([[], ["mit"], ["mit"], ["isc"], None], pa.list_(pa.string())),
            "date": ["2020", "2021", "2020", "2022", None],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    with closing(LanguageRows("Python", [tmp_path / "a.parquet"], tmp_path)) as rows:
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
