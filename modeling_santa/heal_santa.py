"""Token healing: the model writes the last word before the gap anew, so that a word which the cursor cuts gets its usual tokens.

A text is encoded up to the cursor. Behind `retu` stand the tokens of `retu`, which no text of the training has before `rn`;
behind an indentation stands one token more than before the word that follows. So the last word, or the blanks, are left out
of the prompt, and the answer must begin with them: only tokens whose bytes agree can be drawn until they are written.
"""

import re
import threading
import weakref
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import LogitsProcessor

from .errors_santa import ModelError

# What GPT-2's rules keep together, at the end of a text; a longer run is cut.
LAST_WORD = re.compile(r" ?[^\W\d_]{1,16}\Z| ?\d{1,16}\Z| ?(?:[^\w\s]|_){1,16}\Z|\s{1,16}\Z")


@dataclass(frozen=True)
class TokenBytes:
    """The bytes of all ordinary tokens, sorted, and their ids in the same order; `size` is the vocabulary's."""

    words: list[bytes]
    ids: torch.Tensor
    by_id: dict[int, bytes]
    size: int

    def starting_like(self, text: bytes) -> torch.Tensor:
        """Return the ids of the tokens that begin with these bytes, or that these bytes begin with."""
        first = bisect_left(self.words, text)
        last = bisect_right(self.words, text, key=lambda word: word[: len(text)])
        shorter = [at for end in range(1, len(text)) for at in self._exactly(text[:end])]
        return torch.cat([self.ids[first:last], self.ids[shorter]])

    def _exactly(self, text: bytes) -> range:
        return range(bisect_left(self.words, text), bisect_right(self.words, text))


_KNOWN: "weakref.WeakKeyDictionary[Any, TokenBytes]" = weakref.WeakKeyDictionary()
_KNOWN_LOCK = threading.Lock()


def token_bytes_of(tokenizer: Any) -> TokenBytes:
    """Return the bytes of a tokenizer's tokens; they are kept for as long as the tokenizer lives.

    Raises:
        ModelError: the tokenizer is no byte-level BPE with a token for each byte.
    """
    with _KNOWN_LOCK:
        known = _KNOWN.get(tokenizer)
        if known is None or known.size != len(tokenizer):
            known = _KNOWN[tokenizer] = _read(tokenizer)
    return known


def _read(tokenizer: Any) -> TokenBytes:
    size, added = len(tokenizer), set(tokenizer.get_added_vocab().values())
    byte_of = _bytes_of_letters()
    found: dict[int, bytes] = {}
    for number, word in enumerate(tokenizer.convert_ids_to_tokens(list(range(size)))):
        if number not in added and word and all(letter in byte_of for letter in word):
            found[number] = bytes(byte_of[letter] for letter in word)
    if len({word for word in found.values() if len(word) == 1}) < len(byte_of):
        raise ModelError(
            "heal=True needs a byte-level BPE that has a token for each of the 256 bytes, as SantaCoder's. Leave it out."
        )
    order = sorted(found, key=lambda number: (found[number], number))
    return TokenBytes([found[number] for number in order], torch.tensor(order), found, size)


def _bytes_of_letters() -> dict[str, int]:
    """Return which byte each letter of a byte-level vocabulary stands for.

    Bytes that print in Latin-1 stand for themselves, the others for U+0100 onwards, in their order.
    """
    printing = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printing]
    return {chr(byte): byte for byte in printing} | {chr(0x100 + at): byte for at, byte in enumerate(others)}


def last_word_of(text: str) -> str:
    r"""Return what healing leaves out of the prompt.

    >>> last_word_of("def f():\n    retu"), last_word_of("x = (\n    ")
    (' retu', '\n    ')
    """
    found = LAST_WORD.search(text)
    return found.group() if found else ""


class Healing:
    """What one sample has still to write of the text that was left out."""

    def __init__(self, table: TokenBytes, text: str) -> None:
        self._table, self._left = table, text.encode()
        self.size = len(text)

    def allowed(self, scores: torch.Tensor) -> torch.Tensor:
        """Return the scores (V) of a token; of those that would write something else, minus infinity."""
        if not self._left:
            return scores
        ids = self._table.starting_like(self._left).to(scores.device)
        return torch.full_like(scores, -torch.inf).index_copy(0, ids, scores[ids])

    def take(self, token: int) -> None:
        """Note that a token was written."""
        if self._left:
            self._left = self._left[len(self._table.by_id.get(token, b"")) :]

    @property
    def is_done(self) -> bool:
        """Whether all of it is written."""
        return not self._left


class HealedRows(LogitsProcessor):  # type: ignore[misc]  # transformers ships no types
    """Have each row of `generate` first write what its gap's prompt lacks; a gap's rows stand together.

    What a row has written is read from its ids, from `start` on: beams change places, and an assistant's tokens are taken back.
    """

    def __init__(self, table: TokenBytes, texts: Sequence[str], start: int) -> None:
        self._table, self._texts, self._start = table, texts, start

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return the scores (B, V); those of tokens that would write something else are minus infinity."""
        count = len(input_ids) // len(self._texts)
        rows = zip(input_ids[:, self._start :].tolist(), scores, strict=True)
        return torch.stack([self._after(ids, at // count).allowed(row) for at, (ids, row) in enumerate(rows)])

    def _after(self, ids: list[int], gap: int) -> Healing:
        healing = Healing(self._table, self._texts[gap])
        for token in ids:
            if healing.is_done:
                break
            healing.take(token)
        return healing
