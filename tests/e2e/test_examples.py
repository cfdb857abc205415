"""The examples and the notebook run on small inputs, without a network."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from .page_driver import ROOT, unexplained_fields
from .page_driver import environment as reader
from .release_driver import environment as with_hub

pytestmark = pytest.mark.slow

TEXT = "def area_{0}(width, height):\n    '''the area of box {0} by its sides'''\n    return width * height * {0}\n"


def example(name, *arguments, home, code=0, **more):
    """Run an example as a reader does; return its output."""
    env = {**reader(home), **more}
    command = [sys.executable, ROOT / "examples" / name, *arguments]
    done = subprocess.run(list(map(str, command)), env=env, cwd=home, capture_output=True, text=True, check=False)
    assert code == done.returncode, done.stdout + done.stderr
    return done.stdout


def test_every_example_is_run_here():
    """No example without a test."""
    tested = Path(__file__).read_text()
    assert [] == [path.name for path in (ROOT / "examples").glob("*.py") if f'example("{path.name}"' not in tested]


def test_use_model(staged, tmp_path):
    """The middle is streamed between what stands before and after it."""
    printed = example("use_model.py", staged / "model", "--max-new-tokens", "4", home=tmp_path)
    assert printed.startswith("def area(width, height):\n    return ")
    assert printed.splitlines()[-1] in {"complete", "cut at the limit"}


def test_redact_repo(tmp_path):
    """Finds are listed without their value, and the copy holds none of them."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "a.py").write_text("MAIL = 'jane@corp-mail.io'\n")
    (tmp_path / "code" / "b.py").write_text("x = 1\n")
    printed = example("redact_repo.py", "code", "--to", "redacted", home=tmp_path, code=1)
    assert "a.py:1: EMAIL_ADDRESS (email)" in printed
    assert "corp-mail" not in printed
    assert ["a.py"] == [path.name for path in (tmp_path / "redacted").iterdir()]
    assert "corp-mail" not in (tmp_path / "redacted" / "a.py").read_text()


def test_dedup_parquet(tmp_path):
    """The copy is left out of the rows that are kept, and named with its cluster among all."""
    texts = [TEXT.format(1), "\n".join(f"line_{n} = {n * n}" for n in range(30)), TEXT.format(1) + "\n"]
    pq.write_table(pa.table({"text": texts}), tmp_path / "rows.parquet")
    printed = example("dedup_parquet.py", "rows.parquet", "--column", "text", "--out", "kept.parquet", home=tmp_path)
    assert "3 rows, 2 kept" in printed
    clusters = pq.read_table(tmp_path / "kept.all.parquet")["cluster"].to_pylist()
    assert clusters[0] == clusters[2] != clusters[1]


def test_score_model(staged, tmp_path):
    """A model that was never trained solves nothing; every program was run."""
    settings = ("--samples", "2", "--max-new-tokens", "6")
    printed = example("score_model.py", staged / "model", *settings, home=tmp_path, HF_ALLOW_CODE_EVAL="1")
    assert "'pass@1': 0.0" in printed
    assert "'programs': 4" in printed


def test_finetune(staged, tmp_path):
    """Two steps of LoRA give a whole model folder, which fills a gap."""
    (tmp_path / "code").mkdir()
    for number in range(40):
        lines = "\n".join(f"def f_{number}_{n}(a, b):\n    return a + b * {number * n}\n" for n in range(6))
        (tmp_path / "code" / f"m{number}.py").write_text(lines)
    example("finetune.py", staged / "model", "code", "out", "--steps", "2", home=tmp_path)
    assert (tmp_path / "out" / "model" / "model.safetensors").is_file()
    assert {} == unexplained_fields(tmp_path / "out")


def test_grpo_reward(staged, tmp_path):
    """One step of GRPO by the passing of tests leaves a model folder."""
    example("grpo_reward.py", staged / "model", "out", "--steps", "1", home=tmp_path, HF_ALLOW_CODE_EVAL="1")
    assert list((tmp_path / "out").rglob("*.safetensors"))


def test_publish(artefacts, hub, tmp_path):
    """Four repositories are staged, and what publishing would change is shown; the Hub stays as it was."""
    env = {name: value for name, value in with_hub(hub, tmp_path / "home").items() if name not in os.environ}
    online = {**env, "HF_HUB_OFFLINE": "0"}
    printed = example("publish.py", artefacts, "repos", "--namespace", "me", home=tmp_path, **online)
    assert "plan=model me/santa new repository" in printed
    assert {} == hub.store.repos
    assert {} == unexplained_fields(tmp_path / "repos")


def test_notebook(staged, tmp_path):
    """Every code cell of the notebook runs, in order."""
    cells = json.loads((ROOT / "notebooks" / "quickstart.ipynb").read_text())["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    (tmp_path / "out" / "demo").mkdir(parents=True)
    (tmp_path / "out" / "demo" / "model").symlink_to(staged / "model")
    (tmp_path / "out" / "demo" / "dataset").symlink_to(staged / "dataset")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=reader(tmp_path), capture_output=True, text=True, check=False
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    assert [] == [cell["outputs"] for cell in cells if cell["cell_type"] == "code" and cell["outputs"]]
