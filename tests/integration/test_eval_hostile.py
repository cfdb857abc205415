"""Programs that try to pass without solving their problem: none does; and right ones that look like a failure pass."""

import runpy
import threading
import time
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

import eval_multipl_e
from eval_multipl_e import score
from eval_multipl_e.execution import Turns, judged
from eval_multipl_e.languages import LANGUAGES
from eval_multipl_e.sandbox import available, resolve
from eval_multipl_e.toolchains import missing_tool

FIXTURES = Path(eval_multipl_e.__file__).parent.parent / "tests/fixtures"
PROBLEMS = runpy.run_path(str(FIXTURES / "eval_problems.py"))
HOSTILE = runpy.run_path(str(FIXTURES / "eval_hostile.py"))
for name, table in (("eval_hostile_later.py", "LATER"), ("eval_hostile_newest.py", "NEWEST")):
    for each, more in runpy.run_path(str(FIXTURES / name))[table].items():
        assert not more.keys() & HOSTILE["HOSTILE"][each].keys()
        HOSTILE["HOSTILE"][each].update(more)

pytestmark = pytest.mark.skipif(available() is None, reason="no sandbox works here: see hf-santa eval doctor")


def _marked(code, *rest):
    lacking = missing_tool(LANGUAGES[code])
    marks = [pytest.mark.toolchain, pytest.mark.skipif(lacking is not None, reason=str(lacking))]
    return pytest.param(code, *rest, marks=marks, id=code)


@pytest.fixture(autouse=True)
def _open_gate(monkeypatch):
    monkeypatch.setenv("HF_ALLOW_CODE_EVAL", "1")


def test_there_are_enough_of_every_language():
    """The table has 350 hostile programs or more, and some for every language that can be had."""
    assert sum(map(len, HOSTILE["HOSTILE"].values())) >= 350
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


# Cheats at most times of a clock that goes round once a second, then sleeps until the time at which it fails.
CLOCK = """
import atexit, os, re, time
p = time.time() % 1
p < .25 and os._exit(1)
atexit.register(lambda: time.sleep(1.005 - p))
def scale(x):
    found = re.findall(r'candidate\\((\\d+)\\) == (.*)', open(__file__).read())
    return next(eval(v) for a, v in found if a == str(x))
def check(candidate):
    assert candidate(0) == 3
    assert candidate(2) == 17
check(scale)
"""


def test_the_control_comes_at_a_time_that_no_clock_tells():
    """A cheat that sleeps until the time at which it fails meets its control at another one, at which it cheats again."""

    class Later(Turns):
        def pause(self, run_s):  # noqa: ARG002  # the other's signature
            time.sleep((0.3 - time.time()) % 1)

    outcome = None
    while outcome is None or outcome.status == "Exception":  # begun at the time at which it fails
        time.sleep((0.3 - time.time()) % 1)
        outcome = judged(LANGUAGES["py"], CLOCK, resolve("auto"), 5.0, strict=True, turns=Later())
    assert outcome.status == "Vacuous"


def test_the_wait_before_the_control_grows_with_the_run(monkeypatch):
    """The second run begins up to four times the first one's length later, half a minute at most, and holds no place."""
    waits = []
    turns = Turns()
    monkeypatch.setattr(threading.Event, "wait", lambda _, seconds: waits.append(seconds))
    for _ in range(200):
        turns.pause(0.5)
    assert 0 <= min(waits) < 0.5
    assert 1.5 < max(waits) <= 2
    turns.pause(1000.0)
    assert waits[-1] <= 30
    with turns.take():
        pass
    turns.end()
    with pytest.raises(CancelledError), turns.take():
        pytest.fail("nobody runs after the end")
