"""Muon in float32 on machines without bfloat16 units: the same update, and chosen by the machine."""

import pytest
import torch

from modeling_santa.training.loop import muon
from modeling_santa.training.loop.muon import FittedMuon


@pytest.mark.parametrize("adjust", [None, "match_rms_adamw"])
@pytest.mark.parametrize("shape", [(16, 48), (48, 16)])
def test_updates_are_torchs_up_to_its_rounding(shape, adjust):
    """After five steps the weights differ from torch's bfloat16 ones by 3 % of what the steps changed at most."""
    torch.manual_seed(0)
    start = torch.randn(shape)
    ours, theirs = (start.clone().requires_grad_() for _ in range(2))
    settings = {"lr": 0.02, "weight_decay": 0.1, "adjust_lr_fn": adjust}
    optimizers = FittedMuon([ours], dtype=torch.float32, **settings), torch.optim.Muon([theirs], **settings)
    for _ in range(5):
        gradient = torch.randn(shape)
        for weight, optimizer in zip((ours, theirs), optimizers, strict=True):
            weight.grad = gradient.clone()
            optimizer.step()
    moved = (theirs - start).norm()
    assert (ours - theirs).norm() < 0.03 * moved
    assert moved > 0.01


@pytest.mark.parametrize(("is_fast", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_the_dtype_is_the_machines(monkeypatch, is_fast, expected):
    """With bfloat16 units torch's own step is taken, without them float32."""
    monkeypatch.setattr(muon, "has_fast_bf16", lambda: is_fast)
    assert expected == FittedMuon([torch.ones(2, 3, requires_grad=True)]).dtype
