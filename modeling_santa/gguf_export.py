"""Write a model folder as one GGUF file, which llama.cpp, editors and browsers open.

The file holds the weights, the tokenizer and the ids of the fill-in-the-middle tokens, in llama.cpp's architecture
"starcoder", which is GPTBigCode.
"""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from modeling_santa.errors_santa import ModelError
from modeling_santa.fim_santa import DIALECTS

if TYPE_CHECKING:
    import gguf
    import torch

GgufType = Literal["f32", "f16", "q8_0", "q4_k"]
TYPES: tuple[GgufType, ...] = get_args(GgufType)
_FILE_TYPES = {"f32": "ALL_F32", "f16": "MOSTLY_F16", "q8_0": "MOSTLY_Q8_0", "q4_k": "MOSTLY_Q4_K_S"}
_BLOCKS = {"f32": 1, "f16": 1, "q8_0": 32, "q4_k": 256}
_NARROWER = {"q4_k": "q8_0", "q8_0": "f16"}
_DIGITS = {"type": "Digits", "individual_digits": True}
_NAMES = {  # ours -> llama.cpp's
    "wte": "token_embd",
    "wpe": "position_embd",
    "ln_f": "output_norm",
    "lm_head": "output",  # where it is not the embedding
    "ln_1": "attn_norm",
    "ln_2": "ffn_norm",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}

_VOCABULARY = {"transformer.wte.weight", "lm_head.weight"}


@dataclass(frozen=True)
class GgufExport:
    """A written GGUF file: its size, how many tensors it has of each type, and whether it can fill gaps."""

    path: Path
    size: int
    tensors: dict[str, int]
    can_infill: bool


def export_gguf(folder: str | Path, out: str | Path, *, type: GgufType = "f16") -> GgufExport:  # noqa: A002 - the flag's name
    """Write the model of `folder` to the GGUF file `out`.

    Reads every layout that `convert_checkpoint` reads: canonical folders, plain GPTBigCode and StarCoder ones, the
    original SantaCoder. Vectors and positions are kept in float32. `q8_0` rounds blocks of 32 weights of a row, `q4_k`
    of 256; a matrix whose rows are no multiple of that takes the next wider type. The embedding, which is the head
    too, is never rounded below `q8_0`. `out` appears whole or not at all.

    Raises:
        ModelError: the folder is no model, its tokenizer is not a byte-level BPE as llama.cpp knows it, no matrix can
            take the type, a weight is beyond float16, or `out` exists.
        ModuleNotFoundError: the package `gguf` is not installed (`pip install 'hf-santa[gguf]'`).
    """
    from modeling_santa.checkpoints import read_checkpoint

    source, target = Path(folder), Path(out)
    if type not in TYPES:
        raise ModelError(f"export_gguf: type={type!r} is unknown. Choose one of {', '.join(TYPES)}.")
    if target.exists():
        raise ModelError(f"export_gguf: {target} exists. Name a file that does not, or remove it.")
    import gguf

    state, config, tokenizer = read_checkpoint(source)
    _check_config(config)
    writer = gguf.GGUFWriter(None, "starcoder")
    _add_shape(writer, config, source.resolve().name, type)
    can_infill = _add_tokenizer(writer, _read_tokenizer(tokenizer), config)
    tensors = _add_tensors(writer, state, config, type)
    if type not in tensors:
        widths = ", ".join(map(str, sorted({config.n_embd, config.n_inner or 4 * config.n_embd})))
        raise ModelError(
            f"export_gguf: {type} rounds {_BLOCKS[type]} weights of a row together, and this model's rows are of {widths} "
            f"weights, so that no matrix can take it. Choose {_NARROWER[type]}."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    try:
        writer.write_header_to_file(partial)
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()
    partial.replace(target)
    return GgufExport(target, target.stat().st_size, tensors, can_infill)


def _check_config(config: Any) -> None:
    """Refuse what llama.cpp would compute otherwise."""
    if config.activation_function not in {"gelu_pytorch_tanh", "gelu_new", "gelu_fast"}:
        raise ModelError(
            f"export_gguf: the activation is {config.activation_function!r}, and llama.cpp's starcoder has GELU's tanh "
            "form alone. This model can't be exported."
        )
    if not config.scale_attn_weights:
        raise ModelError("export_gguf: scale_attn_weights is off, and llama.cpp always scales. It can't be exported.")


def _add_shape(writer: "gguf.GGUFWriter", config: Any, name: str, type: str) -> None:  # noqa: A002
    import gguf

    writer.add_name(name)
    writer.add_file_type(getattr(gguf.LlamaFileType, _FILE_TYPES[type]))
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.n_positions)
    writer.add_embedding_length(config.n_embd)
    writer.add_feed_forward_length(config.n_inner or 4 * config.n_embd)
    writer.add_block_count(config.n_layer)
    writer.add_head_count(config.n_head)
    writer.add_head_count_kv(1 if config.multi_query else config.n_head)
    writer.add_layer_norm_eps(config.layer_norm_epsilon)


def _read_tokenizer(folder: Path) -> dict[str, Any]:
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ModelError(
            f"export_gguf: {folder} has no tokenizer.json, and a GGUF file holds the tokenizer. Copy it there."
        )
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        model, before = found["model"], found["pre_tokenizer"]
        pieces = before["pretokenizers"] if before["type"] == "Sequence" else [before]
        is_known = (
            model["type"] == "BPE"
            and not found["normalizer"]
            and pieces[:-1] in ([], [_DIGITS])
            and pieces[-1]["type"] == "ByteLevel"
            and pieces[-1]["use_regex"]
            and not pieces[-1]["add_prefix_space"]
        )
        _ = model["vocab"].items(), model["merges"][:0], [token["id"] for token in found["added_tokens"]]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise ModelError(f"export_gguf: {path} is no tokenizer ({error!r}). Train or download it again.") from error
    if not is_known:
        raise ModelError(
            f"export_gguf: {path} is not a byte-level BPE with GPT-2's split, with or without one for digits. llama.cpp "
            "would read texts otherwise, so it is not exported."
        )
    found["pre"] = "starcoder" if len(pieces) > 1 else "gpt-2"
    return found


def _add_tokenizer(writer: "gguf.GGUFWriter", tokenizer: dict[str, Any], config: Any) -> bool:
    """Write the vocabulary, the merges and the special ids; return whether all of FIM's tokens are there."""
    from gguf import TokenType

    words = {number: word for word, number in tokenizer["model"]["vocab"].items()}
    types = dict.fromkeys(words, TokenType.NORMAL)
    for token in tokenizer["added_tokens"]:
        words[token["id"]] = token["content"]
        types[token["id"]] = TokenType.CONTROL if token["special"] else TokenType.USER_DEFINED
    if max(words) >= config.vocab_size:
        raise ModelError(
            f"export_gguf: the tokenizer has a token {max(words)}, and the model's vocabulary ends before "
            f"{config.vocab_size}. Use the tokenizer that belongs to the model."
        )
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(tokenizer["pre"])
    ids = range(config.vocab_size)
    writer.add_token_list([words.get(number, f"[PAD{number}]") for number in ids])
    writer.add_token_types([types.get(number, TokenType.UNUSED) for number in ids])
    merges = tokenizer["model"]["merges"]
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    by_name = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    end = by_name.get("<|endoftext|>", config.eos_token_id)
    if end is not None:
        writer.add_bos_token_id(end)
        writer.add_eos_token_id(end)
        writer.add_unk_token_id(end)
    writer.add_add_bos_token(False)
    for dialect in DIALECTS.values():
        found = {"pre": dialect.prefix, "suf": dialect.suffix, "mid": dialect.middle, "pad": dialect.pad}
        if found["pre"] in by_name and found["suf"] in by_name and found["mid"] in by_name:
            for key, word in found.items():
                if word in by_name:
                    writer.add_uint32(f"tokenizer.ggml.fim_{key}_token_id", by_name[word])
            if dialect.pad in by_name:
                writer.add_pad_token_id(by_name[dialect.pad])
            # llama.cpp ends an answer at these two, as `infill` does; by its own rules it would write on. There is no
            # third such key, and the prefix token stands behind an end of text alone.
            writer.add_eot_token_id(by_name[dialect.middle])
            writer.add_eom_token_id(by_name[dialect.suffix])
            return True
    return False


def _add_tensors(writer: "gguf.GGUFWriter", state: dict[str, "torch.Tensor"], config: Any, type: str) -> dict[str, int]:  # noqa: A002
    from modeling_santa.layouts_santa import queries_keys_values

    counted: Counter[str] = Counter()
    for name, tensor in state.items():
        turned = queries_keys_values(tensor, config) if ".c_attn." in name else tensor
        values = turned.float().numpy()
        used = _type_of(name, values, type)
        if used == "f16" and np.abs(values).max(initial=0) > np.finfo(np.float16).max:
            raise ModelError(f"export_gguf: {name} has weights beyond float16's range. Choose f32.")
        _add(writer, _renamed(name), values, used)
        counted[used] += 1
    return dict(sorted(counted.items()))


def _type_of(name: str, values: "np.ndarray[Any, Any]", wanted: str) -> str:
    """Return the type in which a tensor is written."""
    if values.ndim == 1 or ".wpe." in name:
        return "f32"
    used = "q8_0" if wanted == "q4_k" and name in _VOCABULARY else wanted
    while values.shape[1] % _BLOCKS[used]:
        used = _NARROWER[used]
    return used


def _add(writer: "gguf.GGUFWriter", name: str, values: "np.ndarray[Any, Any]", used: str) -> None:
    from gguf import GGMLQuantizationType, quants

    from modeling_santa.gguf_q4_k import quantise_q4_k

    if used == "q4_k":
        writer.add_tensor(name, quantise_q4_k(values), raw_dtype=GGMLQuantizationType.Q4_K)
    elif used == "q8_0":
        writer.add_tensor(name, quants.quantize(values, GGMLQuantizationType.Q8_0), raw_dtype=GGMLQuantizationType.Q8_0)
    else:
        writer.add_tensor(name, values.astype(np.float16 if used == "f16" else np.float32))


def _renamed(name: str) -> str:
    """Return llama.cpp's name of a canonical tensor.

    >>> _renamed("transformer.h.3.mlp.c_fc.weight")
    'blk.3.ffn_up.weight'
    """
    path, _, kind = name.removeprefix("transformer.").rpartition(".")
    if not path.startswith("h."):
        return f"{_NAMES[path]}.{kind}"
    _, layer, part = path.split(".", 2)
    return f"blk.{layer}.{_NAMES[part]}.{kind}"
