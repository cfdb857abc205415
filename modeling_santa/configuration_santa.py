"""Define SantaCoder's configuration: GPTBigCode's, with the report's numbers as defaults."""

from typing import Any

from transformers import GPTBigCodeConfig
from transformers.utils.versions import require_version

from .errors_santa import ModelError

# Here, because this file is read before all others: an older version fails on them with errors of other names.
require_version(
    "transformers>=5.17", "SantaCoder's code needs transformers 5.17 or newer: pip install -U 'transformers>=5.17'"
)

AUTO_MAP = {
    "AutoConfig": "configuration_santa.SantaConfig",
    "AutoModel": "modeling_santa.SantaModel",
    "AutoModelForCausalLM": "modeling_santa.SantaForCausalLM",
    "AutoModelForSequenceClassification": "modeling_santa.SantaForSequenceClassification",
    "AutoModelForTokenClassification": "modeling_santa.SantaForTokenClassification",
}
NATIVE_ARCHITECTURES = {
    "SantaForCausalLM": "GPTBigCodeForCausalLM",
    "SantaModel": "GPTBigCodeModel",
    "SantaForSequenceClassification": "GPTBigCodeForSequenceClassification",
    "SantaForTokenClassification": "GPTBigCodeForTokenClassification",
}


class SantaConfig(GPTBigCodeConfig):
    """Holds the shape of a SantaCoder model; the defaults are the report's 1.1B model.

    A saved config.json carries `model_type: gpt_bigcode` and the native `architectures` beside an `auto_map`
    to our classes. So one folder opens with this code when remote code is trusted, and with the native class
    of transformers when it is not.

    The original checkpoints' field `attention_head_type` ("multiquery" or "multihead") is accepted for
    `multi_query`.

    Raises:
        ValueError: n_embd is not a multiple of n_head.

    >>> SantaConfig().n_layer, SantaConfig().n_embd, SantaConfig().multi_query
    (24, 2048, True)
    >>> SantaConfig(attention_head_type="multihead").num_key_value_heads
    16

    Source: report section 5.1; config.json of bigcode/santacoder.
    """

    # Under multi-query attention the one key/value head cannot be split, so attention is computed on every device.
    base_model_tp_plan = {"h.*.mlp.c_fc": "colwise", "h.*.mlp.c_proj": "rowwise"}
    base_model_pp_plan = {
        "wte": (["input_ids"], ["inputs_embeds"]),
        "h": (["hidden_states", "attention_mask"], ["hidden_states"]),
        "ln_f": (["hidden_states"], ["hidden_states"]),
    }

    vocab_size: int = 49280  # 49,152 byte-level BPE tokens + 5 special tokens, padded to a multiple of 128
    n_positions: int = 2048  # learned positions: the longest context, in tokens
    n_embd: int = 2048  # width of the residual stream
    n_layer: int = 24
    n_head: int = 16  # query heads; keys and values have one head under multi_query
    n_inner: int | None = None  # width of the MLP; None is 4 * n_embd
    bos_token_id: int | None = 49152
    eos_token_id: int | list[int] | None = 49152

    def __post_init__(self, attention_head_type: str | None = None, **kwargs: Any) -> None:
        if attention_head_type is not None:
            if attention_head_type not in ("multiquery", "multihead"):
                raise ModelError(
                    f"SantaConfig: attention_head_type={attention_head_type!r} is unknown. "
                    "Choose 'multiquery' or 'multihead'."
                )
            self.multi_query = attention_head_type == "multiquery"
        if self.n_head < 1 or self.n_embd % self.n_head:
            raise ModelError(
                f"SantaConfig: n_embd={self.n_embd} is not divisible by n_head={self.n_head}. "
                "Choose n_embd as a multiple of n_head (report: 2048 and 16)."
            )
        if self.add_cross_attention:
            raise ModelError(
                "SantaConfig: add_cross_attention=True is not part of SantaCoder. Leave it False, or use GPTBigCode."
            )
        super().__post_init__(**kwargs)

    @property
    def head_dim(self) -> int:
        """Return the width of one attention head, n_embd / n_head."""
        return self.n_embd // self.n_head

    def to_dict(self) -> dict[str, Any]:
        """Return the canonical config: native architectures, `gpt_bigcode`, and the auto_map to our classes.

        Entries of the auto_map that name somebody else's class stay as they are.
        """
        canonical: dict[str, Any] = super().to_dict()
        names = canonical.get("architectures") or ["SantaForCausalLM"]
        canonical["architectures"] = [NATIVE_ARCHITECTURES.get(name, name) for name in names]
        given = getattr(self, "auto_map", None) or {}
        canonical["auto_map"] = AUTO_MAP | {name: place for name, place in given.items() if not _is_ours(place)}
        return canonical


def _is_ours(place: Any) -> bool:
    """Return whether an auto_map's entry, with or without the repository before it, names a class of these files."""
    return isinstance(place, str) and place.split("--")[-1] in AUTO_MAP.values()


SantaConfig.register_for_auto_class()
