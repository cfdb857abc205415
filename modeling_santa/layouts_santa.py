"""The tensor layouts in which SantaCoder was published, and their one canonical form.

| layout | attention | linear weights |
|---|---|---|
| canonical (GPTBigCode) | `c_attn`: rows Q, K, V; under multi-head head by head | nn.Linear, (out, in) |
| original, multi-query | `q_attn` and `kv_attn` (columns K, then V) | Conv1D, (in, out) |
| original, multi-head | `c_attn`: columns Q, K, V, each of all heads | Conv1D, (in, out) |

Sources: config.json and modeling code of bigcode/santacoder; transformers' GPTBigCode.
"""

import json
import os
import pickle
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers.modeling_utils import load_state_dict
from transformers.utils import cached_file

from .errors_santa import ModelError

CONV1D = re.compile(r"\.(c_attn|q_attn|kv_attn|c_proj|c_fc)\.weight$")
BUFFERS = re.compile(r"(^|\.)(attn\.(bias|masked_bias)|transformer\.bias)$")  # causal masks that old code saved
PREFIX = "transformer."


def expected_shapes(config: Any) -> dict[str, tuple[int, ...]]:
    """Return the canonical tensors of a model: their names and shapes, without the tied head.

    >>> from transformers import GPTBigCodeConfig
    >>> expected_shapes(GPTBigCodeConfig(n_embd=8, n_head=2, n_layer=1))["transformer.h.0.attn.c_attn.weight"]
    (16, 8)
    """
    width, inner = config.n_embd, config.n_inner or 4 * config.n_embd
    kv_width = width // config.n_head * (1 if config.multi_query else config.n_head)
    shapes: dict[str, tuple[int, ...]] = {
        "wte.weight": (config.vocab_size, width),
        "wpe.weight": (config.n_positions, width),
        "ln_f.weight": (width,),
        "ln_f.bias": (width,),
    }
    for layer in range(config.n_layer):
        block: dict[str, tuple[int, ...]] = {
            "ln_1.weight": (width,),
            "ln_2.weight": (width,),
            "attn.c_attn.weight": (width + 2 * kv_width, width),
            "attn.c_proj.weight": (width, width),
            "mlp.c_fc.weight": (inner, width),
            "mlp.c_proj.weight": (width, inner),
        }
        biases = {f"{name.removesuffix('weight')}bias": (shape[0],) for name, shape in block.items()}
        shapes |= {f"h.{layer}.{name}": shape for name, shape in {**block, **biases}.items()}
    return {PREFIX + name: shape for name, shape in shapes.items()}


def is_original(config: Mapping[str, Any]) -> bool:
    """Return whether a config.json is that of an original checkpoint (GPT2LMHeadCustomModel).

    The tensors cannot tell: `attn.c_proj.weight` is square, so that its transpose has the same shape.
    """
    names = config.get("architectures") or [""]
    return "attention_head_type" in config or str(names[0]).startswith("GPT2")


def canonical_fields(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of any published config.json that describe the model; the canonical one sets the others anew.

    >>> canonical_fields({"model_type": "gpt2", "activation_function": "gelu_fast", "n_layer": 24})
    {'activation_function': 'gelu_pytorch_tanh', 'n_layer': 24}
    """
    renewed = {
        "architectures",
        "auto_map",
        "dtype",
        "model_type",
        "torch_dtype",
        "transformers_version",
        "_name_or_path",
    }
    kept = {name: value for name, value in config.items() if name not in renewed}
    if kept.get("activation_function") == "gelu_fast":  # the same function; the two differ by 9e-13
        kept["activation_function"] = "gelu_pytorch_tanh"
    return kept


def to_canonical(state: Mapping[str, torch.Tensor], config: Any) -> dict[str, torch.Tensor]:
    """Return the canonical tensors of an original checkpoint; only transposes and permutes, so every bit is kept.

    Saved causal masks and the tied head are dropped. A head that differs from the embedding is an error, since the
    canonical model ties them.

    Raises:
        ValueError: tensors are missing, unknown, misshapen or not finite, or the head is not tied; with the names.
    """
    named = {_with_prefix(name): tensor for name, tensor in state.items() if not BUFFERS.search(name)}
    head = named.pop("lm_head.weight", None)
    straight = {name: tensor.T if CONV1D.search(name) else tensor for name, tensor in named.items()}
    merged: dict[str, torch.Tensor] = {}
    for name, tensor in straight.items():
        if ".q_attn." in name:
            other = straight.get(name.replace("q_attn", "kv_attn"))
            if other is not None:
                merged[name.replace("q_attn", "c_attn")] = torch.cat([tensor, other])
        elif ".kv_attn." not in name:
            merged[name] = _by_head(tensor, config) if ".c_attn." in name and not config.multi_query else tensor
    canonical = {name: tensor.contiguous() for name, tensor in merged.items()}
    check(canonical, config)
    embedding = canonical[f"{PREFIX}wte.weight"]
    if head is not None and not torch.equal(head, embedding):
        raise ModelError("checkpoint: lm_head.weight differs from transformer.wte.weight, but SantaCoder ties them.")
    return canonical


def to_original(state: Mapping[str, torch.Tensor], config: Any) -> dict[str, torch.Tensor]:
    """Return the original layout of canonical tensors: the inverse of `to_canonical`.

    Raises:
        ValueError: as `to_canonical`.
    """
    canonical = {_with_prefix(name): tensor for name, tensor in state.items() if name != "lm_head.weight"}
    check(canonical, config)
    original: dict[str, torch.Tensor] = {}
    for name, tensor in canonical.items():
        turned = tensor if not config.multi_query or ".c_attn." not in name else None
        if turned is None:
            for part, rows in zip(("q_attn", "kv_attn"), tensor.tensor_split([config.n_embd]), strict=True):
                original[name.replace("c_attn", part)] = rows
        elif ".c_attn." in name:
            original[name] = _by_kind(tensor, config)
        else:
            original[name] = tensor
    return {name: (t.T if CONV1D.search(name) else t).contiguous() for name, t in original.items()}


def read_original(place: str | os.PathLike[str], hub: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Return the tensors of an original checkpoint, from a folder or the Hub, all shards together."""
    for name in ("model.safetensors", "pytorch_model.bin"):
        index = cached_file(place, f"{name}.index.json", _raise_exceptions_for_missing_entries=False, **hub)
        if index is not None:
            shards = sorted(set(json.loads(Path(index).read_text())["weight_map"].values()))
            paths = [cached_file(place, shard, **hub) for shard in shards]
        else:
            paths = [cached_file(place, name, _raise_exceptions_for_missing_entries=False, **hub)]
        if paths != [None]:
            return {key: value for path in paths for key, value in load_state_dict(path, weights_only=True).items()}
    raise ModelError(f"{place} has neither model.safetensors nor pytorch_model.bin. Name a saved model.")


def check(state: Mapping[str, torch.Tensor], config: Any) -> None:
    """Check that canonical tensors are all there, none unknown, each of its shape, floating and finite.

    Raises:
        ValueError: what is wrong with which tensors, up to three of them by name.
    """
    expected = expected_shapes(config)
    found = {name for name in state if name != "lm_head.weight"}
    problems = {
        "missing": sorted(expected.keys() - found),
        "not part of the model": sorted(found - expected.keys()),
        "of another shape": [
            f"{name} {tuple(state[name].shape)}, expected {shape}"
            for name, shape in expected.items()
            if name in found and tuple(state[name].shape) != shape
        ],
        "not floating point": [
            f"{name} ({state[name].dtype})" for name in found if not state[name].is_floating_point()
        ],
    }
    if not any(problems.values()):
        problems["not finite"] = [name for name in sorted(found) if not state[name].isfinite().all()]
    for what, names in problems.items():
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise ModelError(
                f"checkpoint: {len(names)} of {len(expected)} tensors are {what}: {'; '.join(names[:3])}{more}. "
                "Check that config.json belongs to these weights and that the download is whole."
            )


@contextmanager
def damage_named(place: str | os.PathLike[str]) -> Iterator[None]:
    """Name the checkpoint, and say what to do, where its files are damaged or ask for more than tensors."""
    try:
        yield
    except pickle.UnpicklingError as error:
        # torch's own message would advise to load it all the same.
        first = str(error).split("\n", 1)[0].split(". ", 1)[0]
        raise ModelError(
            f"{place}: its .bin file is refused ({first}). Only tensors are unpickled, never code. "
            "Use a safetensors file, or download it again if it is damaged."
        ) from None
    except Exception as error:
        if type(error).__name__ != "SafetensorError":  # a class of a package that these files may not import
            raise
        raise ModelError(
            f"{place}: its safetensors file cannot be read ({error}). Save or download it again."
        ) from error


def check_loaded(place: str | os.PathLike[str], model: torch.nn.Module, info: Mapping[str, Any]) -> None:
    """Check that a model got all of its tensors, and that they are finite.

    Raises:
        ValueError: with up to three of the names.
    """
    not_finite = [
        name
        for name, weight in model.named_parameters()
        if weight.device.type != "meta" and not torch.isfinite(weight.detach().sum(dtype=torch.float32))
    ]
    for what, found in (("missing", sorted(map(str, info["missing_keys"]))), ("not finite", not_finite)):
        if found:
            raise ModelError(
                f"{place}: {len(found)} of the tensors that config.json asks for are {what}: {', '.join(found[:3])}"
                f"{', …' if len(found) > 3 else ''}. The model would answer with noise. "
                "Check that config.json belongs to these weights and that the download is whole."
            )


def _with_prefix(name: str) -> str:
    return name if name.startswith((PREFIX, "lm_head.")) else PREFIX + name


def _by_head(fused: torch.Tensor, config: Any) -> torch.Tensor:
    """Reorder rows from [Q of all heads, K, V] to [Q, K, V] head by head."""
    return fused.reshape(3, config.n_head, -1, *fused.shape[1:]).transpose(0, 1).flatten(0, 2)


def _by_kind(fused: torch.Tensor, config: Any) -> torch.Tensor:
    """Reorder rows from [Q, K, V] head by head to [Q of all heads, K, V]."""
    return fused.reshape(config.n_head, 3, -1, *fused.shape[1:]).transpose(0, 1).flatten(0, 2)
