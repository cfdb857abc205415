"""`load_dataset` gives the rows that lie in the folder, whatever was loaded before under the same name and config."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset

from data_recipes import register
from data_recipes.filters.permissions import Permissions
from data_recipes.load import load_rows
from data_recipes.pipeline import run


def _source(folder, names):
    folder.mkdir(parents=True)
    contents = [f"def {name}(a, b):\n    return a + b  # {name}\n" for name in names]
    repos = [f"{name}/code" for name in names]
    columns = {"content": contents, "path": [f"{name}.py" for name in names], "repo": repos}
    pq.write_table(pa.table(columns), folder / "rows.parquet")
    return folder


def _store(source, out, **settings):
    run(source, out, "base", seed=0, threads=1, progress=lambda _line: None, **settings)
    return out


def _loaded(store, cache):
    """The owners of the rows, loaded in each way: whole and as a stream, of all languages and of one."""
    found = [
        sorted(row["repo"].partition("/")[0] for row in load_dataset(str(store), name, split="train", **how))
        for name in ("base", "python-base")
        for how in ({"cache_dir": str(cache)}, {"streaming": True})
    ]
    assert all(owners == found[0] for owners in found)
    return found[0]


def test_stores_of_one_name_and_stores_made_again_are_told_apart(tmp_path):
    """Another store of the same name and size, one made again in place, and one after an opt-out give their own rows."""
    cache = tmp_path / "cache"
    one = _store(_source(tmp_path / "a", ["ada", "bob"]), tmp_path / "one" / "dataset")
    two = _store(_source(tmp_path / "b", ["cyd", "dan"]), tmp_path / "two" / "dataset")
    assert [_loaded(one, cache), _loaded(two, cache), _loaded(one, cache)] == [
        ["ada", "bob"],
        ["cyd", "dan"],
        ["ada", "bob"],
    ]
    _store(tmp_path / "b", one)
    assert _loaded(one, cache) == ["cyd", "dan"]
    _store(tmp_path / "b", one, permissions=Permissions(["dan"]))
    assert _loaded(one, cache) == ["cyd"]


@pytest.mark.parametrize("streaming", [False, True])
def test_data_load_gives_no_opted_out_file(tmp_path, monkeypatch, streaming):
    """The command's rows are those of the folder before and after an opt-out."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))
    source = _source(tmp_path / "a", ["ada", "bob"])
    store = _store(source, tmp_path / "dataset")
    before = [row["path"] for row in load_rows(str(store), "base", streaming=streaming).head]
    _store(source, store, permissions=Permissions(["bob"]))
    after = [row["path"] for row in load_rows(str(store), "base", streaming=streaming).head]
    assert (sorted(before), after) == (["ada.py", "bob.py"], ["ada.py"])


def test_the_builder_reads_a_changed_list_and_changed_files(tmp_path):
    """A list of opt-outs that has grown, and files that were written again, are not answered from the cache."""
    register()
    source, names = _source(tmp_path / "a", ["ada", "bob"]), tmp_path / "names.txt"

    def owners():
        files, cache = str(source / "rows.parquet"), str(tmp_path / "cache")
        rows = load_dataset(
            "santa_stack", "base", data_files=files, opt_outs=str(names), seed=0, split="train", cache_dir=cache
        )
        return sorted(row["repo"].partition("/")[0] for row in rows)

    names.write_text("nobody\n")
    assert owners() == ["ada", "bob"]
    names.write_text("bob\n")
    assert owners() == ["ada"]
    table = pq.read_table(source / "rows.parquet")
    changed = pa.chunked_array([["cyd/code", "bob/code"]])
    pq.write_table(table.set_column(table.column_names.index("repo"), "repo", changed), source / "rows.parquet")
    assert owners() == ["cyd"]
