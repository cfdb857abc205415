"""Build the tokens of a prompt: cut the tokens of the user's text to the context around the gap, order the parts."""

from collections.abc import Sequence
from typing import Any

from .errors_santa import ModelError
from .fim_santa import FimMode, FimParts, ids_of_sentinels

LONGEST_ANSWER = 256  # tokens, where the caller names no limit


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
