"""A key/value cache that grows in steps, so that it is not copied for every new token."""

from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

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
        self.key_room, self.keys = _appended(self.key_room, self.keys, key_states)
        self.value_room, self.values = _appended(self.value_room, self.values, value_states)
        return self.keys, self.values

    def reset(self) -> None:
        """Empty the layer and give its memory back."""
        super().reset()
        self.key_room = self.value_room = None


class GrowingCache(DynamicCache):
    """A DynamicCache of growing layers: its bytes are 2 * layers * K * D * tokens * width, and at most STEP tokens more."""

    def __init__(self, config: Any) -> None:
        super().__init__(config=config)
        self.layers = [GrowingLayer() for _ in range(config.num_hidden_layers)]


def _appended(room: torch.Tensor | None, seen: torch.Tensor, new: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the room with `new` behind `seen`, and its filled start."""
    start = seen.shape[-2] if seen.numel() else 0
    stop = start + new.shape[-2]
    if room is None or room.shape[-2] < stop or not _is_start_of(seen, room, new):
        room = new.new_empty(*new.shape[:-2], -(-stop // STEP) * STEP, new.shape[-1])
        if start:
            room[..., :start, :] = seen
    room[..., start:stop, :] = new
    return room, room[..., :stop, :]


def _is_start_of(seen: torch.Tensor, room: torch.Tensor, new: torch.Tensor) -> bool:
    if seen.numel() == 0:
        return room.shape[:-2] == new.shape[:-2] and room.dtype == new.dtype and room.device == new.device
    return seen.data_ptr() == room.data_ptr() and seen.shape[:-2] == room.shape[:-2] and seen.stride() == room.stride()
