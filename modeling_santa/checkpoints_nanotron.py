"""Read and write nanotron's checkpoint folders, without nanotron and without a GPU.

A checkpoint holds a safetensors file a tensor under `model/`, in folders named as the modules are, with the one key
"data"; `model_config.json`; and what resumption needs. Tensors go from and to the canonical layout bit for bit: both keep
linear weights as (out, in), and the fused rows of attention in the same order.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from modeling_santa.errors_santa import ModelError
from modeling_santa.json_files import read_object
from modeling_santa.layouts_santa import PREFIX, check, expected_shapes

FIELDS = {
    "vocab_size": "vocab_size",
    "hidden_size": "n_embd",
    "num_hidden_layers": "n_layer",
    "num_attention_heads": "n_head",
    "intermediate_size": "n_inner",
    "max_position_embeddings": "n_positions",
    "layer_norm_epsilon": "layer_norm_epsilon",
    "attn_pdrop": "attn_pdrop",
    "resid_pdrop": "resid_pdrop",
    "embd_pdrop": "embd_pdrop",
}
EMBEDDINGS = "model/token_position_embeddings/pp_block/"
MODULES = {
    "wte": f"{EMBEDDINGS}token_embedding",
    "wpe": f"{EMBEDDINGS}position_embedding",
    "ln_f": "model/final_layer_norm/pp_block",
}
FILE = re.compile(r"model_(weight|bias)(?:_pp-rank-0-of-1_tp-rank-0-of-1)?\.safetensors")
LAYER = re.compile(r"model/decoder/(\d+)/pp_block/(.+)")


def is_nanotron(folder: Path) -> bool:
    """Return whether a folder is a nanotron checkpoint, or one of checkpoints with a `latest.txt`."""
    return (folder / "latest.txt").is_file() or (
        (folder / "model_config.json").is_file() and (folder / "model").is_dir()
    )


def newest(folder: Path) -> Path:
    """Return the checkpoint that `latest.txt` names, or the folder itself where it is a checkpoint.

    Raises:
        ValueError: the one that it names is not there.
    """
    latest = folder / "latest.txt"
    if not latest.is_file():
        return folder
    named = folder / latest.read_text().strip()
    if not (named / "model_config.json").is_file():
        raise ModelError(
            f"{latest} names {named.name!r}, which is no checkpoint. Name another folder in it, by its step."
        )
    return named


def read_nanotron_config(folder: Path) -> dict[str, Any]:
    """Return the fields of SantaConfig that a checkpoint's `model_config.json` gives.

    Raises:
        ValueError: it is not SantaCoder's.
    """
    path = folder / "model_config.json"
    raw = read_object(path, {}, "Name the folder of one checkpoint.")
    missing = sorted(set(FIELDS) - raw.keys())
    if missing or not raw.get("is_santa_config"):
        raise ModelError(
            f"{path} is not that of a SantaCoder (missing: {', '.join(missing) or 'is_santa_config'}). "
            "Only checkpoints of `hf-santa train` can be converted."
        )
    fields = {ours: raw[theirs] for theirs, ours in FIELDS.items()}
    return {**fields, "multi_query": raw["num_key_value_heads"] == 1, "activation_function": "gelu_pytorch_tanh"}


def read_nanotron(folder: Path, config: Any) -> dict[str, torch.Tensor]:
    """Return the canonical tensors of a checkpoint.

    Raises:
        ValueError: a file is damaged, of another split, of no tensor of the model, or of another dtype than the rest.
    """
    state: dict[str, torch.Tensor] = {}
    for path in sorted((folder / "model").rglob("*.safetensors")):
        name = _canonical_name(path.relative_to(folder / "model"))
        if name in state:
            raise ModelError(f"{path} is there twice, whole and as a shard. Remove one of them.")
        state[name] = _read(path)
    check(state, expected_shapes(config))
    kinds = sorted({str(tensor.dtype) for tensor in state.values()})
    if len(kinds) > 1:
        raise ModelError(f"checkpoint {folder}: tensors of {' and '.join(kinds)}, expected one dtype. Save it again.")
    return state


def _read(path: Path) -> torch.Tensor:
    try:
        with safe_open(path, framework="pt") as opened:
            keys = sorted(opened.keys())
            if keys != ["data"]:
                raise ModelError(f"{path} holds {', '.join(keys) or 'nothing'}, expected 'data' alone. Save it again.")
            tensor: torch.Tensor = opened.get_tensor("data")
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} cannot be read ({error}). The file is damaged: use an older checkpoint.") from error
    return tensor


def _canonical_name(path: Path) -> str:
    matched = FILE.fullmatch(path.name)
    if matched is None:
        raise ModelError(
            f"checkpoint: {path} is neither a weight nor a bias of an unsplit model. Train with tp=1 and pp=1, and "
            "remove files that nanotron did not write."
        )
    folder = path.parent.as_posix()
    by_folder = {place: name for name, place in MODULES.items()}
    layer = LAYER.fullmatch(folder)
    module = f"h.{layer[1]}.{layer[2].replace('/', '.')}" if layer else by_folder.get(folder, folder.replace("/", "."))
    return f"{PREFIX}{module}.{matched[1]}"


def write_nanotron(state: Mapping[str, torch.Tensor], config: Any, folder: Path) -> None:
    """Write canonical tensors as a checkpoint from which nanotron starts (`init_method: {path: FOLDER}`).

    Raises:
        ModelError: the tensors do not belong to the config, or the head is not tied to the embedding, as nanotron ties it.
    """
    check(state, expected_shapes(config))
    if not config.tie_word_embeddings:
        raise ModelError(
            "checkpoint: lm_head.weight is not tied to the embedding, and nanotron's layout has no place for it. "
            "Convert to the canonical or the original layout."
        )
    for name, tensor in state.items():
        module, kind = name.removeprefix(PREFIX).rsplit(".", 1)
        if module.startswith("h."):
            _, layer, rest = module.split(".", 2)
            place = f"model/decoder/{layer}/pp_block/{rest.replace('.', '/')}"
        else:
            place = MODULES[module]
        path = folder / "model" / place / f"model_{kind}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({"data": tensor.contiguous()}, path)
    fields = {theirs: getattr(config, ours) for theirs, ours in FIELDS.items()}
    fields["intermediate_size"] = config.n_inner or 4 * config.n_embd
    heads = 1 if config.multi_query else config.n_head
    model = {"is_santa_config": True, **fields, "num_key_value_heads": heads, "tie_word_embeddings": True}
    (folder / "model_config.json").write_text(json.dumps(model) + "\n")
    about = {"dp": 1, "metas": {"consumed_train_samples": 0, "last_train_step": 0}, "tp": 1, "version": "1.2"}
    (folder / "checkpoint_metadata.json").write_text(json.dumps(about, indent=2) + "\n")


def tokenizer_of(folder: Path) -> Path | None:
    """Return the tokenizer's folder that a checkpoint was trained with, if it says so and it is still there."""
    path = folder / "config.yaml"
    if not path.is_file():
        return None
    named = ((yaml.safe_load(path.read_text()) or {}).get("tokenizer") or {}).get("tokenizer_name_or_path")
    return Path(named) if named and (Path(named) / "tokenizer.json").is_file() else None
