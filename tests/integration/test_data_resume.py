"""A run that is killed anywhere goes on to the same bytes; threads, shard order and engine change none of them."""

import os
import random
import shutil
import signal
import subprocess
import sys

import pytest

from data_recipes.engine.jit import VARIABLE
from data_recipes.pipeline import run, write_rows

_BENCHMARK = {"benchmark": "b", "string": "the secret sentence of a benchmark"}
_SCRIPT = """
import importlib, os, signal, sys
from data_recipes.pipeline import run

module, name, left = sys.argv[3], sys.argv[4], int(sys.argv[5])
holder = importlib.import_module(module)
*path, last = name.split(".")
for part in path:
    holder = getattr(holder, part)
original = getattr(holder, last)

def killing(*arguments, **more):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments, **more)

setattr(holder, last, killing)
run(sys.argv[1], sys.argv[2], ["near_dedup_verified", "near_dedup_alt"], shard_bytes=9000,
    benchmarks=[{"benchmark": "b", "string": "the secret sentence of a benchmark"}], progress=lambda line: None, seed=0)
"""


def _private(number):
    """Lines with what is redacted: an address, a key and a password, others in each file."""
    key = "".join(random.Random(number).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=36))
    return f"# mail user{number}@corp.io, host 93.184.{number}.7\nTOKEN = 'ghp_{key}'\npassword = 'x7!{key[:9]}'\n"


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    tree = tmp_path_factory.mktemp("tree")
    rng = random.Random(2)
    for number in range(60):
        names = [f"value_{rng.randrange(500)}" for _ in range(60)]
        body = "".join(f"    {a} = {b} + 1  # note\n" for a, b in zip(names[::2], names[1::2], strict=True))
        for copy in range(1 + number % 3):
            text = f"def work_{number}():\n{body}" + f"# copy {copy}\n" * copy
            (tree / f"m{number}_{copy}.py").write_text(text + _private(number))
            (tree / f"m{number}_{copy}.js").write_text(f"// é {number}\n{body.replace('#', '//')}" + "// more\n" * copy)
    (tree / "planted.py").write_text(f"# {_BENCHMARK['string']}\nimport os\nprint(os.sep)\n")
    write_rows(tree, tmp_path_factory.mktemp("rows") / "rows", shard_bytes=60_000, progress=lambda _line: None)
    return tmp_path_factory.getbasetemp(), tree, next(tmp_path_factory.getbasetemp().glob("rows*/rows"))


def _run(source, out, **more):
    lines = []
    recipes = ["near_dedup_verified", "near_dedup_alt"]
    run(source, out, recipes, shard_bytes=9000, benchmarks=[_BENCHMARK], progress=lines.append, **{"seed": 0, **more})
    return lines


def _bytes(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in {".done.json", "README.md"}  # the card names the folder
    }


@pytest.fixture(scope="module")
def whole(rows, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "store"
    _run(rows[2], out)
    return _bytes(out)


_PLACES = {
    "reading a shard": ("data_recipes.annotate", "Annotator.annotate", 2),
    "marking a shard": ("data_recipes.pipeline", "mark_done", 1),
    "spilling a language": ("data_recipes.engine.texts", "Texts.add_to", 2),
    "signing": ("data_recipes.dedup.on_disk", "sign_alone", 1),
    "clustering": ("data_recipes.dedup.on_disk", "decide", 2),
    "comparing": ("data_recipes.dedup.clusters", "Comparison.similarities", 1),
    "writing the rejects": ("data_recipes.disk.files", "pq.write_table", 1),
    "writing a shard": ("data_recipes.disk.files", "pq.ParquetWriter", 3),
    "moving the shards": ("data_recipes.pipeline_language", "moved", 4),
    "marking a language": ("data_recipes.pipeline", "mark_done", 5),
    "writing the card": ("data_recipes.pipeline", "render_card", 0),
    "marking the store": ("data_recipes.pipeline", "mark_done", 6),
}


@pytest.mark.parametrize("place", _PLACES)
def test_a_run_killed_at_any_place_goes_on_to_the_same_bytes(rows, whole, tmp_path, place):
    """After SIGKILL in each stage a second run redoes nothing that was finished and ends with the same bytes."""
    module, name, count = _PLACES[place]
    out = tmp_path / "store"
    command = [sys.executable, "-c", _SCRIPT, str(rows[2]), str(out), module, name, str(count)]
    assert subprocess.run(command, check=False, timeout=300).returncode == -signal.SIGKILL
    finished = {path.name for path in out.rglob("*.done.json")}
    lines = _run(rows[2], out)
    assert _bytes(out) == whole
    assert sum(line.endswith("reused") for line in lines) >= len(finished - {".done.json"})
    assert not (out / ".work").exists()


def test_threads_and_runs_change_no_byte(rows, whole, tmp_path):
    """One thread, three, and another run give the same bytes."""
    for threads in (1, 3):
        _run(rows[2], tmp_path / str(threads), threads=threads)
        assert _bytes(tmp_path / str(threads)) == whole


def test_the_order_of_shards_changes_no_byte(rows, whole, tmp_path):
    """Input shards under other names, so in another order, give the same bytes."""
    source = tmp_path / "rows"
    shutil.copytree(rows[2], source)
    shards = sorted(source.glob("rows-*.parquet"))
    assert len(shards) > 2
    for number, path in enumerate(shards):
        path.rename(source / f"moved-{len(shards) - number}.parquet")
    _run(source, tmp_path / "store")
    assert _bytes(tmp_path / "store") == whole


_WITHOUT = """
import sys

for package in sys.argv[3:]:
    sys.modules[package] = None  # as if it were not installed
from data_recipes.engine.jit import engine_name
from data_recipes.pii.prefilter import best_backend
from data_recipes.pipeline import run

run(sys.argv[1], sys.argv[2], ["near_dedup_verified", "near_dedup_alt"], shard_bytes=9000,
    benchmarks=[{"benchmark": "b", "string": "the secret sentence of a benchmark"}], progress=lambda line: None, seed=0)
print(engine_name(), best_backend())
"""


@pytest.mark.parametrize(
    ("missing", "used"),
    [
        (("numba",), "numpy hyperscan"),
        (("hyperscan",), "numba re2"),
        (("hyperscan", "re2"), "numba re"),
        (("numba", "hyperscan", "re2"), "numpy re"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_a_package_that_is_missing_changes_no_byte(rows, whole, tmp_path, missing, used):
    """Without compiled code, and with each way to search for keys, the very same files are written."""
    command = [sys.executable, "-c", _WITHOUT, str(rows[2]), str(tmp_path / "store"), *missing]
    variables = {name: value for name, value in os.environ.items() if name not in {VARIABLE, "HF_SANTA_PII_BACKEND"}}
    done = subprocess.run(command, check=True, env=variables, capture_output=True, text=True)
    assert used == done.stdout.strip()
    assert _bytes(tmp_path / "store") == whole
