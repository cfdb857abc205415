"""Each extra brings what its commands need: they run where nothing else is installed, and say so where one is missing."""

import importlib
import os
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

_OURS = {"hf_santa", "data_recipes", "modeling_santa", "eval_multipl_e"}


def _named(requirement):
    return re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-")


def closure(*extras):
    """The distributions that `pip install hf-santa[extras]` brings, by the requirements of what is installed."""
    found, waiting = set(), [("hf-santa", set(extras))]
    while waiting:
        name, wanted = waiting.pop()
        try:
            requirements = distribution(name).requires or []
        except PackageNotFoundError:
            continue  # for another platform or Python
        for line in requirements:
            requirement, _, marker = line.partition(";")
            extra = re.search(r"extra == ['\"]([\w.-]+)['\"]", marker)
            if extra and extra[1] not in wanted:
                continue
            other = _named(requirement)
            more = set(re.findall(r"[\w.-]+", (re.search(r"\[(.*)\]", requirement) or ["", ""])[1]))
            if other == "hf-santa" or other not in found:
                found.add(other)
                waiting.append((other, more))
    return found - {"hf-santa"}


def install(folder, *extras):
    """Link what an installation with these extras would hold into a folder."""
    folder.mkdir()
    for name in _OURS:
        (folder / name).symlink_to(Path(importlib.import_module(name).__file__).parent)
    for name in closure(*extras):
        try:
            files = distribution(name).files or []
        except PackageNotFoundError:
            continue
        for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
            source = Path(distribution(name).locate_file(top))
            if source.exists() and not (folder / top).exists():
                (folder / top).symlink_to(source)
    return folder


def run(extras, *words, cwd, **environment):
    packages = cwd / f"packages-{'-'.join(extras)}"
    if not packages.exists():
        install(packages, *extras)
    command = [sys._base_executable, "-S", "-c", "import sys; from hf_santa.cli import main; sys.exit(main())"]
    everything = {**os.environ, "PYTHONPATH": str(packages), "HF_HUB_OFFLINE": "1", **environment}
    return subprocess.run(
        [*command, *map(str, words)], cwd=cwd, env=everything, capture_output=True, text=True, check=False
    )


@pytest.fixture
def place(tmp_path):
    (tmp_path / "src").mkdir()
    for number in range(12):
        (tmp_path / "src" / f"m{number}.py").write_text(f"# bob@corp.io\ndef f{number}(a):\n    return a * {number}\n")
    (tmp_path / "p.jsonl").write_text('{"name": "a", "language": "py", "prompt": "", "tests": "assert x == 1"}\n')
    (tmp_path / "c.jsonl").write_text('{"name": "a", "language": "py", "completions": ["x = 1\\n"]}\n')
    return tmp_path


def test_the_metric_s_command_needs_no_extra(place):
    """`eval score` of one's own problems runs with at most fifteen packages, torch not among them."""
    brought = closure()
    assert len(brought) <= 15
    assert "torch" not in brought
    done = run(
        (), "eval", "score", "c.jsonl", "--problems", "p.jsonl", "--out", "r.json", cwd=place, HF_ALLOW_CODE_EVAL="1"
    )
    assert 0 == done.returncode, done.stderr
    assert "1.0" in done.stdout


def test_redaction_needs_its_extra_alone(place):
    """`data redact` finds an address with neither presidio nor pyarrow nor torch."""
    assert closure("redact") & {"torch", "presidio-analyzer", "pyarrow", "gradio"} == set()
    done = run(("redact",), "data", "redact", "--check", "src/m1.py", cwd=place)
    assert (1, "src/m1.py:1:3: EMAIL_ADDRESS (email)\n") == (done.returncode, done.stdout), done.stderr


def test_data_recipes_need_no_torch(place):
    """Rows and a recipe are made with the extra `data`, which brings neither torch nor gradio nor presidio."""
    assert closure("data") & {"torch", "presidio-analyzer", "gradio", "transformers"} == set()
    for words in (("data", "rows", "src", "rows"), ("data", "run", "rows", "store"), ("data", "stats", "store")):
        done = run(("data",), *words, cwd=place)
        assert 0 == done.returncode, done.stderr


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (("data", "rows", "src", "rows"), "data"),
        (("data", "redact", "src/m1.py"), "redact"),
        (("model", "complete", "src", "x"), "model"),
        (("tokenizer", "train", "src", "--out", "tok"), "model"),
        (("finetune", "--model", "src", "--source", "src", "--out", "out"), "finetune"),
        (("tune", "src", "--base", "src", "--out", "out"), "finetune"),
        (("demo", "--source", "src", "--out", "out"), "all"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value[:2]),
)
def test_a_missing_extra_is_named(place, words, extra):
    """With the base alone a command says in one line which extra it needs, and does nothing."""
    done = run((), *words, cwd=place)
    assert (2, "") == (done.returncode, done.stdout), done.stderr
    assert 1 == done.stderr.count("\n"), done.stderr
    assert f"pip install 'hf-santa[{extra}]'" in done.stderr
    assert not (place / "out").exists()


def test_an_extra_is_added_without_an_index():
    """The line that a command prints for a missing package: pip knows the extra from what is installed."""
    words = ["install", "--dry-run", "--no-index", "--no-deps", "--disable-pip-version-check", "hf-santa[gguf]"]
    done = subprocess.run([sys.executable, "-m", "pip", *words], capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    assert "hf-santa[gguf]" in done.stdout
    assert "does not provide the extra" not in done.stderr
