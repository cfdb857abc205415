"""Cache keys and values in memory that grows in steps, so that no token causes a copy of all."""

from inspect import signature
from typing import Any, TypeGuard

import torch
from transformers import DynamicCache
from transformers.cache_utils import Cache, DynamicLayer
from transformers.masking_utils import create_causal_mask

# transformers 5.24 renamed what it passes, and what a model returns, from `past_key_values`. Older versions pass as `cache`
# something else: an engine's paged cache, which belongs to the attention function.
CACHE_NAME = "cache" if "cache" in signature(create_causal_mask).parameters else "past_key_values"
STEP = 256  # tokens by which the room grows; at most one step is empty


class GrowingLayer(DynamicLayer):
    """One layer's cache: `keys` and `values` are the filled start of a larger room.

    Cropping keeps the room. Whatever else replaces `keys` and `values` (beam search, a batch that is repeated or
    selected from, a reset) is taken over at the next update. With gradients or under a compiler it concatenates, as
    transformers' own layer does.
    """

    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.key_room: torch.Tensor | None = None
        self.value_room: torch.Tensor | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append the new tokens' (B, K, T, D) and return everything seen, (B, K, S, D)."""
        if key_states.requires_grad or torch.compiler.is_compiling():
            both: tuple[torch.Tensor, torch.Tensor] = super().update(key_states, value_states, *args, **kwargs)
            return both
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start, new = self.get_seq_length(), key_states.shape[-2]
        if not (
            _has_room(self.key_room, self.keys, key_states) and _has_room(self.value_room, self.values, value_states)
        ):
            self.key_room = _grown(self.keys, key_states)
            self.value_room = _grown(self.values, value_states)
        self.key_room.narrow(-2, start, new).copy_(key_states)
        self.value_room.narrow(-2, start, new).copy_(value_states)
        self.keys, self.values = (room.narrow(-2, 0, start + new) for room in (self.key_room, self.value_room))
        return self.keys, self.values

    @property
    def nbytes(self) -> int:
        """The bytes of the layer's room, filled or not."""
        return sum(room.nbytes for room in (self.key_room, self.value_room) if room is not None)

    def reset(self) -> None:
        """Empty the layer and give its memory back."""
        super().reset()
        self.key_room = self.value_room = None


class GrowingCache(DynamicCache):
    """A DynamicCache of growing layers: its bytes are 2 * layers * K * D * tokens * width, and at most STEP tokens more."""

    def __init__(self, config: Any) -> None:
        super().__init__(config=config)
        self.layers = [GrowingLayer() for _ in range(config.num_hidden_layers)]

    @property
    def nbytes(self) -> int:
        """The bytes of all layers' rooms."""
        return sum(layer.nbytes for layer in self.layers)


def full_context_bytes(config: Any, element_size: int) -> int:
    """Return the bytes of one row's cache at the full context: 2 * layers * K * D * tokens * width, tokens in whole steps."""
    heads = 1 if config.multi_query else config.n_head
    tokens = -(-int(config.n_positions) // STEP) * STEP
    return int(2 * config.n_layer * heads * config.head_dim * tokens * element_size)


class Cancelled(Exception):  # noqa: N818  # somebody asked for it
    """Stops a forward pass from inside; `stream_santa` catches it."""


class CancellableCache(GrowingCache):
    """A growing cache that stops the model before its next layer once `cancel` (a threading.Event) is set."""

    cancel: Any = None

    def update(self, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Append a layer's new tokens, or raise Cancelled."""
        if self.cancel is not None and self.cancel.is_set():
            raise Cancelled
        both: tuple[torch.Tensor, torch.Tensor] = super().update(*args, **kwargs)
        return both

    def cut_to(self, tokens: int) -> None:
        """Drop what stands behind a number of tokens, from layers that have seen different ones, too."""
        for layer in self.layers:
            if (surplus := layer.get_seq_length() - tokens) > 0:
                layer.crop(-surplus)


def one_cache(
    past_key_values: Cache | None, cache: Cache | None, kwargs: dict[str, Any]
) -> tuple[Cache | None, dict[str, Any]]:
    """Return the cache under whichever name it came, and the arguments for the attention.

    Raises:
        ValueError: both names are used where they mean the same.
    """
    if cache is None:
        return past_key_values, kwargs
    if CACHE_NAME != "cache" and not isinstance(cache, Cache):
        return past_key_values, {**kwargs, "cache": cache}
    if past_key_values is not None:
        raise ValueError("SantaModel: give one of past_key_values and cache, which are two names of one thing.")
    return cache, kwargs


def _has_room(room: torch.Tensor | None, seen: torch.Tensor, new: torch.Tensor) -> TypeGuard[torch.Tensor]:
    """Return whether `room` starts with `seen` and `new` fits behind it."""
    if room is None or room.shape[:-2] != new.shape[:-2] or room.dtype != new.dtype or room.device != new.device:
        return False
    if seen.numel() == 0:
        return new.shape[-2] <= room.shape[-2]
    is_start = seen.data_ptr() == room.data_ptr() and seen.stride() == room.stride()
    return is_start and seen.shape[-2] + new.shape[-2] <= room.shape[-2]


def _grown(seen: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
    """Return a room that starts with `seen`, with place for `new` and at most STEP tokens more."""
    start = seen.shape[-2] if seen.numel() else 0
    size = -(-(start + new.shape[-2]) // STEP) * STEP
    room = new.new_empty(*new.shape[:-2], size, new.shape[-1])
    if start:
        room.narrow(-2, 0, start).copy_(seen)
    return room
