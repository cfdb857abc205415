"""From a repository with a history and a tiny base to a report, a model, editors' settings and the line that serves it."""

import json
import os
import subprocess
import sys

import pytest

from hf_santa.cli import main
from tests.fixtures.tune_bases import save_base


def text_of(number, later=""):
    return (
        f"def area_{number}(width, height):\n    total = width * height + {number}\n    label = 'area {number * number}'\n"
        f"    return total, label\n\n\nclass Shape{number}:\n    sides = {number % 7}\n\n    def name(self):\n"
        f"        return 'shape' + str({number})\n{later}"
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A repository of 40 files, six of which were gone on with later, and a base."""
    root = tmp_path_factory.mktemp("tune")
    tool = root / "tool"
    tool.mkdir()
    for number in range(40):
        (tool / f"m{number}.py").write_text(text_of(number))
    names = {f"GIT_{who}_{what}": "ada@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}

    def git(*words, date):
        dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
        subprocess.run(["git", "-C", tool, *words], check=True, capture_output=True, env=os.environ | names | dates)

    git("init", "--quiet", date="2026-01-01T12:00:00")
    for date, later in (("2026-01-01T12:00:00", ""), ("2026-03-01T12:00:00", "later")):
        for number in range(6) if later else ():
            added = f"\n    def volume_{number}(self, depth):\n        cube = depth ** {number + 3}\n        return cube, depth\n"
            (tool / f"m{number}.py").write_text(text_of(number, added))
        git("add", ".", date=date)
        git("commit", "--quiet", "-m", "x", date=date)
    save_base("santacoder", root / "base")
    return root


@pytest.mark.slow
def test_a_repository_and_a_base_become_a_measured_autocomplete(place, tmp_path, capfd):
    """All that is promised is written; the same command again does nothing anew; another one in the folder is told."""
    out = tmp_path / "out"
    words = [
        "tune",
        place / "tool",
        "--since",
        "2026-02-01",
        "--base",
        place / "base",
        "--out",
        out,
        "--gaps",
        "18",
        "--heldout",
        "0.3",
    ]
    words += [
        "--recipe",
        "base",
        "--steps",
        "6",
        "--looks",
        "3",
        "--batch-size",
        "2",
        "--seq-len",
        "128",
        "--lr",
        "0.01",
    ]
    assert 0 == main([*map(str, words)])
    lines = capfd.readouterr().out.splitlines()
    assert [f"report {out / 'index.html'}", f"model  {out / 'model'}"] == lines[-3:-1]
    assert lines[-1].startswith(f"serve  llama-server -m {out / 'gguf' / 'model-'}")
    results = json.loads((out / "results.json").read_text())
    assert {"all", "rest_of_line", "line", "block", "time", "file"} == results["measures"].keys()
    assert results["measures"]["all"]["bits_per_byte"]["gain"] < 0
    assert 0 == results["heldout"]["literal_copies"]
    assert 0.5 < results["memory"]["peak_bytes"] / results["memory"]["estimated_bytes"] < 2
    assert 6 == len(results["serve"]["editors"])
    assert "Was it worth tuning?" in (out / "index.html").read_text()
    before = (out / "manifest.json").read_bytes()
    assert 0 == main([*map(str, words)])
    assert 8 == capfd.readouterr().out.count("up to date")
    assert before == (out / "manifest.json").read_bytes()


def test_no_held_out_left_is_told(place, tmp_path):
    """A later state without a new line, and no file held back: what was found stands in the message."""
    words = [place / "tool", "--later", place / "tool", "--heldout", "0.000001", "--base", place / "base"]
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from hf_santa.cli import main; sys.exit(main())",
            "tune",
            *map(str, words),
            "--recipe",
            "base",
            "--out",
            str(tmp_path / "out"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert 2 == done.returncode
    assert "no held-out gap is left" in done.stderr
