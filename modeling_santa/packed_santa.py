"""Define layers whose weight is stored packed or rounded, for inference on a CPU.

Whatever would take such a layer for a plain one (a compiler, a loader, another quantiser) is stopped by an error that
says what to do, in place of wrong numbers.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from .capabilities_santa import pack_dense, pointwise
from .linear_santa import SantaLinear

TURN_OFF = "Call optimize_for_cpu(model, 'off') first."


class OptimisedLinear(nn.Module):
    """What the layers for inference on a CPU share: they are made from a dense layer, and `restored` gives it back."""

    is_tied = False  # shares its weight with the token embedding when restored
    is_trainable = True

    def __init__(self, dense: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features, self.dtype = dense.in_features, dense.out_features, dense.weight.dtype
        self.bias = dense.bias

    @torch.compiler.disable(  # type: ignore[untyped-decorator,no-untyped-call]
        reason=f"optimize_for_cpu: weights in another form are not compiled. {TURN_OFF}"
    )
    def forward(self, x: torch.Tensor, *, fused_gelu: bool = False) -> torch.Tensor:
        """Return x @ weight.T + bias, (…, in) to (…, out)."""
        return self.product(x, fused_gelu=fused_gelu)

    def product(self, x: torch.Tensor, *, fused_gelu: bool) -> torch.Tensor:
        """Return x @ weight.T + bias, through a tanh-GELU if asked."""
        raise NotImplementedError

    def is_fast(self, _: torch.Tensor) -> bool:
        """Return True: there is no other way for these weights."""
        return True

    def dense_weight(self) -> torch.Tensor:
        """Return the exact weight (out, in), every bit as it was."""
        raise NotImplementedError

    def check_exact(self) -> None:
        """Raise RuntimeError if the exact weight was not kept."""

    def held_bytes(self) -> int:
        """Return the bytes of the weight that are neither parameters nor buffers."""
        return 0

    def restored(self) -> SantaLinear:
        """Return the layer as it was before, every bit of it."""
        return frozen_linear(self.dense_weight(), self.bias)

    def extra_repr(self) -> str:
        """Return sizes and dtype for printing."""
        return f"in_features={self.in_features}, out_features={self.out_features}, dtype={self.dtype}"

    @property
    def qconfig(self) -> None:
        """Return None: torch's quantisers set it on every layer, and would then find no nn.Linear."""
        return

    @qconfig.setter
    def qconfig(self, _: object) -> None:
        raise RuntimeError(
            f"optimize_for_cpu: the weights are not dense, so that nothing can quantise them. {TURN_OFF}"
        )

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> "OptimisedLinear":
        probe = fn(torch.empty(0, dtype=self.dtype))
        if probe.dtype != self.dtype or probe.device.type != "cpu":
            raise RuntimeError(
                f"optimize_for_cpu: weights packed for the CPU in {self.dtype} cannot become {probe.dtype} on "
                f"{probe.device}. {TURN_OFF}"
            )
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[f"{prefix}weight"] = self.dense_weight()

    def _load_from_state_dict(self, _: dict[str, Any], prefix: str, *__: Any) -> None:
        raise RuntimeError(
            f"optimize_for_cpu: {prefix}weight cannot be loaded into weights packed for a CPU. {TURN_OFF}"
        )


class PackedLinear(OptimisedLinear):
    """A linear layer whose weight is in oneDNN's own order."""

    def __init__(self, dense: nn.Linear) -> None:
        super().__init__(dense)
        self.packed_weight = pack_dense(dense.weight.detach())

    def product(self, x: torch.Tensor, *, fused_gelu: bool) -> torch.Tensor:
        """Return x @ weight.T + bias, through a tanh-GELU if asked."""
        return pointwise(x, self.packed_weight, self.bias, fused_gelu=fused_gelu)

    def dense_weight(self) -> torch.Tensor:
        """Return the exact weight (out, in), every bit as it was."""
        return self.packed_weight.to_dense()

    def held_bytes(self) -> int:
        """Return the bytes of the weight that are neither parameters nor buffers."""
        return self.in_features * self.out_features * self.dtype.itemsize

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "packed_weight": self.dense_weight()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({**state, "packed_weight": pack_dense(state["packed_weight"])})  # type: ignore[no-untyped-call]


def frozen_linear(weight: torch.Tensor, bias: nn.Parameter | None) -> SantaLinear:
    """Return a layer of these very tensors that asks for no gradient."""
    layer = SantaLinear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    layer.weight = nn.Parameter(weight, requires_grad=False)
    layer.register_parameter("bias", bias)
    return layer


def optimised_layers(model: nn.Module) -> dict[str, OptimisedLinear]:
    """Return the layers of a model that `optimize_for_cpu` has replaced, by name."""
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, OptimisedLinear)}


def refuse_if_optimised(model: nn.Module, what: str) -> None:
    """Raise RuntimeError if a model's weights are not dense, which `what` needs."""
    if optimised_layers(model):
        raise RuntimeError(f"{what}: the model's weights are packed for a CPU (optimize_for_cpu). {TURN_OFF}")
