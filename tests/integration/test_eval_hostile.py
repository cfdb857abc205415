"""Programs that try to pass without solving their problem: none does; and right ones that look like a failure pass."""

import runpy
from pathlib import Path

import pytest

import eval_multipl_e
from eval_multipl_e import score
from eval_multipl_e.languages import LANGUAGES
from eval_multipl_e.sandbox import available
from eval_multipl_e.toolchains import missing_tool

FIXTURES = Path(eval_multipl_e.__file__).parent.parent / "tests/fixtures"
PROBLEMS = runpy.run_path(str(FIXTURES / "eval_problems.py"))
HOSTILE = runpy.run_path(str(FIXTURES / "eval_hostile.py"))

pytestmark = pytest.mark.skipif(available() is None, reason="no sandbox works here: see hf-santa eval doctor")


def _marked(code, *rest):
    lacking = missing_tool(LANGUAGES[code])
    marks = [pytest.mark.toolchain, pytest.mark.skipif(lacking is not None, reason=str(lacking))]
    return pytest.param(code, *rest, marks=marks, id=code)


@pytest.fixture(autouse=True)
def _open_gate(monkeypatch):
    monkeypatch.setenv("HF_ALLOW_CODE_EVAL", "1")


def test_there_are_enough_of_every_language():
    """The table has 150 hostile programs or more, and some for every language that can be had."""
    assert sum(map(len, HOSTILE["HOSTILE"].values())) >= 150
    assert set(HOSTILE["HOSTILE"]) == {code for code, row in LANGUAGES.items() if row.is_run_here}


@pytest.mark.slow
@pytest.mark.parametrize("code", [_marked(code) for code in HOSTILE["HOSTILE"]])
def test_no_hostile_program_passes(code):
    """None is OK; some come so far that only the negative control tells them from a right program, which fails it."""
    programs = HOSTILE["programs"](code, PROBLEMS["problem"](code, 3))
    *rows, right = score([[*programs.values(), PROBLEMS["program"](code, "right")]], [""], [code])["results"]
    assert (right["status"], right["control"]) == ("OK", "failed")
    statuses = {name: row["status"] for name, row in zip(programs, rows, strict=True)}
    assert [name for name, status in statuses.items() if status == "OK"] == []
    assert "Vacuous" in statuses.values()


@pytest.mark.slow
@pytest.mark.parametrize(("code", "completion", "cut"), [_marked(*row) for row in HOSTILE["RIGHT"]])
def test_a_right_program_may_look_like_a_failure(code, completion, cut):
    """What a right program prints, and where, costs it nothing; nor does a test without its last sign."""
    row = PROBLEMS["problem"](code, 3)
    tests = row["tests"].rstrip().removesuffix(cut)
    result = score([[completion]], [tests], [code], prompts=[row["prompt"]])["results"][0]
    assert (result["status"], result["control"], result["reason"]) == ("OK", "failed", "")
