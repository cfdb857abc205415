"""Characters per token."""

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from data_recipes.errors import DataError
from data_recipes.filters.fertility import chars_per_token


@pytest.fixture
def tokenizer(tmp_path):
    """A tokenizer of words that wraps each text in two special tokens when asked to."""
    vocab = {"<s>": 0, "a": 1, "bb": 2, "[UNK]": 3}
    made = Tokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.post_processor = processors.TemplateProcessing(single="<s> $A <s>", special_tokens=[("<s>", 0)])
    made.save(str(tmp_path / "tokenizer.json"))
    return tmp_path / "tokenizer.json"


def test_characters_are_divided_by_tokens(tokenizer):
    """Characters, not bytes, count; special tokens do not; a text without tokens has 0."""
    assert chars_per_token(["a bb", "é é é", " "], tokenizer) == [2.0, 5 / 3, 0.0]
    assert chars_per_token(["a bb"] * 300, tokenizer.parent) == [2.0] * 300


def test_a_missing_or_broken_tokenizer_is_named(tokenizer, tmp_path):
    """The file is named, with what to do."""
    with pytest.raises(
        DataError, match=r"none does not exist, but recipe 'fertility' counts tokens\. Pass a tokenizer"
    ):
        chars_per_token(["a"], tmp_path / "none")
    tokenizer.write_text("{}")
    with pytest.raises(DataError, match=r"tokenizer\.json is not a tokenizer\.json .* Save it again"):
        chars_per_token(["a"], tokenizer)
