"""Build the tokens of a prompt: encode the user's text as text, cut it to the context around the gap, order the parts."""

import copy
import threading
import warnings
import weakref
from collections.abc import Sequence
from typing import Any

from transformers.utils import cached_file

from .errors_santa import ModelError
from .fim_santa import FimMode, FimParts, ids_of_sentinels

LONGEST_ANSWER = 256  # tokens, where the caller names no limit
PROBE = "if  x1:   2\r\n\ty =    12     # 3\n"  # blanks before digits: where GPT-2's rules and SantaCoder's differ

_PLAIN: "weakref.WeakKeyDictionary[Any, tuple[int, Any]]" = weakref.WeakKeyDictionary()
_PLAIN_LOCK = threading.Lock()


def fit(prefix: Sequence[int], suffix: Sequence[int], room: int, *, step: int = 1) -> tuple[list[int], list[int]]:
    """Return the tokens of both sides that stand nearest to the gap, at most `room` together.

    Each side keeps half of the room, or more where the other side leaves some over. Tokens leave the start of the
    prefix and the end of the suffix in multiples of `step`: with a large step both stay the same for many keystrokes.

    >>> fit([1, 2, 3, 4], [5, 6, 7], 4)
    ([3, 4], [5, 6])
    >>> fit([1], [5, 6, 7], 3)
    ([1], [5, 6])
    """
    after = max(min(len(suffix), max(room // 2, room - len(prefix))), 0)
    if after < len(suffix):
        after -= after % step
    dropped = max(0, len(prefix) - max(room - after, 0))
    dropped = min(-(-dropped // step) * step, len(prefix))
    return list(prefix[dropped:]), list(suffix[:after])


def encode_text(tokenizer: Any, text: str) -> list[int]:
    """Return the ids of a text in which a spelled-out special token is text like any other.

    transformers keeps `split_special_tokens` as a state that all threads share, so a copy of the tokenizer's Rust object
    with that state set is kept for each tokenizer, and nobody else touches it.
    """
    try:
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            with _PLAIN_LOCK:
                return list(tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])
        return list(_plain_copy(tokenizer, backend).encode(text, add_special_tokens=False).ids)
    except (UnicodeError, TypeError) as error:
        if not any("\ud800" <= character <= "\udfff" for character in text):
            raise
        raise ModelError(
            "the text holds a lone surrogate, which no encoding can write. Read the file as UTF-8 "
            "(errors='replace') first."
        ) from error


def _plain_copy(tokenizer: Any, backend: Any) -> Any:
    with _PLAIN_LOCK:
        size, plain = _PLAIN.get(tokenizer, (-1, None))
        if size != len(tokenizer):
            if plain is None:
                _warn_of_other_rules(tokenizer, backend)
            plain = copy.deepcopy(backend)
            plain.encode_special_tokens = True
            plain.no_truncation()
            plain.no_padding()
            _PLAIN[tokenizer] = (len(tokenizer), plain)
    return plain


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


def ordered_ids(
    tokenizer: Any,
    before: Sequence[int],
    after: Sequence[int] | None,
    room: int,
    *,
    mode: FimMode = "psm",
    step: int = 1,
) -> list[int]:
    """Return the ids of a prompt of at most `room` tokens from the ids of its sides; see `fit` for what is left out.

    Sides of (ids, None) ask for a continuation of the first, without sentinels.
    """
    if after is None:
        return fit(before, [], room, step=step)[0]
    sentinels = ids_of_sentinels(tokenizer)
    kept = dict(zip(("before", "after"), fit(before, after, max(room - 3, 0), step=step), strict=True))
    ids: list[int] = []
    for token, side in FimParts(mode, "before", "", "after").segments():
        ids += [sentinels[token], *kept.get(side, [])]
    return ids


def room_for_prompt(context: int, max_new_tokens: int | None, longest: int) -> tuple[int, int]:
    """Return the tokens a prompt may have and the tokens an answer may have.

    Without `max_new_tokens` an answer has 256 tokens, or what a prompt of `longest` tokens leaves in the context; a
    prompt that leaves nothing is cut so that an answer has 256, or half of the context.
    """
    if max_new_tokens is None:
        left = context - longest
        max_new_tokens = min(LONGEST_ANSWER, left if left > 0 else context // 2, context - 4)
    if max_new_tokens > context - 4:
        raise ModelError(
            f"max_new_tokens={max_new_tokens} leaves no room for a prompt in the context of n_positions={context}. "
            "Lower max_new_tokens."
        )
    return context - max_new_tokens, max_new_tokens
