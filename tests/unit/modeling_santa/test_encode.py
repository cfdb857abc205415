"""The tokens of an edited text are those of the whole text, whatever was edited and however it is cut."""

import copy
import random

import pytest
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from modeling_santa import encode_santa
from modeling_santa.encode_santa import EncodedText, encode_text

# What could reach over a cut: contractions, blanks of all kinds, marks that are no letters, digits, characters of several bytes.
PIECES = [
    *("'s", "'ll", "'", "''", "I", "re", "don't", "x1", "007", " ", "  ", "\n", "\r\n", "\t", "\n\n    ", " \n"),
    *("\u00a0", "\u2003", "\x1c", "\x85", "\u0301", "e\u0301", "\u00e9", "\u0661", "\u00bd", "\u4e2d", "\U0001f600"),
    *("(", "):", "==", "_", "#", "<fim-middle>", "<|endoftext|>", "def f(a, b):", "return", "\x00", "\u200d", "\ufb01"),
]


def whole(hf_tokenizer, text):
    """Return the ids of a text that is encoded at once, special tokens as text."""
    backend = copy.deepcopy(hf_tokenizer.backend_tokenizer)
    backend.encode_special_tokens = True
    return backend.encode(text, add_special_tokens=False).ids


def with_rules(tokenizer, **rules):
    """Return a copy of a tokenizer with another normalizer, pre-tokenizer, or another dropout."""
    backend = Tokenizer.from_str(tokenizer.to_str())
    for name, rule in rules.items():
        setattr(backend, name, rule)
    return PreTrainedTokenizerFast(tokenizer_object=backend)


@pytest.fixture
def tokenizers_of_rules(tokenizer):
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    added = with_rules(tokenizer)
    added.add_tokens([AddedToken("return f", lstrip=True)])
    return {
        "GPT-2's": (with_rules(tokenizer, pre_tokenizer=byte_level), True),
        "SantaCoder's": (with_rules(tokenizer), True),
        "a blank in front": (
            with_rules(tokenizer, pre_tokenizer=pre_tokenizers.ByteLevel(add_prefix_space=True)),
            False,
        ),
        "no regex": (with_rules(tokenizer, pre_tokenizer=pre_tokenizers.ByteLevel(False, use_regex=False)), False),
        "NFC": (with_rules(tokenizer, normalizer=normalizers.NFC()), False),
        "none": (with_rules(tokenizer, pre_tokenizer=None), False),
        "an added token": (added, False),
        "words": (
            PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))),
            False,
        ),
    }


@pytest.mark.parametrize("block", [1, 5, 1024])
def test_edits_give_the_tokens_of_the_whole_text(tokenizers_of_rules, monkeypatch, block):
    """Over chains of random edits, for every rule by which texts are split; only known rules are cut."""
    monkeypatch.setattr(encode_santa, "BLOCK", block)
    for name, (hf_tokenizer, cuts) in tokenizers_of_rules.items():
        draw = random.Random(f"{name}/{block}")
        text, earlier = "", []
        for _ in range(150):
            first, last = sorted((draw.randint(0, len(text)), draw.randint(0, len(text))))
            last = min(last, first + draw.choice((0, 0, 1, 3, 60)))
            text = text[:first] + "".join(draw.choices(PIECES, k=draw.choice((0, 1, 1, 2, 12)))) + text[last:]
            text = text if len(text) < 400 else text[draw.randint(0, 300) :]
            found = encode_text(hf_tokenizer, text, earlier)
            assert whole(hf_tokenizer, text) == list(found), (name, text)
            assert cuts or len(found.blocks) == 1
            earlier = [found, *earlier][:2]
        assert block != 1 or not cuts or len(found.blocks) > 20


def test_a_keystroke_in_a_long_text_encodes_a_block(hf_tokenizer, monkeypatch):
    """Of 200,000 characters, two blocks at most; of a text that did not change, nothing."""
    text = "def add(a, b):\n    return a + b\n" * 6250
    earlier = encode_text(hf_tokenizer, text)
    seen, plain = [], earlier.encoder
    backend = type(
        "Counted", (), {"encode": lambda _, piece, **k: seen.append(len(piece)) or plain.backend.encode(piece, **k)}
    )
    monkeypatch.setitem(
        encode_santa._PLAIN, hf_tokenizer, counted := encode_santa._Plain(backend(), plain.size, cuts=True)
    )
    earlier.encoder = counted
    for at in (0, 100_000, len(text)):
        edited = text[:at] + "x" + text[at:]
        seen.clear()
        assert whole(hf_tokenizer, edited) == list(encode_text(hf_tokenizer, edited, [earlier]))
        assert sum(seen) < 3 * encode_santa.BLOCK
    seen.clear()
    assert list(earlier) == list(encode_text(hf_tokenizer, text, [earlier]))
    assert sum(seen) < 2 * encode_santa.BLOCK


def test_another_tokenizer_s_tokens_are_not_used(tokenizer):
    """A vocabulary that has grown since, too, encodes anew."""
    hf_tokenizer = with_rules(tokenizer)
    text = "def add(a, b):\n    return a + b\n" * 200
    earlier = encode_text(hf_tokenizer, text)
    hf_tokenizer.add_tokens(["add(a"])
    found = encode_text(hf_tokenizer, text + "x", [earlier])
    assert whole(hf_tokenizer, text + "x") == list(found)
    assert hf_tokenizer.convert_tokens_to_ids("add(a") in found


def test_encoded_text_is_a_sequence(hf_tokenizer):
    """It has a length, items from either end, and slices of every place that are a list's."""
    encoded = EncodedText(None, "", [0, 1, 2], [encode_santa.array("I", ids) for ids in ([1, 2, 3], [], [4, 5])])
    ids = [1, 2, 3, 4, 5]
    assert (5, ids, 5, 1) == (len(encoded), list(encoded), encoded[-1], encoded[0])
    for first in range(-6, 7):
        for last in range(-6, 7):
            assert ids[first:last] == encoded[first:last]
    with pytest.raises(IndexError):
        encoded[5]
    with pytest.raises(ValueError, match="Make a list first"):
        encoded[::2]
    assert [] == list(encode_text(hf_tokenizer, ""))
