"""The ladder of shapes: more operations never buy a smaller model, and too few buy none."""

import pytest
import torch

from modeling_santa.training.loop import budget
from modeling_santa.training.loop.team import Team


def test_more_operations_never_buy_less():
    """Width and tokens for each parameter, over fourteen powers of ten; the report's own budget buys the top of the ladder."""
    choices = [budget.choose(10.0**power) for power in range(10, 22)]
    assert [choice.shape.n_embd for choice in choices] == sorted(choice.shape.n_embd for choice in choices)
    for choice in choices:
        is_lowest = choice.shape == budget.LADDER[0]
        assert is_lowest or choice.tokens >= budget.TOKENS_PER_PARAMETER * choice.parameters
    assert choices[-1].shape == budget.LADDER[-1]


def test_too_little_is_said():
    """Less than one step of the smallest shape."""
    with pytest.raises(ValueError, match="not enough for one step of the smallest model"):
        budget.choose(1e6)


def test_every_rung_is_a_model():
    """Heads divide widths, and each rung costs more a token than the one below it."""
    sizes = []
    for shape in budget.LADDER:
        with torch.device("meta"):
            sizes.append(sum(p.numel() for p in budget.SantaForCausalLM(shape.config()).parameters()))
    assert sizes == sorted(sizes)


def test_the_rate_is_measured_here(monkeypatch):
    """A few steps are taken and timed; the answer is a plausible number of operations a second."""
    monkeypatch.setattr(budget, "TIMED", budget.LADDER[0])
    monkeypatch.setattr(budget, "TIMED_STEPS", 2)
    assert 1e7 < budget.flops_a_second(Team()) < 1e14
