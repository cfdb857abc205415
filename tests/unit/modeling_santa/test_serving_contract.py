"""What serving engines that run transformers' own classes (vLLM's transformers backend) ask of a model.

The engine itself is not run here: a fake one makes the same calls. It registers an attention function, builds the base
model on the meta device, replaces linear layers, and reads several sequences flattened into one row.
"""

import fnmatch

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from modeling_santa.attention_santa import eager_attention


@pytest.fixture
def engine():
    """A registered attention that sees the engine's own argument and attends within each sequence."""
    seen = []

    def attend(module, q, k, v, attention_mask, scaling=None, attention_instances=None, **_):
        seen.append((module.layer_idx, attention_instances[module.layer_idx], module.is_causal, scaling))
        lengths = attention_instances["lengths"]
        parts = zip(*(x.split(lengths, dim=2) for x in (q, k, v)), strict=True)
        return torch.cat([eager_attention(module, *part, None, scaling)[0] for part in parts], dim=1), None

    ALL_ATTENTION_FUNCTIONS.register("engine", attend)
    yield seen
    ALL_ATTENTION_FUNCTIONS._global_mapping.pop("engine")


def test_flattened_sequences_are_read_through_the_engine_s_attention(tiny_model, engine):
    """Two sequences in one row, each with its own positions, give the states of each alone; every layer is called."""
    base, lengths = tiny_model.transformer, [5, 90]
    ids = [torch.randint(0, 300, (1, length), generator=torch.Generator().manual_seed(length)) for length in lengths]
    with torch.no_grad():
        expected = torch.cat([base(part, use_cache=False, return_dict=False)[0] for part in ids], dim=1)
        tiny_model.set_attn_implementation("engine")
        found = base(
            inputs_embeds=base.get_input_embeddings()(torch.cat(ids, dim=1)),
            position_ids=torch.cat([torch.arange(length) for length in lengths]).unsqueeze(0),
            use_cache=False,
            return_dict=False,
            attention_instances={0: "first", 1: "second", "lengths": lengths},
        )[0]
    assert torch.allclose(expected, found, atol=1e-5)
    scaling = tiny_model.config.head_dim**-0.5
    assert [(0, "first", True, scaling), (1, "second", True, scaling)] == engine


def test_the_base_model_has_the_parts_that_engines_look_for(tiny_model, tmp_path):
    """From a saved folder, on the meta device: one list of blocks, only nn.Linear, one key/value head by name."""
    tiny_model.save_pretrained(tmp_path)
    config = type(tiny_model.config).from_pretrained(tmp_path)
    remote_config = AutoConfig.from_pretrained(tmp_path, trust_remote_code=True)
    with torch.device("meta"):
        base = AutoModel.from_config(
            remote_config, trust_remote_code=True, attn_implementation="eager", dtype=torch.bfloat16
        )
    assert type(base).__name__ == "SantaModel"
    lists = [module for module in base.modules() if isinstance(module, nn.ModuleList)]
    assert [config.num_hidden_layers] == [len(blocks) for blocks in lists]
    assert all(isinstance(module, nn.Linear) for module in base.modules() if hasattr(module, "in_features"))
    assert (4, 1, 8) == (config.num_attention_heads, config.num_key_value_heads, config.head_dim)
    assert tiny_model.get_decoder() is tiny_model.transformer
    replaced = nn.Embedding(3, 32)
    tiny_model.transformer.set_input_embeddings(replaced)
    assert tiny_model.transformer.get_input_embeddings() is replaced


def test_the_tensor_parallel_plan_names_real_layers(tiny_model):
    """Each pattern fits one layer a block; attention, with its one key/value head, is computed everywhere."""
    names = [name for name, module in tiny_model.transformer.named_modules() if isinstance(module, nn.Linear)]
    plan = type(tiny_model.config).base_model_tp_plan  # transformers 5.17 adds embed_tokens to a config's own copy
    for pattern in plan:
        assert len(fnmatch.filter(names, pattern)) == tiny_model.config.n_layer
    assert not any("attn" in pattern for pattern in plan)
    assert set(tiny_model.config.base_model_pp_plan) == {"wte", "h", "ln_f"}


def test_a_replaced_linear_layer_is_called(tiny_model):
    """An engine's or adapter's own layer in place of c_fc gets a plain call, and the model goes on."""

    class Theirs(nn.Module):
        def __init__(self, linear):
            super().__init__()
            self.linear, self.calls = linear, 0

        def forward(self, x):
            self.calls += 1
            return nn.functional.linear(x, self.linear.weight, self.linear.bias)

    ids = torch.tensor([[1, 2, 3]])
    with torch.no_grad():
        expected = tiny_model(ids).logits
        for block in tiny_model.transformer.h:
            block.mlp.c_fc, block.attn.c_attn = Theirs(block.mlp.c_fc), Theirs(block.attn.c_attn)
        found = tiny_model(ids).logits
    assert [1, 1] == [block.mlp.c_fc.calls for block in tiny_model.transformer.h]
    assert torch.allclose(expected, found, atol=1e-5)
