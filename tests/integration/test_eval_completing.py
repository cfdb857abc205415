"""`hf-santa eval complete`, `merge` and `score` with tiny models, real programs, kills and shards."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from eval_multipl_e import cli, single_line_tasks
from eval_multipl_e.suite.problems import read_problems
from hf_santa.cli import main

sys.path.insert(0, str(Path(__file__).parents[1] / "fixtures"))
from eval_models import save

PROBLEMS = Path(cli.__file__).parents[1] / "hf_santa/problems.jsonl"


def _command(*words):
    return main(["eval", *map(str, words)])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("completing")
    save("starcoder", folder / "model")
    rows = [row for row in read_problems(PROBLEMS) if row["language"] == "py"][:4]
    (folder / "p.jsonl").write_text("".join(json.dumps({**row, "prompt": row["prompt"][-40:]}) + "\n" for row in rows))
    tasks = single_line_tasks(rows, per_problem=1)
    (folder / "i.jsonl").write_text("".join(json.dumps(task) + "\n" for task in tasks))
    return folder


def _complete(place, out, *more, model="model", task="humaneval-py", problems="p.jsonl"):
    words = ("--model", place / model, "--task", task, "--problems", place / problems, "--out", out)
    return _command("complete", *words, "--max-new-tokens", 8, "--temperature", 0.8, *more)


def test_shards_of_a_model_merge_to_the_unsharded_run(place, tmp_path, monkeypatch, capsys):
    """Three shards completed, merged, scored in three shards and merged again give the unsharded files and scores."""
    monkeypatch.setenv("HF_ALLOW_CODE_EVAL", "1")
    more = ("--samples", 2, "--batch-size", 2)
    assert 0 == _complete(place, tmp_path / "whole.jsonl", *more)
    assert "step=complete task=humaneval-py form=starcoder shard=0/1 problems=4 rows=8" in capsys.readouterr().out
    parts = [tmp_path / f"c{i}.jsonl" for i in range(3)]
    for i, part in enumerate(parts):
        assert 0 == _complete(place, part, *more, "--shard", f"{i}/3")
    assert 0 == _command("merge", *parts, "--out", tmp_path / "merged.jsonl")
    assert (tmp_path / "whole.jsonl").read_bytes() == (tmp_path / "merged.jsonl").read_bytes()
    scores = [tmp_path / f"r{i}.json" for i in range(3)]
    source = (tmp_path / "merged.jsonl", "--problems", place / "p.jsonl", "--out")
    for i, path in enumerate(scores):
        assert 0 == _command("score", *source, path, "--shard", f"{i}/3")
    assert 0 == _command("merge", *scores, "--out", tmp_path / "merged.json")
    assert 0 == _command("score", *source, tmp_path / "whole.json")
    assert _without_times(tmp_path / "whole.json") == _without_times(tmp_path / "merged.json")


def _without_times(path):
    found = json.loads(path.read_text(encoding="utf-8"))
    return {**found, "results": [{**row, "seconds": 0, "stderr": ""} for row in found["results"]]}


def test_the_batch_size_changes_no_text(place, tmp_path):
    """Completions are the same one by one and five at a time."""
    texts = []
    for size in (1, 5):
        _complete(place, tmp_path / f"{size}.jsonl", "--samples", 2, "--batch-size", size)
        texts.append((tmp_path / f"{size}.jsonl").read_bytes())
    assert texts[0] == texts[1]
    _complete(place, tmp_path / "other.jsonl", "--samples", 2, "--seed", 1)
    assert texts[0] != (tmp_path / "other.jsonl").read_bytes()


def test_our_own_model_completes_and_infills(tmp_path, place, monkeypatch, capsys):
    """A saved SantaCoder folder is opened with its own code, asked in its own form, and its infills are run."""
    monkeypatch.setenv("HF_ALLOW_CODE_EVAL", "1")
    save("santacoder", place / "santa")
    more = ("--trust-remote-code", "--batch-size", 3)
    out = tmp_path / "i.jsonl"
    assert 0 == _complete(place, out, *more, model="santa", task="infill", problems="i.jsonl")
    assert "form=santacoder" in capsys.readouterr().out
    assert 0 == _command("score", out, "--problems", place / "i.jsonl", "--out", tmp_path / "r.json")
    assert {"exact_match/strip", "exact_match/first_line", "pass@1"} <= set(
        json.loads((tmp_path / "r.json").read_text())
    )


def test_right_middles_pass_when_run(tmp_path, place, monkeypatch):
    """The masked lines themselves, put back, match exactly and pass; a wrong one neither matches nor passes."""
    monkeypatch.setenv("HF_ALLOW_CODE_EVAL", "1")
    tasks = [json.loads(line) for line in (place / "i.jsonl").read_text().splitlines()]
    rows = [{"name": t["name"], "language": t["language"], "completions": [t["middle"]]} for t in tasks]
    rows[0]["completions"] = ["    return undefined_name\n"]
    (tmp_path / "c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ("--problems", place / "i.jsonl", "--task", "infill", "--out", tmp_path / "r.json")
    assert 0 == _command("score", tmp_path / "c.jsonl", *words)
    found = json.loads((tmp_path / "r.json").read_text())
    assert 0.75 == found["pass@1"] == found["exact_match/strip"] == found["exact_match/first_line"]


def test_docstrings_are_completed_and_scored(tmp_path, place, capsys):
    """The docstring task runs greedily from CodeXGLUE's rows to a BLEU score; nothing is executed, no gate is asked."""
    row = {
        "code": 'def f():\n    """One."""\n',
        "docstring": "One.",
        "docstring_tokens": ["One", "."],
        "func_name": "f",
    }
    (place / "d.jsonl").write_text(json.dumps(row) + "\n")
    assert 0 == _complete(place, tmp_path / "d.jsonl", task="docstring", problems="d.jsonl")
    assert 0 == _command("score", tmp_path / "d.jsonl", "--problems", place / "d.jsonl", "--out", tmp_path / "r.json")
    assert "bleu" in capsys.readouterr().out


def test_completions_of_other_problems_are_refused(place, tmp_path, capsys):
    """Scoring with other problems than were completed is an error before anything runs."""
    _complete(place, tmp_path / "c.jsonl", "--samples", 1, "--limit", 2)
    changed = [json.loads(line) for line in (place / "p.jsonl").read_text().splitlines()]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps({**row, "tests": "pass"}) + "\n" for row in changed))
    words = ("--problems", tmp_path / "p.jsonl", "--out", tmp_path / "r.json")
    assert 2 == _command("score", tmp_path / "c.jsonl", *words)
    assert "was made for other problems" in capsys.readouterr().err
    assert not (tmp_path / "r.json").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--task", "humaneval-cobol"), "task 'humaneval-cobol' is unknown"),
        (("--shard", "3/3"), "Write i/n"),
        (("--out", "/proc/none/c.jsonl"), "--out /proc/none/c.jsonl can't be written"),
        (("--samples", "0"), "--samples is 0"),
        (("--batch-size", "0"), "--batch-size is 0"),
        (("--top-p", "2"), "--top-p is 2"),
        (("--form", "incoder"), "lacks <|mask:0|>"),
        (("--problems", "nothing.jsonl"), "nothing.jsonl"),
        (("--model", "./nothing"), "there is no model folder ./nothing"),
    ],
)
def test_a_wrong_argument_is_one_line(place, tmp_path, capsys, words, message):
    """Each mistake on the command line is exit code 2 and one line that says what was seen."""
    assert 2 == _complete(place, tmp_path / "c.jsonl", *words)
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


_KILLED = """
import os, signal, sys
from pathlib import Path
from eval_multipl_e.suite.completing import Continued, complete_to_file
problems = [{"name": str(i), "language": "py", "prompt": "x", "stop_tokens": []} for i in range(6)]
calls = []
def answer(prompts):
    calls.append(1)
    if len(calls) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return [Continued(prompt.key, "token", 0) for prompt in prompts]
complete_to_file(problems, answer, Path(sys.argv[1]), settings={}, n=2, batch_size=3)
"""


def test_a_process_killed_for_good_loses_at_most_a_batch(tmp_path):
    """After SIGKILL in the third batch the file holds two, and the next process ends with an unkilled run's bytes."""

    def run(name, at):
        return subprocess.run([sys.executable, "-c", _KILLED, tmp_path / name, str(at)], check=False).returncode

    assert 0 == run("whole.jsonl", 0)
    assert -signal.SIGKILL == run("c.jsonl", 3)
    assert 6 == (tmp_path / "c.jsonl").read_text().count(os.linesep)
    assert 0 == run("c.jsonl", 0)
    assert (tmp_path / "whole.jsonl").read_bytes() == (tmp_path / "c.jsonl").read_bytes()
