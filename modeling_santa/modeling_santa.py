"""SantaCoder: GPT-2 with multi-query attention, learned positions and fill-in-the-middle.

Shape suffixes: B batch, T new tokens, S seen and new tokens, C width (n_embd), V vocabulary, N labels.

The parameters have the names and the layout of transformers' GPTBigCode (fused `c_attn`, `nn.Linear`), so that
state dicts interchange. Source: report section 5.1.
"""

import math
import os
from typing import Any, Self, Unpack

import torch
import transformers.initialization as init
from torch import nn
from transformers import DynamicCache, GenerationConfig, GenerationMixin, PreTrainedConfig
from transformers.cache_utils import Cache
from transformers.masking_utils import create_causal_mask
from transformers.modeling_outputs import (
    BaseModelOutputWithPast,
    CausalLMOutputWithPast,
    SequenceClassifierOutputWithPast,
    TokenClassifierOutput,
)
from transformers.utils import TransformersKwargs, cached_file
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import OutputRecorder, capture_outputs

from .cache_santa import CACHE_NAME, GrowingCache, one_cache
from .configuration_santa import SantaConfig
from .cpu_santa import OptimisableModel
from .errors_santa import ModelError
from .infill_santa import InfillMixin
from .layers_santa import SantaAttention, SantaBlock, SantaMLP
from .layouts_santa import canonical_fields, is_original, to_canonical
from .linear_santa import SantaLinear
from .threads_santa import threads_for_input
from .weights_santa import check_loaded, check_weights, read_weights

# What makes transformers read other files, or other tensors in them, than a canonical checkpoint's.
OTHER_WAYS = {"gguf_file", "ignore_mismatched_sizes", "quantization_config", "use_safetensors", "variant"}
HUB_ARGUMENTS = ("cache_dir", "force_download", "local_files_only", "proxies", "revision", "subfolder", "token")


class SantaPreTrainedModel(OptimisableModel):
    """What all SantaCoder classes share: configuration, reading, initialisation, capabilities."""

    is_head_new = False  # a checkpoint may lack the head, which is then drawn, as transformers' report says
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
            ModelError: tensors are missing or not finite, have another shape than config.json says, a file is damaged,
                or a pickle asks for code. With `output_loading_info=True` missing tensors are returned, not raised.
        """
        place = pretrained_model_name_or_path
        if place is None or kwargs.get("state_dict") is not None:
            plain: Self = super().from_pretrained(place, *model_args, config=config, **kwargs)
            return plain
        wants_info = kwargs.pop("output_loading_info", False)
        hub = {name: kwargs[name] for name in HUB_ARGUMENTS if name in kwargs}
        raw, _ = PreTrainedConfig.get_config_dict(place, **hub)
        source: str | os.PathLike[str] | None = place
        if is_original(raw):
            config = config if isinstance(config, SantaConfig) else SantaConfig(**canonical_fields(raw))
            kwargs["state_dict"] = to_canonical(read_weights(place, hub), config, is_original=True)
            source = None
        elif not wants_info and not OTHER_WAYS & (kwargs.keys() | raw.keys()):
            given = {name: value for name, value in kwargs.items() if name in raw and not name.endswith("dtype")}
            shaped = config if isinstance(config, SantaConfig) else SantaConfig(**{**canonical_fields(raw), **given})
            check_weights(place, shaped, hub)
        opened, info = super().from_pretrained(source, *model_args, config=config, output_loading_info=True, **kwargs)
        if source is None and isinstance(opened, GenerationMixin):
            opened.generation_config = _generation_config(place, hub) or opened.generation_config
        if wants_info:  # the caller looks for himself
            return opened, info  # type: ignore[return-value] # as transformers does
        missing = {str(name) for name in info["missing_keys"]}
        if cls.is_head_new:
            missing = {name for name in missing if name.startswith(f"{cls.base_model_prefix}.")}
        check_loaded(place, opened, missing)
        loaded: Self = opened
        return loaded

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, SantaAttention | SantaMLP):
            # GPT-2: the two layers that write to the residual stream start smaller, by 1/sqrt(2 * n_layer).
            std = self.config.initializer_range / math.sqrt(2 * self.config.n_layer)
            init.normal_(module.c_proj.weight, mean=0.0, std=std)


def _generation_config(place: str | os.PathLike[str], hub: dict[str, Any]) -> GenerationConfig | None:
    """Return a checkpoint's own settings of `generate`, None where it has none."""
    if cached_file(place, "generation_config.json", _raise_exceptions_for_missing_entries=False, **hub) is None:
        return None
    return GenerationConfig.from_pretrained(place, **hub)


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
            raise ModelError("SantaModel: give exactly one of input_ids and inputs_embeds.")
        shape = (input_ids if input_ids is not None else inputs_embeds).shape  # type: ignore[union-attr] # one is given
        if not torch.compiler.is_compiling() and 0 in shape:
            raise ModelError(
                f"SantaModel: the input is empty: (batch, tokens) = {tuple(shape[:2])}. Give at least one token a row."
            )
        if input_ids is None:
            return inputs_embeds  # type: ignore[return-value] # the other one is given
        if input_ids.device.type == "cpu" and not torch.compiler.is_compiling():
            lowest, highest = map(int, torch.aminmax(input_ids))
            size = self.wte.num_embeddings
            if lowest < 0 or highest >= size:
                raise ModelError(
                    f"SantaModel: token id {lowest if lowest < 0 else highest} is outside the vocabulary of {size} "
                    f"(ids 0 to {size - 1}). Use the tokenizer that belongs to this model."
                )
        x_BTC: torch.Tensor = self.wte(input_ids)
        return x_BTC

    def check_context(self, seen: int, new: int) -> None:
        """Raise ValueError if there are more tokens than positions; a compiled model does not ask."""
        if not torch.compiler.is_compiling() and seen + new > self.config.n_positions:
            raise ModelError(
                f"SantaModel: {int(seen)} cached + {new} new = {int(seen) + new} tokens exceed the context of "
                f"n_positions={self.config.n_positions}. Shorten the prompt or lower max_new_tokens."
            )

    def check_positions(self, position_ids: torch.Tensor) -> None:
        """Raise ModelError for positions outside the context; on a CPU only, where looking costs nothing."""
        if position_ids.device.type != "cpu" or torch.compiler.is_compiling():
            return
        lowest, highest = map(int, torch.aminmax(position_ids))
        context = self.config.n_positions
        if lowest < 0 or highest >= context:
            raise ModelError(
                f"SantaModel: position {lowest if lowest < 0 else highest} is outside the context of "
                f"n_positions={context} (positions 0 to {context - 1}). Shorten the prompt or lower max_new_tokens."
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
            ModelError: both or neither input is given, it is empty, or there are more tokens than n_positions.
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
        else:
            self.check_positions(position_ids)
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


class SantaForSequenceClassification(SantaPreTrainedModel):
    """SantaCoder with a linear head on the last token of a text: one class, several labels, or a number."""

    is_head_new = True

    def __init__(self, config: SantaConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.transformer = SantaModel(config)
        self.score = nn.Linear(config.n_embd, config.num_labels, bias=False)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> SequenceClassifierOutputWithPast:
        """Return the scores (B, N) of each text and, with `labels`, the loss that `config.problem_type` names."""
        outputs = self.transformer(input_ids, attention_mask=attention_mask, inputs_embeds=inputs_embeds, **kwargs)
        logits_BTN = self.score(outputs.last_hidden_state)
        last_B = self.last_tokens(input_ids, attention_mask, logits_BTN)
        pooled_BN = logits_BTN[torch.arange(len(logits_BTN), device=logits_BTN.device), last_B]
        loss = None
        if labels is not None:
            loss = self.loss_function(logits=logits_BTN, labels=labels, pooled_logits=pooled_BN, config=self.config)
        return SequenceClassifierOutputWithPast(
            loss=loss,
            logits=pooled_BN,
            **{CACHE_NAME: getattr(outputs, CACHE_NAME)},
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    def last_tokens(
        self, input_ids: torch.Tensor | None, attention_mask: torch.Tensor | None, logits_BTN: torch.Tensor
    ) -> torch.Tensor:
        """Return where each row's text ends (B): by the mask, else before the padding tokens."""
        pad_id = self.config.pad_token_id
        batch, tokens = logits_BTN.shape[:2]
        if attention_mask is not None and attention_mask.dim() == 2:
            is_text_BT = attention_mask[:, -tokens:] != 0
        elif input_ids is not None and pad_id is not None:
            is_text_BT = input_ids != pad_id
        elif batch == 1 or input_ids is None:
            return torch.full((batch,), tokens - 1, device=logits_BTN.device)
        else:
            raise ModelError(
                f"{type(self).__name__}: where {batch} texts end is unknown without an attention_mask or a "
                "config.pad_token_id. Give one of them."
            )
        at_T = torch.arange(tokens, device=logits_BTN.device)
        return (at_T * is_text_BT.to(at_T.device)).argmax(-1)


class SantaForTokenClassification(SantaPreTrainedModel):
    """SantaCoder with a linear head on every token."""

    is_head_new = True

    def __init__(self, config: SantaConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.transformer = SantaModel(config)
        dropouts = (getattr(config, name, None) for name in ("classifier_dropout", "hidden_dropout"))
        self.dropout = nn.Dropout(next((share for share in dropouts if share is not None), 0.1))
        self.classifier = nn.Linear(config.n_embd, config.num_labels)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> TokenClassifierOutput:
        """Return the scores (B, T, N) of each token and, with `labels` (B, T), their cross entropy; -100 is ignored."""
        outputs = self.transformer(input_ids, **kwargs)
        logits_BTN = self.classifier(self.dropout(outputs.last_hidden_state))
        loss = None
        if labels is not None:
            loss = self.loss_function(logits_BTN, labels, self.config)
        return TokenClassifierOutput(
            loss=loss, logits=logits_BTN, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )


SantaModel.register_for_auto_class("AutoModel")
SantaForCausalLM.register_for_auto_class("AutoModelForCausalLM")
SantaForSequenceClassification.register_for_auto_class("AutoModelForSequenceClassification")
SantaForTokenClassification.register_for_auto_class("AutoModelForTokenClassification")
