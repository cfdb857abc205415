"""What counting is worth: on a text it has seen, the n-gram table writes the next line; a new one it does not."""

import numpy as np
import pytest

from hf_santa.baselines import baselines, line_after, line_breaks, most_frequent_line, told_baselines
from modeling_santa.corpus.ngrams import NgramTable
from modeling_santa.tokenizer.train import train_tokenizer

TEXT = "def first():\n    return 1\n\n\ndef second():\n    print(2)\n"


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([TEXT], vocab_size=300)


def stream(tokenizer, *texts):
    return np.concatenate([np.array(tokenizer.encode(text).ids, np.uint16) for text in texts])


def test_a_line_that_was_seen_is_written_again(tokenizer):
    table = NgramTable(stream(tokenizer, TEXT), tokenizer.get_vocab_size(with_added_tokens=True), 5)
    assert line_after(table, tokenizer, "def second():\n", line_breaks(tokenizer)) == "print(2)"


def test_both_bars_are_measured_on_the_same_lines(tokenizer):
    seen = {"prefix": "def second():\n", "middle": "    print(2)\n", "suffix": ""}
    new = {"prefix": "def third():\n", "middle": "    return 3\n", "suffix": ""}
    tokens = stream(tokenizer, TEXT)
    windows = tokens[None, :20].astype(np.int64)
    found = baselines(tokens, tokenizer, windows, size=30, tasks=[seen, new], texts=["print(2)\n" * 3, TEXT])
    assert found["most_frequent_line"]["line"] == "print(2)"
    assert found["most_frequent_line"]["exact_match"]["value"] == found["five_gram"]["exact_match"]["value"] == 0.5
    assert 0 < found["five_gram"]["bits_per_byte"] < 8
    assert "its_exact_match=0.500" in told_baselines(found)
    assert "exact_match" not in told_baselines(baselines(tokens, tokenizer, windows, size=30, tasks=[], texts=[TEXT]))


def test_a_line_needs_a_letter_or_a_digit():
    assert most_frequent_line(["}\n}\n}\nx\n", "y\nx"]) == "x"
    assert most_frequent_line(["", "}\n"]) == ""
