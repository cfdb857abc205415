"""Plans, the learning curve, trackers, and the texts of each kind of source."""

import io
import json
import math
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from modeling_santa.corpus.texts import read_texts
from modeling_santa.training.loop.curve import Curve, tracker
from modeling_santa.training.loop.plan import TrainingPlan, optimizers_for


def test_the_report_s_settings(tiny_model):
    """Adam for every weight at 2e-4, 0.9/0.95, decay 0.1 on matrices alone, 192 sequences, no limit of time."""
    plan = TrainingPlan.report(300_000)
    (adam,) = optimizers_for(tiny_model, plan)
    assert isinstance(adam, torch.optim.AdamW)
    assert [(0.1, (0.9, 0.95)), (0.0, (0.9, 0.95))] == [(g["weight_decay"], g["betas"]) for g in adam.param_groups]
    assert {id(p) for p in tiny_model.parameters()} == {id(p) for g in adam.param_groups for p in g["params"]}
    assert (2e-4, 192, 1.0, math.inf) == (plan.other_lr, plan.batch_size, plan.clip, plan.time_limit_s)
    assert (2e-4,) == plan.rates(5999)
    assert plan.rates(299_999)[0] < 1e-12


def test_muon_s_plan_has_every_weight_once(tiny_model):
    """The blocks' matrices go to Muon, the others to Adam, none to both."""
    muon, adam = optimizers_for(tiny_model, TrainingPlan(steps=1))
    found = [id(p) for optimizer in (muon, adam) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(found) == sorted({id(p) for p in tiny_model.parameters()})


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((100, 512, 600), "the tokenizer has 600 tokens, the model a vocabulary of 512"),
        ((3, 512, 500), "3 samples, fewer than a batch of 8"),
        ((100, 512, 500), r"50 steps of 8 need 400 samples, the corpus gives 100 .*at most 25"),
    ],
)
def test_what_does_not_fit_a_plan_is_named(numbers, message):
    """Vocabulary, batch and steps, each with its numbers."""
    with pytest.raises(ValueError, match=message):
        TrainingPlan(steps=50, max_epochs=2).check(*numbers)


def test_the_curve_is_quiet_in_a_log():
    """Without a terminal: the first step, then one line every so often, and the last."""
    out = io.StringIO()
    curve = Curve(100, stream=out, every_s=1000)
    for step in range(1, 101):
        curve({"step": step, "loss": 5 - step / 50})
    assert ["step 1/100 loss 4.980", "step 100/100 loss 3.190"] == out.getvalue().splitlines()


def test_the_curve_is_drawn_in_a_terminal():
    """One line that is drawn over, with blocks that fall."""
    out = io.StringIO()
    out.isatty = lambda: True
    curve = Curve(2, stream=out)
    curve({"step": 1, "loss": 4.0})
    curve.shown_at = 0.0
    curve({"step": 2, "loss": 2.0, "heldout_bits_per_byte": 1.5})
    assert out.getvalue().startswith("\r\x1b[K")
    assert "\u2588\u2581 step 2/2 loss 3.000 held-out 1.500 bits/byte\n" in out.getvalue()


def test_nothing_is_reported_unless_asked(monkeypatch):
    """`none` sends nothing; a package that is not there is named; one that is there gets the records."""
    assert tracker("none", {})({"step": 1, "loss": 1.0}) is None
    with pytest.raises(ValueError, match="report_to='mlflow' is unknown"):
        tracker("mlflow", {})
    monkeypatch.setattr("modeling_santa.training.loop.curve.find_spec", lambda _: None)
    with pytest.raises(ValueError, match="but wandb is not installed"):
        tracker("wandb", {})
    sent = []
    double = SimpleNamespace(init=lambda **settings: sent.append(settings), log=sent.append)
    monkeypatch.setattr("modeling_santa.training.loop.curve.find_spec", lambda _: True)
    monkeypatch.setattr("modeling_santa.training.loop.curve.import_module", lambda _: double)
    tracker("trackio", {"steps": 3})({"step": 1, "loss": 2.0})
    assert [{"project": "hf-santa", "config": {"steps": 3}}, {"loss": 2.0}] == sent


def test_texts_of_files(tmp_path):
    """Parquet, JSON lines and a tree give the same texts; binary, hidden and large files of a tree are left out."""
    texts = ["a = 1\n", "b = '\u00e9'\n"]
    pq.write_table(pa.table({"code": texts}), tmp_path / "x.parquet")
    (tmp_path / "x.jsonl").write_text("".join(json.dumps({"code": text}) + "\n" for text in texts))
    tree = tmp_path / "tree"
    tree.mkdir()
    for name, raw in {
        "a.py": texts[0].encode(),
        "b.py": texts[1].encode(),
        ".c": b"c",
        "d": b"\0",
        "e": b"\xff",
    }.items():
        (tree / name).write_bytes(raw)
    (tree / "f.py").write_text("f" * 1_000_001)
    assert texts == list(read_texts(tmp_path / "x.parquet", column="code"))
    assert texts == list(read_texts(tmp_path / "x.jsonl", column="code"))
    assert texts == list(read_texts(tree))
    for name in ("x.parquet", "x.jsonl"):
        with pytest.raises(ValueError, match=r"has no column 'content'\..*ound: code"):
            list(read_texts(tmp_path / name))
