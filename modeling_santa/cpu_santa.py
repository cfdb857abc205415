"""Opt-in inference on a CPU with packed or quantised weights; undone by saving.

Decoding reads every weight once a token, so it is as fast as memory lets it be: packed weights are read in the order
in which the kernel wants them, int8 and int4 ones are half and a quarter of bfloat16's bytes.

The packed weights are always kept, bit for bit: long chunks (a prompt) are computed with them, because the quantised
kernels are slower from a few rows on, and the model can be restored from them.
"""

from collections.abc import Callable
from typing import Any, Literal, TypeVar

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.utils import logging

from .capabilities_santa import (
    INT4_GROUP,
    has_kernel,
    int4_packed,
    int4_product,
    int8_product,
    isa,
    pack,
    pointwise,
)
from .linear_santa import SantaLinear

logger = logging.get_logger(__name__)
CpuMode = Literal["packed", "int8", "int4", "off"]
MODES = ("packed", "int8", "int4", "off")
Model = TypeVar("Model", bound=PreTrainedModel)


class OptimisedLinear(nn.Module):
    """What the layers for inference on a CPU share: they are made from a dense layer, and `restored` gives it back."""

    is_tied = False  # shares its weight with the token embedding when restored
    is_trainable = True

    def __init__(self, dense: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features, self.dtype = dense.in_features, dense.out_features, dense.weight.dtype
        self.bias = dense.bias

    def is_fast(self, _: torch.Tensor) -> bool:
        """Return True: there is no other way for these weights."""
        return True

    def dense_weight(self) -> torch.Tensor:
        """Return the exact weight (out, in), every bit as it was."""
        raise NotImplementedError

    def restored(self) -> SantaLinear:
        """Return the layer as it was before, every bit of it."""
        return _dense(self.dense_weight(), self.bias)

    def extra_repr(self) -> str:
        """Return sizes and dtype for printing."""
        return f"in_features={self.in_features}, out_features={self.out_features}, dtype={self.dtype}"

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> "OptimisedLinear":
        probe = fn(torch.empty(0, dtype=self.dtype))
        if probe.dtype != self.dtype or probe.device.type != "cpu":
            raise RuntimeError(
                f"optimize_for_cpu: weights packed for the CPU in {self.dtype} cannot become {probe.dtype} on "
                f"{probe.device}. Call optimize_for_cpu(model, 'off') first."
            )
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[f"{prefix}weight"] = self.dense_weight()


class PackedLinear(OptimisedLinear):
    """A linear layer whose weight is in oneDNN's own order."""

    def __init__(self, dense: nn.Linear) -> None:
        super().__init__(dense)
        self.packed_weight = pack(dense.weight.detach())

    def forward(self, x: torch.Tensor, *, fused_gelu: bool = False) -> torch.Tensor:
        """Return x @ weight.T + bias, (…, in) to (…, out)."""
        return pointwise(x, self.packed_weight, self.bias, fused_gelu=fused_gelu)

    def dense_weight(self) -> torch.Tensor:
        """Return the exact weight (out, in), every bit as it was."""
        return self.packed_weight.to_dense()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "packed_weight": self.dense_weight()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({**state, "packed_weight": pack(state["packed_weight"])})  # type: ignore[no-untyped-call]


class QuantisedLinear(OptimisedLinear):
    """A layer that multiplies up to `most_rows` rows with rounded weights, and more with the exact ones.

    The exact weight is packed where this CPU has the kernel for its dtype, else dense.
    """

    most_rows: int
    rounded_weight: torch.Tensor
    scales: torch.Tensor

    def __init__(self, dense: nn.Linear) -> None:
        super().__init__(dense)
        # In a tuple, so that it is not a module of its own.
        self.exact = (
            PackedLinear(dense) if has_kernel("packed", self.dtype) else _dense(dense.weight.detach(), dense.bias),
        )
        rounded, scales = self.rounded(dense.weight.detach())
        self.register_buffer("rounded_weight", rounded, persistent=False)
        self.register_buffer("scales", scales, persistent=False)

    def forward(self, x: torch.Tensor, *, fused_gelu: bool = False) -> torch.Tensor:
        """Return x @ weight.T + bias, (…, in) to (…, out)."""
        if x.numel() > self.most_rows * self.in_features:
            y: torch.Tensor = self.exact[0](x, fused_gelu=fused_gelu)
            return y
        y = self.product(x.reshape(-1, self.in_features).contiguous())
        if self.bias is not None:
            y = y.add_(self.bias)
        if fused_gelu:
            y = nn.functional.gelu(y, approximate="tanh")
        return y.view(*x.shape[:-1], self.out_features)

    def dense_weight(self) -> torch.Tensor:
        """Return the exact weight (out, in), every bit as it was."""
        exact = self.exact[0]
        return exact.dense_weight() if isinstance(exact, PackedLinear) else exact.weight.detach()

    @staticmethod
    def rounded(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the rounded weight in the kernel's form, and its scales in the weight's dtype."""
        raise NotImplementedError

    def product(self, x: torch.Tensor) -> torch.Tensor:
        """Return x @ weight.T for a matrix, with the rounded weight."""
        raise NotImplementedError


class Int8Linear(QuantisedLinear):
    """Weights of 8 bits, with a scale for each output."""

    most_rows = 4

    @staticmethod
    def rounded(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the rounded weight in the kernel's form, and its scales."""
        scales = _scales(weight.abs().amax(dim=1), 127)
        steps = (weight.float() / scales.float()[:, None]).round_().clamp_(-127, 127)
        return steps.to(torch.int8), scales

    def product(self, x: torch.Tensor) -> torch.Tensor:
        """Return x @ weight.T for a matrix, with the rounded weight."""
        return int8_product(x, self.rounded_weight, self.scales)


class Int4Linear(QuantisedLinear):
    """Weights of 4 bits, with a scale and a zero for each 32 inputs of an output."""

    most_rows = 8

    @staticmethod
    def rounded(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the rounded weight in the kernel's form, and its scales and zeros."""
        groups = weight.view(len(weight), -1, INT4_GROUP)
        low, high = groups.amin(-1), groups.amax(-1)
        scales = _scales(high - low, 15)
        zeros = low + 8 * scales
        # The kernel reads (step - 8) * scale + zero, group by group.
        steps = (groups.float() - zeros.float()[..., None]) / scales.float()[..., None] + 8
        packed = int4_packed(steps.round_().clamp_(0, 15).flatten(1))
        return packed, torch.stack([scales, zeros], dim=-1).transpose(0, 1).contiguous()

    def product(self, x: torch.Tensor) -> torch.Tensor:
        """Return x @ weight.T for a matrix, with the rounded weight."""
        return int4_product(x, self.rounded_weight, self.scales)


def optimize_for_cpu(model: Model, mode: CpuMode = "packed") -> Model:
    """Make a SantaCoder model faster at inference on a CPU, in place; returns the model.

    "packed" gives the same numbers up to rounding. "int8" and "int4" decode with rounded weights (up to 4 and 8 rows
    at once) and read prompts with exact ones. "off" restores the model bit for bit, and so does saving it. Memory:
    "packed" adds the head, which no longer shares the embedding; "int8" another half of bfloat16's, "int4" a third.
    No gradients: the parameters are frozen until "off".

    Where this torch or CPU lacks the kernels, a warning says so and the model stays as it is.

    Raises:
        ValueError: an unknown mode, or a model that is not on a CPU in float32 or bfloat16.
    """
    if mode not in MODES:
        raise ValueError(f"optimize_for_cpu: mode={mode!r} is unknown. Choose one of {', '.join(map(repr, MODES))}.")
    _restore(model)
    if mode == "off":
        return model
    layers = {name: layer for name, layer in model.named_modules() if type(layer) is SantaLinear}
    kinds = {(layer.weight.device.type, layer.weight.dtype) for layer in layers.values()}
    if not kinds <= {("cpu", torch.float32), ("cpu", torch.bfloat16)}:
        found = ", ".join(sorted(f"{dtype} on {device}" for device, dtype in kinds))
        raise ValueError(
            f"optimize_for_cpu: the model's layers are {found}; float32 or bfloat16 on cpu is needed. "
            "Call model.to('cpu', torch.bfloat16) first."
        )
    lacking = sorted(str(dtype) for _, dtype in kinds if not has_kernel(mode, dtype))
    if lacking:
        logger.warning(
            "optimize_for_cpu: this CPU (%s) has no kernel for %r in %s; the model stays as it is.",
            isa(),
            mode,
            ", ".join(lacking),
        )
        return model
    embedding = model.get_input_embeddings().weight
    for name, layer in layers.items():
        kind = _kind(mode, layer)
        if kind is None:
            continue
        packed = kind(layer)
        packed.is_tied, packed.is_trainable = layer.weight is embedding, layer.weight.requires_grad
        model.set_submodule(name, packed)
    model._frozen_for_cpu = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.requires_grad_(False)
    return model


def _scales(spans: torch.Tensor, steps: int) -> torch.Tensor:
    """Return the size of a step, in the dtype the kernel reads; the steps are counted with it, not with a finer one."""
    return (spans / steps).clamp(min=torch.finfo(spans.dtype).tiny * steps)


def _dense(weight: torch.Tensor, bias: nn.Parameter | None) -> SantaLinear:
    """Return a frozen layer of these very tensors."""
    layer = SantaLinear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    layer.weight = nn.Parameter(weight, requires_grad=False)
    layer.register_parameter("bias", bias)
    return layer


def _kind(mode: CpuMode, layer: nn.Linear) -> type[OptimisedLinear] | None:
    """Return the class for a layer, None to leave it; the quantised kernels want whole groups of inputs and outputs."""
    is_even = layer.in_features % INT4_GROUP == 0 and layer.out_features % 16 == 0
    if mode == "packed" or not is_even:
        return PackedLinear if has_kernel("packed", layer.weight.dtype) else None
    return Int8Linear if mode == "int8" else Int4Linear


def _restore(model: Model) -> None:
    for name, layer in list(model.named_modules()):
        if isinstance(layer, OptimisedLinear):
            dense = layer.restored()
            if layer.is_tied:
                dense.weight = model.get_input_embeddings().weight
            dense.weight.requires_grad_(layer.is_trainable)
            model.set_submodule(name, dense)
    for parameter in model.__dict__.pop("_frozen_for_cpu", ()):
        parameter.requires_grad_()
