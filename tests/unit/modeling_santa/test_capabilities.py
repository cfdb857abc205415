"""A kernel is used only where it was tried and gave the right numbers; else something that always works."""

import json

import pytest
import torch
from transformers import GPTBigCodeForCausalLM

from modeling_santa import capabilities_santa, linear_santa
from modeling_santa.capabilities_santa import capabilities, has_kernel, int4_layout
from modeling_santa.configuration_santa import SantaConfig
from modeling_santa.linear_santa import SantaLinear, widened_linear
from modeling_santa.modeling_santa import SantaForCausalLM

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
HALF = DTYPES[1:]


@pytest.fixture
def untried():
    """No kernel has been tried yet, and what the test lets it believe is forgotten afterwards."""
    has_kernel.cache_clear()
    yield
    has_kernel.cache_clear()


def refusing(*_, **__):
    raise RuntimeError("could not create a primitive descriptor\nmore of it")


@pytest.mark.parametrize(
    ("kernel", "function"),
    [("dense", "pointwise"), ("packed", "pack_dense"), ("int8", "int8_product"), ("int4", "int4_product")],
)
@pytest.mark.parametrize("fault", ["refused", "wrong", "absent"])
def test_a_kernel_that_fails_its_trial_is_not_used(untried, monkeypatch, kernel, function, fault):
    """Whether it raises, computes something else, or does not exist in this torch, the answer is no."""
    right = getattr(capabilities_santa, function)
    faults = {
        "refused": refusing,
        "wrong": lambda *arguments, **named: right(*arguments, **named) * 1.5,
        "absent": lambda *_, **__: torch.ops.aten._no_such_operator(),
    }
    monkeypatch.setattr(capabilities_santa, function, faults[fault])
    assert not any(has_kernel(kernel, dtype) for dtype in DTYPES)


def test_a_kernel_is_tried_for_each_dtype(untried, monkeypatch):
    """One that refuses bfloat16 alone is used for float32, and tried once."""
    calls = []

    def picky(x, weight, bias, *, fused_gelu=False):
        calls.append(x.dtype)
        if x.dtype == torch.bfloat16:
            refusing()
        return linear_santa.plain_linear(x, weight, bias, fused_gelu=fused_gelu)

    monkeypatch.setattr(capabilities_santa, "pointwise", picky)
    assert [has_kernel("dense", dtype) for dtype in (torch.float32, torch.bfloat16)] == [True, False]
    count = len(calls)
    assert [has_kernel("dense", dtype) for dtype in (torch.float32, torch.bfloat16)] == [True, False]
    assert count == len(calls)


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("shape", [(1,), (5,), (2, 3), (300,)])
@pytest.mark.parametrize("block", [64, 1000, 2**20])
@pytest.mark.parametrize("fused_gelu", [False, True])
def test_widened_products_are_exact_up_to_one_rounding(monkeypatch, dtype, shape, block, fused_gelu):
    """Whatever the size of the blocks, the result is the float64 product rounded to the dtype, or its neighbour."""
    monkeypatch.setattr(linear_santa, "BLOCK", block)
    torch.manual_seed(0)
    x, weight, bias = torch.randn(*shape, 40).to(dtype), torch.randn(72, 40).to(dtype), torch.randn(72).to(dtype)
    expected = linear_santa.plain_linear(x.double(), weight.double(), bias.double(), fused_gelu=fused_gelu)
    found = widened_linear(x, weight, bias, fused_gelu=fused_gelu)
    assert dtype == found.dtype
    assert torch.allclose(expected, found.double(), rtol=torch.finfo(dtype).eps, atol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [1, 3, 5, 200])
@pytest.mark.parametrize("has_dense", [True, False])
def test_layers_compute_the_same_whatever_the_cpu_has(monkeypatch, dtype, rows, has_dense):
    """With oneDNN's kernels, and without, where half-precision weights are widened and the rest is torch's own."""
    monkeypatch.setattr(linear_santa, "BLOCK", 1024)
    if not has_dense:
        monkeypatch.setattr(linear_santa, "has_kernel", lambda *_: False)
    torch.manual_seed(1)
    layer, x = SantaLinear(64, 48).to(dtype), torch.randn(rows, 64).to(dtype)
    with torch.no_grad():
        expected = torch.nn.functional.linear(x.double(), layer.weight.double(), layer.bias.double())
        assert (expected - layer(x).double()).abs().max() < (1e-5 if dtype == torch.float32 else 3e-2)


def test_a_product_that_is_refused_is_computed_by_torch(monkeypatch):
    """A kernel may refuse one shape after its trial: one warning with its first line, and torch's result."""
    monkeypatch.setattr(linear_santa, "has_kernel", lambda *_: True)
    monkeypatch.setattr(linear_santa, "pointwise", refusing)
    linear_santa._warn_of_refusal.cache_clear()
    layer, x = SantaLinear(64, 48), torch.randn(2, 64)
    with torch.no_grad():
        with pytest.warns(
            UserWarning, match=r"torch.float32 \(could not create a primitive descriptor\); torch's"
        ) as said:
            found = [layer(x), layer(x)]
        assert len(said) == 1
        expected = torch.nn.functional.linear(x, layer.weight, layer.bias)
        assert all(torch.equal(expected, y) for y in found)
        with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
            layer(torch.randn(2, 63))


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_half_precision_chooses_the_native_class_s_tokens(dtype, seed):
    """Reading GPTBigCode's own greedy text, as a prompt and token by token, ours would have written it as well.

    A token may differ only where GPTBigCode's two best logits are closer than its own error against float32.
    """
    torch.manual_seed(seed)
    config = SantaConfig(
        n_layer=2,
        n_embd=128,
        n_head=4,
        vocab_size=512,
        n_positions=256,
        initializer_range=0.2,
        bos_token_id=0,
        eos_token_id=0,
    )
    ours, native = SantaForCausalLM(config).to(dtype).eval(), GPTBigCodeForCausalLM(config).to(dtype).eval()
    native.load_state_dict(ours.state_dict())
    prompt = torch.randint(1, 512, (2, 40))
    text = native.generate(prompt, max_new_tokens=64, do_sample=False, pad_token_id=0, eos_token_id=None)
    with torch.no_grad():
        read = ours(text[:, :40], use_cache=True)
        logits = [read.logits[:, -1:]]
        for at in range(40, 103):
            read = ours(text[:, at : at + 1], past_key_values=read.past_key_values, use_cache=True)
            logits.append(read.logits)
        theirs = native(text).logits[:, 39:103]
        error = (native.float()(text).logits[:, 39:103] - theirs.float()).abs().max()
    best = theirs.float().topk(2, dim=-1).values
    is_clear = best[..., 0] - best[..., 1] > error
    chosen = torch.cat(logits, dim=1).argmax(-1)
    assert 64 < is_clear.sum()
    assert torch.equal(text[:, 40:][is_clear], chosen[is_clear])


def test_the_order_of_int4_weights_is_found():
    """Unpacking by the layout that was found gives every step back, for a weight of any number of blocks."""
    size, is_halved = int4_layout()
    steps = torch.randint(0, 16, (256, 96), generator=torch.Generator().manual_seed(0))
    both = capabilities_santa.int4_packed(steps).view(-1, 96, size // 2)
    found = torch.stack([both & 15, both >> 4], dim=2 if is_halved else 3).flatten(2).transpose(1, 2)
    assert torch.equal(steps, found.reshape(256, 96).long())


def test_the_table_is_plain_data_and_agrees_with_the_kernels():
    """It can be written as JSON, has every dtype and mode once, and refuses what has no kernel."""
    table = json.loads(json.dumps(capabilities()))
    assert len(table["modes"]) == len({(row["dtype"], row["mode"]) for row in table["modes"]}) == 12
    assert all(row["refused_because"] is None for row in table["modes"] if row["mode"] == "default")
    works = {(row["kernel"], row["dtype"]): row["works"] for row in table["kernels"]}
    for row in table["modes"]:
        if row["mode"] == "packed" and row["refused_because"] is None:
            assert works["packed", row["dtype"]]
        if row["dtype"] == "float16" and row["mode"] != "default":
            assert "needs float32 or bfloat16" in row["refused_because"]


def test_a_machine_without_proc_has_no_fast_bfloat16(monkeypatch, tmp_path):
    """Only speed depends on it: nothing is raised."""
    monkeypatch.setattr(capabilities_santa, "CPU_INFO", tmp_path / "none")
    assert capabilities_santa.has_fast_bf16.__wrapped__() is False


@pytest.mark.parametrize(
    ("flags", "variables", "is_fast"),
    [
        ("AuthenticAMD avx512_bf16", {}, True),
        ("AuthenticAMD avx512_bf16", {"ONEDNN_MAX_CPU_ISA": "avx512_core_bf16"}, True),
        ("AuthenticAMD avx512_bf16", {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}, False),
        ("AuthenticAMD avx512_bf16", {"DNNL_MAX_CPU_ISA": "AVX2"}, False),
        ("AuthenticAMD avx512_bf16", {"ONEDNN_MAX_CPU_ISA": "ALL", "DNNL_MAX_CPU_ISA": "AVX2"}, True),
        ("GenuineIntel avx512_bf16", {}, False),
        ("GenuineIntel avx512_bf16 amx_bf16", {}, True),
        ("GenuineIntel avx512_bf16 amx_bf16", {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"}, False),
        ("AuthenticAMD avx2", {}, False),
    ],
)
def test_instructions_that_onednn_may_not_use_make_no_bfloat16_fast(monkeypatch, tmp_path, flags, variables, is_fast):
    """An emulated lesser machine is treated as one: the CPU's flags count only as far as the environment lets oneDNN go."""
    (tmp_path / "cpuinfo").write_text(f"flags : {flags}\n")
    monkeypatch.setattr(capabilities_santa, "CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(capabilities_santa, "has_kernel", lambda *_: True)
    monkeypatch.setattr(capabilities_santa, "is_x86", lambda: True)
    for name in capabilities_santa.LIMITS:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert capabilities_santa.has_fast_bf16.__wrapped__() is is_fast
