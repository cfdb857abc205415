"""Graded infilling: what a model is worth on true middles, beside numbers worked out by hand."""

from types import SimpleNamespace

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from hf_santa.ablate.corpora import _some
from hf_santa.measures import graded
from modeling_santa.tokenizer.train import train_tokenizer

TASKS = [{"prefix": "a = 1\n", "middle": "b = 2\n", "suffix": "c = 3\n"}, {"prefix": "", "middle": "d\n", "suffix": ""}]


class Oracle:
    """Knows the true middles of the tasks, and gives each right token the same share of the probability."""

    config = SimpleNamespace(n_positions=64)
    device = "cpu"

    def __init__(self, tokenizer, *, share, knows_the_end):
        self.size = len(tokenizer)
        self.end = tokenizer.eos_token_id if knows_the_end else 0
        self.share = share

    def __call__(self, ids, **_):
        """Return logits for the token after each of `ids`."""
        wanted = [*ids[0, 1:].tolist(), self.end]
        logits = torch.full((1, len(wanted), self.size), (1 - self.share) / (self.size - 1)).log()
        logits[0, torch.arange(len(wanted)), torch.tensor(wanted)] = torch.tensor(self.share).log()
        return SimpleNamespace(logits=logits)


@pytest.fixture(scope="module")
def tokenizer():
    made = train_tokenizer(["x"], vocab_size=256)
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|endoftext|>")


@pytest.mark.parametrize("mode", ["psm", "spm"])
def test_a_model_that_knows_the_middles(tokenizer, mode):
    """Half of the probability on each right byte is one bit a byte, every token right, and an end where it knows of ends."""
    found = graded(Oracle(tokenizer, share=0.5, knows_the_end=True), tokenizer, TASKS, mode)
    assert found == {"bits_per_byte": pytest.approx(1.0), "token_accuracy": 1.0, "stops": 1.0, "tasks": 2}
    assert graded(Oracle(tokenizer, share=0.5, knows_the_end=False), tokenizer, TASKS, mode)["stops"] == 0
    assert graded(Oracle(tokenizer, share=0.5, knows_the_end=True), tokenizer, [], mode) == {}


def test_a_model_that_knows_nothing(tokenizer):
    """Less than chance on the right token: many bits, no token right."""
    found = graded(Oracle(tokenizer, share=1e-4, knows_the_end=True), tokenizer, TASKS, "psm")
    assert found["bits_per_byte"] == pytest.approx(13.29, abs=0.01)
    assert (found["token_accuracy"], found["stops"]) == (0.0, 0.0)


def test_an_ablation_s_tokenizer_learns_from_all_parts(monkeypatch):
    """Of a source that is sorted, texts are drawn by chance from its beginning and its end, about as many as asked for."""
    monkeypatch.setattr("hf_santa.ablate.corpora.TOKENIZER_BYTES", 2000)
    texts = list(_some(lambda: iter(["a" * 10] * 500 + ["b" * 10] * 500)))
    assert 120 < len(texts) < 280
    assert {"a" * 10, "b" * 10} == set(texts)
