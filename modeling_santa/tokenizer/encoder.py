"""Encode texts to the ids that `tokenizers` gives, many times as fast.

A tokenizer that is not SantaCoder's kind (byte-level BPE, digits split first) goes through `tokenizers` itself.
"""

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from modeling_santa.errors_santa import ModelError
from modeling_santa.tokenizer.characters import character_kinds
from modeling_santa.tokenizer.train import byte_level_alphabet

Uint16s = npt.NDArray[np.uint16]
PART_BYTES = 1 << 18  # what a thread takes at once
FREE = 0xFFFFFFFFFFFFFFFF


class Encoded(NamedTuple):
    """The ids of several texts one after the other, and how many each has."""

    ids: Uint16s
    counts: npt.NDArray[np.int64]


def usable_threads() -> int:
    """Return OMP_NUM_THREADS, which `hf-santa` sets to what a container allows, or the processors of this process."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked):
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Encoder:
    """Gives the ids of `tokenizer.encode_batch(texts, add_special_tokens=False)`; spelled special tokens are text.

    `reason` is empty where the compiled way is taken, else it says why `tokenizers` does the work. Not to be
    shared between threads: it uses `threads` of its own.

    Raises:
        ValueError: the vocabulary does not fit uint16.
    """

    def __init__(self, tokenizer: Tokenizer, *, threads: int | None = None) -> None:
        size = tokenizer.get_vocab_size(with_added_tokens=True)
        if size > 1 << 16:
            raise ModelError(
                f"pack: a vocabulary of {size:,} exceeds 65,536 tokens, the range of uint16. Use a smaller tokenizer."
            )
        tokenizer.encode_special_tokens = True
        self.tokenizer, self.threads = tokenizer, threads or usable_threads()
        about = json.loads(tokenizer.to_str())
        self.reason = why_not_compiled(about)
        self._tables: Any = None
        self._caches: list[Any] = []
        if not self.reason:
            self._tables = _tables(about["model"])

    def __getstate__(self) -> dict[str, Any]:
        return {"tokenizer": self.tokenizer, "threads": self.threads}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["tokenizer"], threads=state["threads"])  # type: ignore[misc]  # tables are made anew

    def encode(self, texts: Sequence[str | bytes], *, end_id: int = -1) -> Encoded:
        """Return the ids of all texts; `end_id`, if not negative, follows each. Bytes must be valid UTF-8.

        Raises:
            ValueError: a text holds half of a surrogate pair, which UTF-8 cannot express.
        """
        raw = [_utf8(text, row) for row, text in enumerate(texts)]
        if self.reason:
            return self._slowly(raw, end_id)
        bounds = np.zeros(len(raw) + 1, dtype=np.int64)
        np.cumsum([len(text) for text in raw], out=bounds[1:])
        text, counts = np.frombuffer(b"".join(raw), dtype=np.uint8), np.zeros(len(raw), dtype=np.int64)
        parts = _parts(bounds)
        if len(parts) <= 1 or self.threads == 1:
            ids = [self._part(0, (text, bounds), part, end_id, counts) for part in parts]
        else:
            ids = self._parts_in_threads(parts, text, bounds, end_id, counts)
        return Encoded(np.concatenate(ids) if ids else np.zeros(0, dtype=np.uint16), counts)

    def _parts_in_threads(
        self, parts: list[tuple[int, int]], text: Any, bounds: Any, end_id: int, counts: Any
    ) -> list[Uint16s]:
        """Take parts in turn, each thread with a cache of its own."""
        ids: list[Any] = [None] * len(parts)
        queue = iter(range(len(parts)))

        def work(crew: int) -> None:
            for number in queue:  # `next` of a range's iterator is one step under the GIL
                ids[number] = self._part(crew, (text, bounds), parts[number], end_id, counts)

        crews = min(self.threads, len(parts))
        self._cache(crews - 1)
        with ThreadPoolExecutor(crews) as pool:
            list(pool.map(work, range(crews)))
        return ids

    def _part(self, crew: int, where: tuple[Any, Any], part: tuple[int, int], end_id: int, counts: Any) -> Uint16s:
        from modeling_santa.tokenizer.jit_bpe import encode_range

        (text, bounds), (first, last) = where, part
        room = int(bounds[last] - bounds[first]) + last - first
        out = np.empty(room, dtype=np.uint16)
        used = encode_range(
            text, bounds, first, last, character_kinds(), self._tables, self._cache(crew), end_id, out, counts
        )
        return out[:used]

    def _cache(self, crew: int) -> Any:
        """Return a thread's cache of words: 28 MB, filled as they come, emptied when full."""
        from modeling_santa.tokenizer.jit_bpe import LONGEST, SLOTS

        while len(self._caches) <= crew:
            self._caches.append(
                (
                    np.zeros((SLOTS, 4), dtype=np.uint64),
                    np.zeros(8 * SLOTS, dtype=np.uint8),
                    np.zeros(8 * SLOTS, dtype=np.uint16),
                    np.zeros(2, dtype=np.int64),
                    np.zeros(LONGEST, dtype=np.int64),
                    np.zeros(LONGEST, dtype=np.int64),
                )
            )
        return self._caches[crew]

    def _slowly(self, raw: list[bytes], end_id: int) -> Encoded:
        """Do the same with `tokenizers`."""
        ends = [end_id] if end_id >= 0 else []
        batch = self.tokenizer.encode_batch_fast([text.decode() for text in raw], add_special_tokens=False)
        ids = [np.asarray([*encoding.ids, *ends], dtype=np.uint16) for encoding in batch]
        counts = np.array([len(each) for each in ids], dtype=np.int64)
        return Encoded(np.concatenate(ids) if ids else np.zeros(0, dtype=np.uint16), counts)


def why_not_compiled(about: dict[str, Any]) -> str:
    """Return what in a `tokenizer.json` only `tokenizers` itself can do, or nothing."""
    model, steps = about["model"], about.get("pre_tokenizer") or {}
    kinds = [(step["type"], step.get("individual_digits"), step.get("add_prefix_space"), step.get("use_regex", True))
             for step in steps.get("pretokenizers", [])]  # fmt: skip
    plain = all(not model.get(name) for name in ("dropout", "byte_fallback", "ignore_merges", "unk_token"))
    affixes = model.get("continuing_subword_prefix") or model.get("end_of_word_suffix")
    checks = (
        (find_spec("numba") is None, "numba is not installed"),
        (model["type"] != "BPE" or not plain or affixes, "the model is not plain BPE"),
        (kinds != [("Digits", True, None, True), ("ByteLevel", None, False, True)],
         "the pre-tokenizer is not digits one by one, then GPT-2's pattern on bytes"),
        (about.get("normalizer") is not None, "it normalizes text"),
        (about.get("truncation") or about.get("padding"), "it truncates or pads"),
        (any(not token["special"] for token in about["added_tokens"]), "it has added tokens that are not special"),
        (any(char not in model["vocab"] for char in byte_level_alphabet()), "some byte is no token"),
    )  # fmt: skip
    return next((reason for is_so, reason in checks if is_so), "")


def _tables(model: dict[str, Any]) -> Any:
    """Return the ids of the bytes, and the merges as a hash table: pair, rank, result."""
    from modeling_santa.tokenizer.jit_bpe import build_pairs

    vocab = model["vocab"]
    byte_ids = np.zeros(256, dtype=np.int64)
    for char, byte in byte_level_alphabet().items():
        byte_ids[byte] = vocab[char]
    merges = [merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]]
    pairs = np.array([(vocab[a], vocab[b], vocab[a + b]) for a, b in merges], dtype=np.int64).reshape(-1, 3)
    size = 1 << max(8, int(2 * len(pairs)).bit_length())
    keys = np.full(size, FREE, dtype=np.uint64)
    ranks, results = np.zeros(size, dtype=np.int32), np.zeros(size, dtype=np.int32)
    build_pairs(pairs, keys, ranks, results)
    return byte_ids, keys, ranks, results


def _parts(bounds: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    """Cut the documents into neighbouring ranges of about PART_BYTES."""
    if len(bounds) == 1:
        return []
    cuts = np.searchsorted(bounds, np.arange(PART_BYTES, int(bounds[-1]), PART_BYTES))
    edges = np.unique(np.concatenate([[0], cuts, [len(bounds) - 1]])).tolist()
    return list(pairwise(edges))


def _utf8(text: str | bytes, row: int) -> bytes:
    if isinstance(text, bytes):
        return text
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ModelError(
            f"encode: text {row} holds half of a surrogate pair at character {error.start}, which UTF-8 cannot "
            "express. Remove it, or replace it by U+FFFD."
        ) from error
