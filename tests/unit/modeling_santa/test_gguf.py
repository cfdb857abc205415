"""GGUF files, read back with the `gguf` package: the weights, the rounding, the tokenizer and the special ids."""

import json
import re

import numpy as np
import pytest
import torch
from transformers import GPTBigCodeConfig, GPTBigCodeForCausalLM

from modeling_santa.configuration_santa import SantaConfig
from modeling_santa.errors_santa import ModelError
from modeling_santa.gguf_export import export_gguf
from modeling_santa.gguf_q4_k import quantise_q4_k
from modeling_santa.modeling_santa import SantaForCausalLM
from modeling_santa.tokenizer.train import padded_vocab_size, save_tokenizer, train_tokenizer

gguf = pytest.importorskip("gguf", reason="the package gguf is not installed: pip install 'hf-santa[gguf]'")
quants = gguf.quants


def _save(folder, *, width=256, is_multi_query=True, model_class=SantaForCausalLM, config_class=SantaConfig):
    tokenizer = train_tokenizer([f"def f_{n}(a):\n    return a + {n}\n" for n in range(40)], vocab_size=290)
    end = tokenizer.token_to_id("<|endoftext|>")
    torch.manual_seed(0)
    config = config_class(
        vocab_size=padded_vocab_size(tokenizer),
        n_positions=32,
        n_embd=width,
        n_layer=2,
        n_head=4,
        multi_query=is_multi_query,
        bos_token_id=end,
        eos_token_id=end,
        activation_function="gelu_pytorch_tanh",
    )
    model_class(config).save_pretrained(folder)
    save_tokenizer(tokenizer, folder, n_positions=32)
    return tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("gguf") / "santa"
    _save(out)
    return out


def _tensors(path):
    return {
        tensor.name: quants.dequantize(tensor.data, tensor.tensor_type).reshape(tuple(reversed(tensor.shape.tolist())))
        for tensor in gguf.GGUFReader(path).tensors
    }


def _weights(folder):
    return {name: value.numpy() for name, value in SantaForCausalLM.from_pretrained(folder).state_dict().items()}


@pytest.mark.parametrize(("kind", "error"), [("f32", 0), ("f16", 5e-4), ("q8_0", 8e-3), ("q4_k", 0.08)])
def test_every_type_holds_the_weights(folder, tmp_path, kind, error):
    """float32 is exact; the others differ by their rounding, as a share of the matrix's size; vectors never differ."""
    done = export_gguf(folder, tmp_path / "santa.gguf", type=kind)
    tensors, weights = _tensors(done.path), _weights(folder)
    assert kind in done.tensors
    assert sum(done.tensors.values()) == len(tensors) == 4 + 2 * 12
    for name, ours in (
        ("token_embd.weight", "wte.weight"),
        ("blk.1.attn_qkv.weight", "h.1.attn.c_attn.weight"),
        ("blk.0.ffn_up.weight", "h.0.mlp.c_fc.weight"),
        ("blk.0.ffn_down.weight", "h.0.mlp.c_proj.weight"),
    ):
        expected = weights[f"transformer.{ours}"]
        assert np.linalg.norm(tensors[name] - expected) <= error * np.linalg.norm(expected)
    for name, ours in (("position_embd.weight", "wpe.weight"), ("blk.1.ffn_norm.bias", "h.1.ln_2.bias")):
        assert np.array_equal(tensors[name], weights[f"transformer.{ours}"])


def test_the_tokenizer_and_the_special_ids_are_written(folder, tmp_path):
    """Tokens by id, padding as unused, merges as pairs, the ids of FIM by their names, and the pre-tokenizer's name."""
    path = export_gguf(folder, tmp_path / "santa.gguf").path
    fields = {name: field.contents() for name, field in gguf.GGUFReader(path).fields.items()}
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    by_name = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    assert ("gpt2", "starcoder", "starcoder") == (
        fields["tokenizer.ggml.model"],
        fields["tokenizer.ggml.pre"],
        fields["general.architecture"],
    )
    words = fields["tokenizer.ggml.tokens"]
    assert all(words[number] == word for word, number in tokenizer["model"]["vocab"].items())
    assert by_name == {word: words.index(word) for word in by_name}
    assert "[PAD" in words[-1]
    assert [" ".join(pair) for pair in tokenizer["model"]["merges"]] == fields["tokenizer.ggml.merges"]
    for key, word in (("pre", "<fim-prefix>"), ("suf", "<fim-suffix>"), ("mid", "<fim-middle>"), ("pad", "<fim-pad>")):
        assert by_name[word] == fields[f"tokenizer.ggml.fim_{key}_token_id"]
    for key, word in (("eos", "<|endoftext|>"), ("eot", "<fim-middle>"), ("eom", "<fim-suffix>")):
        assert by_name[word] == fields[f"tokenizer.ggml.{key}_token_id"]
    assert (32, 1, False) == (
        fields["starcoder.context_length"],
        fields["starcoder.attention.head_count_kv"],
        fields["tokenizer.ggml.add_bos_token"],
    )


def test_multi_head_rows_are_ordered_by_kind(tmp_path):
    """llama.cpp wants all queries, all keys, all values; GPTBigCode's multi-head layout has them head by head."""
    _save(tmp_path / "model", width=32, is_multi_query=False)
    path = export_gguf(tmp_path / "model", tmp_path / "santa.gguf", type="f32").path
    ours = _weights(tmp_path / "model")["transformer.h.0.attn.c_attn.weight"].reshape(4, 3, 8, 32)
    assert np.array_equal(_tensors(path)["blk.0.attn_qkv.weight"].reshape(3, 4, 8, 32), ours.transpose(1, 0, 2, 3))


def test_a_plain_gptbigcode_folder_with_starcoders_words_is_exported(tmp_path):
    """A model of transformers' own class and the underscored spelling: the same file, with the ids of its own words."""
    _save(tmp_path / "model", width=32, model_class=GPTBigCodeForCausalLM, config_class=GPTBigCodeConfig)
    tokenizer = tmp_path / "model" / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text().replace("<fim-", "<fim_"))
    done = export_gguf(tmp_path / "model", tmp_path / "santa.gguf", type="q8_0")
    fields = gguf.GGUFReader(done.path).fields
    assert done.can_infill
    words = fields["tokenizer.ggml.tokens"].contents()
    assert "<fim_suffix>" == words[fields["tokenizer.ggml.fim_suf_token_id"].contents()]


def test_a_matrix_that_cannot_take_a_type_takes_the_next_wider(tmp_path):
    """Rows of 64 can't be cut into 256, those of 4 * 64 can; where no matrix can, the type is refused."""
    _save(tmp_path / "model", width=64)
    done = export_gguf(tmp_path / "model", tmp_path / "a.gguf", type="q4_k")
    assert {"q4_k": 2, "q8_0": 7} == {name: done.tensors[name] for name in ("q4_k", "q8_0")}
    _save(tmp_path / "small", width=32)
    with pytest.raises(ModelError, match=r"rows are of 32, 128 weights.*Choose q8_0"):
        export_gguf(tmp_path / "small", tmp_path / "b.gguf", type="q4_k")
    assert not (tmp_path / "b.gguf").exists()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda _: "{}", "is no tokenizer"),
        (lambda text: text.replace('"individual_digits": true', '"individual_digits": false'), "GPT-2's split"),
        (lambda text: text.replace('"type": "BPE"', '"type": "Unigram"'), "byte-level BPE"),
        (lambda text: re.sub(r'"id": (\d+)', r'"id": 9\1', text), "belongs to the model"),
    ],
)
def test_a_tokenizer_that_llama_cpp_would_read_otherwise_is_refused(tmp_path, damage, words):
    """Nothing is written that would tokenise texts in another way."""
    _save(tmp_path / "model", width=32)
    tokenizer = tmp_path / "model" / "tokenizer.json"
    tokenizer.write_text(damage(tokenizer.read_text()))
    with pytest.raises(ModelError, match=words):
        export_gguf(tmp_path / "model", tmp_path / "santa.gguf")
    assert [] == list(tmp_path.glob("*.gguf"))


def test_weights_beyond_float16_are_refused(tmp_path):
    """A float16 file would hold infinities."""
    _save(tmp_path / "model", width=32)
    model = SantaForCausalLM.from_pretrained(tmp_path / "model")
    model.transformer.h[0].mlp.c_fc.weight.data[0, 0] = 1e6
    model.save_pretrained(tmp_path / "model")
    with pytest.raises(ModelError, match=r"c_fc.weight has weights beyond float16"):
        export_gguf(tmp_path / "model", tmp_path / "santa.gguf")
    assert export_gguf(tmp_path / "model", tmp_path / "santa.gguf", type="f32").size > 0


def test_q4_k_is_closer_than_q4_0_and_exact_on_its_own_grid():
    """Rounding what was rounded changes nothing; random weights are closer than under the simpler 4-bit type."""
    weights = np.random.default_rng(0).standard_normal((8, 512), dtype=np.float32)
    rounded = quants.dequantize(quantise_q4_k(weights), gguf.GGMLQuantizationType.Q4_K)
    plain = quants.dequantize(quants.quantize(weights, gguf.GGMLQuantizationType.Q4_0), gguf.GGMLQuantizationType.Q4_0)
    assert np.abs(rounded - weights).mean() < 0.9 * np.abs(plain - weights).mean()
    again = quants.dequantize(quantise_q4_k(rounded), gguf.GGMLQuantizationType.Q4_K)
    assert np.linalg.norm(again - rounded) < 0.02 * np.linalg.norm(rounded)
    assert not quants.dequantize(quantise_q4_k(np.zeros((1, 256), np.float32)), gguf.GGMLQuantizationType.Q4_K).any()


def test_the_command_writes_once(folder, tmp_path, run_command):
    """It says size and types, also as JSON, and never writes over a file."""
    code, out, _ = run_command("model", "export-gguf", folder, tmp_path / "santa.gguf", "--json")
    assert (0, True) == (code, json.loads(out)["can_infill"])
    code, _, err = run_command("model", "export-gguf", folder, tmp_path / "santa.gguf")
    assert 2 == code
    assert "exists. Name a file that does not" in err
