"""Tokens and shingles in bulk."""

import re

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from data_recipes.dedup.signatures import permutations, signature
from data_recipes.engine import jit_tokens, shingles
from data_recipes.engine.shingles import jaccard, ngram_set, token_hashes, unigram_set
from data_recipes.engine.texts import texts_of

_CODE = st.lists(
    st.sampled_from(["ab", "b", "_", "1", " ", "\n", "(", "é", "日", "😀", "x" * 40, "abcdefgh", "eight__8x"]),
    max_size=80,
).map("".join)


def _tokens(text):
    return re.split("[^A-Za-z_0-9]", text)


@given(_CODE)
@settings(deadline=None)
def test_tokens_are_those_of_the_reference_split(text):
    """Number, emptiness and equality of tokens are those of the reference's `re.split`."""
    expected = _tokens(text)
    hashes, filled = token_hashes(text)
    assert filled.tolist() == [bool(token) for token in expected]
    assert len(set(zip(hashes.tolist(), expected, strict=True))) == len(set(hashes.tolist())) == len(set(expected))


@given(_CODE, _CODE)
@settings(deadline=None)
def test_similarities_equal_those_of_string_sets(left, right):
    """Jaccard over hashes is Jaccard over the strings, for distinct tokens and for 5-grams."""

    def reference(a, b):
        return len(a & b) / len(a | b) if a and b else 0.0

    def grams(text):
        tokens = _tokens(text)
        return {" ".join(tokens[i : i + 5]) for i in range(len(tokens) - 4)}

    assert jaccard(unigram_set(left)[0], unigram_set(right)[0]) == reference(
        set(_tokens(left)) - {""},
        set(_tokens(right)) - {""},
    )
    assert jaccard(ngram_set(left)[0], ngram_set(right)[0]) == reference(grams(left), grams(right))


def test_blocks_do_not_change_tokens(monkeypatch):
    """Cutting a long text into blocks gives the hashes of the text in one piece, also with one endless token."""
    text = "def f(x):\n    return x * 2\n" * 300 + "y" * 3000 + " end"
    whole = token_hashes(text)[0]
    monkeypatch.setattr(shingles, "_BLOCK_BYTES", 64)
    assert np.array_equal(token_hashes(text)[0], whole)


@given(_CODE, st.integers(0, 3 * jit_tokens.BLOCK))
@settings(deadline=None, max_examples=60)
def test_compiled_signatures_equal_those_of_the_definition(text, padding):
    """Compiled code reads the same tokens and shingles, wherever the ends of its blocks fall."""
    a, b = permutations()
    lowest, scratch = np.empty(256, dtype=np.uint32), jit_tokens.new_scratch()
    for filler in ("y", " ", "é"):
        texts = texts_of([filler * padding + text])
        for ngram, define in ((5, ngram_set), (1, unigram_set)):
            tokens = jit_tokens.signature_of(texts.addresses[0], texts.sizes[0], ngram, a, b, lowest, scratch)
            expected, count = define(texts.read(0))
            assert tokens == count
            assert np.array_equal(lowest, signature(expected))


def test_lone_surrogates_are_separators():
    """A text that is no valid Unicode is still cut into tokens."""
    assert unigram_set("a\ud800b")[1] == 2
