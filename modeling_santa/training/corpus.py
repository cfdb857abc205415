"""The packed corpus on disk, and the dataset that draws fill-in-the-middle samples from it.

A corpus folder holds `tokens.bin` (little-endian uint16, every document followed by <|endoftext|>),
`ends.bin` (little-endian int64, where each document ends in tokens.bin) and `corpus.json` (counts and checksums).
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from modeling_santa.fim_santa import TOKENS, FimParts, split
from modeling_santa.training.tokenizer import token_bytes

Ids = npt.NDArray[np.int64]
IGNORED = -100  # the label that transformers' loss leaves out
BATCH = 256


def pack(texts: Iterable[str], tokenizer: Tokenizer, out: Path) -> dict[str, Any]:
    """Encode documents into a corpus folder and return its description, which is also in `corpus.json`.

    Special tokens spelled in a text are encoded as text. `corpus.json` is written last: a folder without it is
    an unfinished one. Memory stays flat.

    Raises:
        ValueError: the vocabulary does not fit uint16, or no document was given.
    """
    if tokenizer.get_vocab_size(with_added_tokens=True) > 1 << 16:
        raise ValueError("pack: the vocabulary exceeds 65,536 tokens, the range of uint16. Use a smaller tokenizer.")
    out.mkdir(parents=True, exist_ok=True)
    (out / "corpus.json").unlink(missing_ok=True)
    end_id = tokenizer.token_to_id(TOKENS.end_of_text)
    digest, ends, tokens, text_bytes = hashlib.sha256(), [], 0, 0
    with (out / "tokens.bin").open("wb") as sink:
        for batch in _batches(texts):
            text_bytes += sum(len(text.encode()) for text in batch)
            for encoding in tokenizer.encode_batch_fast(batch, add_special_tokens=False):
                packed = np.asarray([*encoding.ids, end_id], dtype="<u2").tobytes()
                digest.update(packed)
                sink.write(packed)
                tokens += len(packed) // 2
                ends.append(tokens)
    if not ends:
        raise ValueError("pack: no document was given. Check that the dataset folder has rows.")
    (out / "ends.bin").write_bytes(np.asarray(ends, dtype="<i8").tobytes())
    about = {
        "documents": len(ends),
        "tokens": tokens,
        "text_bytes": text_bytes,
        "vocab_size": tokenizer.get_vocab_size(with_added_tokens=True),
        "tokens_sha256": digest.hexdigest(),
    }
    (out / "corpus.json").write_text(json.dumps(about, indent=2) + "\n")
    return about


def _batches(texts: Iterable[str]) -> Iterable[list[str]]:
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def read_tokens(folder: Path) -> npt.NDArray[np.uint16]:
    """Map `tokens.bin` into memory, after checking it against `corpus.json`.

    Raises:
        ValueError: the folder is unfinished, or the file has another length than it says.
    """
    about_path = folder / "corpus.json"
    if not about_path.is_file():
        raise ValueError(f"read_tokens: {folder} has no corpus.json, so it was never finished. Pack it again.")
    expected = json.loads(about_path.read_text())["tokens"]
    found = (folder / "tokens.bin").stat().st_size // 2
    if found != expected:
        raise ValueError(f"read_tokens: {folder}/tokens.bin holds {found} tokens, expected {expected}. Pack it again.")
    return np.memmap(folder / "tokens.bin", dtype="<u2", mode="r")


class FimDataset:
    """Draws training samples of exactly seq_len + 1 tokens from a token stream; map-style and stateless.

    A window of the stream is cut at document ends, and each piece is permuted by `fim_santa.split` with
    probability `fim_rate`. The draw depends on (seed, epoch, place in the stream) alone, so workers, resumption
    and order of access change nothing. A piece that grows by its sentinels loses the end of its suffix, then the
    start of its prefix: a middle is never cut. What is left over is filled with <fim-pad>, which carries no loss.

    Source: bigcode-project/Megatron-LM megatron/data/gpt_dataset.py (GPTFIMDataset).
    """

    def __init__(
        self,
        tokens: npt.NDArray[np.uint16],
        tokenizer: Tokenizer,
        *,
        seq_len: int,
        seed: int = 0,
        fim_rate: float = 0.5,
        spm_rate: float = 0.5,
    ) -> None:
        if len(tokens) < seq_len + 1:
            raise ValueError(
                f"FimDataset: {len(tokens)} tokens are fewer than one sample of seq_len+1 = {seq_len + 1}. "
                "Use more text or a shorter seq_len."
            )
        self.tokens, self.tokenizer = tokens, tokenizer
        self.length = seq_len + 1
        self.seed, self.fim_rate, self.spm_rate = seed, fim_rate, spm_rate
        self.bytes_of = token_bytes(tokenizer)
        self.mark_ids = {token: _id(tokenizer, token) for token in TOKENS.in_id_order()}
        self.end_id, self.pad_id = self.mark_ids[TOKENS.end_of_text], self.mark_ids[TOKENS.pad]

    def __len__(self) -> int:
        """Return the number of samples in one epoch."""
        return len(self.tokens) // self.length

    def sample(self, epoch: int, index: int) -> tuple[Ids, Ids]:
        """Return input ids and labels, seq_len each, already shifted; padding has the label -100."""
        start = index * self.length
        window = self.tokens[start : start + self.length].astype(np.int64)
        cuts = np.flatnonzero(window == self.end_id) + 1
        pieces = np.split(window, cuts)
        ids = np.concatenate(
            [self._piece(piece, epoch, start + int(at)) for piece, at in zip(pieces, [0, *cuts], strict=True)]
        )
        filled = np.full(self.length, self.pad_id, dtype=np.int64)
        filled[: len(ids)] = ids[: self.length]
        labels = np.where(filled == self.pad_id, IGNORED, filled)
        return filled[:-1], labels[1:]

    def batch(self, epoch: int, indices: Iterable[int]) -> tuple[Ids, Ids]:
        """Return the samples of `indices` stacked: input ids and labels, (batch, seq_len)."""
        inputs, labels = zip(*(self.sample(epoch, index) for index in indices), strict=True)
        return np.stack(inputs), np.stack(labels)

    def _piece(self, piece: Ids, epoch: int, offset: int) -> Ids:
        """Return the piece as it is, or permuted and no longer than it was."""
        is_ended = len(piece) > 0 and piece[-1] == self.end_id
        body = piece[:-1] if is_ended else piece
        text = _whole_characters(b"".join(self.bytes_of[token] for token in body))
        rates = {"fim_rate": self.fim_rate, "spm_rate": self.spm_rate}
        parts = split(text, seed=self.seed, epoch=epoch, index=offset, **rates)
        permuted = None if parts is None else self._fit(parts, len(piece))
        return piece if permuted is None else np.asarray(permuted, dtype=np.int64)

    def _fit(self, parts: FimParts, room: int) -> list[int] | None:
        """Return the ids of the permuted piece in at most `room` tokens; None if the middle has no room.

        # Differs from the report: a permuted piece always ends with <|endoftext|>, also where its document goes on
        # behind the window. Otherwise a short context would hardly ever show the model where a middle stops.
        """
        runs = [self._encode(text) for _, text in parts.segments()]
        marks = [self.mark_ids[token] for token, _ in parts.segments()]
        excess = sum(map(len, runs)) + len(runs) + 1 - room
        from_suffix = min(max(excess, 0), len(runs[1]))
        runs[1] = runs[1][: len(runs[1]) - from_suffix]
        excess -= from_suffix
        if excess > 0:
            holds_prefix = 0 if parts.mode == "psm" else 2
            if excess > self._tokens_within(runs[holds_prefix], len(parts.prefix.encode())):
                return None
            runs[holds_prefix] = runs[holds_prefix][excess:]
        return [token for mark, run in zip(marks, runs, strict=True) for token in (mark, *run)] + [self.end_id]

    def _tokens_within(self, run: list[int], prefix_bytes: int) -> int:
        """Return how many leading tokens of `run` lie wholly inside its first `prefix_bytes` bytes."""
        reach = np.cumsum([len(self.bytes_of[token]) for token in run]) if run else np.zeros(0)
        return int((reach <= prefix_bytes).sum())

    def _encode(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids) if text else []


def _id(tokenizer: Tokenizer, token: str) -> int:
    token_id = tokenizer.token_to_id(token)
    if token_id is None:
        raise ValueError(f"FimDataset: the tokenizer lacks {token}. Use one that train_tokenizer made.")
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


def unigram_bits(train: npt.NDArray[np.uint16], vocab_size: int) -> npt.NDArray[np.float64]:
    """Return the cost of each token in bits under a unigram model of `train`, add-one smoothed."""
    counts = np.bincount(train, minlength=vocab_size).astype(np.float64) + 1.0
    cost: npt.NDArray[np.float64] = -np.log2(counts / counts.sum())
    return cost
