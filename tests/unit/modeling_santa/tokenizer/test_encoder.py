"""The compiled encoder gives the ids of `tokenizers`, whatever the text."""

import json
import pickle
import random
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from modeling_santa.tokenizer import characters
from modeling_santa.tokenizer import train as tokenizers
from modeling_santa.tokenizer.encoder import Encoder, why_not_compiled

SOURCES = [path.read_text("utf-8") for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))[:40]]
HARD = [
    *" \t\n\r'_!1\u00b2\u0663\u2167\u00e9\u65e5\u00a0\u2028\u3000\u0301\x00\x85\U0001f600\U00020000",
    "  ",
    "'s",
    "'ll",
    "name",
]


@pytest.fixture(scope="module")
def trained():
    return tokenizers.train_tokenizer(SOURCES, vocab_size=2000)


@pytest.fixture(scope="module")
def encoder(trained):
    return Encoder(trained, threads=2)


def documents(encoded):
    return [part.tolist() for part in np.split(encoded.ids, np.cumsum(encoded.counts)[:-1])]


def reference(tokenizer, texts):
    return [each.ids for each in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]


def test_real_files_have_the_same_ids(trained, encoder):
    """Forty files of the standard library, on two threads."""
    assert encoder.reason == ""
    assert reference(trained, SOURCES) == documents(encoder.encode(SOURCES))


@given(st.lists(st.one_of(st.text(), st.lists(st.sampled_from(HARD)).map("".join)), min_size=1, max_size=5))
@settings(max_examples=150, deadline=None)
def test_any_text_has_the_same_ids(trained, encoder, texts):
    """Blanks before digits, contractions, numerals of all scripts, separators, NUL: all as `tokenizers` cuts them."""
    assert reference(trained, texts) == documents(encoder.encode(texts))


@pytest.mark.parametrize("length", [16, 17, 63, 64, 65, 5000])
def test_long_words_have_the_same_ids(trained, encoder, length):
    """Around the limits of the cache and of the short merge loop, twice: the second time from the cache."""
    draw = random.Random(length)
    words = ["".join(draw.choices("abcdeinrst", k=length)), "_" * length, " " * length, "\u00e9" * length]
    for _ in range(2):
        assert reference(trained, words) == documents(encoder.encode(words))


def test_a_full_cache_starts_anew(trained, monkeypatch):
    """More different words than the cache has room for: the ids stay right."""
    draw = random.Random(0)
    words = [" ".join("".join(draw.choices("abcdefgh", k=7)) for _ in range(900)) for _ in range(100)]
    assert reference(trained, words) == documents(Encoder(trained, threads=1).encode(words))


def test_every_character_is_of_the_library_s_class():
    """Also the planes that are not asked at run time: all of them hold neither letter, number nor white space."""
    known = characters.character_kinds()
    for start in range(0x40000, 0x110000, 4096):
        assert np.array_equal(known[start : start + 4096], characters.kinds_of(range(start, start + 4096)))


def test_a_spelled_special_token_is_text(trained, encoder):
    """No text can give the id of a special token."""
    ids = encoder.encode(["<fim-middle><|endoftext|>"]).ids
    assert ids.max() < trained.get_vocab_size(with_added_tokens=True) - 5


def test_each_text_is_followed_by_its_end(encoder):
    """The end id stands behind every text, also behind an empty one."""
    encoded = encoder.encode(["", "a", ""], end_id=7)
    assert ([1, 2, 1], 7, 7) == (encoded.counts.tolist(), encoded.ids[0], encoded.ids[-1])
    assert encoder.encode([]).ids.tolist() == []


def test_a_pickled_encoder_encodes_the_same(encoder):
    """A worker process gets one that works."""
    copy = pickle.loads(pickle.dumps(encoder))
    assert encoder.encode(SOURCES[:2]).ids.tolist() == copy.encode(SOURCES[:2]).ids.tolist()


def test_another_kind_of_tokenizer_goes_through_tokenizers(trained):
    """GPT-2's pre-tokenizer keeps digits together: the ids are right, and the reason is said."""
    other = Tokenizer.from_str(trained.to_str())
    other.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    encoder = Encoder(other)
    assert "the pre-tokenizer is not digits one by one" in encoder.reason
    assert reference(other, SOURCES[:3]) == documents(encoder.encode(SOURCES[:3]))


def test_each_setting_that_is_not_ours_is_named(trained):
    """Dropout, a normalizer, ordinary added tokens, truncation: none is silently left out."""
    about = json.loads(trained.to_str())
    changes = {
        "not plain BPE": {"model": about["model"] | {"dropout": 0.1}},
        "normalizes": {"normalizer": {"type": "NFC"}},
        "truncates": {"truncation": {"max_length": 5}},
        "not special": {"added_tokens": [{"special": False}]},
    }
    for words, change in changes.items():
        assert words in why_not_compiled(about | change)


def test_what_cannot_be_encoded_is_named(encoder):
    """Half a surrogate pair is no UTF-8; a vocabulary above 65,536 is no uint16."""
    with pytest.raises(ValueError, match="text 1 holds half of a surrogate pair at character 2"):
        encoder.encode(["a", "ab\ud800"])
    large = Tokenizer(models.WordLevel({str(number): number for number in range(65537)}))
    with pytest.raises(ValueError, match="65,537 exceeds 65,536"):
        Encoder(large)
