"""A training that is stopped goes on to the same bytes, and ends early where nothing gets better."""

import json

import pytest
import torch
from safetensors.torch import load_file

from hf_santa.tune.training import choose_the_plan, train_the_base
from modeling_santa.training import finetune as finetuning
from tests.fixtures.tune_bases import save_base


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_a_stopped_training_goes_on_to_the_same_weights(tmp_path, out, settings, monkeypatch):
    """Stopped in its fourth step of six, with a checkpoint and a look after each second one."""
    settings |= {"base": str(save_base("qwen2.5", tmp_path / "base"))}
    choose_the_plan(out, settings)
    train_the_base(out, settings)
    whole = load_file((out / "model").rename(tmp_path / "whole") / "model.safetensors")
    curve = json.loads((out / "train.json").read_text())
    (out / "checkpoints").rename(tmp_path / "checkpoints")
    plain = finetuning._Trainer.training_step

    def stopped(self, *args, **kwargs):
        if self.state.global_step == 3:
            raise KeyboardInterrupt
        return plain(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(finetuning._Trainer, "training_step", stopped)
        with pytest.raises(KeyboardInterrupt):
            train_the_base(out, settings)
    assert ["checkpoint-2"] == [path.name for path in (out / "checkpoints").glob("checkpoint-*")]
    train_the_base(out, settings)
    again = load_file(out / "model" / "model.safetensors")
    assert whole.keys() == again.keys()
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    assert curve == json.loads((out / "train.json").read_text())


def test_training_ends_where_held_back_samples_get_no_better(tmp_path, out, settings):
    """With a rate that changes nothing the last of the looks is not reached, and the best weights are the result."""
    settings |= {"base": str(save_base("starcoder2", tmp_path / "base")), "lora_rank": 0, "lr": 1e-30}
    settings |= {"steps": 40, "looks": 20}
    choose_the_plan(out, settings)
    train_the_base(out, settings)
    found = json.loads((out / "train.json").read_text())
    assert (8, 40) == (found["steps"], found["planned_steps"])
    model = load_file(out / "model" / "model.safetensors")
    best = load_file(out / "checkpoints" / "best.safetensors")
    assert all(torch.equal(model[name], best[name]) for name in best)
