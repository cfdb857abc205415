"""The optimizer Muon, with float32 products where the machine is slow at bfloat16."""

from typing import Any

import torch

from modeling_santa.capabilities_santa import has_fast_bf16


class FittedMuon(torch.optim.Muon):
    """Run torch's Muon with float32 products where bfloat16 is slow.

    torch always multiplies in bfloat16, which a CPU without bfloat16 units does many times slower than float32. `dtype`
    is chosen by the device of the weights unless it is given.
    """

    def __init__(self, params: Any, *, dtype: torch.dtype | None = None, **settings: Any) -> None:
        super().__init__(params, **settings)
        first = self.param_groups[0]["params"][0]
        is_fast = first.device.type != "cpu" or has_fast_bf16()
        self.dtype = dtype or (torch.bfloat16 if is_fast else torch.float32)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Update every weight that has a gradient."""
        if self.dtype == torch.bfloat16:
            return super().step(closure)  # type: ignore[no-untyped-call]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._update(weight, weight.grad, group)
        return loss

    def _update(self, weight: torch.Tensor, gradient: torch.Tensor, group: dict[str, Any]) -> None:
        state, rate = self.state[weight], float(group["lr"])
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        mean = state["momentum_buffer"]
        mean.lerp_(gradient, 1 - group["momentum"])
        direction = gradient.lerp(mean, group["momentum"]) if group["nesterov"] else mean
        direction = orthogonal(direction.to(self.dtype), group["ns_coefficients"], group["ns_steps"], group["eps"])
        rows, columns = weight.shape
        scale = 0.2 * max(rows, columns) ** 0.5 if group["adjust_lr_fn"] == "match_rms_adamw" else 0.0
        scale = scale or max(1.0, rows / columns) ** 0.5
        weight.mul_(1 - rate * group["weight_decay"])
        weight.add_(direction, alpha=-rate * scale)


def orthogonal(
    matrix: torch.Tensor, coefficients: tuple[float, float, float], steps: int, floor: float
) -> torch.Tensor:
    """Return about the nearest matrix with orthogonal rows or columns, by `steps` of a quintic Newton-Schulz iteration.

    Source: Jordan et al. 2024, Muon.
    """
    linear, cubic, quintic = coefficients
    is_tall = matrix.shape[0] > matrix.shape[1]
    found: torch.Tensor = matrix.T if is_tall else matrix
    found = found / found.norm().clamp(min=floor)
    for _ in range(steps):
        gram = found @ found.T
        found = linear * found + (cubic * gram + quintic * gram @ gram) @ found
    return found.T if is_tall else found
