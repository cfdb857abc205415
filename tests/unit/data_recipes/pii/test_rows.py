"""Redaction of rows: a callable for batches, a stream, and the step of a run."""

import copy
import pickle

import pytest

from data_recipes.errors import DataError
from data_recipes.pii.rows import LOG_COLUMN, PII_COLUMNS, Redactor

ROWS = [
    {"path": "a.py", "content": "# bob@corp.io bob@corp.io"},
    {"path": "b.py", "content": None},
    {"path": "c.py", "content": "x = '93.184.216.34'"},
    {"path": "d.py", "content": "x = 1"},
]


def test_a_batch_is_redacted_and_counted():
    """The column is redacted, each type has its counts, None stays None."""
    batch = Redactor()({"content": [row["content"] for row in ROWS]})
    assert list(batch) == ["content", *PII_COLUMNS.values()]
    assert (batch["pii_emails"], batch["pii_ip_addresses"]) == ([2, 0, 0, 0], [0, 0, 1, 0])
    assert batch["content"][1::2] == [None, "x = 1"]


def test_a_stream_gives_the_same_rows_one_by_one():
    """The stream keeps the other columns, takes one row at a time and agrees with the batch."""
    redactor, taken = Redactor(seed=3), []
    source = (taken.append(row["path"]) or row for row in ROWS)
    stream = redactor.stream(source)
    first = next(stream)
    assert (first["path"], taken) == ("a.py", ["a.py"])
    batch = redactor({"content": [row["content"] for row in ROWS]})
    assert [row["content"] for row in (first, *stream)] == batch["content"]


def test_a_redactor_can_be_pickled():
    """A copy made by pickle or by copy gives the same, as a worker process needs it."""
    redactor = Redactor(seed=9, style="preserve", types=("EMAIL_ADDRESS",))
    batch = {"content": ["# bob@corp.io 93.184.216.34"]}
    assert pickle.loads(pickle.dumps(redactor)) == redactor == copy.deepcopy(redactor)
    assert pickle.loads(pickle.dumps(redactor))(batch) == redactor(batch)


def test_the_log_column_holds_no_value():
    """With `is_logged` each row has its audit lines, and no original value is in any column."""
    rows = list(Redactor(is_logged=True).stream(ROWS))
    assert [len(row[LOG_COLUMN]) for row in rows] == [2, 0, 1, 0]
    assert [value for value in ("bob@corp.io", "93.184.216.34") if value in str(rows)] == []


def test_what_can_not_be_done_is_named():
    """A missing column is answered with the columns there are, an unknown style with the styles."""
    with pytest.raises(DataError, match=r"no column 'content'\. Columns found: text\. Pass column=… to Redactor\."):
        Redactor()({"text": ["a"]})
    with pytest.raises(DataError, match="style='tags' is not available"):
        Redactor(style="tags")
    assert Redactor(column="text")({"text": ["bob@corp.io"]})["pii_emails"] == [1]
