"""Every recipe of a store, loaded by its name in a process without this package; and the builder for one's own files."""

import json
import os
import subprocess
import sys
import textwrap

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from tokenizers import Tokenizer, models, pre_tokenizers

from data_recipes import SantaStack, register
from data_recipes.errors import DataError
from data_recipes.pipeline import run
from data_recipes.recipes import RECIPES
from data_recipes.sources.hub import DatasetSource
from data_recipes.sources.row import Row
from data_recipes.sources.write_rows import write_rows


def _quiet(_line):
    """Take a report line and say nothing."""


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """A tokenizer that cuts digits apart, so that some files are below the threshold of fertility."""
    made = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Digits(True)])
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    made.save(str(path))
    return str(path)


@pytest.fixture(scope="module")
def store(tmp_path_factory, write_stack, tokenizer):
    """A store with all recipes, and a language whose name begins like another's."""
    folder = tmp_path_factory.mktemp("recipes")
    write_stack(folder / "stack")
    table = {"content": ["<% out.print(1); %>\n<p>text</p>\n"], "path": ["a.jsp"], "lang": ["Java Server Pages"]}
    table |= {"max_stars_repo_path": ["a.jsp"], "max_stars_count": [7.0], "max_stars_repo_licenses": [["mit"]]}
    table |= {"max_stars_repo_name": ["ada/pages"]}
    pq.write_table(pa.table(table).drop_columns(["path"]), folder / "stack" / "9.parquet")
    java = {
        **table,
        "content": ["class A {\n  int a = 1; // one\n}\n"],
        "lang": ["Java"],
        "max_stars_repo_path": ["A.java"],
    }
    pq.write_table(pa.table(java).drop_columns(["path"]), folder / "stack" / "8.parquet")
    funnel = run(folder / "stack", folder / "store", "all", tokenizer=tokenizer, progress=_quiet)
    return folder / "store", funnel


_LOAD = """
    import json, sys
    for name in ("data_recipes", "hf_santa"):
        sys.modules[name] = None
    from datasets import get_dataset_config_names, load_dataset
    found = {}
    for name in get_dataset_config_names(sys.argv[1]):
        whole = load_dataset(sys.argv[1], name, split="train")
        stream = list(load_dataset(sys.argv[1], name, split="train", streaming=True))
        found[name] = [whole["hexsha"][:], [row["hexsha"] for row in stream], sorted(set(whole["lang"][:]))]
    print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def loaded(store, tmp_path_factory):
    """What a clean process without this package loads, streaming and not: hexshas and languages of each config."""
    home = tmp_path_factory.mktemp("home")
    quiet = {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    done = subprocess.run(
        [sys.executable, "-I", "-c", textwrap.dedent(_LOAD), str(store[0])],
        env={**os.environ, **quiet},
        cwd=home,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_every_config_of_the_card_loads_in_a_clean_process(store, loaded):
    """Each recipe, of each language and of all, gives the rows that the funnel counts, streamed and whole."""
    _, funnel = store
    assert set(funnel["recipes"]) == set(RECIPES) - {"quality"}  # which needs a classifier
    assert sorted(loaded) == sorted(entry["config_name"] for entry in funnel["configs"])
    for recipe in funnel["recipes"]:
        whole, stream, _ = loaded[recipe]
        assert whole == stream
        assert len(whole) == sum(entry["recipes"][recipe]["files"] for entry in funnel["funnel"])


@pytest.mark.parametrize("lang", ["Java", "JavaScript", "Python", "Java Server Pages"])
def test_a_languages_configs_have_its_rows_alone(store, loaded, lang):
    """`java-…` has no row of JavaScript or Java Server Pages, whose files begin with the same letters."""
    (entry,) = [entry for entry in store[1]["funnel"] if entry["lang"] == lang]
    for recipe, kept in entry["recipes"].items():
        name = f"{lang.lower().replace(' ', '-')}-{recipe}"
        if not kept["files"]:
            assert name not in loaded
            continue
        whole, stream, languages = loaded[name]
        assert (len(whole), whole, languages) == (kept["files"], stream, [lang])


def test_the_recipes_differ(store):
    """Stars, comments, fertility and 5-grams each leave something out, and final is both of its steps."""
    counts = {name: sum(e["recipes"][name]["files"] for e in store[1]["funnel"]) for name in store[1]["recipes"]}
    assert all(counts[name] < counts["base"] for name in counts if name not in {"base", "near_dedup"})
    assert counts["final"] <= min(counts["near_dedup_alt"], counts["comments"])


def test_a_misspelt_recipe_is_answered_with_the_known_ones(store, tmp_path):
    """Datasets lists the configs of the card."""
    with pytest.raises(ValueError, match=r"'near-dedup' not found\. Available: .*'python-near_dedup'"):
        load_dataset(str(store[0]), "near-dedup", cache_dir=str(tmp_path))


def _built(store, name, cache, tokenizer, **how):
    files = str(store[0].parent / "stack" / "*.parquet")
    return load_dataset(
        "santa_stack", name, data_files=files, split="train", cache_dir=str(cache), tokenizer=tokenizer, **how
    )


@pytest.mark.parametrize("name", ["base", "java-base", "python-final", "stars", "fertility", "javascript-stars"])
def test_the_builder_gives_the_rows_of_the_store(store, loaded, tokenizer, tmp_path, name):
    """One's own Stack files through `load_dataset("santa_stack", …)`: the same rows, streamed, whole, by two processes."""
    register()
    expected = _built(store, name, tmp_path, tokenizer)["hexsha"][:]
    assert sorted(expected) == sorted(loaded[name][0])  # a store of one recipe has other folders, in another order
    assert [row["hexsha"] for row in _built(store, name, tmp_path, tokenizer, streaming=True)] == expected
    assert _built(store, name, tmp_path / "two", tokenizer, num_proc=2)["hexsha"][:] == expected


def test_the_public_builder_needs_no_registration(store, loaded, tmp_path):
    """`SantaStack` prepares, loads, streams and writes parquet like any builder."""
    files = str(store[0].parent / "stack" / "*.parquet")
    builder = SantaStack(config_name="python-near_dedup_alt", data_files=files, cache_dir=str(tmp_path))
    builder.download_and_prepare()
    rows = builder.as_dataset(split="train")
    assert sorted(rows["hexsha"][:]) == sorted(loaded["python-near_dedup_alt"][0])
    assert next(iter(builder.as_streaming_dataset(split="train")))["hexsha"] == rows[0]["hexsha"]
    builder.download_and_prepare(str(tmp_path / "parquet"), file_format="parquet")
    assert sum(pq.read_table(file).num_rows for file in (tmp_path / "parquet").glob("*.parquet")) == rows.num_rows


def test_settings_of_the_builder_make_another_dataset(store, tokenizer, tmp_path):
    """`compat="bigcode"` asks for more than five stars, and is not answered from the other's cache."""
    register()
    counts = [_built(store, "stars", tmp_path, tokenizer, compat=name).num_rows for name in ("report", "bigcode")]
    assert counts[0] > counts[1] > 0


def test_the_builder_says_what_it_needs(tmp_path, monkeypatch):
    """No parquet files, no table as expected in datasets: the way out is named."""
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(DataError, match=r"a\.txt is no parquet file\. Pass data_files="):
        SantaStack(
            config_name="base", data_files=str(tmp_path / "a.txt"), cache_dir=str(tmp_path)
        ).download_and_prepare()
    with pytest.raises(DataError, match="config 'base' needs data_files"):
        SantaStack(config_name="base", cache_dir=str(tmp_path)).download_and_prepare()
    pq.write_table(pa.table({"content": ["x = 1\n"], "path": ["a.py"]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"python-comments keeps none of 1 files; .*rejects says why for each"):
        SantaStack(
            config_name="python-comments", data_files=str(tmp_path / "a.parquet"), cache_dir=str(tmp_path)
        ).download_and_prepare()
    with pytest.raises(ValueError, match=r"BuilderConfig 'rust-base' not found\. Available: .*'java-base'"):
        SantaStack(config_name="rust-base", data_files=str(tmp_path / "a.txt"))
    monkeypatch.setattr(datasets.packaged_modules, "_PACKAGED_DATASETS_MODULES", ["another shape"])
    with pytest.raises(DataError, match=r"Use data_recipes\.SantaStack\(config_name=…, data_files=…\) in place of"):
        register()


def test_a_dataset_is_a_source_as_its_files_are(store, tmp_path):
    """Rows streamed through `load_dataset`, by folder and part or as an opened dataset, are those of the parquet files."""
    stack = store[0].parent / "stack"
    write_rows(stack, tmp_path / "files", progress=_quiet)
    opened = load_dataset(str(stack), split="train", streaming=True)
    (tmp_path / "repository" / "data").mkdir(parents=True)
    (tmp_path / "repository" / "data" / "python").symlink_to(stack)
    write_rows(str(tmp_path / "repository"), tmp_path / "part", data_dir="data/python", progress=_quiet)
    write_rows(opened, tmp_path / "opened", progress=_quiet)
    contents = [
        sorted(pq.read_table(file)["content"].to_pylist() for file in (tmp_path / name).glob("rows-*.parquet"))
        for name in ("files", "part", "opened")
    ]
    assert contents[0] == contents[1] == contents[2]
    lines = []
    write_rows(str(tmp_path / "repository"), tmp_path / "part", data_dir="data/python", progress=lines.append)
    assert "step=rows reused" in lines[0]
    assert "stars" in pq.read_schema(tmp_path / "part" / "rows-00000.parquet").names


def test_a_run_takes_a_dataset_by_its_name(store, tmp_path):
    """`run` reads a part of a repository into rows beside its output, then goes on as ever."""
    (tmp_path / "repository").mkdir()
    (tmp_path / "repository" / "part").symlink_to(store[0].parent / "stack")
    funnel = run(tmp_path / "repository", tmp_path / "out", "stars", data_dir="part", progress=_quiet, seed=0)
    assert sum(e["recipes"]["stars"]["files"] for e in funnel["funnel"]) == sum(
        e["recipes"]["stars"]["files"] for e in store[1]["funnel"]
    )
    assert (tmp_path / ".out.rows" / "rows.json").is_file()
    opened = load_dataset(str(store[0].parent / "stack"), split="train", streaming=True)
    again = run(opened, tmp_path / "again", "stars", progress=_quiet, seed=0)
    assert again["funnel"] == funnel["funnel"]


def test_a_dataset_that_can_not_be_opened_is_named(monkeypatch, tmp_path):
    """A name that is neither here nor on the Hub is an error with what to check; so is an empty split."""
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        DataError, match=r"no/where is neither here nor a dataset that can be opened .* accept its terms"
    ):
        write_rows("no/where", tmp_path / "rows", progress=_quiet)
    pq.write_table(pa.table({"content": ["x"], "lang": ["Python"]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="has no files for split 'test'"):
        DatasetSource(str(tmp_path), split="test")
    assert list(DatasetSource(datasets.Dataset.from_dict({"content": []})).rows()[1]) == []


def test_an_opened_dataset_may_be_a_table_in_memory():
    """A `Dataset` that never was a file is a source as well."""
    rows = datasets.Dataset.from_dict({"content": ["x = 1\n"], "path": ["a.py"], "stars": [3]})
    provenance, found = DatasetSource(rows).rows()
    (row,) = found
    assert (provenance, isinstance(row, Row), row.stars, row.lang) == (("stars",), True, 3, "Python")
