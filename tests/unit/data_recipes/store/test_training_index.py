"""The index of training text: what it finds, what it leaves out, how large it is."""

import itertools
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_recipes.errors import DataError
from data_recipes.pipeline import run
from data_recipes.store.training_index import MULTIPLIER, normalised, passage_hashes, write_seen_index
from hf_santa.cli import main
from tests.fixtures.funnel import write_bare_store

ALPHABET = "abcdefghijklmnopqrstuvwxyz"


@pytest.fixture(scope="module")
def store(tmp_path_factory, write_stack):
    folder = tmp_path_factory.mktemp("index")
    run(write_stack(folder / "stack"), folder / "store", "all", progress=lambda _: None)
    return folder / "store"


def _header(path):
    return json.loads(path.read_bytes()[:512])


def _by_hand(passage):
    """The documented hash of 50 characters, in whole numbers."""
    wrap = (1 << 64) - 1
    h = sum(ord(char) * MULTIPLIER ** (49 - i) for i, char in enumerate(passage)) & wrap
    h = (h ^ h >> 30) * 0xBF58476D1CE4E5B9 & wrap
    h = (h ^ h >> 27) * 0x94D049BB133111EB & wrap
    return h ^ h >> 31


@given(st.text(ALPHABET + " \u2603\U0001f385\ud800", min_size=50, max_size=70), st.integers(1, 7))
def test_the_hash_is_the_documented_one(text, stride):
    """For any text, the hashes are those of the formula in whole numbers, for every passage of 12 characters or more."""
    passages = [text[i : i + 50] for i in range(0, len(text) - 49, stride)]
    expected = [_by_hand(passage) for passage in passages if len(set(passage)) >= 12]
    assert expected == passage_hashes(text, stride).tolist()


@given(st.text())
def test_white_space_does_not_count(text):
    """Normalising twice is normalising once, and only runs of white space change."""
    assert normalised(text) == normalised(normalised(text))
    assert "".join(text.split()) == normalised(text).replace(" ", "")


def test_the_file_is_as_long_as_documented(store, tmp_path):
    """The header says how many keys follow; buckets begin at 0, end at that number, and hold ascending keys."""
    write_seen_index(store, tmp_path / "i", recipe="base")
    data, about = (tmp_path / "i").read_bytes(), _header(tmp_path / "i")
    assert 262_660 + 4 * about["passages"] == len(data)
    assert (1, 50, 1, "base") == tuple(about[name] for name in ("format", "width", "stride", "recipe"))
    starts = np.frombuffer(data, "<u4", 65_537, 512)
    keys = np.frombuffer(data, "<u4", about["passages"], 512 + 4 * 65_537)
    assert (0, about["passages"]) == (starts[0], starts[-1])
    assert all((np.diff(keys[a:b].astype(int)) > 0).all() for a, b in itertools.pairwise(starts))


def test_a_recipe_indexes_its_rows_alone(store, tmp_path):
    """The number of files is the funnel's, for a recipe that leaves rows out and for one that has all."""
    for recipe in ("base", "stars"):
        write_seen_index(store, tmp_path / recipe, recipe=recipe)
    files = {name: _header(tmp_path / name)["files"] for name in ("base", "stars")}
    rows = sum(pq.read_metadata(file).num_rows for file in (store / "data").rglob("*.parquet"))
    assert rows == files["base"] > files["stars"] > 0


def test_the_size_is_bounded_by_a_stride(tmp_path):
    """A store too large for the size is indexed at every n-th passage; below one in 50 the size is refused."""
    noise = np.random.default_rng(0).choice(list(ALPHABET), 2_000_000)
    write_bare_store(tmp_path, pa.table({"hexsha": ["a"], "content": ["".join(noise)]}))
    about = write_seen_index(tmp_path, tmp_path / "i", recipe="base", max_mb=1)
    assert (about["stride"], about["always_found_from"]) == (11, 60)
    assert (tmp_path / "i").stat().st_size <= 1e6
    with pytest.raises(DataError, match=r"one in 215 passages.*Allow 1 MB"):
        write_seen_index(tmp_path, tmp_path / "i", recipe="base", max_mb=0.3)
    with pytest.raises(DataError, match="even when empty"):
        write_seen_index(tmp_path, tmp_path / "i", max_mb=-1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--recipe", "finest"), "has no recipe 'finest'. Recipes found: near_dedup"),
        (("--max-mb", "nan"), "--max-mb nan"),
    ],
)
def test_a_wrong_argument_is_one_line(store, tmp_path, capsys, arguments, words):
    """A recipe that the store lacks, and a size that is none, end with exit code 2 and what was found."""
    assert 2 == main(["data", "index", str(store), str(tmp_path / "i"), *arguments])
    assert words in capsys.readouterr().err
    assert not (tmp_path / "i").exists()
