"""Draw training samples of one length from whole texts, cut and ordered as a base's own family is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eval_multipl_e.suite.fim_forms import encode, opening_ids
from hf_santa.tune.bases import BaseError, FimBase
from modeling_santa.corpus.fim_samples import IGNORED
from modeling_santa.fim_santa import split
from modeling_santa.prompt_santa import fit

Ids = npt.NDArray[np.int64]
FILLED = 0.9  # of a sample's length, in tokens that a text is expected to have
MOST_PIECES = 100_000  # of a sample: the draw of a piece hangs on sample and place in it
LEAST_ROOM = 24  # tokens at the end of a sample that are not worth another text


class FamilySamples:
    """Samples of exactly `seq_len` inputs and labels from texts; number `index` of epoch `epoch` depends on nothing else.

    Texts are cut at ends of lines into pieces that fit a sample, and small ones share one. A piece is left as it is, or cut
    in three by `fim_santa.split` and written in the order of the base's family, with the token that ends its answers.
    """

    def __init__(
        self, texts: Sequence[str], base: FimBase, *, seq_len: int, seed: int, fim_rate: float, line_rate: float
    ) -> None:
        self.base, self.seed, self.length = base, seed, seq_len + 1
        self.rates = {"fim_rate": fim_rate, "line_rate": line_rate}
        self.end = end_of_middle(base)
        self.opening = opening_ids(base.tokenizer)
        self.groups = _grouped(texts, round(FILLED * seq_len * chars_a_token(texts, base.tokenizer)))
        if not self.groups:
            raise BaseError("there is no text to draw samples from. Give more files.")

    def __len__(self) -> int:
        """Return the number of samples in an epoch."""
        return len(self.groups)

    def sample(self, epoch: int, index: int) -> tuple[Ids, Ids]:
        """Return input ids and labels, shifted already; what a sample is filled up with has the label -100."""
        ids: list[int] = []
        for number, piece in enumerate(self.groups[index]):
            room = self.length - len(ids)
            if room < LEAST_ROOM:
                break
            ids += self._ids_of(piece, epoch, MOST_PIECES * index + number, room)
        inputs = np.full(self.length, self.end, dtype=np.int64)
        inputs[: len(ids)] = ids
        labels = np.full(self.length, IGNORED, dtype=np.int64)
        labels[: len(ids)] = ids
        return inputs[:-1], labels[1:]

    def save_tokenizer(self, folder: Path, config: Any) -> None:
        """Write the tokenizer into a folder; it is the same for any configuration."""
        del config
        self.base.tokenizer.save_pretrained(folder)

    def _ids_of(self, piece: str, epoch: int, place: int, room: int) -> list[int]:
        parts = split(piece, seed=self.seed, epoch=epoch, index=place, spm_rate=0.0, **self.rates)
        tokenizer = self.base.tokenizer
        if parts is not None:
            middle = plain_ids(tokenizer, parts.middle)
            left = room - len(middle) - 1
            if left >= LEAST_ROOM:
                prompt, _ = encode(tokenizer, self.base.form, parts.prefix, parts.suffix, fit, room=left)
                return [*prompt, *middle, self.end]
        return [*self.opening, *plain_ids(tokenizer, piece), self.end][:room]


def plain_ids(tokenizer: Any, text: str) -> list[int]:
    """Return the ids of a text in which a spelled-out sentinel is text like any other."""
    return list(tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])


def end_of_middle(base: FimBase) -> int:
    """Return the id of the token after which the base's family says nothing more.

    Raises:
        BaseError: the tokenizer has none.
    """
    vocabulary = base.tokenizer.get_vocab()
    known = [token for token in (base.form.middle_end, *base.form.ends) if token in vocabulary]
    if known:
        return int(vocabulary[known[0]])
    if base.tokenizer.eos_token_id is None:
        raise BaseError(
            f"{base.folder}: its tokenizer has no token that ends an answer. Use the model's own tokenizer."
        )
    return int(base.tokenizer.eos_token_id)


def chars_a_token(texts: Sequence[str], tokenizer: Any) -> float:
    """Return how many characters of the texts a token stands for, measured on up to a hundred of them."""
    chosen = [texts[at][:20_000] for at in np.linspace(0, len(texts) - 1, min(100, len(texts))).astype(int)]
    count = sum(len(plain_ids(tokenizer, text)) for text in chosen)
    return max(1.0, sum(map(len, chosen)) / max(1, count))


def _grouped(texts: Sequence[str], most: int) -> list[list[str]]:
    """Return pieces of at most about `most` characters each, small ones together."""
    groups: list[list[str]] = []
    room = 0
    for text in texts:
        for piece in _pieces(text, most):
            if len(piece) > room:
                groups.append([])
                room = most
            groups[-1].append(piece)
            room -= len(piece)
    return groups


def _pieces(text: str, most: int) -> list[str]:
    pieces, current = [], ""
    for line in text.splitlines(keepends=True):
        if current and len(current) + len(line) > most:
            pieces.append(current)
            current = ""
        current += line[:most]
    return [piece for piece in [*pieces, current] if piece.strip()]
