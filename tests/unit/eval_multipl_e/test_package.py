"""The package's door, its problems and its commands."""

import argparse
import ast
import json
import re
from pathlib import Path

import pytest

import eval_multipl_e
from eval_multipl_e import cli
from eval_multipl_e.suite.cli_score import joined
from eval_multipl_e.suite.problems import cut_at_stop, read_problems
from hf_santa.sampling import model_sampling

ROOM = Path(eval_multipl_e.__file__).parent
PROBLEMS = ROOM.parent / "hf_santa/problems.jsonl"


def _parse(*words):
    parser = argparse.ArgumentParser()
    cli.add_commands(parser.add_subparsers(), model_sampling)
    return parser.parse_args(["eval", *map(str, words)])


def test_public_names_are_few_real_and_documented():
    """Each public name exists, is no module, and has words; there are at most ten."""
    assert len(eval_multipl_e.__all__) <= 10
    assert sorted(eval_multipl_e.__all__) == eval_multipl_e.__all__ == dir(eval_multipl_e)
    for name in eval_multipl_e.__all__:
        value = getattr(eval_multipl_e, name)
        assert type(value).__name__ != "module"
        assert not callable(value) or value.__doc__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = eval_multipl_e.nothing


def test_the_entry_file_imports_all_that_its_siblings_need():
    """Every file that an entry import reaches is imported by the entry file itself, as evaluate demands."""
    direct = _siblings("eval_multipl_e")
    assert {name for file in direct for name in _siblings(file)} <= direct


def _siblings(file):
    """The modules of this room that a file imports, written `from .name import x` or `from . import name`."""
    tree = ast.parse((ROOM / f"{file}.py").read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 1]
    return {name for node in imports for name in ([node.module] if node.module else [a.name for a in node.names])}


def test_the_demo_problems_are_eight_ideas_in_three_languages():
    """24 problems of MultiPL-E's schema, small, with a solution that no stop token cuts."""
    rows = read_problems(PROBLEMS)
    ideas = {code: [row["name"] for row in rows if row["language"] == code] for code in ("py", "js", "java")}
    assert [len(names) for names in ideas.values()] == [8, 8, 8]
    assert ideas["py"] == ideas["js"] == ideas["java"]
    for row in rows:
        assert {"doctests", "original", "prompt_terminology"} < set(row)
        assert re.fullmatch(r"SANTA_\d_[a-z_]+", row["name"])
        assert len(row["prompt"]) <= 600
        assert row["canonical_solution"] == cut_at_stop(row["canonical_solution"], row["stop_tokens"])
        assert "javatuples" not in row["prompt"]


def test_score_refuses_without_the_gate_and_writes_nothing(tmp_path, monkeypatch, run_command):
    """`eval score` without HF_ALLOW_CODE_EVAL=1 is exit code 2, one message, and no file."""
    monkeypatch.delenv("HF_ALLOW_CODE_EVAL", raising=False)
    problem = {"name": "p", "language": "py", "prompt": "", "tests": ""}
    (tmp_path / "p.jsonl").write_text(json.dumps(problem), encoding="utf-8")
    (tmp_path / "c.jsonl").write_text(json.dumps({**problem, "completions": [""]}), encoding="utf-8")
    files = (tmp_path / "c.jsonl", "--problems", tmp_path / "p.jsonl", "--out", tmp_path / "r.json")
    code, _, err = run_command("eval", "score", *files)
    assert code == 2
    assert "HF_ALLOW_CODE_EVAL is not set to 1" in err
    assert not (tmp_path / "r.json").exists()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["p", "x"], "1 completions are of no known problem"),
        ([], "1 problems have no completions"),
        (["p", "p"], "more"),
    ],
)
def test_completions_must_belong_to_the_problems(names, message):
    """Unknown, lacking and double rows of completions are errors."""
    problems = [{"name": "p", "language": "py"}]
    rows = [{"name": name, "language": "py", "completions": ["a"]} for name in names]
    with pytest.raises(ValueError, match=message):
        joined(problems, rows)
