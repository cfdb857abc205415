"""Write a completion token by token; text is held back only while it may still be part of a stop."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from .cache_santa import CancellableCache, Cancelled
from .draw_santa import Draw
from .encode_santa import EncodedText, encode_text, shared_start
from .errors_santa import ModelError
from .fim_santa import FimMode, end_ids_of
from .heal_santa import Healing, last_word_of, token_bytes_of
from .prompt_santa import ordered_ids, origin_ids, room_for_prompt, room_to_heal
from .stop_santa import Stop

Finish = Literal["end", "stop", "length", "cancelled"]
CUT_CHARACTER = "\ufffd"  # what decoding gives for a character that still lacks bytes


@dataclass(frozen=True)
class StreamedPiece:
    """What one step added to one sample; `finish` is None until the sample's last piece.

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


@dataclass
class CachedPrompt:
    """The tokens whose keys and values a cache holds, so that the next prompt reads only what differs.

    `sides` are the texts before and after the gap that the prompt was made of, so that the next one encodes only what
    differs.
    """

    ids: list[int] = field(default_factory=list)
    cache: Any = None
    sides: tuple[EncodedText, ...] = ()

    @property
    def nbytes(self) -> int:
        """The bytes of the keys and values, of the texts and of their ids."""
        return (0 if self.cache is None else int(self.cache.nbytes)) + sum(side.nbytes for side in self.sides)

    def shared_with(self, ids: Sequence[int]) -> int:
        """Return how many tokens at the start of a prompt need not be read again; the last one always is."""
        return 0 if self.cache is None else min(shared_start(self.ids, list(ids)), len(ids) - 1)


@dataclass(frozen=True)
class PlannedAnswer:
    """A checked request: the prompt's sides and ids, the samples to write, how tokens are drawn, which ids end a sample."""

    sides: tuple[EncodedText, ...]
    ids: list[int]
    samples: "list[_Sample]"
    draw: Draw
    ends: frozenset[int]
    cancel: threading.Event | None = None


def stream(
    model: Any, tokenizer: Any, prefix: str, suffix: str | None = None, **settings: Any
) -> Iterator[StreamedPiece]:
    """Yield the text between `prefix` and `suffix`, or after the prefix where `suffix` is None, as it is written.

    Every sample yields a piece for each token; the texts of its pieces together are its answer. Closing the iterator stops
    the model before its next token; another thread stops it by setting `cancel`. A prompt too long for the context loses what stands farthest from the gap.

    Args:
        model: A SantaForCausalLM.
        tokenizer: Its tokenizer.
        prefix: The text before the gap.
        suffix: The text after the gap; None continues the prefix.
        **settings: See `plan_answer`.

    Raises:
        ModelError: at once, as `plan_answer`.
    """
    return write(model, plan_answer(model, tokenizer, prefix, suffix, **settings), CachedPrompt())


def plan_answer(
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
    step: int = 1,
    file_name: str | None = None,
    repo_name: str | None = None,
    heal: bool = False,
    cancel: threading.Event | None = None,
    like: Sequence[tuple[EncodedText, ...]] = (),
) -> PlannedAnswer:
    """Check the settings of an answer and build its prompt.

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
        step: Where the text is too long, its ends move by this many tokens at a time. See `fit`.
        file_name: The path of the file, for a model whose vocabulary has a token for it (the StarCoder family).
        repo_name: The repository's name, likewise.
        heal: Leave the last word or blanks of the prefix out of the prompt and have the model write them first, so that a
            word cut by the cursor has its usual tokens. They are no part of the answer; the pieces' `tokens` and `score`
            count them.
        cancel: Once it is set, by any thread, the model stops before its next layer, in the middle of a prompt, too;
            each sample's last piece has then no text, and "cancelled" as its `finish`.
        like: The sides of earlier answers; what they share is not encoded again.

    Raises:
        ModelError: a setting is out of range, the tokenizer has no sentinels, or there is no text to continue.
    """
    check_settings(mode=mode, max_new_tokens=max_new_tokens, temperature=temperature, top_p=top_p, n=n)
    stops = Stop(stop, prefix)
    retold = last_word_of(prefix) if heal else ""
    if suffix is None and retold == prefix:
        retold = ""  # there would be no prompt
    kept = prefix[: len(prefix) - len(retold)]
    texts = [kept] if suffix is None else [kept, suffix]
    sides = tuple(
        encode_text(tokenizer, text, [earlier[at] for earlier in like if at < len(earlier)])
        for at, text in enumerate(texts)
    )
    before, after = sides[0], None if suffix is None else sides[1]
    origin = origin_ids(tokenizer, file_name, repo_name)
    again = len(encode_text(tokenizer, retold))
    whole = sum(map(len, origin)) + len(before) + again + (0 if after is None else 3 + len(after))
    context = int(model.config.n_positions)
    room, longest = room_for_prompt(context, max_new_tokens, whole)
    room, longest = room_to_heal(context, room, longest, again)
    ids = ordered_ids(tokenizer, before, after, room, mode=mode, step=min(step, max(1, room // 4)), origin=origin)
    if not ids:
        raise ModelError("the prompt is empty. Give some text to continue.")
    draw = Draw([f"{seed}/{i}" for i in range(n)], temperature=temperature, top_p=top_p, n_tokens=len(tokenizer))
    left_out = whole - again - len(ids)
    table = token_bytes_of(tokenizer) if retold else None
    samples = [
        _Sample(tokenizer, i, stops, len(ids), left_out, longest, Healing(table, retold) if table else None)
        for i in range(n)
    ]
    return PlannedAnswer(sides, ids, samples, draw, frozenset(end_ids_of(tokenizer)), cancel)


def write(model: Any, plan: PlannedAnswer, held: CachedPrompt) -> Iterator[StreamedPiece]:
    """Yield the pieces of a planned answer; `held` is what is cached already, and is brought up to date for one sample."""
    held.sides = plan.sides
    try:
        yield from _write(model, plan, held)
    except Cancelled:
        for sample in plan.samples:
            if sample.finish is None:
                yield sample.cancelled()


def _write(model: Any, plan: PlannedAnswer, held: CachedPrompt) -> Iterator[StreamedPiece]:
    scores = read(model, plan.ids, held, cancel=plan.cancel)
    if len(plan.samples) > 1:
        held.cache.batch_repeat_interleave(len(plan.samples))
        scores = scores.expand(len(plan.samples), -1)
    while True:
        chosen = plan.draw.choose(_healed(plan.samples, scores))
        gains = torch.log_softmax(scores.float(), dim=-1).gather(1, chosen[:, None])[:, 0].tolist()
        new = chosen.tolist()
        for sample, token, gain in zip(plan.samples, new, gains, strict=True):
            if sample.finish is None:
                yield sample.take(token, gain, is_end=token in plan.ends)
        if all(sample.finish is not None for sample in plan.samples):
            return
        scores = _forward(model, chosen[:, None], held)
        held.ids.append(new[0])


def _healed(samples: "list[_Sample]", scores: torch.Tensor) -> torch.Tensor:
    """Return the scores (N, V) of tokens that go on with what each sample has to write."""
    if not any(sample.healing for sample in samples):
        return scores
    rows = zip(samples, scores, strict=True)
    return torch.stack([row if sample.healing is None else sample.healing.allowed(row) for sample, row in rows])


def read(model: Any, ids: list[int], held: CachedPrompt, *, cancel: threading.Event | None = None) -> torch.Tensor:
    """Read a prompt, all but what is cached of it, and return the scores (1, V) of the next token.

    Raises:
        Cancelled: `cancel` was set; what was cached stays.
    """
    shared = held.shared_with(ids)
    if shared == 0:
        held.cache = CancellableCache(model.config)
    elif surplus := held.cache.get_seq_length() - shared:
        held.cache.crop(-surplus)
    held.ids, held.cache.cancel = ids[:shared], cancel
    scores = _forward(model, torch.tensor([ids[shared:]], device=model.device), held)
    held.ids = list(ids)
    return scores


@torch.no_grad()
def _forward(model: Any, input_ids: torch.Tensor, held: CachedPrompt) -> torch.Tensor:
    try:
        out = model(input_ids, past_key_values=held.cache, use_cache=True, logits_to_keep=1)
    except Cancelled:
        held.cache.cut_to(len(held.ids))
        if not held.ids:
            held.cache = None
        raise
    except BaseException:
        held.ids, held.cache = [], None  # layers may have seen different tokens: start anew next time
        raise
    scores: torch.Tensor = out.logits[:, -1]
    return scores


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


class _Sample:
    """One sample: its tokens, its text so far, and how much of it was passed on."""

    def __init__(
        self,
        tokenizer: Any,
        sample: int,
        stops: Stop,
        prompt_tokens: int,
        left_out: int,
        most: int,
        healing: Healing | None,
    ) -> None:
        self._tokenizer, self._stops, self._most, self.healing = tokenizer, stops, most, healing
        self._sample, self._prompt_tokens, self._left_out = sample, prompt_tokens, left_out
        self._ids: list[int] = []
        self._shown, self._count, self._score = 0, 0, 0.0
        self.finish: Finish | None = None

    def take(self, token: int, gain: float, *, is_end: bool) -> StreamedPiece:
        """Add a token and return the text that is decided by it."""
        self._count, self._score = self._count + 1, self._score + gain
        if not is_end:
            self._ids.append(token)
            if self.healing:
                self.healing.take(token)
        is_last = is_end or self._count == self._most
        text = decode(self._tokenizer, self._ids, is_whole=is_end)[self.healing.size if self.healing else 0 :]
        size, is_stopped = self._stops.decided(text)
        if is_stopped:
            self.finish = "stop"
        elif is_last:
            self.finish, size = "end" if is_end else "length", len(text)
        size = max(size, self._shown)
        piece, self._shown = text[self._shown : size], size
        return StreamedPiece(
            piece, self._sample, self._count, self._score, self.finish, self._prompt_tokens, self._left_out
        )

    def cancelled(self) -> StreamedPiece:
        """Return the last piece of an answer that is stopped."""
        self.finish = "cancelled"
        return StreamedPiece(
            "", self._sample, self._count, self._score, self.finish, self._prompt_tokens, self._left_out
        )


def decode(tokenizer: Any, ids: Sequence[int], *, is_whole: bool) -> str:
    """Return the text of ids; unless it is whole, without a last character that still lacks bytes."""
    text: str = tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return text if is_whole else text.removesuffix(CUT_CHARACTER)
