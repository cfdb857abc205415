"""The layers of SantaCoder: attention with one shared key and value head, the MLP, and the block of both.

Shape suffixes: B batch, T new tokens, S seen and new tokens, C width (n_embd), H query heads, K key/value
heads (1 under multi-query), D width of a head.
"""

from typing import Any

import torch
from torch import nn
from transformers.activations import ACT2FN
from transformers.cache_utils import Cache
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .attention_santa import can_fold, eager_attention, folded_attention
from .configuration_santa import SantaConfig
from .linear_santa import SantaLinear, is_cpu_inference
from .packed_santa import OptimisedLinear


class SantaAttention(nn.Module):
    """Self-attention with one shared key and value head (multi-query), or one a query head (multi-head)."""

    def __init__(self, config: SantaConfig, layer_idx: int) -> None:
        super().__init__()
        self.config = config
        self.layer_idx = layer_idx
        self.multi_query = config.multi_query
        self.num_heads = config.n_head
        self.head_dim = config.n_embd // config.n_head
        self.kv_heads = 1 if config.multi_query else config.n_head
        self.num_key_value_groups = self.num_heads // self.kv_heads
        self.scaling = self.head_dim**-0.5 if config.scale_attn_weights else 1.0
        self.is_causal = True
        self.attn_dropout = config.attn_pdrop
        self.c_attn = SantaLinear(config.n_embd, config.n_embd + 2 * self.kv_heads * self.head_dim)
        self.c_proj = SantaLinear(config.n_embd, config.n_embd)
        self.resid_dropout = nn.Dropout(config.resid_pdrop)

    def project(self, x_BTC: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return q (B, H, T, D), k and v (B, K, T, D).

        The rows of the fused weight are [Q of all heads, K, V] under multi-query, but [Q, K, V] head by head
        under multi-head: GPTBigCode's layout.
        """
        batch, tokens, _ = x_BTC.shape
        qkv = self.c_attn(x_BTC)
        if not self.multi_query:
            qkv_BHT3D = qkv.view(batch, tokens, self.num_heads, 3 * self.head_dim).transpose(1, 2)
            q, k, v = qkv_BHT3D.split(self.head_dim, dim=3)
            return q, k, v
        q, k, v = qkv.split((self.num_heads * self.head_dim, self.head_dim, self.head_dim), dim=2)
        return q.view(batch, tokens, self.num_heads, self.head_dim).transpose(1, 2), k.unsqueeze(1), v.unsqueeze(1)

    def forward(
        self,
        x_BTC: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        layer_past: Cache | None = None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the attended residual update (B, T, C) and, in eager mode, the weights (B, H, T, S)."""
        q_BHTD, k_BKSD, v_BKSD = self.project(x_BTC)
        if layer_past is not None:  # an engine's paged cache puts what its attention needs into kwargs
            k_BKSD, v_BKSD = layer_past.update(k_BKSD, v_BKSD, self.layer_idx, kwargs=kwargs)
        y_BTHD, weights = self.attend(q_BHTD, k_BKSD, v_BKSD, attention_mask, **kwargs)
        y_BTC = self.c_proj(y_BTHD.reshape(*x_BTC.shape[:-1], -1).contiguous())
        return (self.resid_dropout(y_BTC) if self.training else y_BTC), weights

    def attend(
        self,
        q_BHTD: torch.Tensor,
        k_BKSD: torch.Tensor,
        v_BKSD: torch.Tensor,
        attention_mask: torch.Tensor | None,
        *,
        may_fold: bool = False,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the heads' outputs (B, T, H, D), and the weights (B, H, T, S) in eager mode or where asked for."""
        dropout = self.attn_dropout if self.training else 0.0
        if (
            may_fold
            and dropout == 0.0
            and is_cpu_inference(q_BHTD, k_BKSD)
            and can_fold(q_BHTD, k_BKSD, attention_mask)
        ):
            return folded_attention(q_BHTD, k_BKSD, v_BKSD, attention_mask, self.scaling), None
        implementation = self.config._attn_implementation
        if implementation == "sdpa" and kwargs.get("output_attentions", self.config.output_attentions):
            implementation = "eager"
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(implementation, eager_attention)
        both: tuple[torch.Tensor, torch.Tensor | None] = attend(
            self, q_BHTD, k_BKSD, v_BKSD, attention_mask, scaling=self.scaling, dropout=dropout, **kwargs
        )
        return both


class SantaMLP(nn.Module):
    """Two linear layers with a tanh-GELU between them; n_inner wide."""

    def __init__(self, config: SantaConfig) -> None:
        super().__init__()
        n_inner = config.n_inner if config.n_inner is not None else 4 * config.n_embd
        self.c_fc = SantaLinear(config.n_embd, n_inner)
        self.c_proj = SantaLinear(n_inner, config.n_embd)
        self.act = ACT2FN[config.activation_function]
        self.has_tanh_gelu = config.activation_function in ("gelu_pytorch_tanh", "gelu_fast", "gelu_new")
        self.dropout = nn.Dropout(config.resid_pdrop)

    def forward(self, x_BTC: torch.Tensor) -> torch.Tensor:
        """Return the residual update (B, T, C)."""
        c_fc = self.c_fc
        # A hook on c_fc or on the activation, or a c_fc of somebody else's, sees what it would see in any model.
        if (
            self.has_tanh_gelu
            and isinstance(c_fc, SantaLinear | OptimisedLinear)
            and c_fc.is_fast(x_BTC)
            and not (c_fc._forward_hooks or self.act._forward_hooks)
        ):
            inner = c_fc(x_BTC, fused_gelu=True)
        else:
            inner = self.act(c_fc(x_BTC))
        y_BTC: torch.Tensor = self.c_proj(inner)
        return self.dropout(y_BTC) if self.training else y_BTC


class SantaBlock(GradientCheckpointingLayer):  # type: ignore[misc] # transformers is untyped
    """One pre-norm transformer layer."""

    def __init__(self, config: SantaConfig, layer_idx: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.attn = SantaAttention(config, layer_idx)
        self.ln_2 = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.mlp = SantaMLP(config)

    def forward(self, x_BTC: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        """Return the residual stream (B, T, C) after attention and MLP."""
        update_BTC, _ = self.attn(self.ln_1(x_BTC), **kwargs)
        x_BTC = x_BTC + update_BTC
        y_BTC: torch.Tensor = x_BTC + self.mlp(self.ln_2(x_BTC))
        return y_BTC
