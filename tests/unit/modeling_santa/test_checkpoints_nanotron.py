"""Checkpoints of nanotron become canonical and back bit for bit, without nanotron; a bad one is refused by name."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from modeling_santa import convert_checkpoint
from modeling_santa.checkpoints_nanotron import is_nanotron
from modeling_santa.configuration_santa import SantaConfig
from modeling_santa.modeling_santa import SantaForCausalLM
from modeling_santa.tokenizer.train import save_tokenizer
from modeling_santa.training.nanotron.launch import check_checkpoint
from modeling_santa.training.nanotron.recipes import RUN_RECIPES, as_config


@pytest.fixture(params=["multi_query-float32", "multi_query-bfloat16", "multi_head-float32", "multi_head-bfloat16"])
def canonical(request, tiny_config, tokenizer, tmp_path):
    """A canonical folder with its tokenizer."""
    heads, dtype = request.param.split("-")
    torch.manual_seed(5)
    config = SantaConfig(**{**tiny_config.to_dict(), "multi_query": heads == "multi_query"})
    SantaForCausalLM(config).to(getattr(torch, dtype)).save_pretrained(tmp_path / "canonical")
    save_tokenizer(tokenizer, tmp_path / "canonical", n_positions=config.n_positions)
    return tmp_path / "canonical"


def test_there_and_back_is_bit_exact(canonical, tmp_path):
    """Canonical to nanotron to canonical: the same bytes of weights, the same shape, tokenizer and special ids."""
    there = convert_checkpoint(canonical, tmp_path / "nanotron", layout="nanotron")
    assert is_nanotron(there)
    back = convert_checkpoint(there, tmp_path / "back")
    assert (canonical / "model.safetensors").read_bytes() == (back / "model.safetensors").read_bytes()
    assert (canonical / "tokenizer.json").read_bytes() == (back / "tokenizer.json").read_bytes()
    before, after = (json.loads((folder / "config.json").read_text()) for folder in (canonical, back))
    kept = ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head", "multi_query", "eos_token_id", "bos_token_id")
    assert {name: before[name] for name in kept} == {name: after[name] for name in kept}
    assert before["dtype"] == after["dtype"]


@pytest.fixture
def checkpoints(tiny_config, tmp_path):
    """A folder of checkpoints with one, of step 3, as a run leaves it."""
    SantaForCausalLM(tiny_config).save_pretrained(tmp_path / "model")
    folder = tmp_path / "checkpoints"
    convert_checkpoint(tmp_path / "model", folder / "3", layout="nanotron")
    (folder / "latest.txt").write_text("3")
    (folder / "3" / "config.yaml").write_text(json.dumps(config_of(tiny_config)))
    return folder


def config_of(tiny, **changed):
    config = as_config(RUN_RECIPES["cpu"])
    config["model"]["model_config"] |= {
        "vocab_size": tiny.vocab_size,
        "hidden_size": tiny.n_embd,
        "num_hidden_layers": tiny.n_layer,
        "num_attention_heads": tiny.n_head,
        "intermediate_size": 4 * tiny.n_embd,
        **changed,
    }
    return config


def edit(path, change):
    state = load_file(path)
    save_file(change(state), path)


NORM = "model/model/final_layer_norm/pp_block"
DAMAGES = {
    "shape": (lambda _: {"data": torch.ones(3)}, r"of another shape: transformer.ln_f.bias \(3,\), expected \(32,\)"),
    "dtype": (lambda s: {"data": s["data"].half()}, "tensors of torch.float16 and torch.float32, expected one dtype"),
    "kind": (lambda s: {"data": s["data"].int()}, r"not floating point: transformer.ln_f.bias \(torch.int32\)"),
    "nan": (lambda s: {"data": s["data"] * torch.nan}, "not finite: transformer.ln_f.bias"),
    "more": (lambda s: {**s, "more": torch.ones(1)}, "holds data, more, expected 'data' alone"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_wrong_tensor_is_named(checkpoints, tmp_path, damage):
    """Another shape, dtype or kind, a value that is no number, a second tensor: converted by no means."""
    change, message = DAMAGES[damage]
    edit(checkpoints / "3" / NORM / "model_bias.safetensors", change)
    with pytest.raises(ValueError, match=message):
        convert_checkpoint(checkpoints, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_wrong_file_is_named(checkpoints, tmp_path):
    """An extra tensor, a shard of a split model, a missing and a cut file, a checkpoint that is gone."""
    bias = checkpoints / "3" / NORM / "model_bias.safetensors"
    whole = bias.read_bytes()
    extra = checkpoints / "3" / "model" / "model" / "extra" / "model_weight.safetensors"
    extra.parent.mkdir()
    extra.write_bytes(whole)
    with pytest.raises(ValueError, match=r"not part of the model: transformer.model.extra.weight"):
        convert_checkpoint(checkpoints, tmp_path / "out")
    extra.rename(extra.with_name("model_weight_pp-rank-0-of-1_tp-rank-1-of-2.safetensors"))
    with pytest.raises(ValueError, match=r"neither a weight nor a bias of an unsplit model. Train with tp=1"):
        convert_checkpoint(checkpoints, tmp_path / "out")
    for file in extra.parent.iterdir():
        file.unlink()
    bias.write_bytes(whole[:-4])
    with pytest.raises(ValueError, match=r"model_bias.safetensors cannot be read .* The file is damaged"):
        convert_checkpoint(checkpoints, tmp_path / "out")
    bias.unlink()
    with pytest.raises(ValueError, match=r"are missing: transformer.ln_f.bias"):
        convert_checkpoint(checkpoints, tmp_path / "out")
    (checkpoints / "latest.txt").write_text("9")
    with pytest.raises(ValueError, match=r"names '9', which is no checkpoint"):
        convert_checkpoint(checkpoints, tmp_path / "out")


def test_a_llama_is_no_santacoder(checkpoints, tmp_path):
    """A checkpoint of another model is refused, with the fields that it lacks."""
    (checkpoints / "3" / "model_config.json").write_text('{"is_llama_config": true, "hidden_size": 8}')
    with pytest.raises(ValueError, match=r"is not that of a SantaCoder \(missing: attn_pdrop"):
        convert_checkpoint(checkpoints, tmp_path / "out")


def test_a_run_goes_on_only_from_its_own_checkpoint(checkpoints, tiny_config):
    """The newest step is found; another width, dtype or batch is refused with both values."""
    assert 3 == check_checkpoint(config_of(tiny_config), checkpoints)
    assert 0 == check_checkpoint(config_of(tiny_config), checkpoints / "none")
    (checkpoints / "none").mkdir()
    (checkpoints / "none" / "latest.txt").write_text("7\n")
    with pytest.raises(ValueError, match="says '7', which is no checkpoint beside it"):
        check_checkpoint(config_of(tiny_config), checkpoints / "none")
    with pytest.raises(ValueError, match="has hidden_size 32, the configuration 64"):
        check_checkpoint(config_of(tiny_config, hidden_size=64), checkpoints)
    half = config_of(tiny_config)
    half["model"]["dtype"] = "bfloat16"
    with pytest.raises(ValueError, match="has dtype float32, the configuration bfloat16"):
        check_checkpoint(half, checkpoints)
    larger = config_of(tiny_config)
    larger["tokens"]["micro_batch_size"] = 16
    with pytest.raises(ValueError, match="has sequences a step 8, the configuration 16"):
        check_checkpoint(larger, checkpoints)
