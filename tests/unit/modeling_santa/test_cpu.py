"""Packed and quantised inference on a CPU: what it computes, and that it is undone without a trace."""

import copy
import re

import pytest
import torch
from transformers import GPTBigCodeForCausalLM

from modeling_santa import cpu_santa
from modeling_santa.capabilities_santa import INT4_GROUP, has_kernel
from modeling_santa.configuration_santa import SantaConfig
from modeling_santa.cpu_santa import Int4Linear, Int8Linear, PackedLinear, optimize_for_cpu
from modeling_santa.linear_santa import SantaLinear
from modeling_santa.modeling_santa import SantaForCausalLM

MODES = ("packed", "int8", "int4")
IDS = torch.randint(0, 300, (2, 20), generator=torch.Generator().manual_seed(0))


@pytest.fixture(params=[torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def model(request, tiny_config):
    torch.manual_seed(2)
    return SantaForCausalLM(copy.deepcopy(tiny_config)).to(request.param).eval()


def layer_of(dtype, *, bias=True):
    torch.manual_seed(3)
    return SantaLinear(64, 48, bias=bias).to(dtype)


@pytest.mark.parametrize("rows", [(1,), (2, 3), (5, 7)])
@pytest.mark.parametrize("fused_gelu", [False, True])
def test_packed_layers_compute_what_dense_ones_do(rows, fused_gelu):
    """The same numbers up to rounding, for one row and for many, with and without the GELU."""
    dense, x = layer_of(torch.float32), torch.randn(*rows, 64)
    with torch.no_grad():
        found = PackedLinear(dense)(x, fused_gelu=fused_gelu)
        expected = torch.nn.functional.linear(x, dense.weight, dense.bias)
        expected = torch.nn.functional.gelu(expected, approximate="tanh") if fused_gelu else expected
    assert torch.allclose(expected, found, atol=1e-5)


def rounded_int8(weight):
    scales = weight.abs().amax(1, keepdim=True) / 127
    return (weight.float() / scales.float()).round().clamp(-127, 127) * scales.float()


def rounded_int4(weight):
    groups = weight.unflatten(1, (-1, INT4_GROUP))
    low = groups.amin(-1, keepdim=True)
    scales = (groups.amax(-1, keepdim=True) - low) / 15
    zeros = low + 8 * scales
    steps = ((groups.float() - zeros.float()) / scales.float() + 8).round().clamp(0, 15)
    return ((steps - 8) * scales.float() + zeros.float()).flatten(1)


@pytest.mark.parametrize(("kind", "rounded"), [(Int8Linear, rounded_int8), (Int4Linear, rounded_int4)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_quantised_layers_compute_with_rounded_weights_for_few_rows(kind, rounded, bias, dtype):
    """Few rows are multiplied with the rounded weights, many with the exact ones."""
    dense = layer_of(dtype, bias=bias)
    layer, limit = kind(dense), 1e-4 if dtype == torch.float32 else 5e-2
    for rows in (1, kind.most_rows, kind.most_rows + 1):
        x = torch.randn(rows, 64).to(dtype)
        weight = rounded(dense.weight) if rows <= kind.most_rows else dense.weight.float()
        expected = torch.nn.functional.linear(x.float(), weight, dense.bias.float() if bias else None)
        with torch.no_grad():
            assert (expected - layer(x).float()).abs().max() < limit


@pytest.mark.parametrize(("kind", "limit"), [(Int8Linear, 0.01), (Int4Linear, 0.12)])
def test_rounding_errs_as_little_as_its_bits_allow(kind, limit):
    """The error of a product is under 1 % of its size with 8 bits and 12 % with 4, for random weights; zeros are exact."""
    dense = layer_of(torch.bfloat16, bias=False)
    x = torch.randn(1, 64).bfloat16()
    with torch.no_grad():
        exact = x.float() @ dense.weight.float().T
        assert (kind(dense)(x).float() - exact).norm() < limit * exact.norm()
        dense.weight.zero_()
        assert torch.equal(torch.zeros_like(exact), kind(dense)(x).float())


@pytest.mark.parametrize("mode", MODES)
def test_off_restores_every_bit(model, mode):
    """Weights, tying, trainability and the kind of every layer are as before."""
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    kinds = [type(layer) for layer in model.modules()]
    optimize_for_cpu(model, mode)
    is_optimised = has_kernel(mode, model.dtype)
    assert all(parameter.requires_grad != is_optimised for parameter in model.parameters())
    assert {name: tuple(weight.shape) for name, weight in before.items()} == {
        name: tuple(weight.shape) for name, weight in model.state_dict().items()
    }
    optimize_for_cpu(model, "off")
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert model.lm_head.weight is model.transformer.wte.weight
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert kinds == [type(layer) for layer in model.modules()]


@pytest.mark.parametrize("mode", MODES)
def test_saving_undoes_it_and_writes_the_canonical_folder(model, mode, tmp_path):
    """The native class opens what an optimised model saved, bit for bit."""
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    model.optimize_for_cpu(mode).save_pretrained(tmp_path)
    assert type(model.lm_head) is SantaLinear
    native = GPTBigCodeForCausalLM.from_pretrained(tmp_path, dtype="auto")
    assert all(torch.equal(weight, before[name]) for name, weight in native.state_dict().items())


@pytest.mark.filterwarnings("ignore:.*generation flags.*")
def test_a_packed_model_generates_the_same_text(tiny_model):
    """64 greedy tokens of a padded batch, also by beam search, are those of the plain model."""
    mask = torch.ones_like(IDS)
    mask[0, :6] = 0
    settings = {"attention_mask": mask, "max_new_tokens": 64, "do_sample": False, "pad_token_id": 0}
    expected = [tiny_model.generate(IDS, num_beams=beams, **settings) for beams in (1, 3)]
    tiny_model.optimize_for_cpu("packed")
    found = [tiny_model.generate(IDS, num_beams=beams, **settings) for beams in (1, 3)]
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


@pytest.mark.parametrize("mode", MODES)
def test_modes_can_follow_each_other_and_be_copied(model, mode):
    """A second mode replaces the first; a deep copy computes the same."""
    with torch.no_grad():
        expected = optimize_for_cpu(copy.deepcopy(model), mode)(IDS[:1, :1]).logits
        optimize_for_cpu(optimize_for_cpu(model, "int8"), mode)
        assert torch.equal(expected, model(IDS[:1, :1]).logits)
        assert torch.equal(expected, copy.deepcopy(model)(IDS[:1, :1]).logits)


def test_layers_of_odd_sizes_are_packed_only():
    """The int4 kernel wants groups of 32 inputs; a layer of other sizes keeps exact weights."""
    config = SantaConfig(n_layer=1, n_embd=40, n_head=2, n_inner=64, vocab_size=64, bos_token_id=0, eos_token_id=0)
    model = optimize_for_cpu(SantaForCausalLM(config).eval(), "int4")
    assert type(model.transformer.h[0].mlp.c_fc) is PackedLinear
    with torch.no_grad():
        assert model(IDS % 64).logits.isfinite().all()


def test_it_works_with_gradients_enabled(model):
    """The parameters are frozen, so a plain call outside no_grad computes as inside."""
    optimize_for_cpu(model, "packed")
    with torch.no_grad():
        expected = model(IDS).logits
    assert torch.equal(expected, model(IDS).logits)


def test_mistakes_are_named(tiny_model):
    """An unknown mode, another dtype or device, and moving packed weights each say what to do."""
    with pytest.raises(ValueError, match=r"mode='int2' is unknown. Choose one of 'packed', 'int8', 'int4', 'off'"):
        optimize_for_cpu(tiny_model, "int2")
    with pytest.raises(ValueError, match=r"torch.float16 on cpu; float32 or bfloat16 on cpu is needed"):
        optimize_for_cpu(tiny_model.half(), "packed")
    with pytest.raises(ValueError, match=r"torch.float32 on meta; float32 or bfloat16 on cpu is needed"):
        optimize_for_cpu(tiny_model.float().to("meta"), "packed")


def test_packed_weights_do_not_move(tiny_model):
    """Another dtype or device is refused with what to do; the same ones are no change."""
    optimize_for_cpu(tiny_model, "packed").to("cpu", torch.float32)
    with pytest.raises(
        RuntimeError, match=r"cannot become torch.bfloat16 on cpu. Call optimize_for_cpu\(model, 'off'\)"
    ):
        tiny_model.bfloat16()


@pytest.mark.parametrize("mode", MODES)
def test_without_the_kernels_the_model_stays_as_it_is(model, monkeypatch, caplog, mode):
    """A CPU that refuses a mode's kernel is named in a warning, with the mode and dtype; the logits are the same."""
    with torch.no_grad():
        expected = model(IDS).logits
        monkeypatch.setattr(cpu_santa, "has_kernel", lambda *_: False)
        optimize_for_cpu(model, mode)
        assert type(model.lm_head) is SantaLinear
        assert torch.equal(expected, model(IDS).logits)
    assert re.search(rf"has no kernel for '{mode}' in {model.dtype}; the model stays as it is", caplog.text)
