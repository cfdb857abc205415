"""Encode a user's text as plain text; after an edit, encode only what changed.

A text is encoded in blocks, cut where any tokenizer with GPT-2's rules cuts: before ASCII blanks, and between a letter or
a digit and an ASCII character of another kind. Whatever stands around such a place, no token reaches over it, so the
blocks' tokens are the whole text's, and a block that an edit leaves alone keeps its tokens.
"""

import copy
import json
import re
import sys
import threading
import warnings
import weakref
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, overload

from transformers.utils import cached_file

from .errors_santa import ModelError

BLOCK = 1024  # characters, at least, in a block
PROBE = "if  x1:   2\r\n\ty =    12     # 3\n"  # blanks before digits: where GPT-2's rules and SantaCoder's differ
CUT = re.compile(
    r"(?<=[A-Za-z])(?=[\x00-@\[-`{-\x7f])|(?<=[0-9])(?=[\x00-/:-\x7f])|(?<=[!-~])(?=[\t\n\r ])"  # see above
)


@dataclass(frozen=True)
class _Plain:
    """A copy of a tokenizer's Rust object that takes special tokens for text; `size` is its vocabulary's."""

    backend: Any
    size: int
    cuts: bool  # whether no token reaches over a CUT


_PLAIN: "weakref.WeakKeyDictionary[Any, _Plain]" = weakref.WeakKeyDictionary()
_PLAIN_LOCK = threading.Lock()


class EncodedText(Sequence[int]):
    """The ids of a text, in blocks; a slice is a list. `encoder` is what encoded it."""

    def __init__(self, encoder: object, text: str, starts: list[int], blocks: "list[array[int]]") -> None:
        self.encoder, self.text, self.starts, self.blocks = encoder, text, starts, blocks
        self._ends = list(accumulate(map(len, blocks)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @property
    def nbytes(self) -> int:
        """The bytes of the text and its ids."""
        return sys.getsizeof(self.text) + sum(map(sys.getsizeof, self.blocks))

    @overload
    def __getitem__(self, at: int) -> int: ...
    @overload
    def __getitem__(self, at: slice) -> list[int]: ...
    def __getitem__(self, at: int | slice) -> int | list[int]:
        """Return one id, or those of a slice."""
        if isinstance(at, int):
            return self[range(len(self))[at] : range(len(self))[at] + 1][0]
        first, last, step = at.indices(len(self))
        if step != 1:
            raise ValueError("EncodedText: slices take every id. Make a list first.")
        ids: list[int] = []
        for block, end in zip(self.blocks, self._ends, strict=True):
            begin = end - len(block)
            if begin < last and first < end:
                ids += block[max(0, first - begin) : last - begin]
        return ids


def encode_text(tokenizer: Any, text: str, like: Sequence[EncodedText] = ()) -> EncodedText:
    """Return the ids of a text in which a spelled-out special token is text like any other.

    transformers keeps `split_special_tokens` as a state that all threads share, so a copy of the tokenizer's Rust object
    with that state set is kept for each tokenizer, and nobody else touches it.

    Args:
        tokenizer: Any tokenizer of transformers.
        text: The text.
        like: Earlier texts encoded by this tokenizer; the blocks of the first that shares half of the text are used.

    Raises:
        ModelError: the text holds a lone surrogate.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    try:
        if backend is None:
            with _PLAIN_LOCK:
                ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
            return EncodedText(None, text, [0], [array("I", ids)])
        plain = _plain_copy(tokenizer, backend)
        return _edited(plain, text, *_nearest(plain, text, like))
    except (UnicodeError, TypeError) as error:
        if not any("\ud800" <= character <= "\udfff" for character in text):
            raise
        raise ModelError(
            "the text holds a lone surrogate, which no encoding can write. Read the file as UTF-8 "
            "(errors='replace') first."
        ) from error


def _nearest(plain: _Plain, text: str, like: Sequence[EncodedText]) -> tuple[EncodedText, int, int]:
    """Return the first text that shares half of another, and how many characters at its start and at its end."""
    for earlier in like if plain.cuts else ():
        if earlier.encoder is plain:
            before = shared_start(earlier.text, text)
            after = min(_shared_end(earlier.text, text), min(len(text), len(earlier.text)) - before)
            if 2 * (before + after) >= len(text):
                return earlier, before, after
    return EncodedText(plain, "", [], []), 0, 0


def shared_start(one: Sequence[Any], other: Sequence[Any]) -> int:
    """Return how many items two sequences of one type share from their start, by comparing slices.

    >>> shared_start("prefix", "prepare")
    3
    """
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _shared_end(one: str, other: str) -> int:
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[len(one) - middle : len(one) - low] == other[len(other) - middle : len(other) - low]:
            low = middle
        else:
            high = middle - 1
    return low


def _edited(plain: _Plain, text: str, earlier: EncodedText, before: int, after: int) -> EncodedText:
    """Encode a text of which the first `before` and the last `after` characters are those of an earlier one.

    A cut stays one where the characters on both of its sides are shared; a block is kept between two such cuts.
    """
    old, moved = earlier.starts, len(text) - len(earlier.text)
    head = max(0, sum(start < before for start in old) - 1)
    tail = next((at for at, start in enumerate(old) if start > len(earlier.text) - after), len(old))
    first = old[head] if old else 0
    last = old[tail] + moved if tail < len(old) else len(text)
    starts = _starts(text, first, last) if plain.cuts else [0]
    new = [
        array("I", plain.backend.encode(text[start:end], add_special_tokens=False).ids)
        for start, end in pairwise([*starts, last])
    ]
    return EncodedText(
        plain,
        text,
        [*old[:head], *starts, *(start + moved for start in old[tail:])],
        [*earlier.blocks[:head], *new, *earlier.blocks[tail:]],
    )


def _starts(text: str, first: int, last: int) -> list[int]:
    """Return where the blocks of a part of a text start."""
    starts = []
    while first < last:
        starts.append(first)
        cut = CUT.search(text, first + BLOCK, last)
        first = cut.start() if cut else last
    return starts


def _plain_copy(tokenizer: Any, backend: Any) -> _Plain:
    with _PLAIN_LOCK:
        known = _PLAIN.get(tokenizer)
        if known is None or known.size != len(tokenizer):
            if known is None:
                _warn_of_other_rules(tokenizer, backend)
            plain = copy.deepcopy(backend)
            plain.encode_special_tokens = True
            plain.no_truncation()
            plain.no_padding()
            known = _PLAIN[tokenizer] = _Plain(plain, len(tokenizer), _has_cuts(plain))
    return known


def _has_cuts(backend: Any) -> bool:
    """Return whether a tokenizer of the Rust library splits by GPT-2's rules, with or without single digits, and by no others."""
    rules = json.loads(backend.to_str())
    steps = rules["pre_tokenizer"] or {}
    steps = steps.get("pretokenizers", [steps])
    return (
        rules["normalizer"] is None
        and rules["model"]["type"] == "BPE"
        and not rules["model"].get("dropout")
        and all(token["special"] for token in rules["added_tokens"])
        and [step.get("type") for step in steps] in (["ByteLevel"], ["Digits", "ByteLevel"])
        and not steps[-1]["add_prefix_space"]
        and steps[-1].get("use_regex", True)
    )


def _warn_of_other_rules(tokenizer: Any, backend: Any) -> None:
    """Warn if a tokenizer was opened by a class that splits texts otherwise than the `tokenizer.json` it came from."""
    name = getattr(tokenizer, "name_or_path", "")
    try:
        path = cached_file(name, "tokenizer.json", local_files_only=True) if name else None
    except OSError:  # it did not come from a file that is here
        return
    if path and type(backend).from_file(path).encode(PROBE).ids != backend.encode(PROBE).ids:
        warnings.warn(
            f"{type(tokenizer).__name__} splits texts otherwise than the tokenizer.json of {name}, so the model gets "
            "other ids than it was trained with. Open the tokenizer with PreTrainedTokenizerFast.from_pretrained.",
            stacklevel=5,
        )
