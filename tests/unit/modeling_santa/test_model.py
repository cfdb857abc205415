"""The model equals GPTBigCode where that one is right, and is right where it is not."""

import json
from pathlib import Path

import pytest
import torch
from transformers import DynamicCache, GPTBigCodeForCausalLM, StaticCache, TextIteratorStreamer

import modeling_santa
from modeling_santa.configuration_santa import AUTO_MAP, SantaConfig
from modeling_santa.infill_santa import MiddleStreamer
from modeling_santa.modeling_santa import CACHE_NAME, SantaForCausalLM
from modeling_santa.stop_santa import Stop

pytestmark = pytest.mark.filterwarnings("ignore:.*generation flags.*")


@pytest.fixture(params=[True, False], ids=["multi_query", "multi_head"])
def pair(request, tiny_config):
    """Our model and the native one with the same weights."""
    torch.manual_seed(1)
    config = SantaConfig(**{**tiny_config.to_dict(), "multi_query": request.param})
    ours = SantaForCausalLM(config).eval()
    native = GPTBigCodeForCausalLM(config).eval()
    native.load_state_dict(ours.state_dict())
    return ours, native


def ids_of(shape, seed=0):
    return torch.randint(0, 300, shape, generator=torch.Generator().manual_seed(seed))


def assert_close(expected, found):
    assert (expected - found).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_logits_equal_the_native_class(pair, attention):
    """Same weights, same ids: same logits, with either attention."""
    ours, native = pair
    for model in pair:
        model.set_attn_implementation(attention)
    ids = ids_of((2, 40))
    with torch.no_grad():
        assert_close(native(ids).logits, ours(ids).logits)


def test_loss_and_gradients_equal_the_native_class(pair):
    """Same labels: same loss, and the same gradient for every parameter."""
    ours, native = pair
    ids = ids_of((2, 40))
    losses = [model(ids, labels=ids).loss for model in pair]
    assert_close(losses[1], losses[0])
    for loss in losses:
        loss.backward()
    for name, parameter in native.named_parameters():
        found = dict(ours.named_parameters())[name].grad
        assert (parameter.grad - found).abs().max() <= 1e-5 * parameter.grad.abs().max(), name


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing(pair, side):
    """A padded row gives the logits of the row alone, without position ids from the caller; GPTBigCode does not."""
    ours, _ = pair
    ids = ids_of((1, 20))
    padding = ids_of((1, 7), seed=5)
    parts = (padding, ids) if side == "left" else (ids, padding)
    mask = torch.cat([torch.zeros_like(p) if p is padding else torch.ones_like(p) for p in parts], dim=1)
    with torch.no_grad():
        padded = ours(torch.cat(parts, dim=1), attention_mask=mask).logits[mask.bool()]
        assert_close(ours(ids).logits[0], padded)


@pytest.mark.parametrize("name", ["past_key_values", "cache"])
@pytest.mark.parametrize("chunks", [[1] * 24, [10, 1, 13], [23, 1], [5, 19]])
def test_a_cache_changes_nothing(pair, chunks, name):
    """Reading in pieces, one token or many at a time, gives the logits of reading at once, under both names of a cache."""
    ours, _ = pair
    ids, cache, logits = ids_of((2, 24)), None, []
    with torch.no_grad():
        for chunk in ids.split(chunks, dim=1):
            out = ours(chunk, **{name: cache}, use_cache=True)
            cache = out.past_key_values
            assert out[CACHE_NAME] is cache
            logits.append(out.logits)
        assert_close(ours(ids).logits, torch.cat(logits, dim=1))


def test_a_cache_is_given_once(tiny_model):
    """Under both names at once it is a mistake."""
    cache = DynamicCache(config=tiny_model.config)
    with pytest.raises(ValueError, match="one of past_key_values and cache, which are two names of one thing"):
        tiny_model(ids_of((1, 3)), past_key_values=cache, cache=cache)


def test_greedy_text_equals_the_native_class(pair):
    """64 greedy tokens from a padded batch are the same, also by beam search."""
    ids = ids_of((2, 20))
    mask = torch.ones_like(ids)
    mask[0, :6] = 0
    for settings in ({"num_beams": 1}, {"num_beams": 3}):
        texts = [
            model.generate(ids, attention_mask=mask, max_new_tokens=64, do_sample=False, pad_token_id=0, **settings)
            for model in pair
        ]
        assert torch.equal(*texts)


def test_multi_query_caches_one_head(tiny_model, tiny_config):
    """The cache holds 2 * layers * tokens * head width numbers a row: one head, not n_head."""
    with torch.no_grad():
        cache = tiny_model(ids_of((1, 16)), use_cache=True).past_key_values
    numbers = sum(layer.keys.numel() + layer.values.numel() for layer in cache.layers)
    assert 2 * tiny_config.n_layer * 16 * tiny_config.head_dim == numbers


def test_the_report_s_models_have_their_size():
    """1,124,886,528 parameters with multi-query attention, 1,313,722,368 with multi-head."""
    with torch.device("meta"):
        sizes = [
            sum(weight.numel() for weight in SantaForCausalLM(SantaConfig(multi_query=multi_query)).parameters())
            for multi_query in (True, False)
        ]
    assert sizes == [1_124_886_528, 1_313_722_368]


def test_a_context_that_is_too_long_is_refused(tiny_model):
    """The message has both lengths and what to do; GPTBigCode gives a bare IndexError."""
    with pytest.raises(ValueError, match=r"0 cached \+ 129 new = 129 tokens exceed the context of n_positions=128"):
        tiny_model(torch.zeros(1, 129, dtype=torch.long))


def test_exactly_one_input_is_wanted(tiny_model):
    """Ids or embeddings: both or none are a mistake."""
    with pytest.raises(ValueError, match="exactly one of input_ids and inputs_embeds"):
        tiny_model()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_embd": 2050}, r"n_embd=2050 is not divisible by n_head=16. Choose n_embd as a multiple of n_head"),
        ({"attention_head_type": "grouped"}, r"attention_head_type='grouped' is unknown"),
        ({"add_cross_attention": True}, r"add_cross_attention=True is not part of SantaCoder"),
    ],
)
def test_a_wrong_config_is_refused(settings, message):
    """Each mistake is named with what was expected."""
    with pytest.raises(ValueError, match=message):
        SantaConfig(**settings)


def test_saving_writes_the_canonical_folder(tiny_model, tmp_path):
    """Native architecture and model type, the auto_map, the code files; the native class opens it bit for bit."""
    tiny_model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architectures"] == ["GPTBigCodeForCausalLM"]
    assert config["model_type"] == "gpt_bigcode"
    assert AUTO_MAP == config["auto_map"]
    code = {path.name for path in Path(modeling_santa.__file__).parent.glob("*_santa.py")}
    assert code == {path.name for path in tmp_path.glob("*.py")}
    native = GPTBigCodeForCausalLM.from_pretrained(tmp_path)
    for name, weight in tiny_model.state_dict().items():
        assert torch.equal(weight, native.state_dict()[name]), name


def test_hidden_states_and_attentions_are_returned(tiny_model):
    """One hidden state more than layers; attention weights (batch, heads, new, seen) that sum to one."""
    tiny_model.set_attn_implementation("eager")
    with torch.no_grad():
        out = tiny_model(ids_of((2, 9)), output_hidden_states=True, output_attentions=True)
    assert [tuple(state.shape) for state in out.hidden_states] == [(2, 9, 32)] * 3
    assert [tuple(weights.shape) for weights in out.attentions] == [(2, 4, 9, 9)] * 2
    assert torch.allclose(out.attentions[0].sum(-1), torch.ones(2, 4, 9))


def test_infill_returns_the_middle_and_says_if_it_was_cut(tiny_model, hf_tokenizer):
    """One string for one gap, a list for many; the same text alone and in a batch of other lengths."""
    settings = {"max_new_tokens": 8, "allow_truncated": True}
    alone = tiny_model.infill(hf_tokenizer, "def f():\n    return ", "\n", **settings)
    both = tiny_model.infill(hf_tokenizer, ["def f():\n    return ", "x"], ["\n", " = 1\nprint(x)\n"], **settings)
    assert alone == both[0]
    assert isinstance(alone, str)
    assert isinstance(alone.is_truncated, bool)
    assert len(both) == 2


def test_infill_stops_at_any_special_token(tiny_model, hf_tokenizer, monkeypatch):
    """Whatever special token comes first ends the middle, and none of it is in the text."""
    ids = hf_tokenizer("return a", add_special_tokens=False)["input_ids"]
    for token in ("<|endoftext|>", "<fim-suffix>", "<fim-pad>"):
        stop = hf_tokenizer.convert_tokens_to_ids(token)

        def generate(input_ids, stop=stop, **_):
            return torch.cat([input_ids, torch.tensor([[*ids, stop, ids[0]]])], dim=1)

        monkeypatch.setattr(tiny_model, "generate", generate)
        middle = tiny_model.infill(hf_tokenizer, "x", "y")
        assert (middle, middle.is_truncated) == ("return a", False)


def test_infill_encodes_sentinels_in_the_text_as_text(tiny_model, hf_tokenizer, monkeypatch):
    """A sentinel in the caller's code is not one of the three that frame the prompt."""
    seen = []
    monkeypatch.setattr(tiny_model, "generate", lambda input_ids, **_: seen.append(input_ids) or input_ids)
    tiny_model.infill(hf_tokenizer, "print('<fim-middle>')", "<|endoftext|>", allow_truncated=True)
    special = set(hf_tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<fim-prefix>", "<fim-middle>", "<fim-suffix>"]))
    assert sum(token in special for token in seen[0][0].tolist()) == 3


def test_infill_refuses_what_it_cannot_do(tiny_model, hf_tokenizer):
    """Lists of different lengths, no room in the context, and a cut middle each have their message."""
    with pytest.raises(ValueError, match="2 prefixes but 1 suffixes"):
        tiny_model.infill(hf_tokenizer, ["a", "b"], ["c"])
    with pytest.raises(
        ValueError, match=r"max_new_tokens=500 leaves no room for a prompt in the context of n_positions=128"
    ):
        tiny_model.infill(hf_tokenizer, "a", "b", max_new_tokens=500)
    with pytest.raises(ValueError, match=r"reached max_new_tokens=2 without <\|endoftext\|>; the middle may be cut"):
        tiny_model.infill(hf_tokenizer, "def add_1(a, b):", "", max_new_tokens=2)
    assert tiny_model.infill(hf_tokenizer, [], []) == []


def caches(config):
    """Each kind of cache, new."""
    return None, DynamicCache(config=config), StaticCache(config=config, max_cache_len=32)


@pytest.mark.parametrize("optimised", ["off", "packed"])
@pytest.mark.parametrize("side", [None, "left", "right"])
def test_every_way_of_reading_equals_the_native_class(pair, optimised, side):
    """Padded on a side or not, at once, by token or in chunks, in any cache: logits within 1e-4 of GPTBigCode's."""
    ours, native = pair
    ids = ids_of((2, 24), seed=3)
    mask = torch.ones_like(ids)
    if side:
        mask[0, slice(0, 5) if side == "left" else slice(19, 24)] = 0
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    ours.optimize_for_cpu(optimised)
    with torch.no_grad():
        expected = native(ids, attention_mask=mask, position_ids=positions).logits
        for chunks in ([24], [1] * 24, [10, 1, 13], [20, 4]):
            for cache in caches(ours.config):
                found = read_in(chunks, ours, ids, mask, cache)
                assert (expected - found)[mask.bool()].abs().max() <= 1e-4 * expected.abs().max()


def read_in(chunks, model, ids, mask, cache):
    logits, seen = [], 0
    for chunk in ids.split(chunks, dim=1):
        seen += chunk.shape[1]
        out = model(chunk, attention_mask=mask[:, :seen], past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        logits.append(out.logits)
    return torch.cat(logits, dim=1)


@pytest.mark.parametrize(("width", "gain"), [(64, 1), (128, 6)])
def test_bfloat16_errs_no_more_than_the_native_class(width, gain):
    """Against float32 with the same weights, at most 1.1 times GPTBigCode's own error, prompt and decoding."""
    torch.manual_seed(4)
    config = SantaConfig(
        n_layer=3, n_embd=width, n_head=4, vocab_size=512, n_positions=256, bos_token_id=0, eos_token_id=0
    )
    exact = GPTBigCodeForCausalLM(config).eval()
    with torch.no_grad():
        for name, weight in exact.named_parameters():
            weight.mul_(gain if "c_attn.weight" in name else 1)  # sharper attention
    exact = exact.bfloat16().float()
    native, ours = GPTBigCodeForCausalLM(config).eval(), SantaForCausalLM(config).eval()
    for model in (native, ours):
        model.load_state_dict(exact.state_dict())
        model.bfloat16()
    ids = ids_of((4, 200), seed=6)

    def read(model):
        with torch.no_grad():
            start = model(ids[:, :-1], use_cache=True)
            end = model(ids[:, -1:], **{CACHE_NAME: start[CACHE_NAME]}, use_cache=True)
        return torch.cat([start.logits, end.logits], dim=1).float()

    expected = read(exact)
    errors = [(read(model) - expected).abs() for model in (native, ours)]
    assert errors[1].mean() <= 1.1 * errors[0].mean()
    assert errors[1][:, -1].mean() <= 1.1 * errors[0][:, -1].mean()


def test_an_all_padding_row_is_harmless(pair):
    """Its logits are finite and the other rows are as alone, in both dtypes and also when cached."""
    ours, _ = pair
    ids = ids_of((2, 70))
    mask = torch.ones_like(ids)
    mask[0] = 0
    for dtype in (torch.float32, torch.bfloat16):
        ours.to(dtype)
        with torch.no_grad():
            out = ours(ids, attention_mask=mask, use_cache=True)
            more = ours(
                ids[:, :1], attention_mask=torch.cat([mask, mask[:, :1]], 1), past_key_values=out.past_key_values
            )
            alone = ours(ids[1:]).logits
        assert out.logits.isfinite().all()
        assert more.logits.isfinite().all()
        assert (alone - out.logits[1:]).abs().max() <= (1e-4 if dtype == torch.float32 else 5e-2) * alone.abs().max()


@pytest.mark.parametrize(("ids", "wrong"), [([[1, 100_000]], "100000"), ([[-1, 3]], "-1")])
def test_ids_outside_the_vocabulary_are_named(tiny_model, ids, wrong):
    """GPTBigCode gives a bare IndexError."""
    size = tiny_model.config.vocab_size
    with pytest.raises(
        ValueError, match=rf"token id {wrong} is outside the vocabulary of {size} \(ids 0 to {size - 1}\)"
    ):
        tiny_model(torch.tensor(ids))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_generating_past_the_context_is_refused(tiny_model):
    """The message has the numbers, also when generate passes positions itself."""
    with pytest.raises(ValueError, match=r"128 cached \+ 1 new = 129 tokens exceed the context of n_positions=128"):
        tiny_model.generate(ids_of((1, 120)), max_new_tokens=20, do_sample=False, pad_token_id=0, eos_token_id=None)
    with pytest.raises(
        ValueError, match=r"position 128 is outside the context of n_positions=128 \(positions 0 to 127\)"
    ):
        tiny_model.generate(
            ids_of((1, 120)), max_new_tokens=20, do_sample=False, pad_token_id=0, eos_token_id=None, use_cache=False
        )


@pytest.mark.parametrize(("positions", "wrong"), [([126, 127, 128], "128"), ([-1, 0, 1], "-1")])
def test_positions_outside_the_context_are_named(tiny_model, positions, wrong):
    """GPTBigCode gives a bare IndexError."""
    with pytest.raises(ValueError, match=f"position {wrong} is outside the context of n_positions=128"):
        tiny_model(ids_of((1, 3)), position_ids=torch.tensor([positions]))


@pytest.mark.parametrize("shape", [(1, 0), (0, 3)])
def test_an_input_of_nothing_is_refused(tiny_model, shape):
    """No tokens or no rows, as ids, as embeddings or to `generate`: a message with the shape."""
    message = r"the input is empty: \(batch, tokens\) = \(\d, \d\). Give at least one token a row"
    with pytest.raises(ValueError, match=message):
        tiny_model(torch.zeros(shape, dtype=torch.long))
    with pytest.raises(ValueError, match=message):
        tiny_model(inputs_embeds=torch.zeros(*shape, 32))
    if shape[0]:
        with pytest.raises(ValueError, match=message):
            tiny_model.generate(torch.zeros(shape, dtype=torch.long), max_new_tokens=2, pad_token_id=0)


class Collected:
    """A streamer that keeps what it gets."""

    def __init__(self):
        self.ids, self.is_ended = [], False

    def put(self, value):
        """Keep the ids."""
        self.ids += value.reshape(-1).tolist()

    def end(self):
        """Keep that it was called."""
        self.is_ended = True


def test_infill_streams_the_middle_alone(tiny_model, hf_tokenizer):
    """A streamer gets the middle's tokens, no prompt; transformers' own text streamers, too, skip nothing of it."""
    settings = {"max_new_tokens": 8, "allow_truncated": True}
    streamer = Collected()
    middle = tiny_model.infill(hf_tokenizer, "def f():", "\n", streamer=streamer, **settings)
    whole = hf_tokenizer.decode(streamer.ids)
    assert middle == whole
    assert streamer.is_ended
    for skip_prompt in (True, False):
        texts = TextIteratorStreamer(hf_tokenizer, skip_prompt=skip_prompt)
        tiny_model.infill(hf_tokenizer, "def f():", "\n", streamer=texts, **settings)
        assert whole == "".join(texts)
    with pytest.raises(ValueError, match="a streamer takes one gap, not 2"):
        tiny_model.infill(hf_tokenizer, ["a", "b"], ["", ""], streamer=streamer)


def test_no_special_token_is_streamed(hf_tokenizer):
    """What comes from the first end token on is not passed on."""
    target = Collected()
    streamer = MiddleStreamer(target, hf_tokenizer, [9], Stop())
    for value in ([[1, 2, 3]], [4], [9], [5]):
        streamer.put(torch.tensor(value))
    assert [4] == target.ids


@pytest.mark.parametrize(("prefix", "suffix"), [("", "\n"), ("x = ", ""), ("", "")])
def test_a_side_may_be_empty(tiny_model, hf_tokenizer, prefix, suffix):
    """An empty prefix or suffix is a text like any other."""
    middle = tiny_model.infill(hf_tokenizer, prefix, suffix, max_new_tokens=4, allow_truncated=True)
    assert isinstance(middle, str)
