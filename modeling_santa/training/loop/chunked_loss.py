"""Compute the loss over a large vocabulary a few rows at a time, so that it stays in the CPU's cache.

At 2,048 tokens and 4,224 logits cross-entropy over the whole matrix takes 42 ms forward and backward, in chunks of 128
rows 6 ms (docs/decisions/training.md). On a GPU the chunks are larger, and spare memory.
"""

from typing import Any

import torch

ROWS = 128
GPU_ROWS = 4096
IGNORED = -100


class ChunkedLoss(torch.autograd.Function):
    """Computes the cross-entropy of `hidden @ weight.T`, divided by `count`, and both gradients in one pass."""

    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor, count: float
    ) -> torch.Tensor:
        """Return the loss in nats of hidden (N, C), weight (V, C), labels (N); -100 is left out."""
        hidden_grad, weight_grad = torch.empty_like(hidden), torch.zeros_like(weight, dtype=torch.float32)
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        size = GPU_ROWS if hidden.is_cuda else ROWS
        for start in range(0, len(hidden), size):
            rows = slice(start, start + size)
            kept = (labels[rows] != IGNORED).unsqueeze(1)
            wanted = labels[rows].clamp(min=0).unsqueeze(1)
            shares = (hidden[rows] @ weight.T).float().log_softmax(dim=1)
            total -= (shares.gather(1, wanted) * kept).sum()
            shares.exp_().scatter_add_(1, wanted, torch.full_like(wanted, -1, dtype=shares.dtype))
            grad = shares.mul_(kept / count).to(hidden.dtype)
            hidden_grad[rows] = grad @ weight
            weight_grad += grad.T @ hidden[rows]
        ctx.save_for_backward(hidden_grad, weight_grad)
        return total / count

    @staticmethod
    def backward(ctx: Any, *outer: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None, None]:
        """Scale the gradients by the one that comes in."""
        hidden_grad, weight_grad = ctx.saved_tensors
        return hidden_grad * outer[0], (weight_grad * outer[0]).to(hidden_grad.dtype), None, None


def chunked_loss(
    hidden: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor, count: float | None = None
) -> torch.Tensor:
    """Return the next-token loss in nats: hidden (…, C), weight (V, C), labels (…), -100 left out.

    It is the mean over the labels, or their sum divided by `count`, that of the labels of a whole step.
    """
    divisor = max(1, int((labels != IGNORED).sum())) if count is None else count
    loss: torch.Tensor = ChunkedLoss.apply(  # type: ignore[no-untyped-call]  # torch leaves it untyped
        hidden.flatten(0, -2), weight.to(hidden.dtype), labels.flatten(), divisor
    )
    return loss
