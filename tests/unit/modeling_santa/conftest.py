"""A tiny tokenizer and a tiny model for the unit tests."""

import copy

import pytest
import torch

from modeling_santa.modeling_santa import SantaForCausalLM
from modeling_santa.tokenizer.train import save_tokenizer, train_tokenizer
from tests.fixtures import tiny

TEXTS = [
    f"def add_{n}(a, b):\n    # Adds {n} numbers, caf\u00e9 \U0001f600\n    return a + b + {n}\r\n\nprint('<fim-middle>')\n"
    for n in range(60)
]


@pytest.fixture(scope="session")
def tokenizer():
    return train_tokenizer(TEXTS, vocab_size=400)


@pytest.fixture(scope="session")
def hf_tokenizer(tokenizer, tmp_path_factory):
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(tokenizer, folder, n_positions=128)
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="session")
def tiny_config(tokenizer):
    return tiny.tiny_config(tokenizer, initializer_range=0.2)


@pytest.fixture
def tiny_model(tiny_config):
    torch.manual_seed(0)
    return SantaForCausalLM(copy.deepcopy(tiny_config)).eval()
