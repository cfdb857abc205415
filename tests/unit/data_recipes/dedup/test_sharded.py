"""The stages of a near-deduplication give the decisions of the single process, however the work is cut."""

import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_recipes.dedup import clusters, sharded
from data_recipes.dedup.modes import MODES
from data_recipes.dedup.on_disk import near_duplicates_of_files
from data_recipes.dedup.sharded import STAGES, ShardedNearDedup, near_duplicates_in_stages
from data_recipes.errors import DataError, StoreError


def _family(draw, words, members):
    """Versions of one text, each with some of its words changed."""
    text = [draw.choice(words) for _ in range(draw.randrange(20, 120))]
    rate = draw.choice([0.003, 0.01, 0.03, 0.06])
    for _ in range(members):
        version = [draw.choice(words) if draw.random() < rate else word for word in text]
        yield "\n".join(" ".join(version[i : i + 6]) for i in range(0, len(version), 6)) + "\n"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Five files: families of 1 to 12 near-duplicates in random order, short and empty texts, stars."""
    draw = random.Random(7)
    words = [f"w{n}" for n in range(300)]
    texts = [text for _ in range(160) for text in _family(draw, words, draw.choice([1, 1, 2, 3, 12]))]
    texts += ["", "x = 1\n", "x = 1\n"]
    draw.shuffle(texts)
    folder = tmp_path_factory.mktemp("sharded")
    step = -(-len(texts) // 5)
    for number in range(5):
        part = texts[number * step : (number + 1) * step]
        table = pa.table({"content": part, "stars": [draw.choice([None, 1, 5, 100]) for _ in part]})
        pq.write_table(table, folder / f"{number}.parquet", row_group_size=50)
    return folder


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("parts", "ranges", "priority"), [(1, 1, ()), (3, 2, ("stars",)), (16, 5, ())])
def test_the_decisions_are_those_of_one_process(corpus, tmp_path, monkeypatch, mode, parts, ranges, priority):
    """Kept rows, clusters and similarities are equal to the last digit for any number of parts, ranges and pieces."""
    monkeypatch.setattr(clusters, "_BLOCK", 64)  # blocks are cut as often as in a large run
    monkeypatch.setattr(sharded, "_PIECE_ROWS", 120)
    expected = near_duplicates_of_files(corpus, mode, 1, priority=priority)
    made = near_duplicates_in_stages([corpus], tmp_path, mode, parts=parts, ranges=ranges, priority=priority)
    assert expected["is_kept"].to_pylist().count(False) > 100
    assert made.equals(expected)


def test_items_may_be_done_in_any_order_and_again(corpus, tmp_path):
    """Every stage's items run backwards, some of them twice, by objects of their own; what is done is left alone."""
    first = ShardedNearDedup((corpus,), tmp_path / "a", parts=4, ranges=2)
    first.all()
    for stage in STAGES:
        for item in [*reversed(range(first.items(stage))), 0][: first.items(stage) + 1]:
            ShardedNearDedup((corpus,), tmp_path / "b", parts=4, ranges=2).do(stage, item)
    pairs = zip(first.outputs, ShardedNearDedup((corpus,), tmp_path / "b").outputs, strict=True)
    assert all(one.read_bytes() == other.read_bytes() for one, other in pairs)


def test_what_was_damaged_is_done_again_and_what_is_missing_is_named(corpus, tmp_path):
    """A changed file between stages is seen by its checksum; a stage without the one before it is an error."""
    plan = ShardedNearDedup((corpus,), tmp_path, "near_dedup_alt", parts=2)
    good = [path.read_bytes() for path in plan.all()]
    texts = plan.work / "texts-00000.bin"
    texts.write_bytes(texts.read_bytes()[:-9])
    plan.outputs[0].unlink()
    assert [path.read_bytes() for path in plan.all()] == good
    texts.write_bytes(b"")
    (plan.work / "resolve-00000.done.json").unlink()
    with pytest.raises(StoreError, match=r"texts-00000\.bin ends before byte"):
        plan.do("resolve", 0)


def test_bad_values_and_sources_are_errors(tmp_path):
    """A mode, a number of parts and a table that can't be used are named."""
    for settings, error in (({"mode": "best"}, "is unknown"), ({"parts": 0}, "parts=0 is less than 1")):
        with pytest.raises(DataError, match=error):
            ShardedNearDedup((tmp_path,), tmp_path / "out", **settings)
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="no 'content' column"):
        near_duplicates_in_stages([tmp_path / "a.parquet"], tmp_path / "out", "near_dedup")


def test_a_source_without_rows_gives_none(tmp_path):
    """An empty table goes through all stages."""
    pq.write_table(pa.table({"content": pa.array([], pa.string())}), tmp_path / "a.parquet")
    for mode in MODES:
        assert near_duplicates_in_stages([tmp_path / "a.parquet"], tmp_path / mode, mode).num_rows == 0
