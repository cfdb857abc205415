"""A store's configs are whole files: whoever reads them, knowing of no recipe, has the rows of `load_dataset`."""

import json
import subprocess
import sys
import textwrap

import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from data_recipes.pipeline import run
from hf_santa.repositories.kinds import data_files_of, split_card

from .hub_server import running_hub
from .release_driver import environment

REPO = "me/store"


@pytest.fixture(scope="module")
def store(tmp_path_factory, write_stack):
    """A store of all recipes, with several files in its larger folders."""
    folder = tmp_path_factory.mktemp("readers")
    made = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Digits(True)])
    made.save(str(folder / "tokenizer.json"))
    run(
        write_stack(folder / "stack"),
        folder / "store",
        "all",
        tokenizer=str(folder / "tokenizer.json"),
        shard_bytes=900,
        seed=0,
    )
    return folder / "store"


# What the Hub's viewer asks of a config before it shows its files as they are: a builder of parquet files, each an
# address of this repository at a commit. It then takes the files whole, and knows of nothing else in the config.
_LOAD = """
    import json, sys
    from datasets import get_dataset_config_names, load_dataset, load_dataset_builder
    from datasets.packaged_modules.parquet.parquet import Parquet
    name, found = sys.argv[1], {}
    for config in get_dataset_config_names(name):
        builder = load_dataset_builder(name, config)
        files = [str(file) for file in builder.config.data_files["train"]]
        rows = load_dataset(name, config, split="train")["hexsha"][:]
        stream = [row["hexsha"] for row in load_dataset(name, config, split="train", streaming=True)]
        found[config] = {"is_parquet": isinstance(builder, Parquet), "files": files, "rows": rows, "stream": stream}
    print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def loaded(store, tmp_path_factory):
    """Of each config of the store on a Hub: the files that the client resolves, and its rows, whole and streamed."""
    home = tmp_path_factory.mktemp("home")
    with running_hub() as hub:
        files = {str(path.relative_to(store)): path.read_bytes() for path in store.rglob("*") if path.is_file()}
        hub.store.put("dataset", REPO, {name: data for name, data in files.items() if not name.startswith(".")})
        quiet = {"HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
        done = subprocess.run(
            [sys.executable, "-I", "-c", textwrap.dedent(_LOAD), REPO],
            env=environment(hub, home, None, **quiet),
            cwd=home,
            capture_output=True,
            text=True,
            check=True,
        )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def configs(store):
    """The configs of the card by name."""
    return {entry["config_name"]: entry for entry in split_card((store / "README.md").read_text())[0]["configs"]}


def test_the_viewer_may_take_each_config_s_files_whole(store, configs, loaded):
    """A config is nothing but files of the repository at a commit, and these together are its rows."""
    assert set(loaded) == set(configs)
    for name, found in loaded.items():
        assert set(configs[name]) <= {"config_name", "data_files", "default"}
        assert found["is_parquet"]
        assert all(file.startswith(f"hf://datasets/{REPO}@") for file in found["files"])
        paths = [store / file.split("@", 1)[1].split("/", 1)[1] for file in found["files"]]
        assert [sha for path in paths for sha in pq.read_table(path)["hexsha"].to_pylist()] == found["rows"]
        assert found["rows"] == found["stream"]


def test_each_row_is_stored_once_and_small_enough_to_be_shown(store, loaded):
    """No file or row stands twice; every row group has a page index and less than the 100 MB that the viewer takes."""
    files = sorted(store.glob("data/*/*.parquet"))
    rows = [sha for file in files for sha in pq.read_table(file)["hexsha"].to_pylist()]
    assert sorted(rows) == sorted(set(rows)) == sorted(loaded["base"]["rows"])
    assert len(files) > len({file.parent for file in files}) > 4
    for file in files:
        about = pq.read_metadata(file)
        groups = [about.row_group(number) for number in range(about.num_row_groups)]
        assert all(group.total_byte_size < 100e6 and group.column(0).has_offset_index for group in groups)
        assert about.num_rows


def test_the_counts_of_the_card_are_those_of_the_files(store, loaded):
    """Each config has as many rows as funnel.json says, and each recipe leaves something out."""
    funnel = json.loads((store / "funnel.json").read_text())
    assert {entry["config_name"]: entry["rows"] for entry in funnel["configs"]} == {
        name: len(found["rows"]) for name, found in loaded.items()
    }
    counts = {name: len(loaded[name]["rows"]) for name in funnel["recipes"]}
    assert all(counts[name] < counts["base"] for name in counts if name not in {"base", "near_dedup"})


def _pandas(pattern, store):
    import pandas as pd

    return pd.concat([pd.read_parquet(file, columns=["hexsha"]) for file in sorted(store.glob(pattern))])[
        "hexsha"
    ].tolist()


def _polars(pattern, store):
    polars = pytest.importorskip("polars", reason="polars is not installed: pip install 'hf-santa[dev]'")
    return polars.scan_parquet(str(store / pattern)).select("hexsha").collect()["hexsha"].to_list()


def _duckdb(pattern, store):
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed: pip install 'hf-santa[dev]'")
    found = duckdb.execute("select hexsha from read_parquet(?)", [str(store / pattern)])
    return [sha for (sha,) in found.fetchall()]


@pytest.mark.parametrize("read", [_pandas, _polars, _duckdb])
def test_other_readers_have_the_same_rows(store, configs, loaded, read):
    """Every config's pattern, as it stands in the card, gives `load_dataset`'s rows in pandas, Polars and DuckDB."""
    for name, config in configs.items():
        (pattern,) = data_files_of(config)
        assert sorted(read(pattern, store)) == sorted(loaded[name]["rows"]), name
