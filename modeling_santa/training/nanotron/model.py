"""Define SantaCoder for nanotron: the same computation as `modeling_santa.py`.

Legend of shapes: B sequences, T tokens, H query heads, D width of a head, C width of the model, V vocabulary.

Attention is torch's own (`scaled_dot_product_attention`), so flash-attn is not needed. The model is not split over
tensor- or pipeline-parallel ranks: under multi-query attention the one key/value head cannot be, and 1.1B parameters fit.
Import this module only after `compat.prepare`.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from nanotron.config import Config, ModelArgs
from nanotron.models import NanotronModel
from nanotron.parallel.pipeline_parallel.block import PipelineBlock
from nanotron.parallel.pipeline_parallel.p2p import P2P
from torch import nn
from torch.nn import functional as F

from modeling_santa.errors_santa import ModelError


@dataclass
class SantaNanotronConfig:
    """Holds the shape of the model, by nanotron's names; the defaults are the published model's."""

    is_santa_config: bool  # first and without a default: tells this dataclass from the others
    vocab_size: int = 49_157
    hidden_size: int = 2048
    num_hidden_layers: int = 24
    num_attention_heads: int = 16
    num_key_value_heads: int = 1
    intermediate_size: int = 8192
    max_position_embeddings: int = 2048
    layer_norm_epsilon: float = 1e-5
    attn_pdrop: float = 0.1
    resid_pdrop: float = 0.1
    embd_pdrop: float = 0.1
    tie_word_embeddings: bool = True


@dataclass
class FimArgs:
    """Holds how the packed corpus is read: `recipe` says what was packed, the rates are those of the permutation."""

    recipe: str
    fim_rate: float
    spm_rate: float
    line_rate: float = 0.0
    mode: str = "whole"


@dataclass
class SantaModelArgs(ModelArgs):
    """Narrows nanotron's model section to SantaCoder."""

    model_config: SantaNanotronConfig


@dataclass
class SantaTrainConfig(Config):
    """Narrows nanotron's configuration to SantaCoder, and adds the section `fim`."""

    model: SantaModelArgs
    fim: FimArgs | None = None


class Embedding(nn.Module):
    """Adds up token and learned position embeddings."""

    def __init__(self, config: SantaNanotronConfig) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(config.vocab_size, config.hidden_size)
        self.position_embedding = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.drop = nn.Dropout(config.embd_pdrop)

    def forward(self, input_ids: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the embeddings (B, T, C) and the token matrix, which is the head's, too."""
        places = torch.arange(input_ids.shape[1], device=input_ids.device)
        x_BTC = self.token_embedding(input_ids) + self.position_embedding(places)
        return {"hidden_states": self.drop(x_BTC), "head_weight": self.token_embedding.weight}


class Attention(nn.Module):
    """Attends causally, with one key/value head or with as many as query heads."""

    def __init__(self, config: SantaNanotronConfig) -> None:
        super().__init__()
        self.heads, self.width = config.num_attention_heads, config.hidden_size // config.num_attention_heads
        self.is_multi_query = config.num_key_value_heads == 1
        kv = self.width * config.num_key_value_heads
        self.c_attn = nn.Linear(config.hidden_size, config.hidden_size + 2 * kv)
        self.c_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.attn_pdrop = config.attn_pdrop
        self.drop = nn.Dropout(config.resid_pdrop)

    def forward(self, x_BTC: torch.Tensor) -> torch.Tensor:
        """Return what attention adds to the residual stream."""
        batch, length, width = x_BTC.shape
        fused = self.c_attn(x_BTC)
        if self.is_multi_query:
            q, k, v = fused.split((width, self.width, self.width), dim=2)
            q_BHTD = q.view(batch, length, self.heads, self.width).transpose(1, 2)
            k_BHTD, v_BHTD = (part.unsqueeze(1).expand(-1, self.heads, -1, -1) for part in (k, v))
        else:  # rows head by head, as in GPTBigCode
            by_head = fused.view(batch, length, self.heads, 3 * self.width).transpose(1, 2)
            q_BHTD, k_BHTD, v_BHTD = by_head.split(self.width, dim=3)
        dropout = self.attn_pdrop if self.training else 0.0
        y_BHTD = F.scaled_dot_product_attention(q_BHTD, k_BHTD, v_BHTD, dropout_p=dropout, is_causal=True)
        added: torch.Tensor = self.drop(self.c_proj(y_BHTD.transpose(1, 2).reshape(batch, length, width)))
        return added


class MLP(nn.Module):
    """Widens, applies GELU's tanh form, and narrows."""

    def __init__(self, config: SantaNanotronConfig) -> None:
        super().__init__()
        self.c_fc = nn.Linear(config.hidden_size, config.intermediate_size)
        self.c_proj = nn.Linear(config.intermediate_size, config.hidden_size)
        self.drop = nn.Dropout(config.resid_pdrop)

    def forward(self, x_BTC: torch.Tensor) -> torch.Tensor:
        """Return what the MLP adds to the residual stream."""
        added: torch.Tensor = self.drop(self.c_proj(F.gelu(self.c_fc(x_BTC), approximate="tanh")))
        return added


class Block(nn.Module):
    """Attends, then thinks; each over a norm, each added to the residual stream."""

    def __init__(self, config: SantaNanotronConfig) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_epsilon)
        self.attn = Attention(config)
        self.ln_2 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_epsilon)
        self.mlp = MLP(config)

    def forward(self, hidden_states: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the residual stream after this block."""
        x_BTC = hidden_states + self.attn(self.ln_1(hidden_states))
        return {"hidden_states": x_BTC + self.mlp(self.ln_2(x_BTC))}


class Loss(nn.Module):
    """Computes the logits with the token matrix, and their cross-entropy in float32."""

    def forward(
        self, hidden_states: torch.Tensor, head_weight: torch.Tensor, label_ids: torch.Tensor, label_mask: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Return the labelled tokens' loss, divided by the number of places.

        Divided by the labelled ones instead, a token's weight would depend on the padding in its micro-batch, and a run
        on two GPUs would differ from the same run on one.
        """
        logits = F.linear(hidden_states, head_weight).float().flatten(0, 1)
        labels = label_ids.masked_fill(~label_mask, -100).flatten()
        return {"loss": F.cross_entropy(logits, labels, reduction="sum") / labels.numel()}


class SantaForTraining(NanotronModel):
    """Chains the blocks as nanotron wants them: embedding, decoder, final norm, loss."""

    def __init__(self, config: Any, parallel_context: Any, parallel_config: Any, random_states: Any = None) -> None:
        super().__init__()
        if parallel_context.tp_pg.size() * parallel_context.pp_pg.size() > 1:
            raise ModelError("train: tp and pp must be 1: SantaCoder is trained data-parallel. Raise dp instead.")
        if config.num_key_value_heads not in {1, config.num_attention_heads}:
            raise ModelError(
                f"train: num_key_value_heads={config.num_key_value_heads} is neither 1 (multi-query) nor "
                f"num_attention_heads={config.num_attention_heads} (multi-head). Choose one of the two."
            )
        self.config, self.parallel_context, self.parallel_config = config, parallel_context, parallel_config
        self.random_states = random_states
        self.model: Any = nn.Module()
        p2p = P2P(parallel_context.pp_pg, device=torch.device("cuda"))

        def block(builder: Any, inputs: set[str], outputs: set[str], **settings: Any) -> Any:
            return PipelineBlock(p2p, builder, settings, inputs, outputs)

        hidden = {"hidden_states"}
        self.model.token_position_embeddings = block(
            Embedding, {"input_ids"}, {"hidden_states", "head_weight"}, config=config
        )
        self.model.decoder = nn.ModuleList(
            [block(Block, hidden, hidden, config=config) for _ in range(config.num_hidden_layers)]
        )
        self.model.final_layer_norm = block(
            nn.LayerNorm,
            {"input"},
            hidden,
            normalized_shape=config.hidden_size,
            eps=config.layer_norm_epsilon,
        )
        self.loss = block(Loss, {"hidden_states", "head_weight", "label_ids", "label_mask"}, {"loss"})

    def forward(  # nanotron passes four
        self,
        input_ids: torch.Tensor,
        input_mask: torch.Tensor,  # noqa: ARG002
        label_ids: torch.Tensor,
        label_mask: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """Return the loss of a micro-batch (B, T); attention is causal over whole windows, so `input_mask` is all ones."""
        state = self.model.token_position_embeddings(input_ids=input_ids)
        x_BTC = state["hidden_states"]
        for layer in self.model.decoder:
            x_BTC = layer(hidden_states=x_BTC)["hidden_states"]
        x_BTC = self.model.final_layer_norm(input=x_BTC)["hidden_states"]
        loss = self.loss(
            hidden_states=x_BTC, head_weight=state["head_weight"], label_ids=label_ids, label_mask=label_mask
        )
        return {"loss": loss["loss"]}

    @torch.no_grad()
    def init_model_randomly(self, config: Any) -> None:
        """Draw weights as Megatron does: normal of one std, the projections into the stream by 1/sqrt(2L) narrower."""
        std = config.model.init_method.std
        narrow = std / math.sqrt(2 * self.config.num_hidden_layers)
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
            elif parameter.dim() == 1:
                parameter.fill_(1.0)
            else:
                parameter.normal_(0.0, narrow if "c_proj" in name else std)

    def get_embeddings_lm_head_tied_names(self) -> list[str]:
        """Return no names: the head uses the token matrix itself."""
        return []

    def get_block_compute_costs(self) -> dict[type, int]:
        """Return the work of each kind of block, by which nanotron would spread them over pipeline ranks."""
        return {Block: 1}

    def get_flops_per_sec(
        self, iteration_time_in_sec: float, sequence_length: int, global_batch_size: int
    ) -> tuple[float, float]:
        """Return TFLOP/s a GPU: the model's and the hardware's, equal since nothing is recomputed."""
        from modeling_santa.training.nanotron.estimate import flops_per_token

        tokens = sequence_length * global_batch_size
        flops = tokens * flops_per_token(vars(self.config), sequence_length)
        each = flops / iteration_time_in_sec / self.parallel_context.world_pg.size() / 1e12
        return each, each
