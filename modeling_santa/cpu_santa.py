"""Make a model faster on a CPU with packed or rounded weights, if asked for.

Decoding reads every weight once a token, so it is as fast as memory lets it be: packed weights are read in the order
in which the kernel wants them, int8 and int4 ones are half and about a quarter of bfloat16's bytes.
"""

from typing import Any, Literal, Self, TypeVar

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.utils import logging

from .capabilities_santa import QUANTISED, int4_group, prompt_speed_alone, why_not
from .errors_santa import ModelError, TooLittleMemoryError
from .linear_santa import SantaLinear
from .memory_santa import free_memory
from .packed_santa import OptimisedLinear, PackedLinear, optimised_layers, refuse_if_optimised
from .quantised_santa import ROWS_AT_ONCE, Int8Linear, QuantisedEmbedding, QuantisedLinear, kind_for

logger = logging.get_logger(__name__)
CpuMode = Literal["packed", "int8", "int4", "off"]
MODES = ("packed", "int8", "int4", "off")
Model = TypeVar("Model", bound=PreTrainedModel)


class OptimisableModel(PreTrainedModel):  # type: ignore[misc] # transformers is untyped
    """A model with `optimize_for_cpu` that reports itself honestly while that is on."""

    def optimize_for_cpu(self, mode: CpuMode = "packed", *, keep_exact: bool = True) -> Self:
        """Make inference on a CPU faster, in place: "packed", "int8", "int4", or "off" again; see `cpu_santa`."""
        return optimize_for_cpu(self, mode, keep_exact=keep_exact)

    def save_pretrained(self, *args: Any, **kwargs: Any) -> None:
        """Write the canonical folder; undoes `optimize_for_cpu` first."""
        optimize_for_cpu(self, "off")
        super().save_pretrained(*args, **kwargs)

    def num_parameters(self, only_trainable: bool = False, exclude_embeddings: bool = False) -> int:
        """Return how many numbers the model has learned, whatever form `optimize_for_cpu` has given them."""
        count: int = super().num_parameters(only_trainable, exclude_embeddings)
        layers = optimised_layers(self).values()
        if not only_trainable:
            count += sum(layer.in_features * layer.out_features for layer in layers if not layer.is_tied)
            table = self.get_input_embeddings()
            if isinstance(table, QuantisedEmbedding) and not exclude_embeddings:
                count += table.num_embeddings * table.embedding_dim
        return count

    def get_memory_footprint(self, return_buffers: bool = True) -> int:
        """Return the bytes of weights, in whatever form, and of buffers."""
        seen: int = super().get_memory_footprint(return_buffers)
        return seen + sum(layer.held_bytes() for layer in optimised_layers(self).values())

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Copy weights into the model, as in any module; not while `optimize_for_cpu` is on."""
        refuse_if_optimised(self, "load_state_dict")
        return super().load_state_dict(*args, **kwargs)

    def resize_token_embeddings(self, *args: Any, **kwargs: Any) -> nn.Embedding:
        """Change the size of the vocabulary, as in any model; not while `optimize_for_cpu` is on."""
        refuse_if_optimised(self, "resize_token_embeddings")
        resized: nn.Embedding = super().resize_token_embeddings(*args, **kwargs)
        return resized


def optimize_for_cpu(model: Model, mode: CpuMode = "packed", *, keep_exact: bool = True) -> Model:
    """Make a SantaCoder model faster at inference on a CPU, in place; returns the model.

    "packed" gives the same numbers up to rounding. "int8" and "int4" decode with rounded weights (up to 4 and 8 rows at
    once, or 8 and 16) and read prompts with the exact ones, which are kept: "off" restores the model bit for bit, and so does saving
    it. Memory: "packed" adds the head, which no longer shares the embedding; "int8" another half of bfloat16's, "int4"
    about a third.

    With `keep_exact=False`, "int8" and "int4" let the exact weights go: the model holds about half and 30 % of
    bfloat16's bytes, prompts are computed with the rounded weights too, and it can be neither restored nor saved. A
    warning says so where "int4" then reads prompts slower than the native class does (.6 to .95 of its speed).

    No gradients: the parameters are frozen until "off". A mode that this CPU has no kernel for, or on which it would be
    slower than without, is named in a warning with the reason, and the model stays as it is.

    Raises:
        ModelError: an unknown mode, `keep_exact=False` with "packed" or "off", or a model that is not on a CPU in float32
            or bfloat16.
        TooLittleMemoryError: the mode needs more memory than is free; nothing was changed.
        RuntimeError: the exact weights of an earlier call were let go.
    """
    if mode not in MODES:
        raise ModelError(f"optimize_for_cpu: mode={mode!r} is unknown. Choose one of {', '.join(map(repr, MODES))}.")
    if not keep_exact and mode not in QUANTISED:
        raise ModelError(
            f"optimize_for_cpu: mode={mode!r} is always exact. Use keep_exact=False with 'int8' or 'int4'."
        )
    _restore(model)
    if mode == "off":
        return model
    layers = {name: layer for name, layer in model.named_modules() if type(layer) is SantaLinear}
    kinds = {(layer.weight.device.type, layer.weight.dtype) for layer in layers.values()}
    if not kinds <= {("cpu", torch.float32), ("cpu", torch.bfloat16)}:
        found = ", ".join(sorted(f"{dtype} on {device}" for device, dtype in kinds))
        raise ModelError(
            f"optimize_for_cpu: the model's layers are {found}; float32 or bfloat16 on cpu is needed. "
            "Call model.to('cpu', torch.bfloat16) first."
        )
    reason = next((why for _, dtype in kinds if (why := why_not(mode, dtype))), None)
    if reason is not None:
        logger.warning("optimize_for_cpu: %r is refused: %s. The model stays as it is.", mode, reason)
        return model
    check_memory(model, mode, layers, keep_exact=keep_exact)
    speeds = [] if keep_exact else [speed for _, dtype in kinds if (speed := prompt_speed_alone(mode, dtype))]
    if speeds:
        logger.warning(
            "optimize_for_cpu: %r without the exact weights saves memory; tokens come faster, but a prompt of 128 tokens is "
            "read at %.2f of the native class's speed on this CPU. With keep_exact=True, or by 'int8', it is not slower.",
            mode,
            min(speeds),
        )
    _replace(model, mode, layers, keep_exact=keep_exact)
    return model


def check_memory(model: PreTrainedModel, mode: str, layers: dict[str, SantaLinear], *, keep_exact: bool) -> None:
    """Raise TooLittleMemoryError if a mode needs more memory than is free, before anything is changed."""
    embedding = model.get_input_embeddings().weight
    needed = largest = 0
    for layer in layers.values():
        numbers, width = layer.weight.numel(), layer.weight.dtype.itemsize
        is_copied = layer.weight is embedding and why_not("packed", layer.weight.dtype) is None
        largest = max(largest, numbers * width, 16 * ROWS_AT_ONCE * layer.in_features if mode in QUANTISED else 0)
        if mode in QUANTISED:
            needed += numbers if mode == "int8" else numbers // 2 + 4 * numbers // int4_group(layer.in_features)
        needed += numbers * width if is_copied and keep_exact else 0
        needed -= 0 if keep_exact else numbers * width
    needed, free = max(0, needed) + largest, free_memory()
    if free is not None and needed > free:
        raise TooLittleMemoryError(
            f"optimize_for_cpu: {mode!r} needs {needed / 1e6:,.0f} MB beside the model, and {free / 1e6:,.0f} MB of memory are "
            "free. Free some, choose another mode, or pass keep_exact=False to 'int8' or 'int4'. The model stays as it is."
        )


def _replace(model: PreTrainedModel, mode: str, layers: dict[str, SantaLinear], *, keep_exact: bool) -> None:
    """Put layers of a mode in the place of the plain ones, and freeze the model."""
    embedding = model.get_input_embeddings()
    frozen = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for name in list(layers):
        layer = layers.pop(name)  # so that its weight can be let go
        is_tied = layer.weight is embedding.weight
        made = _optimised(mode, layer, is_tied=is_tied, keep_exact=keep_exact)
        if made is None:
            continue
        made.is_tied, made.is_trainable = is_tied, layer.weight.requires_grad
        model.set_submodule(name, made)
        if is_tied and not keep_exact and isinstance(made, Int8Linear):
            model.set_input_embeddings(QuantisedEmbedding(made))
    model._frozen_for_cpu = frozen if keep_exact else []
    model.requires_grad_(False)


def _optimised(mode: str, layer: SantaLinear, *, is_tied: bool, keep_exact: bool) -> OptimisedLinear | None:
    """Return a layer's replacement, or None to leave it."""
    kind: type[QuantisedLinear] | None = kind_for(mode, layer, is_head=is_tied) if mode in QUANTISED else None
    if kind is not None:
        return kind(layer, keep_exact=keep_exact)
    return PackedLinear(layer) if keep_exact and why_not("packed", layer.weight.dtype) is None else None


def _restore(model: PreTrainedModel) -> None:
    layers = optimised_layers(model)
    for layer in layers.values():
        layer.check_exact()
    for name, layer in layers.items():
        dense: nn.Linear = layer.restored()
        if layer.is_tied:
            dense.weight = model.get_input_embeddings().weight
        dense.weight.requires_grad_(layer.is_trainable)
        model.set_submodule(name, dense)
    for parameter in model.__dict__.pop("_frozen_for_cpu", ()):
        parameter.requires_grad_()
