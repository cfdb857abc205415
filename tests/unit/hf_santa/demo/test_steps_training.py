"""The demo's training: what it says when time was short, and which runs go on from which checkpoints."""

import argparse
import json
from dataclasses import replace

import pytest

from hf_santa.cli import main
from hf_santa.demo.cli import _budget
from hf_santa.demo.steps_training import checkpoints_of, short_of_time
from modeling_santa.training.loop.plan import TrainingPlan


def test_a_training_that_had_too_little_time_says_what_it_is_worth():
    """The steps taken, the comparison with the unigram table, and the flag with which it goes on."""
    good, bad = short_of_time(400, 878, 6.0, 2.0, 2.8), short_of_time(9, 878, 0.5, 3.1, 2.8)
    assert "6 minutes were enough for 400 of 878 steps" in good
    assert "is better than a table" in good
    assert "is NOT better than a table of how often each token occurs (3.100 against 2.800 bits a byte)" in bad
    assert "--max-minutes 1: it goes on" in bad


def test_more_time_goes_on_from_the_same_checkpoints(tmp_path):
    """Another limit of time is the same run; another seed is not, and the folder of the first is removed."""
    (tmp_path / "corpus" / "train").mkdir(parents=True)
    (tmp_path / "corpus" / "train" / "corpus.json").write_text(json.dumps({"tokens": 1}))
    plan = TrainingPlan(steps=9, time_limit_s=60.0)
    first = checkpoints_of(tmp_path, plan, {})
    assert first == checkpoints_of(tmp_path, replace(plan, time_limit_s=600.0), {})
    assert first != checkpoints_of(tmp_path, replace(plan, seed=1), {})
    assert not first.exists()


@pytest.mark.parametrize("flag", ["--max-minutes", "--minutes"])
@pytest.mark.parametrize("minutes", ["0", "-1", "nan"])
def test_no_time_is_refused(flag, minutes, tmp_path, capsys):
    """Zero, negative and no number at all."""
    assert main(["demo", "--out", str(tmp_path), f"{flag}={minutes}"]) == 2
    assert "Give a number above 0" in capsys.readouterr().err


def test_a_time_too_short_for_a_step_is_refused(tmp_path, capsys):
    """The message says what it is not enough for, and nothing is begun."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "one.py").write_text("x = 1\n")
    out = tmp_path / "out"
    assert main(["demo", "--source", str(tmp_path / "code"), "--out", str(out), "--minutes=1e-6"]) == 2
    assert "not enough for one step of the smallest model" in capsys.readouterr().err
    assert not out.exists()


def test_what_the_minutes_chose_is_kept(tmp_path):
    """A second run takes the first one's model, however fast the machine is by then; other minutes choose anew."""
    budget = argparse.Namespace(minutes=0.5, out=tmp_path)
    first = _budget(budget)
    assert first["shape"]["n_embd"] % first["shape"]["n_head"] == 0
    assert (first["max_minutes"], _budget(budget)) == (0.5, first)
    (tmp_path / "budget.json").write_text('{"minutes": 0.5')
    assert _budget(budget)["max_minutes"] == 0.5
    assert _budget(argparse.Namespace(minutes=50.0, out=tmp_path))["train_tokens"] > first["train_tokens"]
