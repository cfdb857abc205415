"""Compute attention with one key/value head; on a CPU without copying that head for each query head.

Shapes: B batch, T new tokens, S seen and new tokens, H query heads, K key/value heads, D head width.
"""

from typing import Any

import torch
from torch import nn

from .capabilities_santa import has_fast_bf16, has_kernel
from .linear_santa import onednn_linear

BLOCK = 64  # tokens whose queries are folded at once: 64 * 16 heads * 2048 float32 scores are 8 MiB


def eager_attention(
    module: nn.Module,
    q_BHTD: torch.Tensor,
    k_BKSD: torch.Tensor,
    v_BKSD: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attend with plain matrix products: returns the output (B, T, H, D) and the weights (B, H, T, S).

    `attention_mask` is added to the scores; a boolean one says what is seen. None means causal from the first key on, as
    in torch's attention, and for one token that everything is seen.
    """
    groups = q_BHTD.shape[1] // k_BKSD.shape[1]
    k_BHSD, v_BHSD = (x.repeat_interleave(groups, dim=1) if groups > 1 else x for x in (k_BKSD, v_BKSD))
    scores_BHTS = (q_BHTD @ k_BHSD.transpose(2, 3)) * scaling
    tokens, seen = scores_BHTS.shape[-2:]
    if attention_mask is None and tokens > 1:
        attention_mask = torch.ones(tokens, seen, dtype=torch.bool, device=scores_BHTS.device).tril()
    if attention_mask is not None and attention_mask.dtype == torch.bool:
        scores_BHTS = scores_BHTS.masked_fill(~attention_mask, torch.finfo(scores_BHTS.dtype).min)
    elif attention_mask is not None:
        scores_BHTS = scores_BHTS + attention_mask
    weights_BHTS = scores_BHTS.softmax(dim=-1, dtype=torch.float32).to(q_BHTD.dtype)
    weights_BHTS = nn.functional.dropout(weights_BHTS, p=dropout, training=module.training)
    return (weights_BHTS @ v_BHSD).transpose(1, 2).contiguous(), weights_BHTS


def can_fold(q_BHTD: torch.Tensor, k_BKSD: torch.Tensor, attention_mask: torch.Tensor | None) -> bool:
    """Return whether `folded_attention` is the fast way: one key/value head, and one new token or fast bfloat16."""
    return (
        k_BKSD.shape[1] == 1
        and (attention_mask is None or (attention_mask.dtype == torch.bool and attention_mask.shape[1] == 1))
        and (
            q_BHTD.shape[2] == 1
            or (q_BHTD.dtype == torch.bfloat16 and has_fast_bf16() and has_kernel("dense", torch.float32))
        )
    )


def folded_attention(
    q_BHTD: torch.Tensor,
    k_B1SD: torch.Tensor,
    v_B1SD: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
) -> torch.Tensor:
    """Attend with the heads of a token as rows of one matrix: returns (B, T, H, D).

    `attention_mask` is boolean, (B or 1, 1, T, S), or None, with the meaning it has in `eager_attention`. Rows that see
    nothing get finite numbers of no meaning. Scores and softmax are float32 whatever the dtype.
    """
    if q_BHTD.shape[2] == 1:
        q_B1HD = q_BHTD.transpose(1, 2)
        return nn.functional.scaled_dot_product_attention(q_B1HD, k_B1SD, v_B1SD, attention_mask, scale=scaling)
    return _attend_by_blocks(q_BHTD.transpose(1, 2), k_B1SD.squeeze(1), v_B1SD.squeeze(1), attention_mask, scaling)


def _attend_by_blocks(
    q_BTHD: torch.Tensor, k_BSD: torch.Tensor, v_BSD: torch.Tensor, mask: torch.Tensor | None, scaling: float
) -> torch.Tensor:
    tokens, heads = q_BTHD.shape[1:3]
    if mask is None:  # a static cache is longer than what is seen of it
        k_BSD, v_BSD = k_BSD[:, :tokens], v_BSD[:, :tokens]
    past = k_BSD.shape[1] - tokens
    q32_BTHD, k32_BSD = q_BTHD.float(), k_BSD.float() * scaling
    out_BTHD = torch.empty(q_BTHD.shape, dtype=q_BTHD.dtype)
    is_later = torch.ones(BLOCK, BLOCK, dtype=torch.bool).triu(1)
    lowest = torch.finfo(torch.float32).min
    for row in range(len(q_BTHD)):
        for start in range(0, tokens, BLOCK):
            stop = min(tokens, start + BLOCK)
            size, end = stop - start, past + stop
            scores = onednn_linear(q32_BTHD[row, start:stop].flatten(0, 1), k32_BSD[row, :end], None)
            scores_THS = scores.view(size, heads, end)
            if mask is None:
                scores_THS[..., start:].masked_fill_(is_later[:size, None, :size], lowest)
            else:
                scores_THS.masked_fill_(~mask[row % len(mask), 0, start:stop, None, :end], lowest)
            weights = scores.softmax(-1).to(v_BSD.dtype)
            torch.mm(weights, v_BSD[row, :end], out=out_BTHD[row, start:stop].view(size * heads, -1))
    return out_BTHD
