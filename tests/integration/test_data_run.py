"""A real tree through rows and run, loaded with `datasets` by config name."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from datasets import get_dataset_config_names, load_dataset

from data_recipes.pipeline import run, write_rows

_BENCHMARK = {"benchmark": "planted", "name": "p_1", "string": "Return the number of planted benchmark strings."}


def _tree(folder):
    """Sixty standard library files and one of each planted kind."""
    folder.mkdir()
    chosen = [path for path in sorted(Path(os.__file__).parent.glob("*.py")) if 2000 < path.stat().st_size < 40_000][
        :60
    ]
    for path in chosen:
        shutil.copy(path, folder / path.name)
    (folder / "latin.py").write_bytes(b"# caf\xe9\n")
    (folder / "nul.py").write_bytes(b"x = 1\0\n")
    (folder / "long.js").write_text("var x = '" + "a" * 3000 + "';\n")
    (folder / "mail.js").write_text("// ask bob@corp.io or call 93.184.216.34\nlet where = 'http://93.184.216.34/';\n")
    (folder / "near.py").write_text(chosen[5].read_text("utf-8") + "\n# one more line\n")
    (folder / "twin.py").write_bytes(chosen[6].read_bytes())
    (folder / "planted.py").write_text(f'def f():\n    """{_BENCHMARK["string"].upper()}"""\n    return 1\n')
    return chosen[5].name


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    base = tmp_path_factory.mktemp("data")
    original = _tree(base / "tree")
    write_rows(base / "tree", base / "rows", shard_bytes=200_000)
    funnel = run(base / "rows", base / "store", "near_dedup", benchmarks=[_BENCHMARK], seed=0)
    return base / "store", funnel, original


def _load(folder, name, *, streaming):
    cache = str(folder.parent / "cache")
    return list(load_dataset(str(folder), name, split="train", streaming=streaming, cache_dir=cache))


@pytest.mark.parametrize("streaming", [False, True])
def test_configs_load_the_expected_rows(store, streaming):
    """`base` and `near_dedup` give the rows that the funnel says, whole and streamed, over all and per language."""
    folder, funnel, original = store
    left = {entry["lang"]: [stage["files"] for stage in entry["stages"]] for entry in funnel["funnel"]}
    base = _load(folder, "base", streaming=streaming)
    thinned = _load(folder, "near_dedup", streaming=streaming)
    paths = {row["path"] for row in base}
    assert len(base) == sum(stages[2] for stages in left.values())
    assert len(thinned) == sum(stages[3] for stages in left.values())
    assert paths & {f"tree/{name}" for name in ("latin.py", "nul.py", "long.js", "planted.py")} == set()
    assert {f"tree/{original}", "tree/near.py", "tree/mail.js"} <= paths
    assert len({row["path"] for row in thinned} & {f"tree/{original}", "tree/near.py"}) == 1
    assert len(_load(folder, "javascript-near_dedup", streaming=streaming)) == left["JavaScript"][3] == 1


def test_the_redacted_row_is_what_is_published(store):
    """The planted addresses are replaced, the same value by the same replacement."""
    (row,) = _load(store[0], "javascript-base", streaming=False)
    ip = row["content"].split("call ")[1].split("\n")[0]
    assert "bob@" not in row["content"]
    assert (row["content"].count(ip), row["pii_emails"], row["pii_ip_addresses"]) == (2, 1, 2)


def test_every_config_of_the_card_is_known_to_datasets(store):
    """The card's configs are the ones that `datasets` lists, and those that the funnel names."""
    assert sorted(get_dataset_config_names(str(store[0]))) == sorted(
        entry["config_name"] for entry in store[1]["configs"]
    )


@pytest.mark.parametrize("lines", [1, 3, 5])
def test_a_killed_run_goes_on_to_the_same_bytes(store, tmp_path, lines):
    """After SIGKILL at some line of the report, a new run gives the bytes of a run that was never killed."""
    folder = store[0]
    script = textwrap.dedent(
        """
        import json, os, signal, sys
        from data_recipes.pipeline import run
        left = int(sys.argv[3])
        def report(line):
            global left
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
        run(sys.argv[1], sys.argv[2], "near_dedup", benchmarks=[json.loads(sys.argv[4])], progress=report, seed=0)
        """,
    )
    out = tmp_path / "store"
    arguments = [str(folder.parent / "rows"), str(out), str(lines), json.dumps(_BENCHMARK)]
    killed = subprocess.run([sys.executable, "-c", script, *arguments], check=False, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    lines_again = []
    run(folder.parent / "rows", out, "near_dedup", benchmarks=[_BENCHMARK], progress=lines_again.append, seed=0)
    files = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file()]
    assert [(out / path).read_bytes() for path in files] == [(folder / path).read_bytes() for path in files]
    assert not (out / ".work").exists()
    assert [line for line in lines_again if "reused" in line]
