"""Choose the next tokens: the likeliest, or by each row's own seed."""

import random
from collections.abc import Sequence

import torch
from transformers import LogitsProcessor


class OnlyTokens(LogitsProcessor):  # type: ignore[misc]  # transformers ships no types
    """Rule out the ids from `n_tokens` on, which only pad the embedding to a round number of rows."""

    def __init__(self, n_tokens: int) -> None:
        self._n_tokens = n_tokens

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        """Return the scores (B, V) with those ids at minus infinity."""
        ids = torch.arange(scores.shape[-1], device=scores.device)
        return scores.masked_fill(ids >= self._n_tokens, -torch.inf)


class Draw(LogitsProcessor):  # type: ignore[misc]  # transformers ships no types
    """Leave each row only the token that its own seed draws, so that a greedy search takes it.

    A row's random numbers depend on its seed alone: neither the batch nor anything else in the process has a say.
    At temperature 0 the likeliest token is taken. Ids from `n_tokens` on only pad the embedding and are never drawn.
    """

    def __init__(self, seeds: Sequence[object], *, temperature: float, top_p: float, n_tokens: int) -> None:
        self._random = [random.Random(str(seed)) for seed in seeds]
        self._temperature, self._top_p, self._n_tokens = temperature, top_p, n_tokens

    def __call__(self, input_ids: torch.Tensor | None, scores: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        """Return scores (B, V) of 0 for the drawn tokens and minus infinity for all others."""
        chosen = self.choose(scores)
        return torch.full_like(scores, -torch.inf).scatter_(1, chosen[:, None], 0.0)

    def choose(self, scores: torch.Tensor) -> torch.Tensor:
        """Return one drawn id for each row of the scores (B, V)."""
        scores = scores[:, : self._n_tokens].float()
        if self._temperature == 0:
            return scores.argmax(dim=-1)
        mass = torch.softmax((scores / self._temperature).double(), dim=-1)
        if self._top_p < 1:
            # The nucleus: the fewest likeliest tokens whose mass reaches top_p.
            likeliest, ids = torch.sort(mass, dim=-1, descending=True, stable=True)
            is_beyond = likeliest.cumsum(dim=-1) - likeliest >= self._top_p
            mass = mass.scatter(1, ids, likeliest.masked_fill(is_beyond, 0.0))
        # By id, not by rank: two tokens of nearly the same score change ranks with the rounding of another batch.
        reached = mass.cumsum(dim=-1)
        numbers = torch.tensor([[row.random()] for row in self._random], dtype=torch.float64, device=reached.device)
        chosen = (reached <= numbers * reached[:, -1:]).sum(dim=-1)
        return torch.minimum(chosen, (mass > 0).long().cumsum(dim=-1).argmax(dim=-1))
