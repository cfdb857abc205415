"""Count n-grams, and measure how well counting alone predicts code: a bar for small models."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from modeling_santa.corpus.fim_samples import Ids, TokenStream
from modeling_santa.errors_santa import ModelError

__all__ = ["NgramTable"]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Level:
    """The n-grams of one length, sorted by `keys`: context number x vocabulary size + token.

    A context's number is its place among the n-grams one shorter.
    """

    keys: Ids
    counts: Ids
    context_counts: Ids
    context_kinds: Ids


class NgramTable:
    """Counts of the n-grams of a token stream, up to `order` tokens long, smoothed after Witten and Bell.

    The share of a token after a context is (count + kinds x share after the context one shorter) / (contexts + kinds),
    where kinds is how many different tokens were seen there. The shortest context is none, smoothed with an even share.

    Source: Witten and Bell 1991, in the interpolated form of Chen and Goodman 1998.

    Args:
        tokens: The stream, for instance `read_tokens(folder)`.
        vocab_size: How many tokens there are.
        order: The longest n-gram, 2 or more.

    Raises:
        ModelError: the stream is shorter than `order`, or has a token that is not in the vocabulary.
    """

    def __init__(self, tokens: TokenStream, vocab_size: int, order: int = 5) -> None:
        stream = np.asarray(tokens).astype(np.int64)
        if order < 2 or len(stream) < order:
            raise ModelError(
                f"n-grams: {len(stream)} tokens and order={order}. Give an order from 2 to the stream's length."
            )
        if int(stream.max()) >= vocab_size:
            raise ModelError(f"n-grams: token {int(stream.max())} is not in a vocabulary of {vocab_size}.")
        self.vocab_size, self.order = vocab_size, order
        self.first = np.bincount(stream, minlength=vocab_size)
        self.levels: list[_Level] = []
        numbers, contexts = stream, vocab_size
        for length in range(2, order + 1):
            gram_keys = numbers[:-1] * vocab_size + stream[length - 1 :]
            keys, numbers, counts = np.unique(gram_keys, return_inverse=True, return_counts=True)
            of_context = keys // vocab_size
            self.levels.append(
                _Level(
                    keys,
                    counts,
                    np.bincount(of_context, weights=counts, minlength=contexts).astype(np.int64),
                    np.bincount(of_context, minlength=contexts),
                )
            )
            contexts = len(keys)

    def bits(self, windows: Ids) -> Floats:
        """Return the cost in bits of all but the first token of each window, (rows, length - 1); contexts stay inside it."""
        kinds = int(np.count_nonzero(self.first))
        even = kinds / self.vocab_size
        share = (self.first[windows] + even) / (self.first.sum() + kinds)
        numbers = windows
        for length, level in enumerate(self.levels, 2):
            # `numbers[:, i]` is the context that ends at i, or -1 where it was never seen.
            before, tokens = numbers[:, :-1], windows[:, length - 1 :]
            is_seen = before >= 0
            keys = np.where(is_seen, before * self.vocab_size + tokens, -1)
            place = np.searchsorted(level.keys, keys).clip(max=len(level.keys) - 1)
            is_known = level.keys[place] == keys
            at = np.where(is_seen, before, 0)
            total, kind = (np.where(is_seen, part[at], 0) for part in (level.context_counts, level.context_kinds))
            lower = share[:, length - 1 :]
            mixed = (np.where(is_known, level.counts[place], 0) + kind * lower) / np.maximum(total + kind, 1)
            share[:, length - 1 :] = np.where(total > 0, mixed, lower)
            numbers = np.where(is_known, place, -1)
        cost: Floats = -np.log2(share[:, 1:])
        return cost

    def next_token(self, before: Sequence[int], allowed: npt.NDArray[np.bool_] | None = None) -> int:
        """Return the most frequent token after the longest context that it ever followed; of equals, the lowest id.

        Args:
            before: The tokens before it, at least the last `order` - 1 of them.
            allowed: Which tokens may be returned, (vocab_size,); None: all of them.
        """
        for length in range(min(self.order - 1, len(before)), 0, -1):
            number = self._number_of(before[len(before) - length :])
            if number is not None:
                level = self.levels[length - 1]
                low, high = np.searchsorted(level.keys, [number * self.vocab_size, (number + 1) * self.vocab_size])
                tokens, counts = level.keys[low:high] % self.vocab_size, level.counts[low:high]
                if allowed is not None:
                    counts = np.where(allowed[tokens], counts, 0)
                if counts.any():
                    return int(tokens[counts.argmax()])
        return int((self.first if allowed is None else np.where(allowed, self.first, -1)).argmax())

    def _number_of(self, gram: Sequence[int]) -> int | None:
        number = gram[0]
        for level, (_, token) in zip(self.levels, pairwise(gram), strict=False):
            key = number * self.vocab_size + token
            number = int(np.searchsorted(level.keys, key))
            if number == len(level.keys) or level.keys[number] != key:
                return None
        return number
