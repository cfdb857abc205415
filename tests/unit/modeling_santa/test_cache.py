"""The growing cache holds what transformers' DynamicCache holds, without copying itself at every token."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import DynamicCache

from modeling_santa.cache_santa import STEP, GrowingCache
from modeling_santa.configuration_santa import SantaConfig
from modeling_santa.modeling_santa import CACHE_NAME

CONFIG = SantaConfig(n_layer=1, n_embd=8, n_head=2, vocab_size=16)
OPERATIONS = st.one_of(
    st.tuples(st.just("append"), st.sampled_from([1, 2, 5, 255, 256, 300])),
    st.tuples(st.just("crop"), st.integers(1, 4)),
    st.tuples(st.just("reorder"), st.integers(0, 3)),
    st.tuples(st.just("repeat"), st.integers(1, 2)),
    st.tuples(st.just("select"), st.integers(0, 3)),
    st.tuples(st.just("reset"), st.just(0)),
)


def apply(cache, operation, amount, batch, seed):
    if operation == "append":
        generator = torch.Generator().manual_seed(seed)
        keys, values = torch.randn(2, batch, 1, amount, 4, generator=generator)
        cache.update(keys, values, 0)
    elif operation == "crop" and cache.get_seq_length() > amount:
        cache.crop(-amount)
    elif operation == "reorder":
        cache.reorder_cache(torch.tensor([(row + amount) % batch for row in range(batch)]))
    elif operation == "repeat":
        cache.batch_repeat_interleave(amount)
    elif operation == "select":
        cache.batch_select_indices(torch.tensor([amount % batch]))
    elif operation == "reset":
        cache.reset()


def batch_after(operation, amount, batch, length):
    if length and operation == "repeat":
        return batch * amount
    return 1 if length and operation == "select" else batch


@given(st.lists(OPERATIONS, max_size=12))
@settings(deadline=None)
def test_it_equals_a_dynamic_cache_after_any_operations(operations):
    """Append, crop, reorder, repeat, select and reset in any order: the same keys and values, bit for bit."""
    ours, theirs, batch = GrowingCache(CONFIG), DynamicCache(config=CONFIG), 2
    for seed, (operation, amount) in enumerate(operations):
        length = theirs.get_seq_length()
        for cache in (ours, theirs):
            apply(cache, operation, amount, batch, seed)
        batch = batch_after(operation, amount, batch, length)
        assert theirs.get_seq_length() == ours.get_seq_length()
        if theirs.get_seq_length():
            assert torch.equal(theirs.layers[0].keys, ours.layers[0].keys)
            assert torch.equal(theirs.layers[0].values, ours.layers[0].values)


def test_tokens_are_written_where_there_is_room():
    """Appending one token at a time moves the cache once in STEP tokens, and cropping never does."""
    cache, places = GrowingCache(CONFIG), set()
    for _ in range(2 * STEP):
        cache.update(*torch.randn(2, 1, 1, 1, 4), 0)
        places.add(cache.layers[0].keys.data_ptr())
        cache.crop(-1)
        cache.update(*torch.randn(2, 1, 1, 1, 4), 0)
        places.add(cache.layers[0].keys.data_ptr())
    assert len(places) == 2
    assert cache.layers[0].key_room.shape[-2] - cache.get_seq_length() < STEP


def test_a_copy_is_independent():
    """A prefix's cache can be copied and continued in two ways."""
    cache = GrowingCache(CONFIG)
    cache.update(*torch.ones(2, 1, 1, 3, 4), 0)
    other = copy.deepcopy(cache)
    cache.update(*torch.zeros(2, 1, 1, 1, 4), 0)
    other.update(*torch.full((2, 1, 1, 1, 4), 7.0), 0)
    assert cache.layers[0].keys[0, 0, 3, 0] == 0
    assert other.layers[0].keys[0, 0, 3, 0] == 7


def test_gradients_flow_through_it():
    """With gradients it concatenates: writing in place would lose them."""
    cache = GrowingCache(CONFIG)
    keys = torch.ones(1, 1, 2, 4, requires_grad=True)
    cache.update(keys, keys, 0)
    out, _ = cache.update(keys, keys, 0)
    out.sum().backward()
    assert torch.equal(torch.full_like(keys, 2), keys.grad)


@pytest.mark.filterwarnings("ignore:.*generation flags.*")
def test_generate_uses_it_and_leaves_a_caller_s_cache_alone(tiny_model):
    """By default generate's cache grows; one that is passed, or another implementation that is named, is used as it is."""
    ids = torch.randint(0, 300, (2, 9), generator=torch.Generator().manual_seed(0))
    common = {"max_new_tokens": 30, "do_sample": False, "pad_token_id": 0, "return_dict_in_generate": True}
    default = tiny_model.generate(ids, **common)
    assert type(default[CACHE_NAME]) is GrowingCache
    given_cache = DynamicCache(config=tiny_model.config)
    passed = tiny_model.generate(ids, **{CACHE_NAME: given_cache}, **common)
    assert passed[CACHE_NAME] is given_cache
    static = tiny_model.generate(ids, cache_implementation="static", disable_compile=True, **common)
    assert torch.equal(default.sequences, passed.sequences)
    assert torch.equal(default.sequences, static.sequences)


@pytest.mark.filterwarnings("ignore:.*generation flags.*")
def test_assisted_generation_gives_the_same_text(tiny_model):
    """Prompt look-up drafts tokens and crops the cache when they are wrong."""
    ids = torch.tensor([[4, 5, 6, 7, 4, 5, 6, 7, 4, 5]])
    common = {"max_new_tokens": 40, "do_sample": False, "pad_token_id": 0}
    plain = tiny_model.generate(ids, **common)
    assert torch.equal(plain, tiny_model.generate(ids, prompt_lookup_num_tokens=4, **common))
