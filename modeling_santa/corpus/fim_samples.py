"""Fill-in-the-middle samples of one exact length, drawn from the packed corpus by (seed, epoch, index).

`pack`, `read_tokens` and `Tokens` are here too; `shards.py` has them.
"""

from collections.abc import Iterable
from typing import Literal

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from modeling_santa.corpus.shards import Tokens, pack, read_tokens
from modeling_santa.errors_santa import ModelError
from modeling_santa.fim_santa import TOKENS, FimParts, split
from modeling_santa.tokenizer.encoder import Encoder
from modeling_santa.tokenizer.train import token_bytes

__all__ = ["IGNORED", "FimDataset", "Ids", "Tokens", "pack", "read_tokens", "unigram_bits"]
Ids = npt.NDArray[np.int64]
TokenStream = Tokens | npt.NDArray[np.uint16]
IGNORED = -100  # the label that transformers' loss leaves out
MODES = ("whole", "megatron")


class FimDataset:
    """Draws training samples of exactly seq_len + 1 tokens from a token stream; map-style and stateless.

    A window of the stream is cut at document ends, and each piece is permuted by `fim_santa.split` with
    probability `fim_rate`. The draw depends on (seed, epoch, place in the stream) alone, so workers, resumption
    and order of access change nothing.

    Mode `whole`: a piece that grows by its sentinels loses the end of its suffix, then the start of its prefix: a
    middle is never cut. What is left over is filled with <fim-pad>, which carries no loss.
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
        mode: Literal["whole", "megatron"] = "whole",
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
        self.seed, self.fim_rate, self.spm_rate, self.mode = seed, fim_rate, spm_rate, mode
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
        pieces = np.split(window, cuts)
        draw = self._piece_as_megatron if self.mode == "megatron" else self._piece
        ids = np.concatenate(
            [draw(piece, epoch, start + int(at)) for piece, at in zip(pieces, [0, *cuts], strict=True)]
        )
        filled = np.full(self.length, self.pad_id, dtype=np.int64)
        filled[: len(ids)] = ids[: self.length]
        labels = filled if self.mode == "megatron" else np.where(filled == self.pad_id, IGNORED, filled)
        return filled[:-1], labels[1:]

    def batch(self, epoch: int, indices: Iterable[int]) -> tuple[Ids, Ids]:
        """Return the samples of `indices` stacked: input ids and labels, (batch, seq_len)."""
        inputs, labels = zip(*(self.sample(epoch, index) for index in indices), strict=True)
        return np.stack(inputs), np.stack(labels)

    def _split(self, text: str, epoch: int, offset: int) -> FimParts | None:
        rates = {"fim_rate": self.fim_rate, "spm_rate": self.spm_rate}
        return split(text, seed=self.seed, epoch=epoch, index=offset, **rates)

    def _piece(self, piece: Ids, epoch: int, offset: int) -> Ids:
        """Return the piece as it is, or permuted and no longer than it was."""
        if not self.fim_rate:
            return piece
        is_ended = len(piece) > 0 and piece[-1] == self.end_id
        parts = self._split(_whole_characters(self._raw(piece[:-1] if is_ended else piece)), epoch, offset)
        permuted = None if parts is None else self._fit(parts, len(piece))
        return piece if permuted is None else permuted

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

    def _fit(self, parts: FimParts, room: int) -> Ids | None:
        """Return the ids of the permuted piece in at most `room` tokens; None if the middle has no room.

        # Differs from the report: a permuted piece always ends with <|endoftext|>, also where its document goes on
        # behind the window. Otherwise a short context would hardly ever show the model where a middle stops.
        """
        runs = self._encode(*(text for _, text in parts.segments()))
        marks = [self.mark_ids[token] for token, _ in parts.segments()]
        excess = sum(map(len, runs)) + len(runs) + 1 - room
        from_suffix = min(max(excess, 0), len(runs[1]))
        runs[1] = runs[1][: len(runs[1]) - from_suffix]
        excess -= from_suffix
        if excess > 0:
            holds_prefix = 0 if parts.mode == "psm" else 2
            reach = np.cumsum(self.sizes[runs[holds_prefix]])
            if excess > int((reach <= len(parts.prefix.encode())).sum()):  # tokens wholly inside the prefix
                return None
            runs[holds_prefix] = runs[holds_prefix][excess:]
        return np.concatenate(
            [part for mark, run in zip(marks, runs, strict=True) for part in ([mark], run)] + [[self.end_id]]
        )

    def _raw(self, body: Ids) -> bytes:
        return b"".join(self.pieces[body].tolist())

    def _encode(self, *texts: str) -> list[Ids]:
        """Return the ids of several texts."""
        encoded = self.encoder.encode(texts)
        return np.split(encoded.ids.astype(np.int64), np.cumsum(encoded.counts)[:-1])


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
