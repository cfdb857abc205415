"""Describe the tensor layouts in which SantaCoder was published, and convert each to the canonical one.

| layout | attention | linear weights |
|---|---|---|
| canonical (GPTBigCode) | `c_attn`: rows Q, K, V; under multi-head head by head | nn.Linear, (out, in) |
| original, multi-query | `q_attn` and `kv_attn` (columns K, then V) | Conv1D, (in, out) |
| original, multi-head | `c_attn`: columns Q, K, V, each of all heads | Conv1D, (in, out) |

Sources: config.json and modeling code of bigcode/santacoder; transformers' GPTBigCode.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch

from .errors_santa import ModelError

CONV1D = re.compile(r"\.(c_attn|q_attn|kv_attn|c_proj|c_fc)\.weight$")
BUFFERS = re.compile(r"(^|\.)(attn\.(bias|masked_bias)|transformer\.bias)$")  # causal masks that old code saved
PREFIX = "transformer."
HEAD = "lm_head.weight"


def expected_shapes(config: Any) -> dict[str, tuple[int, ...]]:
    """Return the canonical tensors of a model: their names and shapes, the head only where it is not tied.

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
    named = {PREFIX + name: shape for name, shape in shapes.items()}
    return named if config.tie_word_embeddings else {**named, HEAD: (config.vocab_size, width)}


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


def to_canonical(state: Mapping[str, torch.Tensor], config: Any, *, is_original: bool) -> dict[str, torch.Tensor]:
    """Return the canonical tensors of a checkpoint of either layout, checked; every bit is kept.

    Names may lack the prefix of the language model (a saved base model). Saved causal masks are dropped, and so is the
    head, unless the config says that it is not tied.

    Raises:
        ModelError: tensors are missing, unknown, misshapen or not finite, or a tied head differs from the embedding;
            with the names.
    """
    named = canonical_names(state)
    canonical = {
        name: tensor.contiguous() for name, tensor in (_fused(named, config) if is_original else named).items()
    }
    head = canonical.get(HEAD)
    if config.tie_word_embeddings:
        canonical.pop(HEAD, None)
    check(canonical, expected_shapes(config))
    if config.tie_word_embeddings and head is not None and not torch.equal(head, canonical[f"{PREFIX}wte.weight"]):
        raise ModelError(
            "checkpoint: lm_head.weight differs from transformer.wte.weight, but config.json ties the two, so the head "
            "would be lost. If the head is its own, set tie_word_embeddings to false in config.json."
        )
    return canonical


def canonical_names(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors under their names in the language model, without saved causal masks."""
    return {_with_prefix(name): tensor for name, tensor in state.items() if not BUFFERS.search(name)}


def _fused(named: Mapping[str, torch.Tensor], config: Any) -> dict[str, torch.Tensor]:
    """Return original tensors transposed, with one `c_attn` in place of `q_attn` and `kv_attn`."""
    straight = {name: tensor.T if CONV1D.search(name) else tensor for name, tensor in named.items()}
    merged: dict[str, torch.Tensor] = {}
    for name, tensor in straight.items():
        if ".q_attn." in name:
            other = straight.get(name.replace("q_attn", "kv_attn"))
            if other is not None:
                merged[name.replace("q_attn", "c_attn")] = torch.cat([tensor, other])
        elif ".kv_attn." not in name:
            merged[name] = _by_head(tensor, config) if ".c_attn." in name and not config.multi_query else tensor
    return merged


def to_original(state: Mapping[str, torch.Tensor], config: Any) -> dict[str, torch.Tensor]:
    """Return the original layout of canonical tensors: the inverse of `to_canonical`.

    Raises:
        ModelError: as `to_canonical`.
    """
    canonical = {_with_prefix(name): tensor for name, tensor in state.items()}
    if config.tie_word_embeddings:
        canonical.pop(HEAD, None)
    check(canonical, expected_shapes(config))
    original: dict[str, torch.Tensor] = {}
    for name, tensor in canonical.items():
        turned = tensor if not config.multi_query or ".c_attn." not in name else None
        if turned is None:
            for part, rows in zip(("q_attn", "kv_attn"), tensor.tensor_split([config.n_embd]), strict=True):
                original[name.replace("c_attn", part)] = rows
        elif ".c_attn." in name:
            original[name] = queries_keys_values(tensor, config)
        else:
            original[name] = tensor
    return {name: (t.T if CONV1D.search(name) else t).contiguous() for name, t in original.items()}


def queries_keys_values(fused: torch.Tensor, config: Any) -> torch.Tensor:
    """Return a canonical `c_attn` tensor with the rows of all queries first, then all keys, then all values."""
    return fused if config.multi_query else _by_kind(fused, config)


def check(
    state: Mapping[str, torch.Tensor], expected: Mapping[str, tuple[int, ...]], *, may_have_more: bool = False
) -> None:
    """Check that canonical tensors are all there, none unknown, each of its expected shape, floating and finite.

    Tensors on the meta device have a shape and no numbers to look at. `may_have_more` lets unknown ones pass.

    Raises:
        ModelError: what is wrong with which tensors, up to three of them by name.
    """
    found = set(state)
    problems = {
        "missing": sorted(expected.keys() - found),
        "not part of the model": [] if may_have_more else sorted(found - expected.keys()),
        "of another shape": [
            f"{name} {tuple(state[name].shape)}, expected {shape}"
            for name, shape in expected.items()
            if name in found and tuple(state[name].shape) != shape
        ],
        "not floating point": [
            f"{name} ({state[name].dtype})"
            for name in sorted(found & expected.keys())
            if not state[name].is_floating_point()
        ],
    }
    if not any(problems.values()):
        problems["not finite"] = [
            name for name in sorted(found) if not (state[name].is_meta or state[name].isfinite().all())
        ]
    for what, names in problems.items():
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise ModelError(
                f"checkpoint: {len(names)} of {len(expected)} tensors are {what}: {'; '.join(names[:3])}{more}. "
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
