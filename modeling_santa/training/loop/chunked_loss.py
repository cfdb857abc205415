"""The next-token loss of a large vocabulary, a few rows at a time, so that the logits stay in the CPU's cache.

At 2,048 tokens and 4,224 logits cross-entropy over the whole matrix takes 42 ms forward and backward, in chunks of 128
rows 6 ms (docs/decisions/training.md).
"""

from typing import Any

import torch

ROWS = 128
IGNORED = -100


class ChunkedLoss(torch.autograd.Function):
    """Computes the mean cross-entropy of `hidden @ weight.T` and both gradients in one pass over the rows."""

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the mean loss in nats of hidden (N, C), weight (V, C), labels (N); -100 is left out."""
        count = max(1, int((labels != IGNORED).sum()))
        hidden_grad, weight_grad = torch.empty_like(hidden), torch.zeros_like(weight, dtype=torch.float32)
        total = 0.0
        for start in range(0, len(hidden), ROWS):
            rows = slice(start, start + ROWS)
            kept = labels[rows] != IGNORED
            wanted = labels[rows].clamp(min=0).unsqueeze(1)
            shares = (hidden[rows] @ weight.T).float().log_softmax(dim=1)
            total -= shares.gather(1, wanted)[kept].sum().item()
            shares.exp_().scatter_add_(1, wanted, torch.full_like(wanted, -1, dtype=shares.dtype))
            grad = shares.mul_(kept.unsqueeze(1) / count).to(hidden.dtype)
            hidden_grad[rows] = grad @ weight
            weight_grad += grad.T @ hidden[rows]
        ctx.save_for_backward(hidden_grad, weight_grad)
        return torch.tensor(total / count)

    @staticmethod
    def backward(ctx: Any, *outer: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        """Scale the gradients by the one that comes in."""
        hidden_grad, weight_grad = ctx.saved_tensors
        return hidden_grad * outer[0], (weight_grad * outer[0]).to(hidden_grad.dtype), None


def chunked_loss(hidden: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the mean next-token loss in nats: hidden (…, C), weight (V, C), labels (…), -100 left out."""
    loss: torch.Tensor = ChunkedLoss.apply(  # type: ignore[no-untyped-call]  # torch leaves it untyped
        hidden.flatten(0, -2), weight.to(hidden.dtype), labels.flatten()
    )
    return loss
