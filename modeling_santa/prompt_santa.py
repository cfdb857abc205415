"""Build a prompt: cut the text to the context around the gap, and put its parts in order."""

from collections.abc import Sequence
from typing import Any

from .encode_santa import encode_text
from .errors_santa import ModelError
from .fim_santa import FimMode, FimParts, id_of_token, ids_of_sentinels

LONGEST_ANSWER = 256  # tokens, where the caller names no limit
SMALLEST_PROMPT = 4  # tokens: the sentinels, and one of text


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


Origin = tuple[list[int], list[int]]
NO_ORIGIN: Origin = ([], [])


def origin_ids(tokenizer: Any, file_name: str | None, repo_name: str | None) -> Origin:
    """Return the ids that tell a model of the StarCoder family where a text is from.

    The first stand before the prompt, the second at the start of the prefix, of which they are a part: StarCoder cut whole
    documents, their names included, and StarCoder2 each file after its repository's name.

    Raises:
        ModelError: a name is empty or has a line break, or the vocabulary has no token for it.
    """
    for label, name in (("file_name", file_name), ("repo_name", repo_name)):
        if name is not None and (not name or len(name.splitlines()) != 1):
            raise ModelError(f"{label}={name!r} is no name. Give one line of text, or leave it out.")
    if file_name is None and repo_name is None:
        return NO_ORIGIN
    is_second = id_of_token(tokenizer, "<file_sep>") is not None
    of_file, of_repo = ("<file_sep>", "<repo_name>") if is_second else ("<filename>", "<reponame>")

    def tagged(token: str, label: str, name: str) -> list[int]:
        token_id = id_of_token(tokenizer, token)
        if token_id is None:
            raise ModelError(
                f"{label}: the tokenizer has no token for it (StarCoder's is {token}), so the model never saw one. "
                f"Leave {label} out."
            )
        return [token_id, *encode_text(tokenizer, name)]

    repo = [] if repo_name is None else tagged(of_repo, "repo_name", repo_name)
    file = [] if file_name is None else tagged(of_file, "file_name", file_name)
    line_break = [*encode_text(tokenizer, "\n")]
    if not is_second:
        return [], [*repo, *file, *line_break]
    front = [*repo, *(file[:1] or tagged(of_file, "file_name", ""))]
    return front, [*file[1:], *line_break] if file else []


def ordered_ids(
    tokenizer: Any,
    before: Sequence[int],
    after: Sequence[int] | None,
    room: int,
    *,
    mode: FimMode = "psm",
    step: int = 1,
    origin: Origin = NO_ORIGIN,
) -> list[int]:
    """Return the ids of a prompt of at most `room` tokens from the ids of its sides; see `fit` for what is left out.

    Sides of (ids, None) ask for a continuation of the first, without sentinels. `origin`, what `origin_ids` returns, is
    never left out.

    Raises:
        ModelError: the tokenizer has no sentinels, or the origin takes more than half of the room.
    """
    front, named = origin
    if 2 * (len(front) + len(named)) > room:
        raise ModelError(
            f"the names of file and repository are {len(front) + len(named)} tokens of a prompt of at most {room}. "
            "Shorten them."
        )
    room -= len(front) + len(named)
    if after is None:
        return [*front, *named, *fit(before, [], room, step=step)[0]]
    sentinels = ids_of_sentinels(tokenizer)
    before, after = fit(before, after, max(room - 3, 0), step=step)
    kept = {"before": [*named, *before], "after": after}
    ids = list(front)
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
        max_new_tokens = min(LONGEST_ANSWER, left if left > 0 else context // 2, context - SMALLEST_PROMPT)
    if max_new_tokens > context - SMALLEST_PROMPT:
        raise ModelError(
            f"max_new_tokens={max_new_tokens} leaves no room for a prompt in the context of n_positions={context}. "
            "Lower max_new_tokens."
        )
    return context - max_new_tokens, max_new_tokens


def room_to_heal(context: int, room: int, max_new_tokens: int, again: int) -> tuple[int, int]:
    """Return the tokens that are left for a prompt, and those for an answer that first writes `again` tokens anew.

    >>> room_to_heal(100, 60, 40, 5)
    (55, 45)
    """
    room = max(room - again, min(room, SMALLEST_PROMPT))
    return room, min(max_new_tokens + again, context - room)
