"""One way from a text to its completion: fit the prompt, draw tokens by a seed, stop, and stream the text.

`stream` yields the answer as it is written. `fit` (truncation) and `Draw` (seeded sampling) are its parts, which
`infill` uses for batches.
"""

import copy
import random
import threading
import warnings
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from transformers import LogitsProcessor
from transformers.utils import cached_file

from .cache_santa import GrowingCache
from .errors_santa import ModelError
from .fim_santa import FimMode, FimParts, end_ids_of, ids_of_sentinels

Finish = Literal["end", "stop", "length"]
LONGEST_ANSWER = 256  # tokens, where the caller names no limit
PROBE = "if  x1:   2\r\n\ty =    12     # 3\n"  # blanks before digits: where GPT-2's rules and SantaCoder's differ
CUT_CHARACTER = "\ufffd"  # what decoding gives for a character that still lacks bytes

_PLAIN: "weakref.WeakKeyDictionary[Any, tuple[int, Any]]" = weakref.WeakKeyDictionary()
_PLAIN_LOCK = threading.Lock()


@dataclass(frozen=True)
class Chunk:
    """What one step added to one sample; `finish` is None until the sample's last chunk.

    `text` may be empty: a character or a stop string that is not decided yet is held back. `tokens` counts the sample's
    tokens so far, `score` is the sum of their log probabilities (nats) under the model. `prompt_tokens` were read, and
    `left_out` more did not fit into the context.
    """

    text: str
    sample: int = 0
    tokens: int = 0
    score: float = 0.0
    finish: Finish | None = None
    prompt_tokens: int = 0
    left_out: int = 0


def fit(prefix: Sequence[int], suffix: Sequence[int], room: int, *, step: int = 1) -> tuple[list[int], list[int]]:
    """Return the tokens of both sides that stand nearest to the gap, at most `room` together.

    Each side keeps half of the room, or more where the other side leaves some over. Tokens leave the start of the
    prefix in multiples of `step`: with a large step a growing prefix keeps its first token for many keystrokes.

    >>> fit([1, 2, 3, 4], [5, 6, 7], 4)
    ([3, 4], [5, 6])
    >>> fit([1], [5, 6, 7], 3)
    ([1], [5, 6])
    """
    after = min(len(suffix), max(room // 2, room - len(prefix)))
    dropped = max(0, len(prefix) - max(room - after, 0))
    dropped = min(-(-dropped // step) * step, len(prefix))
    return list(prefix[dropped:]), list(suffix[: max(after, 0)])


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


def prompt_ids(
    tokenizer: Any, prefix: str, suffix: str | None, room: int, *, mode: FimMode = "psm", step: int = 1
) -> tuple[list[int], int]:
    """Return the ids of a prompt of at most `room` tokens, and how many tokens were left out.

    A suffix of None asks for a continuation of the prefix, without sentinels.
    """
    before, after = encode_text(tokenizer, prefix), encode_text(tokenizer, suffix or "")
    whole = len(before) + len(after)
    if suffix is None:
        ids, _ = fit(before, [], room, step=step)
        return ids, whole - len(ids)
    sentinels = ids_of_sentinels(tokenizer)
    before, after = fit(before, after, max(room - 3, 0), step=step)
    kept: dict[str, list[int]] = {"before": before, "after": after, "": []}
    ids = []
    for token, side in FimParts(mode, "before", "", "after").segments():
        ids += [sentinels[token], *kept[side]]
    return ids, whole - len(before) - len(after)


def check_settings(
    *, mode: str = "psm", max_new_tokens: int | None = None, temperature: float = 0.0, top_p: float = 1.0, n: int = 1
) -> None:
    """Raise ModelError for a setting outside its range."""
    if mode not in ("psm", "spm"):
        raise ModelError(f"mode={mode!r} is unknown. Choose 'psm' or 'spm'.")
    if max_new_tokens is not None and max_new_tokens < 1:
        raise ModelError(f"max_new_tokens={max_new_tokens} is below 1. Ask for at least one token.")
    if not 0 <= temperature < float("inf"):
        raise ModelError(f"temperature={temperature} is out of range. Choose 0 (greedy) or a positive number.")
    if not 0 < top_p <= 1:
        raise ModelError(f"top_p={top_p} is out of range. Choose a share above 0, at most 1.")
    if n < 1:
        raise ModelError(f"n={n} samples were asked for. Ask for at least one.")


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


class OnlyTokens(LogitsProcessor):  # type: ignore[misc]  # transformers ships no types
    """Rule out the ids from `n_tokens` on, which only pad the embedding to a round number of rows."""

    def __init__(self, n_tokens: int) -> None:
        self._n_tokens = n_tokens

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        """Return the scores (B, V) with those ids at minus infinity."""
        ids = torch.arange(scores.shape[-1], device=scores.device)
        return scores.masked_fill(ids >= self._n_tokens, -torch.inf)


class Draw(LogitsProcessor):  # type: ignore[misc]  # transformers ships no types
    """Leave each row only the token that its own seed draws, so that a greedy search takes it.

    A row's random numbers depend on its seed alone: neither the batch nor anything else in the process has a say.
    At temperature 0 the likeliest token is taken. Ids from `n_tokens` on only pad the embedding and are never drawn.
    """

    def __init__(self, seeds: Sequence[object], *, temperature: float, top_p: float, n_tokens: int) -> None:
        self._random = [random.Random(str(seed)) for seed in seeds]
        self._temperature, self._top_p, self._n_tokens = temperature, top_p, n_tokens

    def __call__(self, input_ids: torch.Tensor | None, scores: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        """Return scores (B, V) of 0 for the drawn tokens and minus infinity for all others."""
        chosen = self.choose(scores)
        return torch.full_like(scores, -torch.inf).scatter_(1, chosen[:, None], 0.0)

    def choose(self, scores: torch.Tensor) -> torch.Tensor:
        """Return one drawn id for each row of the scores (B, V)."""
        scores = scores[:, : self._n_tokens].float()
        if self._temperature == 0:
            return scores.argmax(dim=-1)
        likeliest, ids = torch.sort(scores / self._temperature, dim=-1, descending=True, stable=True)
        reached = torch.softmax(likeliest.double(), dim=-1).cumsum(dim=-1)
        # The nucleus is the fewest likeliest tokens whose mass reaches top_p; a number below its mass picks one of them.
        last = (reached < self._top_p).sum(dim=-1, keepdim=True).clamp(max=reached.shape[-1] - 1)
        numbers = torch.tensor([[row.random()] for row in self._random], dtype=torch.float64, device=reached.device)
        rank = torch.minimum((reached <= numbers * reached.gather(1, last)).sum(dim=-1, keepdim=True), last)
        return ids.gather(1, rank)[:, 0]


@dataclass
class Stop:
    r"""Tells how much of an answer is decided, and whether it is over.

    `rule` is "line" (before the first line break that follows some text), "block" (before the first line that is
    indented less than the first one written, or than the empty line on which the gap stands), or strings before the first of
    which the answer ends.

    >>> Stop("line").decided("x = 1\ny")
    (5, True)
    >>> Stop(("\n\n",)).decided("x = 1\n")
    (5, False)
    """

    rule: str | Sequence[str] = ()
    prefix: str = ""

    def __post_init__(self) -> None:
        is_named = self.rule in ("line", "block")
        if isinstance(self.rule, str) and not is_named:
            raise ModelError(f"stop={self.rule!r} is unknown. Choose 'line', 'block' or a list of strings.")
        if not is_named and not all(isinstance(text, str) and text for text in self.rule):
            raise ModelError(
                f"stop={self.rule!r} holds something else than texts. Give strings of one character or more."
            )

    def decided(self, text: str) -> tuple[int, bool]:
        """Return how many characters of the text can be shown, and whether the answer ends after them."""
        if self.rule == "line":
            return self._line(text)
        if self.rule == "block":
            return self._block(text)
        ends = [at for stop in self.rule if (at := text.find(stop)) >= 0]
        if ends:
            return min(ends), True
        longest = max(map(len, self.rule), default=0)
        for size in range(min(longest - 1, len(text)), 0, -1):
            if any(stop.startswith(text[-size:]) for stop in self.rule):
                return len(text) - size, False
        return len(text), False

    def _line(self, text: str) -> tuple[int, bool]:
        begins = len(text) - len(text.lstrip())
        end = text.find("\n", begins)
        if end < 0:
            return len(text) - text.endswith("\r"), False
        return end - (text[end - 1] == "\r"), True

    def _block(self, text: str) -> tuple[int, bool]:
        current = self.prefix.rsplit("\n", 1)[-1]
        indent = None if current.strip() else len(current)
        at = text.find("\n")
        while at >= 0:
            following = text.find("\n", at + 1)
            line = text[at + 1 : following if following >= 0 else len(text)]
            if line.strip():
                width = len(line) - len(line.lstrip())
                if indent is not None and width < indent:
                    return len(text[:at].rstrip()), True
                indent = width if indent is None else indent
            at = following
        kept = text.rstrip()
        return (len(kept) if "\n" in text[len(kept) :] else len(text)), False


@dataclass
class Session:
    """The tokens that a cache holds, so that the next prompt reads only what differs."""

    ids: list[int] = field(default_factory=list)
    cache: Any = None


def stream(
    model: Any,
    tokenizer: Any,
    prefix: str,
    suffix: str | None = None,
    *,
    mode: FimMode = "psm",
    max_new_tokens: int | None = None,
    stop: str | Sequence[str] = (),
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
    n: int = 1,
    session: Session | None = None,
    step: int = 1,
) -> Iterator[Chunk]:
    """Yield the text between `prefix` and `suffix`, or after the prefix where `suffix` is None, as it is written.

    Every sample yields a chunk for each token; its chunks' texts together are its answer. Closing the iterator stops the
    model before its next token. A prompt too long for the context loses what stands farthest from the gap.

    Args:
        model: A SantaForCausalLM.
        tokenizer: Its tokenizer.
        prefix: The text before the gap.
        suffix: The text after the gap; None continues the prefix.
        mode: The order of the prompt, "psm" or "spm".
        max_new_tokens: The longest answer; by default 256, or what the context leaves.
        stop: "line", "block", or strings that end an answer and are no part of it. See `Stop`.
        temperature: 0 takes the likeliest token.
        top_p: The share of the likeliest tokens that is drawn from.
        seed: With the sample's number the only source of chance.
        n: How many samples are written, at once.
        session: The cache of an earlier call, which is used and brought up to date; for n=1.
        step: See `fit`.

    Raises:
        ModelError: a setting is out of range, the tokenizer has no sentinels, or there is no text to continue.
    """
    check_settings(mode=mode, max_new_tokens=max_new_tokens, temperature=temperature, top_p=top_p, n=n)
    stops = Stop(stop, prefix)
    context = int(model.config.n_positions)
    ids, _ = prompt_ids(tokenizer, prefix, suffix, 10**12, mode=mode)
    room, longest = room_for_prompt(context, max_new_tokens, len(ids))
    left_out = 0
    if len(ids) > room:
        ids, left_out = prompt_ids(tokenizer, prefix, suffix, room, mode=mode, step=step)
    if not ids:
        raise ModelError("the prompt is empty. Give some text to continue.")
    draw = Draw([f"{seed}/{i}" for i in range(n)], temperature=temperature, top_p=top_p, n_tokens=len(tokenizer))
    rows = [_Row(tokenizer, i, stops, len(ids), left_out, longest) for i in range(n)]
    session = session if session is not None and n == 1 else Session()
    return _steps(model, ids, rows, draw, frozenset(end_ids_of(tokenizer)), session)


def _steps(
    model: Any, ids: list[int], rows: "list[_Row]", draw: Draw, ends: frozenset[int], session: Session
) -> Iterator[Chunk]:
    scores = _read(model, ids, session)
    if len(rows) > 1:
        session.cache.batch_repeat_interleave(len(rows))
        scores = scores.expand(len(rows), -1)
    while True:
        chosen = draw.choose(scores)
        gains = torch.log_softmax(scores.float(), dim=-1).gather(1, chosen[:, None])[:, 0].tolist()
        new = chosen.tolist()
        for row, token, gain in zip(rows, new, gains, strict=True):
            if row.finish is None:
                yield row.take(token, gain, is_end=token in ends)
        if all(row.finish is not None for row in rows):
            return
        scores = _forward(model, chosen[:, None], session)
        session.ids.append(new[0])


def _read(model: Any, ids: list[int], session: Session) -> torch.Tensor:
    """Read a prompt, all but what the session's cache holds of it, and return the scores (1, V) of the next token."""
    held = 0
    while held < min(len(session.ids), len(ids) - 1) and session.ids[held] == ids[held]:
        held += 1
    if session.cache is None or held == 0:
        session.cache, held = GrowingCache(model.config), 0
    else:
        surplus = session.cache.get_seq_length() - held
        if surplus:
            session.cache.crop(-surplus)
    session.ids = ids[:held]
    scores = _forward(model, torch.tensor([ids[held:]], device=model.device), session)
    session.ids = list(ids)
    return scores


@torch.no_grad()
def _forward(model: Any, input_ids: torch.Tensor, session: Session) -> torch.Tensor:
    try:
        scores: torch.Tensor = model(input_ids, past_key_values=session.cache, use_cache=True, logits_to_keep=1).logits[
            :, -1
        ]
    except BaseException:
        session.ids, session.cache = [], None  # layers may have seen different tokens: start anew next time
        raise
    return scores


class _Row:
    """One sample: its tokens, its text so far, and how much of it was passed on."""

    def __init__(self, tokenizer: Any, sample: int, stops: Stop, prompt_tokens: int, left_out: int, most: int) -> None:
        self._tokenizer, self._stops, self._most = tokenizer, stops, most
        self._sample, self._prompt_tokens, self._left_out = sample, prompt_tokens, left_out
        self._ids: list[int] = []
        self._shown, self._count, self._score = 0, 0, 0.0
        self.finish: Finish | None = None

    def take(self, token: int, gain: float, *, is_end: bool) -> Chunk:
        """Add a token and return the text that is decided by it."""
        self._count, self._score = self._count + 1, self._score + gain
        if not is_end:
            self._ids.append(token)
        is_last = is_end or self._count == self._most
        text = decode(self._tokenizer, self._ids, is_whole=is_end)
        size, is_stopped = self._stops.decided(text)
        if is_stopped:
            self.finish = "stop"
        elif is_last:
            self.finish, size = "end" if is_end else "length", len(text)
        size = max(size, self._shown)
        piece, self._shown = text[self._shown : size], size
        return Chunk(piece, self._sample, self._count, self._score, self.finish, self._prompt_tokens, self._left_out)


def decode(tokenizer: Any, ids: Sequence[int], *, is_whole: bool) -> str:
    """Return the text of ids; unless it is whole, without a last character that still lacks bytes."""
    text: str = tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return text if is_whole else text.removesuffix(CUT_CHARACTER)


class Completer:
    """A completion session for one text that is being edited: the cache survives from call to call.

    The prompt puts the suffix first (SPM), so that a keystroke before the gap leaves everything before it in the cache.
    Calls from several threads wait for each other. The memory is one cache of at most the model's context.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self._model, self._tokenizer = model, tokenizer
        self._session, self._lock = Session(), threading.Lock()

    def stream(self, prefix: str, suffix: str | None = "", **settings: Any) -> Iterator[Chunk]:
        """Yield the text for the gap as it is written; the settings are those of `stream` for one sample."""
        if settings.get("n", 1) != 1:
            raise ModelError("a completion session writes one sample. Call model.stream for several.")
        settings = {"mode": "spm", "step": max(1, int(self._model.config.n_positions) // 8), **settings}
        with self._lock:
            yield from stream(self._model, self._tokenizer, prefix, suffix, session=self._session, **settings)

    def complete(self, prefix: str, suffix: str | None = "", **settings: Any) -> str:
        """Return the text for the gap."""
        return "".join(chunk.text for chunk in self.stream(prefix, suffix, **settings))

    def clear(self) -> None:
        """Give the cache's memory back."""
        with self._lock:
            self._session = Session()
