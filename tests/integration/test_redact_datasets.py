"""Redaction through `datasets`: the same rows however they are cut, whole or streamed."""

import pytest
from datasets import Dataset, IterableDataset

from data_recipes.pii.rows import LOG_COLUMN, Redactor

TOKEN = "ghp_" + "a1B2" * 9
ROWS = [
    {"path": f"{n}.py", "content": None if n % 7 == 3 else f"# user{n % 5}@corp.io at 93.184.216.{n}\nx = {n}\n"}
    for n in range(40)
]


@pytest.fixture(scope="module")
def expected():
    return list(Redactor(seed=4, is_logged=True).stream(ROWS))


@pytest.mark.parametrize(("batch_size", "num_proc"), [(1, None), (7, None), (1000, None), (3, 2)])
def test_batch_size_and_processes_change_nothing(expected, batch_size, num_proc):
    """`map` gives the stream's rows for every batch size and number of processes."""
    rows = Dataset.from_list(ROWS)
    redactor = Redactor(seed=4, is_logged=True)
    mapped = rows.map(redactor, batched=True, batch_size=batch_size, num_proc=num_proc, load_from_cache_file=False)
    assert mapped.to_list() == expected
    assert len(mapped[0][LOG_COLUMN]) == 2


def test_a_streamed_dataset_gives_the_same_rows(expected):
    """An `IterableDataset` is redacted while it is read."""
    stream = IterableDataset.from_generator(lambda: iter(ROWS)).map(Redactor(seed=4, is_logged=True), batched=True)
    assert list(stream) == expected


def test_order_changes_nothing(expected):
    """A row's result does not depend on the rows before it."""
    backwards = Dataset.from_list(ROWS[::-1]).map(Redactor(seed=4, is_logged=True), batched=True)
    assert backwards.to_list()[::-1] == expected
