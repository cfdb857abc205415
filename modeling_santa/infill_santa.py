"""Infilling: the middle between a prefix and a suffix, one or many at a time."""

from collections.abc import Sequence
from typing import Any, Self

import torch

from .errors_santa import ModelError
from .fim_santa import TOKENS, FimMode, FimParts


class Middle(str):
    """An infilled middle: a plain string that also knows whether it was cut off."""

    __slots__ = ("is_truncated",)
    is_truncated: bool

    def __new__(cls, text: str, *, is_truncated: bool) -> Self:
        """Return `text` with the fact attached."""
        middle = super().__new__(cls, text)
        middle.is_truncated = is_truncated
        return middle


class MiddleStreamer:
    """Passes the tokens of a middle on to another streamer: not the prompt, and nothing from the first end token on."""

    def __init__(self, target: Any, end_ids: Sequence[int]) -> None:
        self.target, self.end_ids = target, frozenset(end_ids)
        self.is_prompt, self.is_over = True, False
        if getattr(target, "skip_prompt", False):  # it would take our first token for the prompt
            target.put(torch.empty(0, dtype=torch.long))

    def put(self, value: torch.Tensor) -> None:
        """Take the prompt, once, and then a token at a time."""
        if self.is_prompt:
            self.is_prompt = False
            return
        self.is_over = self.is_over or int(value.reshape(-1)[-1]) in self.end_ids
        if not self.is_over:
            self.target.put(value)

    def end(self) -> None:
        """Tell the other streamer that the text is whole."""
        self.target.end()


class InfillMixin:
    """Gives a causal model `infill`; expects `generate`, `config` and `device` as transformers' models have them."""

    config: Any
    device: Any
    generate: Any

    @torch.no_grad()
    def infill(
        self,
        tokenizer: Any,
        prefix: str | Sequence[str],
        suffix: str | Sequence[str],
        *,
        mode: FimMode = "psm",
        max_new_tokens: int | None = None,
        allow_truncated: bool = False,
        **generate_kwargs: Any,
    ) -> Middle | list[Middle]:
        """Return the text that belongs between `prefix` and `suffix`: one, or a list for lists.

        Generation ends at any special token and only the middle is returned. Special tokens spelled out in the
        caller's text are encoded as plain text. `max_new_tokens` is 256, or what the context leaves. Greedy unless
        `do_sample=True` and its settings are passed. A `streamer` of transformers (for one gap) gets the tokens of the
        middle as they come, and nothing of the prompt or the special tokens; a `TextIteratorStreamer` is read while
        `infill` runs in another thread.

        Raises:
            ValueError: lists of different lengths, a streamer for more than one gap, a prompt that leaves no room in
                the context, or a middle that reached `max_new_tokens` without an end, unless `allow_truncated`; each
                result's `is_truncated` says which.
        """
        prefixes, suffixes = ([side] if isinstance(side, str) else list(side) for side in (prefix, suffix))
        if len(prefixes) != len(suffixes):
            raise ModelError(
                f"infill: {len(prefixes)} prefixes but {len(suffixes)} suffixes. Give one suffix a prefix."
            )
        if not prefixes:
            return []
        ids_of = special_ids(tokenizer)
        end_ids, pad_id = list(ids_of.values()), ids_of[TOKENS.pad]
        prompts = [
            _encode_segments(tokenizer, FimParts(mode, before, "", after), ids_of)
            for before, after in zip(prefixes, suffixes, strict=True)
        ]
        longest = max(map(len, prompts))
        if max_new_tokens is None:
            max_new_tokens = max(1, min(256, self.config.n_positions - longest))
        if longest + max_new_tokens > self.config.n_positions:
            raise ModelError(
                f"infill: a prompt of {longest} tokens and max_new_tokens={max_new_tokens} exceed the context of "
                f"n_positions={self.config.n_positions}. Shorten prefix or suffix, or lower max_new_tokens."
            )
        input_ids = torch.tensor([[pad_id] * (longest - len(ids)) + ids for ids in prompts], device=self.device)
        mask = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts], device=self.device)
        settings = {"do_sample": False, "eos_token_id": end_ids, "pad_token_id": pad_id, **generate_kwargs}
        if settings.get("streamer") is not None:
            if len(prompts) > 1:
                raise ModelError(
                    f"infill: a streamer takes one gap, not {len(prompts)}. Leave it out, or loop over the gaps."
                )
            settings["streamer"] = MiddleStreamer(settings["streamer"], end_ids)
        out = self.generate(input_ids=input_ids, attention_mask=mask, max_new_tokens=max_new_tokens, **settings)
        middles = [_decode_middle(tokenizer, row, end_ids) for row in out[:, longest:].tolist()]
        if not allow_truncated and any(middle.is_truncated for middle in middles):
            raise ModelError(
                f"infill: the completion reached max_new_tokens={max_new_tokens} without {TOKENS.end_of_text}; "
                "the middle may be cut. Raise max_new_tokens or pass allow_truncated=True."
            )
        return middles[0] if isinstance(prefix, str) else middles


def special_ids(tokenizer: Any) -> dict[str, int]:
    """Return the ids of the five special tokens, by SantaCoder's spelling.

    A tokenizer that spells them with underscores, as StarCoder's does, is accepted too.

    Raises:
        ValueError: the tokenizer lacks one of them in both spellings.
    """
    vocabulary = tokenizer.get_vocab()
    found = {token: vocabulary.get(token, vocabulary.get(token.replace("-", "_"))) for token in TOKENS.in_id_order()}
    missing = [token for token, token_id in found.items() if token_id is None]
    if missing:
        raise ModelError(f"infill: the tokenizer lacks {', '.join(missing)}. Use the tokenizer of a SantaCoder model.")
    return found


def _encode_segments(tokenizer: Any, parts: FimParts, ids_of: dict[str, int]) -> list[int]:
    """Return the ids of a FIM prompt; text is encoded as text even where it spells a special token."""
    ids: list[int] = []
    for token, text in parts.segments():
        ids.append(ids_of[token])
        ids += tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return ids


def _decode_middle(tokenizer: Any, ids: list[int], end_ids: list[int]) -> Middle:
    """Return the text before the first special token; truncated if there is none."""
    end = next((at for at, token_id in enumerate(ids) if token_id in end_ids), None)
    text = tokenizer.decode(ids[:end], clean_up_tokenization_spaces=False)
    return Middle(text, is_truncated=end is None)
