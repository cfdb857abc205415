"""Our tasks in lm-evaluation-harness' terms: its data, its stops, and passing as its metric."""

import json

from eval_multipl_e.suite.harness import lm_eval_task


def test_a_task_has_what_the_harness_asks_for(tmp_path, monkeypatch):
    """The configuration's functions give the problems as a split and 1 for a program that passes, else 0."""
    monkeypatch.setenv("HF_ALLOW_CODE_EVAL", "1")
    row = {
        "name": "p",
        "language": "py",
        "prompt": "def f(x):\n",
        "tests": "assert f(1) == 2",
        "stop_tokens": ["\ndef"],
    }
    path = tmp_path / "p.jsonl"
    path.write_text("".join(json.dumps({**row, "name": f"p{i}"}) + "\n" for i in range(3)))
    task = lm_eval_task("humaneval-py", path=path, limit=2)
    split = task["custom_dataset"](anything=1)["test"]
    assert ["p0", "p1"] == split["name"]
    assert ["\ndef"] == task["generation_kwargs"]["until"]
    marks = [task["process_results"](split[0], [text]) for text in ("    return x + 1\ndef g(:", "    exit(0)")]
    assert [{"pass_at_1": 1.0}, {"pass_at_1": 0.0}] == marks
