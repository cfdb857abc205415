"""Folded attention equals the plain one, and steps aside where something else must run."""

import pytest
import torch

from modeling_santa import attention_santa, layers_santa
from modeling_santa.attention_santa import can_fold, eager_attention, folded_attention
from modeling_santa.capabilities_santa import is_x86, isa

HEADS, WIDTH = 4, 16
# torch 2.13 writes C++ for flex attention that no compiler takes where it may use no vectors, for any model.
COMPILES_FLEX_ATTENTION = not (is_x86() and isa() == "DEFAULT")


def random_qkv(tokens, seen, dtype, batch=2, seed=0):
    torch.manual_seed(seed)
    q, k, v = torch.randn(batch, HEADS, tokens, WIDTH), *torch.randn(2, batch, 1, seen, WIDTH)
    return q.to(dtype), k.to(dtype), v.to(dtype)


def causal(tokens, seen, hidden=(0, 0)):
    """What is seen, (B, 1, T, S): the past, and in each row nothing of its first `hidden` keys."""
    mask = torch.ones(tokens, seen, dtype=torch.bool).tril(seen - tokens)
    return torch.stack([mask & (torch.arange(seen) >= count) for count in hidden]).unsqueeze(1)


def reference(q, k, v, mask):
    module = torch.nn.Module().eval()
    return eager_attention(module, q.double(), k.double(), v.double(), mask, WIDTH**-0.5)[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("tokens", "past"), [(1, 0), (1, 90), (2, 7), (63, 0), (64, 3), (65, 0), (130, 70)])
@pytest.mark.parametrize("hidden", [(0, 0), (0, 5)])
def test_folded_attention_equals_the_plain_one(dtype, tokens, past, hidden):
    """Any number of new and cached tokens, across the edges of the blocks, with and without padding on the left."""
    q, k, v = random_qkv(tokens, past + tokens, dtype)
    mask = causal(tokens, past + tokens, hidden)
    if dtype == torch.float32 and tokens > 1:
        assert not can_fold(q, k, mask)
        return
    found = folded_attention(q, k, v, mask, WIDTH**-0.5)
    rows = mask.any(-1)[:, 0]  # a row that sees nothing has no meaning
    expected = reference(q, k, v, mask)[rows]
    limit = 1e-5 if dtype == torch.float32 else 1e-2
    assert (expected - found.double()[rows]).abs().max() < limit
    assert found.isfinite().all()


@pytest.mark.parametrize("tokens", [2, 64, 100])
@pytest.mark.parametrize("room", [0, 28])
def test_no_mask_means_causal_from_the_first_key_on(tokens, room):
    """As in torch's attention: keys behind the last token, such as a static cache's empty room, are not seen."""
    q, k, v = random_qkv(tokens, tokens + room, torch.bfloat16)
    found = folded_attention(q, k, v, None, WIDTH**-0.5)
    expected = reference(q, k[:, :, :tokens], v[:, :, :tokens], causal(tokens, tokens))
    assert (expected - found.double()).abs().max() < 1e-2
    plain = reference(q, k, v, None)
    assert (plain - found.double()).abs().max() < 1e-2


def test_bfloat16_scores_are_not_rounded():
    """With large scores the error stays that of torch's own attention, which keeps them in float32."""
    q, k, v = random_qkv(96, 96, torch.bfloat16)
    q, k = 4 * q, 4 * k
    expected = reference(q, k, v, None)
    folded = (expected - folded_attention(q, k, v, None, WIDTH**-0.5).double()).abs().mean()
    heads = (q.shape[0], HEADS, *k.shape[2:])
    native = torch.nn.functional.scaled_dot_product_attention(q, k.expand(heads), v.expand(heads), is_causal=True)
    assert folded < 1.5 * (expected - native.transpose(1, 2).double()).abs().mean()


def test_masks_of_others_are_left_to_others():
    """A mask of numbers, or one a head, and multi-head keys are not folded."""
    q, k, _ = random_qkv(1, 9, torch.bfloat16)
    assert can_fold(q, k, None)
    assert not can_fold(q, k, torch.zeros(2, 1, 1, 9))
    assert not can_fold(q, k, torch.ones(2, HEADS, 1, 9, dtype=torch.bool))
    assert not can_fold(q, k.expand(-1, HEADS, -1, -1), None)


@pytest.fixture
def calls(monkeypatch):
    """Counts the calls of folded attention and of oneDNN's linear layer."""
    from modeling_santa import linear_santa

    seen = {"attention": 0, "linear": 0}

    def counting(name, function):
        def counted(*args, **kwargs):
            seen[name] += 1
            return function(*args, **kwargs)

        return counted

    monkeypatch.setattr(layers_santa, "folded_attention", counting("attention", attention_santa.folded_attention))
    monkeypatch.setattr(linear_santa, "linear", counting("linear", linear_santa.linear))
    return seen


IDS = torch.tensor([[5, 6, 7]])


def test_inference_on_a_cpu_takes_the_fast_paths(tiny_model, calls):
    """One token at a time: every attention and every linear layer."""
    with torch.no_grad():
        tiny_model(IDS[:, :1])
    assert {"attention": 2, "linear": 9} == calls


def _with_gradients(model):
    model(IDS[:, :1], labels=IDS[:, :1]).logits.sum().backward()


def _under_autocast(model):
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        model(IDS[:, :1])


def _traced(model):
    model.requires_grad_(False)
    with torch.no_grad():
        torch.jit.trace(lambda ids: model(ids, use_cache=False).logits, IDS[:, :1], check_trace=False)


def _compiled(model):
    with torch.no_grad():
        torch.compile(model, backend="eager", fullgraph=True)(IDS[:, :1], use_cache=False)


@pytest.mark.filterwarnings("ignore")  # tracing warns of every Python branch
@pytest.mark.parametrize("run", [_with_gradients, _under_autocast, _traced, _compiled])
def test_the_fast_paths_step_aside(tiny_model, calls, run):
    """Gradients, autocast, tracing and compiling see the plain model."""
    run(tiny_model)
    assert {"attention": 0, "linear": 0} == calls


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, inside its flex attention
@pytest.mark.parametrize("attention", ["eager", *(["flex_attention"] if COMPILES_FLEX_ATTENTION else [])])
def test_another_attention_is_used_when_asked_for(tiny_model, calls, attention):
    """Only `sdpa` may be replaced by the folded attention; the others give the same logits."""
    with torch.no_grad():
        expected = tiny_model(IDS).logits
        tiny_model.set_attn_implementation(attention)
        found = tiny_model(IDS).logits
    assert calls["attention"] == 0
    assert torch.allclose(expected, found, atol=1e-5)


def test_a_hook_sees_the_activation_s_input(tiny_model):
    """A hook on c_fc gets the numbers before the GELU, as in any model."""
    block, seen = tiny_model.transformer.h[0], []
    with torch.no_grad():
        expected = tiny_model(IDS).logits
        handle = block.mlp.c_fc.register_forward_hook(lambda _module, _inputs, out: seen.append(out))
        found = tiny_model(IDS).logits
        handle.remove()
    assert seen[0].min() < -0.2  # a GELU is never lower
    assert torch.allclose(expected, found, atol=1e-5)


def test_attentions_are_returned_under_sdpa_too(tiny_model):
    """GPTBigCode returns none; here they are those of the eager attention."""
    with torch.no_grad():
        default = tiny_model(IDS, output_attentions=True).attentions
        tiny_model.set_attn_implementation("eager")
        eager = tiny_model(IDS, output_attentions=True).attentions
    assert len(default) == 2
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(default, eager, strict=True))
