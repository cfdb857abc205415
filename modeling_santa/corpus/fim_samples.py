"""Draw fill-in-the-middle samples of one length from a packed corpus, by seed, epoch and index.

`pack`, `read_tokens` and `Tokens` are here too; `shards.py` has them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from modeling_santa.corpus.shards import Tokens, pack, read_tokens
from modeling_santa.errors_santa import ModelError
from modeling_santa.fim_santa import TOKENS, FimMode, FimParts, split
from modeling_santa.tokenizer.encoder import Encoder
from modeling_santa.tokenizer.train import save_tokenizer, token_bytes

__all__ = ["IGNORED", "FimDataset", "Ids", "Tokens", "pack", "read_tokens", "unigram_bits"]
Ids = npt.NDArray[np.int64]
TokenStream = Tokens | npt.NDArray[np.uint16]
IGNORED = -100  # the label that transformers' loss leaves out
FitMode = Literal["whole", "megatron"]
MODES = ("whole", "megatron")
SHORTEST_CUT = 32  # tokens of a piece that is cut once more


class FimDataset:
    """Draws training samples of exactly seq_len + 1 tokens from a token stream; map-style and stateless.

    A window of the stream is cut at document ends, and each piece is permuted by `fim_santa.split` with
    probability `fim_rate`. The draw depends on (seed, epoch, place in the stream) alone, so workers, resumption
    and order of access change nothing.

    Mode `whole`: a document that goes on behind the window is first cut in two, at random in its second half. What has become
    too long by its sentinels is cut where the window cuts the text anyway: the end of the last document, then the start of
    the first. So a middle is never cut, and documents that end in the window are there to their end. What is left over is
    filled with <fim-pad>, which carries no loss.
    Mode `megatron`: as the report's code did. The three parts are encoded one by one, documents' ends stay where
    they were, and the whole sample is cut at its old length, or filled with <fim-pad>, which there carries loss.
    # Differs from the report: its generator went from sample to sample, so the draws hung on the order of access.

    For torch's DataLoader `dataset[i]` is `sample(dataset.epoch, i)`; i runs on through the epochs, so that a
    sampler's count is the whole state of a run.

    Raises:
        ValueError: fewer tokens than one sample, an unknown mode, a tokenizer without the special tokens, or a stream
            with an id that the tokenizer has not.

    Source: bigcode-project/Megatron-LM megatron/data/gpt_dataset.py (GPTFIMDataset).
    """

    def __init__(
        self,
        tokens: TokenStream,
        tokenizer: Tokenizer,
        *,
        seq_len: int,
        seed: int = 0,
        fim_rate: float = 0.5,
        spm_rate: float = 0.5,
        line_rate: float = 0.0,
        mode: FitMode = "whole",
    ) -> None:
        if len(tokens) < seq_len + 1:
            raise ModelError(
                f"FimDataset: {len(tokens)} tokens are fewer than one sample of seq_len+1 = {seq_len + 1}. "
                "Use more text or a shorter seq_len."
            )
        if mode not in MODES:
            raise ModelError(f"FimDataset: mode={mode!r} is unknown. Choose one of {', '.join(MODES)}.")
        self.tokens, self.tokenizer = tokens, tokenizer
        self.length = seq_len + 1
        if isinstance(tokens, Tokens):
            tokens.check_tokenizer(tokenizer)
        self.seed, self.mode = seed, mode
        self.fim_rate, self.spm_rate, self.line_rate = fim_rate, spm_rate, line_rate
        self.epoch = 0
        self.encoder = Encoder(tokenizer, threads=1)
        pieces = token_bytes(tokenizer)
        self.sizes = np.array([len(piece) for piece in pieces], dtype=np.int64)
        self.pieces = np.array(pieces, dtype=object)
        self.mark_ids = {token: _id(tokenizer, token) for token in TOKENS.in_id_order()}
        self.end_id, self.pad_id = self.mark_ids[TOKENS.end_of_text], self.mark_ids[TOKENS.pad]

    def __len__(self) -> int:
        """Return the number of samples in one epoch."""
        return len(self.tokens) // self.length

    def __getitem__(self, index: int) -> tuple[Ids, Ids]:
        """Return sample `index` of the current epoch, or of a later one where it exceeds the length."""
        if index < 0:
            raise IndexError(f"FimDataset: sample {index}. Count from 0.")
        passes, at = divmod(index, len(self))
        return self.sample(self.epoch + passes, at)

    def sample(self, epoch: int, index: int) -> tuple[Ids, Ids]:
        """Return input ids and labels, seq_len each, already shifted; padding has the label -100."""
        start = index * self.length
        window = np.asarray(self.tokens[start : start + self.length], dtype=np.int64)
        if window.max() >= len(self.sizes):
            raise ModelError(
                f"FimDataset: sample {index} holds the token {window.max()}, but the tokenizer has {len(self.sizes)}. "
                "Give the tokenizer that the corpus was packed with."
            )
        cuts = np.flatnonzero(window == self.end_id) + 1
        if self.mode == "whole" and self.fim_rate:
            cuts = self._cut_once_more(cuts, epoch, start)
        pieces = np.split(window, cuts)
        places = [start + int(at) for at in (0, *cuts)]
        if self.mode == "megatron":
            drawn = [self._piece_as_megatron(piece, epoch, at) for piece, at in zip(pieces, places, strict=True)]
        else:
            drawn = self._whole(pieces, places, epoch)
        ids = np.concatenate(drawn)
        filled = np.full(self.length, self.pad_id, dtype=np.int64)
        filled[: len(ids)] = ids[: self.length]
        labels = filled if self.mode == "megatron" else np.where(filled == self.pad_id, IGNORED, filled)
        return filled[:-1], labels[1:]

    def batch(self, epoch: int, indices: Iterable[int]) -> tuple[Ids, Ids]:
        """Return the samples of `indices` stacked: input ids and labels, (batch, seq_len)."""
        inputs, labels = zip(*(self.sample(epoch, index) for index in indices), strict=True)
        return np.stack(inputs), np.stack(labels)

    def save_tokenizer(self, folder: Path, config: Any) -> None:
        """Write the tokenizer into a folder, for a model of this configuration."""
        save_tokenizer(self.tokenizer, folder, n_positions=config.n_positions)

    def _cut_once_more(self, cuts: Ids, epoch: int, start: int) -> Ids:
        """Return the cuts with one more in the second half of a document that goes on behind the window.

        # Differs from the report: such a piece, once permuted, would always end at the window's end, and a model would learn to
        # stop at that position instead of where a middle meets its suffix.
        """
        first = int(cuts[-1]) if len(cuts) else 0
        if self.length - first < SHORTEST_CUT:
            return cuts
        draw = np.random.default_rng((self.seed, epoch, start + first))
        return np.append(cuts, draw.integers((first + self.length) // 2, self.length))

    def _split(self, text: str, epoch: int, offset: int) -> FimParts | None:
        rates = {"fim_rate": self.fim_rate, "spm_rate": self.spm_rate, "line_rate": self.line_rate}
        return split(text, seed=self.seed, epoch=epoch, index=offset, **rates)

    def _whole(self, pieces: list[Ids], places: list[int], epoch: int) -> list[Ids]:
        """Return the pieces, some of them permuted, in no more room than they had.

        # Differs from the report: a permuted piece always ends with <|endoftext|>, also where its document goes on
        # behind the window. Otherwise a short context would hardly ever show the model where a middle stops.
        """
        if not self.fim_rate:
            return pieces
        drawn = [self._drawn(piece, epoch, at) for piece, at in zip(pieces, places, strict=True)]
        room = sum(map(len, pieces))
        while (excess := sum(map(len, drawn)) - room) > 0:
            if not (len(pieces[-1]) and pieces[-1][-1] == self.end_id):
                excess -= drawn[-1].lose_end(excess)
            excess -= drawn[0].lose_start(excess)
            if excess > 0:
                last = max(number for number, piece in enumerate(drawn) if piece.mode)
                drawn[last] = _DrawnPiece(pieces[last])  # as it was, it fits
        return [self._ids(piece) for piece in drawn]

    def _drawn(self, piece: Ids, epoch: int, offset: int) -> "_DrawnPiece":
        """Return the piece as it is, or cut in three, by the draw for its place in the stream."""
        is_ended = len(piece) > 0 and piece[-1] == self.end_id
        parts = self._split(_whole_characters(self._raw(piece[:-1] if is_ended else piece)), epoch, offset)
        if parts is None:
            return _DrawnPiece(piece)
        prefix, middle, suffix = self._encode(parts.prefix, parts.middle, parts.suffix)
        return _DrawnPiece(prefix, parts.mode, suffix, middle)

    def _ids(self, piece: "_DrawnPiece") -> Ids:
        """Return the ids that `infill` reads in the piece's mode, then those that it is to write, and the end."""
        if not piece.mode:
            return piece.prefix
        first, second, third = (
            np.array([self.mark_ids[token]]) for token in (TOKENS.prefix, TOKENS.suffix, TOKENS.middle)
        )
        end = np.array([self.end_id])
        if piece.mode == "psm":
            return np.concatenate([first, piece.prefix, second, piece.suffix, third, piece.middle, end])
        return np.concatenate([first, second, piece.suffix, third, piece.prefix, piece.middle, end])

    def _piece_as_megatron(self, piece: Ids, epoch: int, offset: int) -> Ids:
        """Return the piece as it is, or permuted, of any length; an empty document vanishes with its end."""
        if not self.fim_rate:
            return piece
        is_ended = len(piece) > 0 and piece[-1] == self.end_id
        body = piece[:-1] if is_ended else piece
        if not len(body):
            return body
        ending = piece[len(body) :]
        parts = self._split(self._raw(body).decode(errors="replace"), epoch, offset)
        if parts is None:
            return piece
        prefix, middle, suffix = self._encode(parts.prefix, parts.middle, parts.suffix)
        marks = [[self.mark_ids[token]] for token, _ in parts.segments()]
        if parts.mode == "psm":
            return np.concatenate([marks[0], prefix, marks[1], suffix, marks[2], middle, ending])
        return np.concatenate([marks[0], marks[1], suffix, marks[2], prefix, middle, ending])

    def _raw(self, body: Ids) -> bytes:
        return b"".join(self.pieces[body].tolist())

    def _encode(self, *texts: str) -> list[Ids]:
        """Return the ids of several texts."""
        encoded = self.encoder.encode(texts)
        return np.split(encoded.ids.astype(np.int64), np.cumsum(encoded.counts)[:-1])


NOTHING: Ids = np.zeros(0, dtype=np.int64)
MARKS = 4  # three sentinels and the end


@dataclass
class _DrawnPiece:
    """A document in a window: as it is (`prefix` alone), or cut in three, which takes four ids more."""

    prefix: Ids
    mode: FimMode | None = None
    suffix: Ids = field(default_factory=lambda: NOTHING)
    middle: Ids = field(default_factory=lambda: NOTHING)

    def __len__(self) -> int:
        return len(self.prefix) + len(self.suffix) + len(self.middle) + (MARKS if self.mode else 0)

    def lose_end(self, count: int) -> int:
        """Give up as many as `count` tokens at the end of the text, but none of the middle; return how many."""
        side = "suffix" if self.mode else "prefix"
        ids: Ids = getattr(self, side)
        lost = min(max(count, 0), len(ids))
        setattr(self, side, ids[: len(ids) - lost])
        return lost

    def lose_start(self, count: int) -> int:
        """Give up as many as `count` tokens at the start of the text; return how many."""
        lost = min(max(count, 0), len(self.prefix))
        self.prefix = self.prefix[lost:]
        return lost


def _id(tokenizer: Tokenizer, token: str) -> int:
    token_id = tokenizer.token_to_id(token)
    if token_id is None:
        raise ModelError(f"FimDataset: the tokenizer lacks {token}. Use one that train_tokenizer made.")
    return token_id


def _whole_characters(raw: bytes) -> str:
    """Decode UTF-8 and drop the characters that a window cut in two: up to three bytes at either edge."""
    start = 0
    while start < min(3, len(raw)) and raw[start] & 0xC0 == 0x80:
        start += 1
    for end in range(len(raw), max(start, len(raw) - 4), -1):
        try:
            return raw[start:end].decode()
        except UnicodeDecodeError:
            continue
    return ""


def unigram_bits(train: TokenStream, vocab_size: int) -> npt.NDArray[np.float64]:
    """Return the cost of each token in bits under a unigram model of `train`, add-one smoothed."""
    counts = np.bincount(np.asarray(train), minlength=vocab_size).astype(np.float64) + 1.0
    cost: npt.NDArray[np.float64] = -np.log2(counts / counts.sum())
    return cost
