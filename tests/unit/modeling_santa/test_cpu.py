"""Packed and quantised inference on a CPU: what it computes, and that it is undone without a trace."""

import copy
import re

import pytest
import torch
from transformers import GPTBigCodeForCausalLM

from modeling_santa import capabilities_santa, cpu_santa, quantised_santa
from modeling_santa.capabilities_santa import has_kernel, int4_group
from modeling_santa.configuration_santa import SantaConfig
from modeling_santa.cpu_santa import optimize_for_cpu
from modeling_santa.errors_santa import TooLittleMemoryError
from modeling_santa.linear_santa import SantaLinear
from modeling_santa.modeling_santa import SantaForCausalLM
from modeling_santa.packed_santa import PackedLinear
from modeling_santa.quantised_santa import Int4Linear, Int8Linear, QuantisedEmbedding

MODES = ("packed", "int8", "int4")
IDS = torch.randint(0, 300, (2, 20), generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def every_mode_that_runs_is_taken(monkeypatch):
    """Modes are tried wherever they run, fast or not."""
    monkeypatch.setattr(capabilities_santa, "_slower_because", lambda *_: None)


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
    scales = (weight.float().abs().amax(1, keepdim=True) / 127).bfloat16().float()
    return (weight.float() / scales).round().clamp(-127, 127) * scales


def rounded_int4(weight):
    groups = weight.float().unflatten(1, (-1, int4_group(weight.shape[1])))
    low = groups.amin(-1, keepdim=True)
    scales = ((groups.amax(-1, keepdim=True) - low) / 15).bfloat16().float()
    zeros = (low + 8 * scales).bfloat16().float()
    steps = ((groups - zeros) / scales + 8).round().clamp(0, 15)
    return ((steps - 8) * scales + zeros).flatten(1)


KINDS = [(Int8Linear, rounded_int8), (Int4Linear, rounded_int4)]


@pytest.mark.parametrize(("kind", "rounded"), KINDS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("keep_exact", [True, False])
@pytest.mark.parametrize("width", [64, 96])
def test_quantised_layers_compute_with_rounded_weights(monkeypatch, kind, rounded, bias, dtype, keep_exact, width):
    """Few rows are multiplied with the rounded weights; many with the exact ones, or where those were let go the rounded."""
    monkeypatch.setattr(quantised_santa, "BLOCK", 64 * width)
    torch.manual_seed(3)
    dense = SantaLinear(width, 192, bias=bias).to(dtype)
    layer = kind(dense, keep_exact=keep_exact)
    most_rows = kind.most_rows[layer.exact_form()]
    assert (layer.exact_form() == "alone") != keep_exact
    for rows in (1, most_rows, most_rows + 1, 70):
        x = torch.randn(rows, width).to(dtype)
        is_exact = keep_exact and rows > most_rows
        weight = dense.weight.float() if is_exact else rounded(dense.weight)
        expected = torch.nn.functional.linear(x.float(), weight, dense.bias.float() if bias else None)
        is_kernel = rows <= most_rows
        limit = 3e-2 if dtype == torch.bfloat16 or is_kernel else 1e-5
        with torch.no_grad():
            found = layer(x)
            curved = layer(x, fused_gelu=True)
        assert dtype == found.dtype
        assert (expected - found.float()).abs().max() < limit
        expected = torch.nn.functional.gelu(expected, approximate="tanh")
        assert (expected - curved.float()).abs().max() < limit


@pytest.mark.parametrize("is_fast", [True, False])
@pytest.mark.parametrize("kind", [Int8Linear, Int4Linear])
def test_rounded_weights_alone_multiply_many_rows_in_bfloat16_where_that_is_fast(monkeypatch, kind, is_fast):
    """The blocks are widened to bfloat16 for a bfloat16 model there, to float32 elsewhere and for any other model."""
    monkeypatch.setattr(quantised_santa, "has_fast_bf16", lambda: is_fast)
    seen = []
    monkeypatch.setattr(kind, "many_rows", lambda _, x: seen.append(x.dtype) or x.new_zeros(len(x), 192))
    torch.manual_seed(3)
    for dtype in (torch.bfloat16, torch.float32):
        layer = kind(SantaLinear(64, 192).to(dtype), keep_exact=False)
        with torch.no_grad():
            assert dtype == layer(torch.randn(70, 64).to(dtype)).dtype
    assert seen == [torch.bfloat16 if is_fast else torch.float32, torch.float32]


@pytest.mark.parametrize("keep_exact", [True, False])
def test_a_mode_that_reads_prompts_slower_than_the_native_class_says_so(monkeypatch, model, keep_exact):
    """Once the exact weights are let go there is nothing to fall back to, so a sentence says what it costs."""
    said = []
    monkeypatch.setattr(cpu_santa, "prompt_speed_alone", lambda mode, _: 0.9 if mode == "int4" else None)
    monkeypatch.setattr(cpu_santa.logger, "warning", lambda text, *values: said.append(text % values))
    optimize_for_cpu(model, "int4", keep_exact=keep_exact)
    assert [True] * (not keep_exact) == ["0.90 of the native class's speed" in text for text in said]


def test_an_int4_order_that_is_unknown_costs_only_time(monkeypatch):
    """Where the kernel's order of weights is not recognised, many rows go through the kernel itself."""
    dense, x = layer_of(torch.float32), torch.randn(70, 64)
    layer = Int4Linear(dense, keep_exact=False)
    monkeypatch.setattr(quantised_santa, "int4_layout", lambda: None)
    with torch.no_grad():
        expected = torch.nn.functional.linear(x, rounded_int4(dense.weight), dense.bias)
        assert (expected - layer(x)).abs().max() < 3e-2


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
    is_optimised = mode != "packed" or has_kernel(mode, model.dtype)
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
    """The int4 kernel wants groups of 32 inputs; a layer of other sizes keeps exact weights, packed where that pays."""
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
        monkeypatch.setattr(capabilities_santa, "has_kernel", lambda *_: False)
        optimize_for_cpu(model, mode)
        assert type(model.lm_head) is SantaLinear
        assert torch.equal(expected, model(IDS).logits)
    assert re.search(
        rf"'{mode}' is refused: .* has no kernel for it in {model.dtype}. The model stays as it is", caplog.text
    )


@pytest.mark.parametrize(
    ("mode", "isa", "is_x86", "dtype", "reason"),
    [
        ("packed", "AVX2", True, torch.float32, "without AVX-512 packed float32 weights are read slower"),
        ("int8", "DEFAULT", True, torch.float32, "uses no vectors here and is several times slower"),
        ("int4", "DEFAULT", True, torch.bfloat16, "uses no vectors here and is several times slower"),
        # bfloat16 has no packed kernel at all where AVX-512 is missing, which is said first.
        ("packed", "SVE256", False, torch.bfloat16, "(?:never measured on this kind of CPU|has no kernel for it)"),
        ("int8", "SVE256", False, torch.float32, "never measured on this kind of CPU"),
    ],
)
def test_a_mode_that_would_be_slower_is_refused(tiny_model, monkeypatch, caplog, mode, isa, is_x86, dtype, reason):
    """The warning says why, and the model stays as it is."""
    monkeypatch.undo()
    monkeypatch.setattr(capabilities_santa, "isa", lambda: isa)
    monkeypatch.setattr(capabilities_santa, "is_x86", lambda: is_x86)
    optimize_for_cpu(tiny_model.to(dtype), mode)
    assert re.search(rf"'{mode}' is refused: .*{reason}.*The model stays as it is", caplog.text)
    assert type(tiny_model.lm_head) is SantaLinear


@pytest.fixture
def wide_model():
    """A model wide enough that its weights, not its positions, are what it weighs."""
    torch.manual_seed(5)
    return SantaForCausalLM(
        SantaConfig(n_layer=4, n_embd=256, n_head=4, vocab_size=512, n_positions=64, bos_token_id=0, eos_token_id=0)
    ).eval()


@pytest.mark.parametrize(("mode", "share", "limit"), [("int8", 0.52, 0.03), ("int4", 0.33, 0.3)])
def test_without_exact_weights_memory_is_saved(wide_model, mode, share, limit):
    """Half of bfloat16's bytes with 8 bits, under a third with 4; the same text whether read at once or by token.

    Prompt and decoding use the same rounded weights, so that they differ by bfloat16's rounding alone.
    """
    model = wide_model.bfloat16()
    size = model.get_memory_footprint()
    with torch.no_grad():
        exact = model(IDS).logits.float()
        optimize_for_cpu(model, mode, keep_exact=False)
        assert isinstance(model.get_input_embeddings(), QuantisedEmbedding)
        assert model.get_memory_footprint() < share * size
        at_once, cache, logits = model(IDS).logits.float(), None, []
        for token in IDS.split(1, dim=1):
            out = model(token, past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            logits.append(out.logits.float())
    assert (exact - at_once).norm() < limit * exact.norm()
    assert (at_once - torch.cat(logits, dim=1)).norm() < 0.02 * exact.norm()


@pytest.mark.parametrize("mode", ["int8", "int4"])
def test_exact_weights_that_were_let_go_are_not_made_up(wide_model, mode, tmp_path):
    """Restoring, another mode, saving and reading the weights each say that the checkpoint has to be loaded again."""
    model = optimize_for_cpu(wide_model, mode, keep_exact=False)
    with torch.no_grad():
        expected = model(IDS).logits
        for attempt in (
            lambda: optimize_for_cpu(model, "off"),
            lambda: optimize_for_cpu(model, "packed"),
            lambda: model.save_pretrained(tmp_path),
            model.state_dict,
        ):
            with pytest.raises(RuntimeError, match=r"let go .keep_exact=False.* Load the checkpoint again"):
                attempt()
        assert not list(tmp_path.glob("*.safetensors"))
        assert torch.equal(expected, model(IDS).logits)
        assert torch.equal(expected, copy.deepcopy(model)(IDS).logits)


@pytest.mark.parametrize("keep_exact", [True, False])
@pytest.mark.parametrize("mode", MODES)
def test_an_optimised_model_counts_its_parameters(wide_model, mode, keep_exact):
    """As many as before, with and without the embeddings; none of them can be trained."""
    if mode == "packed" and not keep_exact:
        with pytest.raises(
            ValueError, match=r"mode='packed' is always exact. Use keep_exact=False with 'int8' or 'int4'"
        ):
            optimize_for_cpu(wide_model, mode, keep_exact=False)
        return
    before = [wide_model.num_parameters(exclude_embeddings=excluded) for excluded in (False, True)]
    optimize_for_cpu(wide_model, mode, keep_exact=keep_exact)
    assert before == [wide_model.num_parameters(exclude_embeddings=excluded) for excluded in (False, True)]
    assert wide_model.num_parameters(only_trainable=True) == 0


@pytest.mark.filterwarnings("ignore:torch.ao.quantization is deprecated:DeprecationWarning")
@pytest.mark.parametrize("mode", MODES)
def test_what_needs_dense_weights_is_refused(tiny_model, mode):
    """Loading, resizing and quantising say to turn it off first, in place of doing nothing or half."""
    weights = tiny_model.state_dict()
    optimize_for_cpu(tiny_model, mode)
    layer = tiny_model.transformer.h[0].mlp
    with torch.no_grad():
        expected = tiny_model(IDS).logits
        for attempt in (
            lambda: tiny_model.load_state_dict(weights, strict=False),
            lambda: layer.load_state_dict({"c_fc.weight": torch.zeros(128, 32)}, strict=False),
            lambda: tiny_model.resize_token_embeddings(500),
            lambda: torch.ao.quantization.quantize_dynamic(tiny_model, {torch.nn.Linear}),
        ):
            with pytest.raises(RuntimeError, match=r"Call optimize_for_cpu\(model, 'off'\) first"):
                attempt()
        assert torch.equal(expected, tiny_model(IDS).logits)


@pytest.mark.filterwarnings("ignore")  # torch's compiler warns of much
@pytest.mark.parametrize("mode", MODES)
def test_an_optimised_model_can_be_compiled_round_its_layers(tiny_model, mode):
    """torch.compile leaves the packed layers out; where it may not, its error says to turn them off."""
    optimize_for_cpu(tiny_model, mode)
    with torch.no_grad():
        expected = tiny_model(IDS, use_cache=False).logits
        found = torch.compile(tiny_model, backend="eager")(IDS, use_cache=False).logits
        assert torch.allclose(expected, found, atol=1e-5)
        torch.compiler.reset()
        with pytest.raises(Exception, match=r"Call optimize_for_cpu\(model, 'off'\) first"):
            torch.compile(tiny_model, backend="eager", fullgraph=True)(IDS, use_cache=False)


def test_too_little_memory_is_said_before_anything_changes(wide_model, monkeypatch):
    """The message has what is needed and what is free; where nothing says what is free, nothing is refused."""
    monkeypatch.setattr(cpu_santa, "free_memory", lambda: 100_000)
    with pytest.raises(
        TooLittleMemoryError, match=r"'int8' needs \d+ MB beside the model, and 0 MB of memory are free"
    ):
        optimize_for_cpu(wide_model, "int8")
    assert type(wide_model.lm_head) is SantaLinear
    monkeypatch.setattr(cpu_santa, "free_memory", lambda: None)
    assert type(optimize_for_cpu(wide_model, "int8").lm_head) is Int8Linear
