"""Text from the model as a stream of growing middles, seeded per request and stopped by closing the stream.

A model of hf-santa's class streams by itself; `generate` serves the others.
"""

import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from gpu import MAX_SECONDS, on_gpu
from loading import LoadedModel
from prompt import Prompt, RequestError, Settings
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)
from transformers.generation.streamers import BaseStreamer

STREAM_EVERY_S = 0.08  # a chunk costs the server and the browser a few ms; 12 a second read as smooth

Finish = Literal["end", "length", "time"]


@dataclass(frozen=True)
class Chunk:
    """The middle so far, with what it cost; `finish` is None until the last chunk."""

    middle: str
    tokens: int
    seconds: float
    prompt_tokens: int
    seen_tokens: int
    finish: Finish | None = None

    @property
    def tokens_per_second(self) -> float:
        """Generated tokens over the seconds since the model began to read the prompt."""
        return self.tokens / self.seconds if self.seconds > 0 else 0.0


class SeededSampling(LogitsProcessor):  # type: ignore[misc]  # transformers is untyped here
    """Scores whose argmax is a nucleus sample drawn from this request's own random generator.

    Gumbel's trick: argmax(log p + Gumbel noise) is distributed as p, and -log of an exponential variate is
    Gumbel noise. Greedy decoding then samples, with no global random state that two visitors would share.
    """

    def __init__(self, settings: Settings, vocab_size: int) -> None:
        self._vocab_size = vocab_size
        self._warpers: list[LogitsProcessor] = []
        self._generator: torch.Generator | None = None
        if settings.temperature > 0:
            self._warpers = [TemperatureLogitsWarper(settings.temperature)]
            if settings.top_p < 1:
                self._warpers.append(TopPLogitsWarper(settings.top_p))
            self._generator = torch.Generator().manual_seed(settings.seed)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return the scores, warped and perturbed; rows past the tokenizer's vocabulary are never chosen."""
        scores = scores.float()
        scores[:, self._vocab_size :] = -torch.inf
        if self._generator is None:
            return scores
        for warper in self._warpers:
            scores = warper(input_ids, scores)
        noise = torch.empty(scores.shape).exponential_(generator=self._generator)  # on CPU: one draw on any device
        return scores - noise.clamp_min(torch.finfo(noise.dtype).tiny).log().to(scores.device)


class _Brake(StoppingCriteria):  # type: ignore[misc]  # transformers is untyped here
    """Stops generation before its next token once the visitor has left or the time is up."""

    def __init__(self, left: threading.Event) -> None:
        self._left = left
        self._deadline = time.monotonic() + MAX_SECONDS

    @property
    def is_late(self) -> bool:
        return time.monotonic() > self._deadline

    def __call__(self, input_ids: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        stop = self._left.is_set() or self.is_late
        return torch.full((input_ids.shape[0],), stop, device=input_ids.device, dtype=torch.bool)


class _TokenQueue(BaseStreamer):  # type: ignore[misc]  # transformers is untyped here
    """Hands new token ids to another thread; the end is None, or the exception that ended generation."""

    def __init__(self) -> None:
        self.items: queue.SimpleQueue[int | BaseException | None] = queue.SimpleQueue()
        self._is_prompt = True

    def put(self, value: torch.Tensor) -> None:
        if self._is_prompt:  # generate() sends the prompt first
            self._is_prompt = False
            return
        self.items.put(int(value.reshape(-1)[0]))

    def end(self) -> None:
        """Leave the end to the thread, which also reports a failure."""


def prompt_ids(prompt: Prompt, loaded: LoadedModel, room: int) -> tuple[list[int], int]:
    """Return the token ids the model reads, at most `room`, and how many the whole prompt would have had.

    A completion keeps the end of the text; an infill keeps the text nearest to the gap on both sides, half
    of the room each unless one side leaves some over. Sentinels in the visitor's text stay ordinary text.
    """
    prefix = _text_ids(prompt.prefix, loaded)
    if prompt.suffix is None:
        return prefix[-room:], len(prefix)
    if loaded.fim_ids is None:
        raise RequestError("This model has no fill-in-the-middle tokens. Use completion, or load a SantaCoder model.")
    suffix = _text_ids(prompt.suffix, loaded)
    free = room - 3
    kept_suffix = min(len(suffix), max(free // 2, free - len(prefix)))
    kept_prefix = min(len(prefix), free - kept_suffix)
    sentinel = loaded.fim_ids
    ids = [
        sentinel.prefix,
        *prefix[len(prefix) - kept_prefix :],
        sentinel.suffix,
        *suffix[:kept_suffix],
        sentinel.middle,
    ]
    return ids, len(prefix) + len(suffix) + 3


def _text_ids(text: str, loaded: LoadedModel) -> list[int]:
    ids: list[int] = loaded.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    if not loaded.special_ids.isdisjoint(ids):
        raise RequestError("The text spells a special token that this tokenizer cannot read as plain text. Remove it.")
    return ids


@dataclass(frozen=True)
class Request:
    """Token ids to read, how many the whole prompt has, settings within their ranges, and the texts: ready for a GPU."""

    ids: list[int]
    prompt_tokens: int
    settings: Settings
    prompt: Prompt


class Writer:
    """Writes with one model, on a lent GPU where there is one; what is refused is refused before a GPU is asked for."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded = loaded

        def write(request: Request) -> Iterator[Chunk]:  # a closure: a lent GPU's process gets only the request
            yield from (_streamed if hasattr(loaded.model, "stream") else _generated)(request, loaded)

        self._write = on_gpu(write)

    def stream(self, prompt: Prompt, settings: Settings) -> Iterator[Chunk]:
        """Yield the growing middle, at most about twelve times a second; the last chunk says why it ended.

        The same prompt and settings give the same text, whatever else the process generates meanwhile. Closing
        the iterator stops the model before its next token. Raises RequestError for settings out of range.
        """
        settings = settings.checked(self.loaded.max_new_tokens)
        room = self.loaded.n_positions - settings.max_new_tokens
        yield from self._write(Request(*prompt_ids(prompt, self.loaded, room), settings, prompt))


def _streamed(request: Request, loaded: LoadedModel) -> Iterator[Chunk]:
    settings, started = request.settings, time.perf_counter()
    middle, shown_at = "", -STREAM_EVERY_S
    for piece in loaded.model.stream(
        loaded.tokenizer,
        request.prompt.prefix,
        request.prompt.suffix,
        max_new_tokens=settings.max_new_tokens,
        temperature=settings.temperature,
        top_p=settings.top_p,
        seed=settings.seed,
    ):
        middle += piece.text
        seconds = time.perf_counter() - started
        finish: Finish | None = piece.finish or ("time" if seconds > MAX_SECONDS else None)
        if finish or seconds - shown_at >= STREAM_EVERY_S:
            shown_at = seconds
            tokens = piece.tokens - (finish == "end")  # the model's own end is no part of the text
            yield Chunk(middle, tokens, seconds, request.prompt_tokens, piece.prompt_tokens, finish)
        if finish:
            return


def _generated(request: Request, loaded: LoadedModel) -> Iterator[Chunk]:
    ids, prompt_tokens, settings = request.ids, request.prompt_tokens, request.settings
    left = threading.Event()
    tokens = _TokenQueue()
    brake = _Brake(left)
    thread = threading.Thread(target=_generate, args=(ids, settings, loaded, tokens, brake), daemon=True)
    started = time.perf_counter()
    thread.start()
    try:
        new_ids: list[int] = []
        shown_at = -STREAM_EVERY_S
        while isinstance(item := tokens.items.get(), int):
            if item in loaded.special_ids:
                continue  # the model's own end: not part of the text
            new_ids.append(item)
            seconds = time.perf_counter() - started
            if seconds - shown_at >= STREAM_EVERY_S:
                shown_at = seconds
                # A character may still lack bytes: its replacement sign is held back until the next token.
                middle = _decode(new_ids, loaded).rstrip("\ufffd")
                yield Chunk(middle, len(new_ids), seconds, prompt_tokens, len(ids))
        if item is not None:
            raise RuntimeError(f"generation ended early: {type(item).__name__}") from item
        seconds = time.perf_counter() - started
        finish: Finish = "length" if len(new_ids) == settings.max_new_tokens else "time" if brake.is_late else "end"
        yield Chunk(_decode(new_ids, loaded), len(new_ids), seconds, prompt_tokens, len(ids), finish)
    finally:
        left.set()
        thread.join()


def _decode(ids: list[int], loaded: LoadedModel) -> str:
    return str(loaded.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))


def _generate(
    ids: list[int], settings: Settings, loaded: LoadedModel, tokens: _TokenQueue, brake: StoppingCriteria
) -> None:
    end: BaseException | None = None
    try:
        input_ids = torch.tensor([ids], device=loaded.model.device)
        loaded.model.generate(
            input_ids=input_ids,
            attention_mask=torch.ones_like(input_ids),
            max_new_tokens=settings.max_new_tokens,
            do_sample=False,
            logits_processor=LogitsProcessorList([SeededSampling(settings, len(loaded.tokenizer))]),
            stopping_criteria=StoppingCriteriaList([brake]),
            streamer=tokens,
        )
    except Exception as error:  # noqa: BLE001  # re-raised in stream()
        end = error
    tokens.items.put(end)
