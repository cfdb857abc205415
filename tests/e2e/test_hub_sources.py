"""Rows from a Hub on loopback, by `hf://` paths and by a dataset's name, with the unmodified clients."""

import io
import json
import os
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

_SCRIPT = """
import json, sys
from data_recipes.errors import DataError
from data_recipes.sources.write_rows import write_rows
for number, source in enumerate(sys.argv[2:]):
    try:
        print(json.dumps(write_rows(source, f"{sys.argv[1]}/{number}")["files"]))
    except DataError as error:
        print(json.dumps(str(error)))
"""


def _parquet(rows):
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


@pytest.fixture
def code_on_the_hub(hub):
    rows = [{"content": f"a = {n}\n", "path": f"a{n}.py", "lang": "Python"} for n in range(3)]
    lines = "\n".join(json.dumps({"content": f"let b = {n};\n", "path": f"b{n}.js"}) for n in range(2))
    files = {"data/train-00000.parquet": _parquet(rows), "more/b.jsonl": lines.encode(), "README.md": b"# Code\n"}
    hub.store.put("dataset", "me/code", files)
    return hub


CASES = {
    "hf://datasets/me/code/data/*.parquet": {"Python": {"files": 3, "bytes": 18}},
    "hf://datasets/me/code@main/more/b.jsonl": {"JavaScript": {"files": 2, "bytes": 22}},
    "hf://datasets/me/code": {"Python": {"files": 3, "bytes": 18}},
    "hf://datasets/me/code/README.md": "files of no known format",
    "hf://datasets/me": "expected hf://datasets/OWNER/NAME",
    "hf://datasets/me/code/data/none.parquet": "neither here nor a dataset that can be opened",
}


def test_rows_come_from_the_hub(code_on_the_hub, tmp_path):
    """Files of a dataset, at a revision or not, or the whole one, are streamed; other paths are errors that help."""
    environment = os.environ | {
        "HF_ENDPOINT": code_on_the_hub.url,
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_OFFLINE": "0",
    }
    arguments = [sys.executable, "-c", _SCRIPT, str(tmp_path), *CASES]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True)
    answers = dict(zip(CASES, map(json.loads, done.stdout.splitlines()), strict=True))
    for source, expected in CASES.items():
        assert (expected in answers[source]) if isinstance(expected, str) else (answers[source] == expected), source
