"""Say what a model folder of another family holds, by its configuration and the headers of its weights alone."""

from pathlib import Path
from typing import Any

from modeling_santa.checkpoints import read_config
from modeling_santa.checkpoints_nanotron import is_nanotron
from modeling_santa.errors_santa import ModelError
from modeling_santa.layouts_santa import is_original

_SHAPE = {
    "layers": ("num_hidden_layers", "n_layer"),
    "width": ("hidden_size", "n_embd"),
    "heads": ("num_attention_heads", "n_head"),
    "context": ("max_position_embeddings", "n_positions"),
    "vocabulary": ("vocab_size",),
}


def is_of_another_family(folder: Path) -> bool:
    """Tell whether a folder holds a model that transformers knows and that is neither GPTBigCode nor SantaCoder's original.

    Raises:
        ModelError: it has no configuration.
    """
    if is_nanotron(folder):
        return False
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    config = read_config(folder)
    kind = config.get("model_type")
    is_known = isinstance(kind, str) and kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    return is_known and kind != "gpt_bigcode" and not is_original(config)


def facts_of_family(folder: Path) -> dict[str, Any]:
    """Return type, shape, and the number, bytes and dtypes of the weights of a model folder.

    Raises:
        ModelError: it has no weights in safetensors, or damaged ones.
    """
    from safetensors import SafetensorError, safe_open

    config, files = read_config(folder), sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelError(
            f"{folder} holds a model of type {config.get('model_type')!r} without model.safetensors. Download the model again, "
            "with its weights."
        )
    parameters = tensors = 0
    dtypes: set[str] = set()
    try:
        for file in files:
            with safe_open(file, "pt") as opened:
                for name in opened.keys():  # noqa: SIM118  # it is no mapping
                    part = opened.get_slice(name)
                    count = 1
                    for size in part.get_shape():
                        count *= size
                    parameters, tensors = parameters + count, tensors + 1
                    dtypes.add(str(part.get_dtype()))
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{file} can't be read ({error}). Download it again.") from error
    shape = {
        name: next((config[key] for key in keys if isinstance(config.get(key), int)), None)
        for name, keys in _SHAPE.items()
    }
    return {
        "model_type": str(config.get("model_type")),
        "architectures": [str(name) for name in named]
        if isinstance(named := config.get("architectures"), list)
        else [],
        **shape,
        "parameters": parameters,
        "bytes": sum(file.stat().st_size for file in files),
        "dtypes": sorted(dtypes),
        "tensors": tensors,
    }
