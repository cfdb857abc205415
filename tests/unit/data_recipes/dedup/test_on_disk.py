"""Near-duplicates of parquet files, in bounded memory."""

import errno
import os
import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_recipes.dedup import on_disk
from data_recipes.dedup.modes import MODES, near_duplicates
from data_recipes.dedup.on_disk import near_duplicates_of_files
from data_recipes.disk.spill import Spill
from data_recipes.errors import DataError, StoreError


def _texts(count=60):
    rng = random.Random(1)
    texts = ["", "tiny", "é日" * 300]
    for number in range(count):
        words = [f"name_{rng.randrange(300)}" for _ in range(150)]
        texts += [" ".join(words), " ".join([*words[: 150 - number], "changed", *words[150 - number :]])]
    return texts


@pytest.fixture
def files(tmp_path):
    """The same rows in two files of several row groups, the second without hexsha."""
    texts = _texts()
    for number, part in enumerate((texts[:70], texts[70:])):
        table = pa.table({"content": part, "stars": [float(len(text) % 7) for text in part]})
        pq.write_table(table, tmp_path / f"{number}.parquet", row_group_size=20)
    return tmp_path, texts


@pytest.mark.parametrize("mode", MODES)
def test_files_are_decided_as_a_table_is(engine, files, mode, monkeypatch):
    """Row groups, batches and the temporary file change no decision, with one thread or three."""
    folder, texts = files
    monkeypatch.setattr(on_disk, "_BATCH_ROWS", 7)
    table = pa.table({"content": texts, "stars": [float(len(text) % 7) for text in texts]})
    for priority in ((), ("stars",)):
        expected = near_duplicates(table, mode, priority=priority)
        for threads in (1, 3):
            assert near_duplicates_of_files(folder, mode, threads, priority=priority).equals(expected)


def test_kept_rows_alone_need_no_texts(engine, files):
    """Without measuring, the report's mode decides alike and leaves the similarity of what it removes open."""
    measured = near_duplicates_of_files(files[0], "near_dedup_alt")
    plain = near_duplicates_of_files(files[0], "near_dedup_alt", is_measured=False)
    assert plain.drop_columns("jaccard").equals(measured.drop_columns("jaccard"))
    assert plain["jaccard"].null_count == measured["is_kept"].to_pylist().count(False) > 0


def test_no_rows_give_no_decisions(tmp_path):
    """A file without rows and one without row groups give an empty table."""
    pq.write_table(pa.table({"content": pa.array([], pa.string())}), tmp_path / "empty.parquet")
    assert near_duplicates_of_files(tmp_path / "empty.parquet").num_rows == 0


@pytest.mark.parametrize(
    ("columns", "priority", "message"),
    [
        ({"text": ["a"]}, (), r"has no 'content' column, needed here\. Columns found: text"),
        ({"content": ["a"]}, ("stars",), "has no 'stars' column"),
        ({"content": ["a", None]}, (), "row 1 of a batch in row group 0 has no content"),
    ],
)
def test_bad_tables_are_named(tmp_path, columns, priority, message):
    """A missing column and a null are errors that name the file."""
    pq.write_table(pa.table(columns), tmp_path / "bad.parquet")
    with pytest.raises(DataError, match=message):
        near_duplicates_of_files(tmp_path / "bad.parquet", priority=priority)


def test_columns_of_one_name_are_named(tmp_path):
    """A file with two columns `content` is an error that says so."""
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["content", "content"])
    pq.write_table(table, tmp_path / "twice.parquet")
    with pytest.raises(DataError, match="more than one 'content' column"):
        near_duplicates_of_files(tmp_path / "twice.parquet")


def test_a_truncated_file_is_named(tmp_path):
    """A file cut short is an error that names it and says what to do."""
    pq.write_table(pa.table({"content": _texts()}), tmp_path / "cut.parquet")
    data = (tmp_path / "cut.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"cut\.parquet: not a readable parquet file .*write it again"):
        near_duplicates_of_files(tmp_path / "cut.parquet")


def test_a_full_disk_is_an_error_that_says_what_to_do(files, monkeypatch):
    """The temporary file's folder is named where nothing more fits."""

    def full(*_arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(StoreError, match=r"can't hold temporary data \(No space left on device\)"):
        near_duplicates_of_files(files[0])


def test_a_spill_needs_a_folder(tmp_path):
    """A folder that does not exist is an error that names it."""
    with pytest.raises(StoreError, match="nowhere: can't hold temporary data"):
        Spill(tmp_path / "nowhere")


def test_a_spill_gives_back_what_it_took(tmp_path):
    """Parts are read back by place; the file has no name that could be left behind."""
    with closing(Spill(tmp_path)) as spill:
        places = [spill.add(bytes([number]) * (number + 1)) for number in range(5)]
        assert [spill.read(place, number + 1).tolist() for number, place in enumerate(places)] == [
            [number] * (number + 1) for number in range(5)
        ]
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(StoreError, match="ends before byte 99"):
            spill.read(90, 9)


def test_a_spill_takes_from_many_threads_at_once(tmp_path):
    """What each of eight threads appends, side by side, is read back whole from its own place."""

    def appended(number):
        return [(spill.add(bytes([number]) * 5000), number) for _ in range(50)]

    with closing(Spill(tmp_path)) as spill, ThreadPoolExecutor(8) as pool:
        places = [pair for found in pool.map(appended, range(8)) for pair in found]
        assert all(spill.read(place, 5000).tolist() == [number] * 5000 for place, number in places)
