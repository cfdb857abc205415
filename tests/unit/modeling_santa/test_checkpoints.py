"""Every published layout opens bit for bit, converts both ways, and a bad checkpoint is refused by name."""

import json
import os

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel, GPTBigCodeForCausalLM

from modeling_santa import convert_checkpoint
from modeling_santa.configuration_santa import SantaConfig
from modeling_santa.layouts_santa import expected_shapes, to_canonical, to_original
from modeling_santa.modeling_santa import SantaForCausalLM, SantaModel


@pytest.fixture(params=[True, False], ids=["multi_query", "multi_head"])
def model(request, tiny_config):
    torch.manual_seed(2)
    return SantaForCausalLM(SantaConfig(**{**tiny_config.to_dict(), "multi_query": request.param})).eval()


@pytest.fixture
def canonical(model, tmp_path):
    """A canonical folder."""
    model.save_pretrained(tmp_path / "canonical")
    return tmp_path / "canonical"


@pytest.fixture
def original(canonical, tmp_path):
    """The same model in the original layout."""
    return convert_checkpoint(canonical, tmp_path / "original", layout="original")


def weights(folder):
    return load_file(folder / "model.safetensors")


def change(folder, edit):
    """Rewrite the weights of a folder after `edit` has changed the dict of tensors."""
    state = weights(folder)
    edit(state)
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / "model.safetensors")


def same(expected, found):
    return expected.keys() == found.keys() and all(torch.equal(expected[name], found[name]) for name in expected)


def test_there_and_back_is_bit_exact(canonical, original, tmp_path):
    """Canonical to original to canonical: the same weights file and the same config."""
    back = convert_checkpoint(original, tmp_path / "back")
    assert (canonical / "model.safetensors").read_bytes() == (back / "model.safetensors").read_bytes()
    assert (canonical / "config.json").read_text() == (back / "config.json").read_text()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_dtype_is_kept(canonical, tmp_path, dtype):
    """Half precision stays as it is, in the tensors and in the config."""
    change(canonical, lambda state: state.update({name: tensor.to(dtype) for name, tensor in state.items()}))
    original = convert_checkpoint(canonical, tmp_path / "o", layout="original")
    back = convert_checkpoint(original, tmp_path / "back")
    assert same(weights(canonical), weights(back))
    assert str(dtype).removeprefix("torch.") == json.loads((back / "config.json").read_text())["dtype"]


def test_the_original_layout_is_that_of_the_published_code(original, model):
    """Multi-query: q_attn and kv_attn as Conv1D; multi-head: GPT-2's own layout, which GPT-2 opens with equal logits."""
    state, width = weights(original), model.config.n_embd
    config = json.loads((original / "config.json").read_text())
    assert ("gpt2", ["GPT2LMHeadCustomModel"]) == (config["model_type"], config["architectures"])
    if model.config.multi_query:
        assert (width, width) == tuple(state["transformer.h.0.attn.q_attn.weight"].shape)
        assert (width, 2 * model.config.head_dim) == tuple(state["transformer.h.0.attn.kv_attn.weight"].shape)
        assert "multiquery" == config["attention_head_type"]
        return
    names = ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head", "activation_function")
    gpt2 = GPT2LMHeadModel(GPT2Config(**{name: getattr(model.config, name) for name in names})).eval()
    gpt2.load_state_dict({**state, "lm_head.weight": state["transformer.wte.weight"]})
    ids = torch.arange(40).reshape(2, 20)
    with torch.no_grad():
        assert (gpt2(ids).logits - model(ids).logits).abs().max() <= 1e-5 * model(ids).logits.abs().max()


@pytest.mark.parametrize("form", ["safetensors", "bin", "bin_without_head", "sharded", "with_masks", "without_prefix"])
def test_every_form_of_an_original_checkpoint_opens(original, model, form):
    """Safetensors or .bin, with or without the head, sharded, with saved masks, or of the base model: bit for bit."""
    state = weights(original)
    if form.startswith("bin"):
        head = {} if form == "bin_without_head" else {"lm_head.weight": state["transformer.wte.weight"]}
        torch.save({**state, **head}, original / "pytorch_model.bin")
        (original / "model.safetensors").unlink()
    elif form == "sharded":
        names = sorted(state)
        parts = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
        for file, part in parts.items():
            save_file({name: state[name] for name in part}, original / file, metadata={"format": "pt"})
        index = {"weight_map": {name: file for file, part in parts.items() for name in part}}
        (original / "model.safetensors.index.json").write_text(json.dumps(index))
        (original / "model.safetensors").unlink()
    elif form == "with_masks":
        masks = {
            "transformer.h.0.attn.bias": torch.ones(1, 1, 4, 4),
            "transformer.h.0.attn.masked_bias": torch.tensor(-1.0),
        }
        change(original, lambda tensors: tensors.update(masks))
    elif form == "without_prefix":
        plain = {name.removeprefix("transformer."): tensor for name, tensor in state.items()}
        save_file(plain, original / "model.safetensors", metadata={"format": "pt"})
    opened = SantaForCausalLM.from_pretrained(original)
    assert same(model.state_dict(), opened.state_dict())
    assert torch.equal(model.transformer.wte.weight, SantaModel.from_pretrained(original).wte.weight)


def test_an_original_checkpoint_is_saved_canonically(original, tmp_path, model):
    """Opened from the original layout and saved, the folder is one that the native class opens."""
    SantaForCausalLM.from_pretrained(original, dtype=torch.float32).save_pretrained(tmp_path / "saved")
    native = GPTBigCodeForCausalLM.from_pretrained(tmp_path / "saved")
    assert same(model.state_dict(), native.state_dict())


def test_gelu_fast_is_the_same_function(original):
    """The original's activation name is accepted; its function differs by less than 1e-6."""
    config = json.loads((original / "config.json").read_text())
    assert "gelu_fast" == config["activation_function"]
    assert "gelu_pytorch_tanh" == SantaForCausalLM.from_pretrained(original).config.activation_function


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda s: s.pop("transformer.ln_f.bias"), r"1 of \d+ tensors are missing: transformer.ln_f.bias"),
        (lambda s: s.update(extra=torch.ones(1)), r"tensors are not part of the model: transformer.extra"),
        (
            lambda s: s.update({"transformer.ln_f.bias": torch.ones(3)}),
            r"of another shape: transformer.ln_f.bias \(3,\), expected \(32,\)",
        ),
        (
            lambda s: s.update({"transformer.ln_f.bias": torch.ones(32, dtype=torch.int32)}),
            r"not floating point: transformer.ln_f.bias \(torch.int32\)",
        ),
        (
            lambda s: s.update({"transformer.ln_f.bias": torch.full((32,), float("nan"))}),
            r"not finite: transformer.ln_f.bias",
        ),
        (
            lambda s: s.update({"lm_head.weight": torch.ones(512, 32)}),
            r"lm_head.weight differs from transformer.wte.weight",
        ),
    ],
)
def test_wrong_tensors_are_named(original, tmp_path, edit, message):
    """Missing, extra, misshapen, of a wrong type, not finite, not tied: the message has the tensor's name."""
    change(original, edit)
    with pytest.raises(ValueError, match=message):
        convert_checkpoint(original, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match=message):
        SantaForCausalLM.from_pretrained(original)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda s: s.pop("transformer.ln_f.bias"), r"1 of \d+ tensors are missing: transformer.ln_f.bias"),
        (
            lambda s: s.update({"transformer.ln_f.bias": torch.ones(3)}),
            r"of another shape: transformer.ln_f.bias \(3,\), expected \(32,\)",
        ),
        (
            lambda s: s.update({"transformer.ln_f.bias": torch.ones(32, dtype=torch.int32)}),
            r"not floating point: transformer.ln_f.bias \(torch.int32\)",
        ),
        (
            lambda s: s.update({"transformer.ln_f.bias": torch.full((32,), float("nan"))}),
            "not finite: transformer.ln_f",
        ),
    ],
)
def test_a_canonical_checkpoint_is_checked_as_strictly(canonical, tmp_path, edit, message):
    """What `convert` says of wrong tensors, `from_pretrained` says, too."""
    change(canonical, edit)
    with pytest.raises(ValueError, match=message):
        convert_checkpoint(canonical, tmp_path / "out")
    with pytest.raises(ValueError, match=message):
        SantaForCausalLM.from_pretrained(canonical)


def test_a_base_model_s_folder_converts(model, canonical, tmp_path):
    """A folder that AutoModel saved opens, and converts to the language model's."""
    model.transformer.save_pretrained(tmp_path / "base")
    assert not any(name.startswith("transformer.") for name in weights(tmp_path / "base"))
    convert_checkpoint(tmp_path / "base", tmp_path / "out")
    assert same(weights(canonical), weights(tmp_path / "out"))
    assert same(model.state_dict(), SantaForCausalLM.from_pretrained(tmp_path / "base").state_dict())


def test_an_untied_head_is_kept(model, tmp_path):
    """Where config.json says that it is untied; there and back, natively opened, and refused where it has no place."""
    untied = SantaForCausalLM(SantaConfig(**{**model.config.to_dict(), "tie_word_embeddings": False}))
    untied.save_pretrained(tmp_path / "untied")
    convert_checkpoint(tmp_path / "untied", tmp_path / "original", layout="original")
    convert_checkpoint(tmp_path / "original", tmp_path / "back")
    assert same(untied.state_dict(), weights(tmp_path / "back"))
    for opened in (GPTBigCodeForCausalLM, SantaForCausalLM):
        assert same(untied.state_dict(), opened.from_pretrained(tmp_path / "back").state_dict())
    assert same(untied.state_dict(), SantaForCausalLM.from_pretrained(tmp_path / "original").state_dict())
    with pytest.raises(ValueError, match="nanotron's layout has no place for it"):
        convert_checkpoint(tmp_path / "untied", tmp_path / "nanotron", layout="nanotron")


def test_settings_of_generate_come_with_every_layout(canonical, original):
    """An original checkpoint's generation_config.json is read as a canonical one's is."""
    for folder in (canonical, original):
        (folder / "generation_config.json").write_text('{"top_k": 7, "do_sample": true}')
        assert 7 == SantaForCausalLM.from_pretrained(folder).generation_config.top_k


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ('{"weight_map": {"a": "../canonical/model.safetensors"}}', "which is no file beside it"),
        ('{"weight_map": {"a": "none.safetensors"}}', "lacks none.safetensors"),
        ('{"weight_map": 3}', "no index of a sharded checkpoint"),
        ("{", "no index of a sharded checkpoint"),
    ],
)
def test_a_bad_index_is_refused(canonical, tmp_path, index, message):
    """It names files beside it and nothing else; both readers say so."""
    (canonical / "model.safetensors.index.json").write_text(index)
    for read in (
        lambda: convert_checkpoint(canonical, tmp_path / "out"),
        lambda: SantaForCausalLM.from_pretrained(canonical),
    ):
        with pytest.raises(ValueError, match=message):
            read()


class Planted:
    """An object whose unpickling would run a command."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.system, (f"touch {self.path}",))


def test_a_pickle_that_runs_code_is_refused(original, tmp_path):
    """The planted command does not run, and the message says that only tensors are unpickled."""
    (original / "model.safetensors").unlink()
    torch.save({"transformer.wte.weight": Planted(tmp_path / "ran")}, original / "pytorch_model.bin")
    with pytest.raises(ValueError, match="Only tensors are unpickled, never code"):
        convert_checkpoint(original, tmp_path / "out")
    with pytest.raises(Exception, match=r"(?i)weights.only"):
        SantaForCausalLM.from_pretrained(original)
    assert not (tmp_path / "ran").exists()


def test_a_truncated_file_is_refused(canonical, tmp_path):
    """A file that was cut short is named as damaged."""
    path = canonical / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"model.safetensors cannot be read .* The file is damaged"):
        convert_checkpoint(canonical, tmp_path / "out")


def test_a_folder_that_is_none_is_refused(canonical, tmp_path):
    """No folder, no weights, a broken config, an existing target and an unknown layout each have their message."""
    with pytest.raises(ValueError, match=r"has no config.json \(no such folder\)"):
        convert_checkpoint(tmp_path / "none", tmp_path / "out")
    with pytest.raises(ValueError, match=r"exists\. Name a folder that does not"):
        convert_checkpoint(canonical, canonical)
    with pytest.raises(ValueError, match="layout='fused' is unknown"):
        convert_checkpoint(canonical, tmp_path / "out", layout="fused")
    (canonical / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"neither model.safetensors nor pytorch_model.bin"):
        convert_checkpoint(canonical, tmp_path / "out")
    (canonical / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config.json is not JSON"):
        convert_checkpoint(canonical, tmp_path / "out")


def test_the_expected_tensors_are_the_model_s(model):
    """Names and shapes computed from the config are those of the module itself."""
    found = {name: tuple(weight.shape) for name, weight in model.state_dict().items() if name != "lm_head.weight"}
    assert expected_shapes(model.config) == found


def test_conversion_is_its_own_inverse(model):
    """Pure functions of the tensors: there and back is the identity."""
    state = {name: weight for name, weight in model.state_dict().items() if name != "lm_head.weight"}
    assert same(state, to_canonical(to_original(state, model.config), model.config, is_original=True))
