"""SantaCoder: GPT-2 with multi-query attention, learned positions and fill-in-the-middle.

Shape suffixes: B batch, T new tokens, S seen and new tokens, C width (n_embd), H query heads, K key/value
heads (1 under multi-query), D width of a head, V vocabulary.

The parameters have the names and the layout of transformers' GPTBigCode (fused `c_attn`, `nn.Linear`), so that
state dicts interchange. Source: report section 5.1.
"""

import math
import os
from typing import Any, Self, Unpack

import torch
import transformers.initialization as init
from torch import nn
from transformers import DynamicCache, GenerationMixin, PreTrainedConfig
from transformers.activations import ACT2FN
from transformers.cache_utils import Cache
from transformers.masking_utils import create_causal_mask
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.utils import TransformersKwargs
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import OutputRecorder, capture_outputs

from .attention_santa import can_fold, eager_attention, folded_attention
from .cache_santa import CACHE_NAME, GrowingCache, one_cache
from .configuration_santa import SantaConfig
from .cpu_santa import OptimisableModel
from .infill_santa import InfillMixin
from .layouts_santa import canonical_fields, check_loaded, damage_named, is_original, read_original, to_canonical
from .linear_santa import SantaLinear, is_cpu_inference
from .packed_santa import OptimisedLinear
from .threads_santa import threads_for_input

HUB_ARGUMENTS = ("cache_dir", "force_download", "local_files_only", "proxies", "revision", "subfolder", "token")


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


class SantaBlock(GradientCheckpointingLayer):
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


class SantaPreTrainedModel(OptimisableModel):
    """What SantaModel and SantaForCausalLM share: configuration, initialisation, capabilities."""

    config: SantaConfig
    config_class = SantaConfig
    base_model_prefix = "transformer"
    supports_gradient_checkpointing = True
    _no_split_modules = ["SantaBlock"]
    _skip_keys_device_placement = ["past_key_values", "cache", "layer_past"]
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True
    _can_record_outputs = {
        "hidden_states": SantaBlock,
        "attentions": OutputRecorder(SantaAttention, index=1, layer_name="attn"),
    }

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str] | None,
        *model_args: Any,
        config: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Open a canonical checkpoint, or an original one (GPT2LMHeadCustomModel), which is converted in memory.

        Read from safetensors or, with weights only, from `.bin`; saving writes the canonical layout. Tensors that the
        model does not have are named in transformers' report and left out, those of another dtype are cast.

        Raises:
            ValueError: tensors are missing or not finite (unless `output_loading_info` is asked for), a file is
                damaged, a pickle asks for code, or an original checkpoint's tensors do not belong to its config.
            RuntimeError: a tensor has another shape (from transformers, after its report).
        """
        place = pretrained_model_name_or_path
        if place is None or kwargs.get("state_dict") is not None:
            plain: Self = super().from_pretrained(place, *model_args, config=config, **kwargs)
            return plain
        wants_info = kwargs.pop("output_loading_info", False)
        hub = {name: kwargs[name] for name in HUB_ARGUMENTS if name in kwargs}
        raw, _ = PreTrainedConfig.get_config_dict(place, **hub)
        source: str | os.PathLike[str] | None = place
        with damage_named(place):
            if is_original(raw):
                config = config if isinstance(config, SantaConfig) else SantaConfig(**canonical_fields(raw))
                kwargs["state_dict"] = to_canonical(read_original(place, hub), config)
                source = None
            opened, info = super().from_pretrained(
                source, *model_args, config=config, output_loading_info=True, **kwargs
            )
        if wants_info:  # the caller looks for himself
            return opened, info  # type: ignore[return-value] # as transformers does
        check_loaded(place, opened, info)
        loaded: Self = opened
        return loaded

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, SantaAttention | SantaMLP):
            # GPT-2: the two layers that write to the residual stream start smaller, by 1/sqrt(2 * n_layer).
            std = self.config.initializer_range / math.sqrt(2 * self.config.n_layer)
            init.normal_(module.c_proj.weight, mean=0.0, std=std)


class SantaModel(SantaPreTrainedModel):
    """The SantaCoder transformer without a head: token ids in, the last layer's hidden states out."""

    def __init__(self, config: SantaConfig) -> None:
        super().__init__(config)
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.n_positions, config.n_embd)
        self.drop = nn.Dropout(config.embd_pdrop)
        self.h = nn.ModuleList([SantaBlock(config, layer_idx) for layer_idx in range(config.n_layer)])
        self.ln_f = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.gradient_checkpointing = False
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the token embedding."""
        return self.wte

    def set_input_embeddings(self, new_embeddings: nn.Embedding) -> None:
        """Replace the token embedding."""
        self.wte = new_embeddings

    def positions(self, seen: int, new: int, attention_mask: torch.Tensor | None) -> torch.Tensor:
        """Return position ids (1 or B, T): each row counts its own tokens, so padding on the left shifts nothing."""
        if attention_mask is None or attention_mask.dim() != 2:
            return torch.arange(seen, seen + new, device=self.wpe.weight.device).unsqueeze(0)
        positions_BS = attention_mask.long().cumsum(-1) - 1
        return positions_BS.clamp(min=0)[:, seen : seen + new]

    def embedded(self, input_ids: torch.Tensor | None, inputs_embeds: torch.Tensor | None) -> torch.Tensor:
        """Return the embeddings (B, T, C) of whichever input is given; on a CPU, ids of no token are named."""
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("SantaModel: give exactly one of input_ids and inputs_embeds.")
        if input_ids is None:
            return inputs_embeds  # type: ignore[return-value] # the other one is given
        if input_ids.device.type == "cpu" and input_ids.numel() and not torch.compiler.is_compiling():
            lowest, highest = map(int, torch.aminmax(input_ids))
            size = self.wte.num_embeddings
            if lowest < 0 or highest >= size:
                raise ValueError(
                    f"SantaModel: token id {lowest if lowest < 0 else highest} is outside the vocabulary of {size} "
                    f"(ids 0 to {size - 1}). Use the tokenizer that belongs to this model."
                )
        x_BTC: torch.Tensor = self.wte(input_ids)
        return x_BTC

    def check_context(self, seen: int, new: int) -> None:
        """Raise ValueError if there are more tokens than positions; a compiled model does not ask."""
        if not torch.compiler.is_compiling() and seen + new > self.config.n_positions:
            raise ValueError(
                f"SantaModel: {int(seen)} cached + {new} new = {int(seen) + new} tokens exceed the context of "
                f"n_positions={self.config.n_positions}. Shorten the prompt or lower max_new_tokens."
            )

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        use_cache: bool | None = None,
        cache: Cache | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> BaseModelOutputWithPast:
        """Return hidden states (B, T, C) of `input_ids` (B, T) or `inputs_embeds` (B, T, C).

        `attention_mask` (B, S) is 1 for tokens and 0 for padding, on either side; it covers the cached tokens too.
        `past_key_values` and `cache` are two names of one thing, as in transformers before 5.24 and since.

        Raises:
            ValueError: both or neither input given; more tokens than n_positions.
        """
        past_key_values, kwargs = one_cache(past_key_values, cache, kwargs)
        inputs_embeds = self.embedded(input_ids, inputs_embeds)
        if use_cache and past_key_values is None:
            past_key_values = GrowingCache(self.config)
        is_paged = past_key_values is not None and not isinstance(past_key_values, Cache)
        seen = past_key_values.get_seq_length() if past_key_values is not None and not is_paged else 0
        # Sequences packed into one row come with their own positions and without a cache; their sum may be longer.
        if position_ids is None or isinstance(past_key_values, Cache):
            self.check_context(seen, inputs_embeds.shape[1])
        if position_ids is None:
            position_ids = self.positions(seen, inputs_embeds.shape[1], attention_mask)
        # By position: transformers 5.24 renamed the fourth argument.
        mask = create_causal_mask(
            self.config, inputs_embeds, attention_mask, past_key_values, position_ids=position_ids
        )
        x_BTC = self.drop(inputs_embeds + self.wpe(position_ids).to(inputs_embeds.device))
        wants_weights = kwargs.get("output_attentions", self.config.output_attentions)
        may_fold = self.config._attn_implementation == "sdpa" and not wants_weights and not is_paged
        may_fold = may_fold and kwargs.get("cache") is None
        for block in self.h:
            x_BTC = block(x_BTC, attention_mask=mask, layer_past=past_key_values, may_fold=may_fold, **kwargs)
        return BaseModelOutputWithPast(last_hidden_state=self.ln_f(x_BTC), **{CACHE_NAME: past_key_values})


class SantaForCausalLM(InfillMixin, SantaPreTrainedModel, GenerationMixin):
    """SantaCoder with its language modelling head, tied to the token embedding.

    Saving writes the canonical folder: it opens with this class under `trust_remote_code=True`, and with
    transformers' native GPTBigCodeForCausalLM without it.
    """

    _tied_weights_keys = {"lm_head.weight": "transformer.wte.weight"}
    _tp_plan = {"lm_head": "colwise_gather_output"}
    _pp_plan = {"lm_head": (["hidden_states"], ["logits"])}

    def __init__(self, config: SantaConfig) -> None:
        super().__init__(config)
        self.transformer = SantaModel(config)
        self.lm_head = SantaLinear(config.n_embd, config.vocab_size, bias=False)
        self.post_init()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute as any module does; a small model's few tokens on one thread (see `threads_santa`)."""
        if torch.compiler.is_compiling():
            return super().__call__(*args, **kwargs)
        with threads_for_input(self.config, args[0] if args else kwargs.get("input_ids")):
            return super().__call__(*args, **kwargs)

    def _prepare_cache_for_generation(
        self, generation_config: Any, model_kwargs: dict[str, Any], *args: Any, **kwargs: Any
    ) -> None:
        """Let `generate` use the growing cache where it would make a plain DynamicCache."""
        is_given = model_kwargs.get(CACHE_NAME) is not None
        super()._prepare_cache_for_generation(generation_config, model_kwargs, *args, **kwargs)
        made: Any = model_kwargs.get(CACHE_NAME)
        if not is_given and type(made) is DynamicCache and not made.offloading:
            model_kwargs[CACHE_NAME] = GrowingCache(self.config)

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        cache: Cache | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> CausalLMOutputWithPast:
        """Return logits (B, T, V) and, with `labels` (B, T), the mean next-token loss in nats.

        `labels` are shifted inside; -100 is ignored. `logits_to_keep` limits the head to the last that many
        positions (0: all), or to the given ones.
        """
        outputs = self.transformer(
            input_ids,
            past_key_values=past_key_values,
            attention_mask=attention_mask,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            cache=cache,
            **kwargs,
        )
        keep = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits_BTV = self.lm_head(outputs.last_hidden_state[:, keep, :])
        loss = None
        if labels is not None:
            loss = self.loss_function(logits=logits_BTV, labels=labels, vocab_size=self.config.vocab_size, **kwargs)
        return CausalLMOutputWithPast(
            loss=loss,
            logits=logits_BTV,
            **{CACHE_NAME: getattr(outputs, CACHE_NAME)},
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )


SantaModel.register_for_auto_class("AutoModel")
SantaForCausalLM.register_for_auto_class("AutoModelForCausalLM")
