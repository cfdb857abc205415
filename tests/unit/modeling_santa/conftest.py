"""A tiny tokenizer and a tiny model for the unit tests."""

import copy

import pytest
import torch

from modeling_santa.configuration_santa import SantaConfig
from modeling_santa.modeling_santa import SantaForCausalLM
from modeling_santa.tokenizer.train import padded_vocab_size, save_tokenizer, train_tokenizer

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
    end = tokenizer.token_to_id("<|endoftext|>")
    return SantaConfig(
        vocab_size=padded_vocab_size(tokenizer),
        n_positions=128,
        n_embd=32,
        n_layer=2,
        n_head=4,
        bos_token_id=end,
        eos_token_id=end,
        initializer_range=0.2,
    )


@pytest.fixture
def tiny_model(tiny_config):
    torch.manual_seed(0)
    return SantaForCausalLM(copy.deepcopy(tiny_config)).eval()
