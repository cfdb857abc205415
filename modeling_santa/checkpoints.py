"""Read checkpoint folders safely, and convert them to the canonical layout and back."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors.torch import save_file

from modeling_santa.checkpoints_nanotron import (
    is_nanotron,
    newest,
    read_nanotron,
    read_nanotron_config,
    tokenizer_of,
    write_nanotron,
)
from modeling_santa.configuration_santa import SantaConfig
from modeling_santa.errors_santa import ModelError
from modeling_santa.fim_santa import TOKENS
from modeling_santa.json_files import check_fields, read_object
from modeling_santa.layouts_santa import canonical_fields, is_original, to_canonical, to_original
from modeling_santa.own_code import CONFIGS, own_code
from modeling_santa.weights_santa import read_weights

LAYOUTS = ("canonical", "original", "nanotron")
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "chat_template.jinja",
)
OTHER_FILES = ("generation_config.json",)
ORIGINAL_FIELDS = {
    "architectures": ["GPT2LMHeadCustomModel"],
    "model_type": "gpt2",
    "activation_function": "gelu_fast",
}


def convert_checkpoint(src: str | Path, out: str | Path, *, layout: str = "canonical") -> Path:
    """Write the checkpoint folder `src` to `out` in the canonical layout, or in the "original" one, or for "nanotron".

    Reads what nanotron's trainer wrote (of several checkpoints the newest), safetensors (sharded or not) and `.bin`
    files, which are unpickled with weights only: one that asks for code is refused. Writes safetensors, config.json, the
    tokenizer, the settings of `generate`, the chat template and, for the canonical layout, the code files, those of
    one's own that an `auto_map` names included. An original checkpoint's model code reads its own layout alone, and
    stays behind.
    The numbers are only moved: every bit and the dtype are kept. `out` appears whole or not at all.
    A `tokenizer_config.json` that names GPT2TokenizerFast, which would split texts otherwise than the `tokenizer.json`
    beside it, is given the class that reads that file.

    Raises:
        ModelError: no folder, no config, no weights, unreadable or unsafe weights, tensors that do not belong to
            the config, or an `out` that is there already; with what was found.

    Source: layouts in `layouts_santa`.
    """
    source, target = Path(src), Path(out)
    if layout not in LAYOUTS:
        raise ModelError(f"convert_checkpoint: layout={layout!r} is unknown. Choose one of {', '.join(LAYOUTS)}.")
    if target.exists():
        raise ModelError(f"convert_checkpoint: {target} exists. Name a folder that does not, or remove it.")
    canonical, config, tokenizer = read_checkpoint(source)
    code = _own_code_kept(source, config) if layout == "canonical" else []
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    if layout == "canonical":
        _write_canonical(canonical, config, partial)
    elif layout == "original":
        _write_original(to_original(canonical, config), config, partial)
    else:
        write_nanotron(canonical, config, partial)
    for name in TOKENIZER_FILES:
        if (tokenizer / name).is_file():
            shutil.copyfile(tokenizer / name, partial / name)
    for name in (*OTHER_FILES, *code):
        if (source / name).is_file():
            shutil.copyfile(source / name, partial / name)
    _name_tokenizer_class(partial)
    partial.replace(target)
    return target


def _own_code_kept(source: Path, config: SantaConfig) -> list[str]:
    """Take the entries of one's own over into the config, and return the files they name."""
    if is_nanotron(source) or is_original(raw := read_config(source)):
        return own_code(source, configs=CONFIGS[1:])
    config.auto_map = raw.get("auto_map")
    return own_code(source)


def read_checkpoint(folder: Path) -> tuple[dict[str, torch.Tensor], SantaConfig, Path]:
    """Return the canonical tensors of a checkpoint folder of any layout, its config, and where its tokenizer is.

    Raises:
        ModelError: as `convert_checkpoint`.
    """
    if is_nanotron(folder):
        folder = newest(folder)
        tokenizer = tokenizer_of(folder) or folder
        config = SantaConfig(**read_nanotron_config(folder), **_special_ids(tokenizer))
        return read_nanotron(folder, config), config, tokenizer
    raw = read_config(folder)
    config = _config_of(raw, folder)
    return to_canonical(read_weights(folder), config, is_original=is_original(raw)), config, folder


def layout_of(folder: Path) -> str:
    """Return the layout of a checkpoint folder in words.

    Raises:
        ModelError: it has no config.
    """
    if is_nanotron(folder):
        return "nanotron"
    return "original (GPT2LMHeadCustomModel)" if is_original(read_config(folder)) else "canonical (GPTBigCode)"


def _config_of(raw: dict[str, Any], folder: Path) -> SantaConfig:
    """Return the configuration that a config.json describes, or say what in it can't be right."""
    kind = raw.get("model_type")
    if kind not in {"gpt_bigcode", "gpt2"}:
        raise ModelError(f"{folder} holds a model of type {kind!r}, expected 'gpt_bigcode' or SantaCoder's own 'gpt2'.")
    try:
        return SantaConfig(**canonical_fields(raw))
    except ModelError:
        raise
    except (TypeError, ValueError, StrictDataclassError) as error:  # what transformers' own checks raise
        reason = " ".join(str(error).split())
        raise ModelError(
            f"{folder / 'config.json'} can't be right: {reason}. Save or download the model again."
        ) from error


def _special_ids(tokenizer: Path) -> dict[str, Any]:
    """Return the ids that a config names; without a tokenizer nobody can tell, and the config's own stay."""
    path = tokenizer / "tokenizer.json"
    if not path.is_file():
        return {}
    advice = "Train or download it again."
    tokens = read_object(path, {"added_tokens": list}, advice)["added_tokens"]
    for token in tokens:
        check_fields(path, token, {"content": str, "id": int}, advice, ", added_tokens")
    ids = {token["content"]: token["id"] for token in tokens}
    end = ids.get(TOKENS.end_of_text)
    return {"bos_token_id": end, "eos_token_id": end, "pad_token_id": ids.get(TOKENS.pad)}


def read_config(folder: Path) -> dict[str, Any]:
    """Return config.json of a checkpoint folder.

    Raises:
        ModelError: there is none, or it is not JSON.
    """
    path = folder / "config.json"
    if not path.is_file():
        found = ", ".join(sorted(item.name for item in folder.iterdir())[:8]) if folder.is_dir() else "no such folder"
        raise ModelError(f"{folder} has no config.json ({found}). Name the folder of a saved model.")
    return read_object(path, {}, "Save or download the model again.")


def _name_tokenizer_class(folder: Path) -> None:
    """Have transformers open `tokenizer.json` as it is; GPT-2's class would replace its rules by GPT-2's own."""
    path = folder / "tokenizer_config.json"
    if not ((folder / "tokenizer.json").is_file() and path.is_file()):
        return
    fields = read_object(path, {}, "Save or download the tokenizer again.")
    if str(fields.get("tokenizer_class", "GPT2Tokenizer")).startswith("GPT2"):
        fields["tokenizer_class"] = "PreTrainedTokenizerFast"
        path.write_text(json.dumps(fields, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_canonical(state: dict[str, torch.Tensor], config: SantaConfig, folder: Path) -> None:
    from modeling_santa.modeling_santa import SantaForCausalLM

    with torch.device("meta"):
        model = SantaForCausalLM(config).to(next(iter(state.values())).dtype)
    own = config.to_dict()["auto_map"]
    model.save_pretrained(folder, state_dict=state)  # names the class that it is, whatever the config says
    path = folder / "config.json"
    fields = {**read_object(path, {}, "Convert it again."), "auto_map": own}
    path.write_text(json.dumps(fields, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _write_original(state: dict[str, torch.Tensor], config: SantaConfig, folder: Path) -> None:
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    fields = {name: value for name, value in config.to_dict().items() if name not in ("auto_map", "multi_query")}
    head_type = "multiquery" if config.multi_query else "multihead"
    original = {**fields, **ORIGINAL_FIELDS, "attention_head_type": head_type}
    (folder / "config.json").write_text(json.dumps(original, indent=2, sort_keys=True, default=str) + "\n")
