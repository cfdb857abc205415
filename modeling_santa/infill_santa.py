"""Write the middle between a prefix and a suffix, for one pair or for many."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from transformers import StoppingCriteria

from .completer_santa import Completer
from .draw_santa import Draw, OnlyTokens
from .encode_santa import encode_text
from .errors_santa import ModelError
from .fim_santa import TOKENS, FimMode, end_ids_of, ids_of_sentinels
from .heal_santa import HealedRows, last_word_of, token_bytes_of
from .prompt_santa import Origin, ordered_ids, origin_ids, room_for_prompt, room_to_heal
from .stop_santa import Stop
from .stream_santa import Finish, StreamedPiece, check_settings, decode, stream


class Middle(str):
    """An infilled middle: a plain string that also knows why it ended.

    `finish` is "end" (the model ended it), "stop" (a stop string or a stopping criterion did), "cancelled" or "length"
    (`max_new_tokens` were reached); `is_truncated` says that it is "length".
    """

    __slots__ = ("finish",)
    finish: Finish

    def __new__(cls, text: str, *, is_truncated: bool = False, finish: Finish | None = None) -> Self:
        """Return `text` with the fact attached."""
        middle = super().__new__(cls, text)
        middle.finish = finish or ("length" if is_truncated else "end")
        return middle

    def __getnewargs_ex__(self) -> tuple[tuple[str], dict[str, Any]]:
        """Return what makes an equal middle, for copies and pickles."""
        return (str(self),), {"finish": self.finish}

    @property
    def is_truncated(self) -> bool:
        """Whether `max_new_tokens` cut the middle off."""
        return self.finish == "length"


class MiddleStreamer:
    """Pass the tokens of a middle on to another streamer: no prompt, no end token, nothing that is not decided yet.

    What the other streamer gets decodes to the middle that `infill` returns: tokens of half a character, or of what may
    become a stop string, are held back, and what a stop string cuts, or healing has written again, is encoded anew.
    """

    def __init__(
        self, target: Any, tokenizer: Any, end_ids: Sequence[int], stops: Stop, *, healed_characters: int = 0
    ) -> None:
        self.target, self.tokenizer, self.end_ids, self.stops = target, tokenizer, frozenset(end_ids), stops
        self.healed_characters = healed_characters
        self.is_prompt, self.is_over = True, False
        self.ids: list[int] = []
        self.passed_ids, self.passed_characters = 0, 0
        if getattr(target, "skip_prompt", False):  # it would take our first token for the prompt
            target.put(torch.empty(0, dtype=torch.long))

    def put(self, value: torch.Tensor) -> None:
        """Take the prompt, once, and then one token or several at a time."""
        if self.is_prompt:
            self.is_prompt = False
            return
        for token in value.reshape(-1).tolist():
            if not self.is_over:
                self._add(token)

    def _add(self, token: int) -> None:
        is_end = token in self.end_ids
        if not is_end:
            self.ids.append(token)
        written = decode(self.tokenizer, self.ids, is_whole=is_end)
        text = written[self.healed_characters :]
        size, is_stopped = self.stops.decided(text)
        self.is_over = is_end or is_stopped
        if is_stopped:
            self._pass(encode_text(self.tokenizer, text[self.passed_characters : size]))
        elif is_end or (size == len(text) and written == decode(self.tokenizer, self.ids, is_whole=True)):
            self._pass_all(written)

    def _pass_all(self, written: str) -> None:
        """Pass on all that is new; of the token in which healing ends, the rest of its text."""
        text = written[self.healed_characters :]
        if self.passed_ids or not self.healed_characters:
            self._pass(self.ids[self.passed_ids :])
        elif len(written) >= self.healed_characters:
            self._pass(encode_text(self.tokenizer, text))
        else:
            return
        self.passed_ids, self.passed_characters = len(self.ids), len(text)

    def _pass(self, ids: Sequence[int]) -> None:
        if ids:
            self.target.put(torch.tensor(list(ids)))

    def end(self) -> None:
        """Pass on what was held back for a stop that did not come, and tell the other streamer that the text is whole."""
        if not self.is_over:
            text = decode(self.tokenizer, self.ids, is_whole=False)[self.healed_characters :]
            self._pass(encode_text(self.tokenizer, text[self.passed_characters :]))
        self.target.end()


class StopAtTexts(StoppingCriteria):  # type: ignore[misc]  # transformers ships no types
    """End a row where its answer, the tokens from `start` on, holds a stop string.

    An answer begins behind what healing has written again, `healed_characters` for each gap; a gap's rows stand together.
    transformers' own criterion is not used: it fails with an assistant model, which it gives no tokenizer.
    """

    def __init__(self, tokenizer: Any, start: int, stops: Stop, healed_characters: Sequence[int]) -> None:
        self.tokenizer, self.start, self.stops, self.healed_characters = tokenizer, start, stops, healed_characters

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:  # noqa: ARG002  # its signature
        """Return which rows (B) are done."""
        count = len(input_ids) // len(self.healed_characters)
        texts = (decode(self.tokenizer, row, is_whole=False) for row in input_ids[:, self.start :].tolist())
        answers = (text[self.healed_characters[at // count] :] for at, text in enumerate(texts))
        return torch.tensor([self.stops.decided(answer)[1] for answer in answers], device=input_ids.device)


class StopOnceSet(StoppingCriteria):  # type: ignore[misc]  # transformers ships no types
    """End every row once an event is set."""

    def __init__(self, event: threading.Event) -> None:
        self.event = event

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:  # noqa: ARG002  # its signature
        """Return which rows (B) are done: all, or none."""
        return torch.full((len(input_ids),), self.event.is_set(), device=input_ids.device)


@dataclass(frozen=True)
class PlannedGaps:
    """The prompts of one or more gaps, what each answer writes again first, and the tokens it may have with that."""

    prompts: list[list[int]]
    retold: list[str]
    longest: list[int]
    max_new_tokens: int

    @property
    def start(self) -> int:
        """The tokens of the longest prompt; the others are padded on their left."""
        return max(map(len, self.prompts))


class InfillMixin:
    """Gives a causal model `infill`, `stream` and `completer`; expects `generate`, `config` and `device`."""

    config: Any
    device: Any
    generate: Any

    def stream(
        self, tokenizer: Any, prefix: str, suffix: str | None = None, **settings: Any
    ) -> Iterator[StreamedPiece]:
        """Yield the text for a gap, or after a prefix, as it is written. See `stream_santa.plan_answer` for the settings."""
        return stream(self, tokenizer, prefix, suffix, **settings)

    def completer(
        self, tokenizer: Any, *, texts: int = 4, max_bytes: int | None = None, expire_s: float = 600.0
    ) -> Completer:
        """Return a completion session for texts that are being edited: it reads only what changed since its last call.

        It keeps the caches of up to `texts` texts, of at most `max_bytes` together (1 GiB), each for `expire_s` seconds
        after its last use.
        """
        return Completer(self, tokenizer, texts=texts, max_bytes=max_bytes, expire_s=expire_s)

    @torch.no_grad()
    def infill(
        self,
        tokenizer: Any,
        prefix: str | Sequence[str],
        suffix: str | Sequence[str],
        *,
        mode: FimMode = "psm",
        max_new_tokens: int | None = None,
        allow_truncated: bool = False,
        seed: int | None = None,
        file_name: str | None = None,
        repo_name: str | None = None,
        heal: bool = False,
        cancel: threading.Event | None = None,
        **generate_kwargs: Any,
    ) -> Middle | list[Middle] | list[list[Middle]]:
        """Return the text that belongs between `prefix` and `suffix`: one, or a list for lists.

        Generation ends at any special token and only the middle is returned. Special tokens spelled out in the
        caller's text are encoded as plain text. `max_new_tokens` is 256, or what the context leaves. A prompt too long
        for the context loses what stands farthest from the gap. Greedy unless `do_sample=True` or a `generation_config`
        is passed; with a `seed` each gap draws by `temperature` and `top_p` from random numbers of its own. With
        `num_return_sequences` above 1, a list of samples stands in place of each middle. `stop_strings` end a middle and
        are no part of it. A `streamer` of transformers (for one gap) gets the tokens of the middle as they come, and
        nothing of the prompt or the special tokens; a `TextIteratorStreamer` is read while `infill` runs in another
        thread. `file_name` and `repo_name` tell a model of the StarCoder family where the text is from. With `heal` the
        last word or blanks before each gap are left out of its prompt and written first, so that a word cut by the gap
        has its usual tokens; they are no part of the middle, and where texts are too long for the context each leaves
        room for the longest of them. Once `cancel` is set, by any thread, no further token is written and `finish` is
        "cancelled".

        Raises:
            ModelError: lists of different lengths, a setting out of range, a streamer for more than one answer, no room
                for a prompt, or a middle that reached `max_new_tokens` without an end, unless `allow_truncated`; each
                result's `finish` says why it ended.
        """
        prefixes, suffixes = ([side] if isinstance(side, str) else list(side) for side in (prefix, suffix))
        if len(prefixes) != len(suffixes):
            raise ModelError(
                f"infill: {len(prefixes)} prefixes but {len(suffixes)} suffixes. Give one suffix a prefix."
            )
        check_settings(mode=mode, max_new_tokens=max_new_tokens)
        if not prefixes:
            return []
        end_ids, pad_id = end_ids_of(tokenizer), ids_of_sentinels(tokenizer)[TOKENS.pad]
        gaps = _planned(
            tokenizer,
            prefixes,
            suffixes,
            context=self.config.n_positions,
            mode=mode,
            max_new_tokens=max_new_tokens,
            origin=origin_ids(tokenizer, file_name, repo_name),
            heal=heal,
        )
        start, max_new_tokens = gaps.start, gaps.max_new_tokens
        input_ids = torch.tensor([[pad_id] * (start - len(ids)) + ids for ids in gaps.prompts], device=self.device)
        mask = torch.tensor([[0] * (start - len(ids)) + [1] * len(ids) for ids in gaps.prompts], device=self.device)
        stops = Stop(_texts(generate_kwargs.pop("stop_strings", None)))
        settings = _settings(tokenizer, generate_kwargs, end_ids, pad_id, gaps, seed, stops)
        criteria = [*(generate_kwargs.get("stopping_criteria") or [])]
        if stops.rule:
            criteria.append(StopAtTexts(tokenizer, start, stops, [len(text) for text in gaps.retold]))
        if cancel is not None:
            criteria.append(StopOnceSet(cancel))
        settings["stopping_criteria"] = criteria
        most = max(gaps.longest)
        if most == 1:
            settings.pop("assistant_model", None)  # with one, transformers 5.17 writes no token at all
        out = self.generate(input_ids=input_ids, attention_mask=mask, max_new_tokens=most, **settings)
        rows = getattr(out, "sequences", out)[:, start:].tolist()
        count = len(rows) // len(gaps.prompts)
        middles = [
            _middle(tokenizer, row[: gaps.longest[at // count]], end_ids, stops, gaps, at // count, cancel)
            for at, row in enumerate(rows)
        ]
        if not allow_truncated and any(middle.is_truncated for middle in middles):
            raise ModelError(
                f"infill: the completion reached max_new_tokens={max_new_tokens} without {TOKENS.end_of_text}; "
                "the middle may be cut. Raise max_new_tokens or pass allow_truncated=True."
            )
        if count == 1:
            return middles[0] if isinstance(prefix, str) else middles
        samples = [middles[at : at + count] for at in range(0, len(middles), count)]
        return samples[0] if isinstance(prefix, str) else samples


def _planned(
    tokenizer: Any,
    prefixes: Sequence[str],
    suffixes: Sequence[str],
    *,
    context: int,
    mode: FimMode,
    max_new_tokens: int | None,
    origin: Origin,
    heal: bool,
) -> PlannedGaps:
    """Return the prompts of gaps, cut to one room."""
    retold = [last_word_of(prefix) if heal else "" for prefix in prefixes]
    again = [len(encode_text(tokenizer, text)) for text in retold]
    kept = [prefix[: len(prefix) - len(text)] for prefix, text in zip(prefixes, retold, strict=True)]
    sides = [tuple(encode_text(tokenizer, side) for side in gap) for gap in zip(kept, suffixes, strict=True)]
    lengths = (len(before) + more + len(after) for (before, after), more in zip(sides, again, strict=True))
    room, max_new_tokens = room_for_prompt(context, max_new_tokens, 3 + sum(map(len, origin)) + max(lengths))
    room, _ = room_to_heal(context, room, max_new_tokens, max(again))
    prompts = [ordered_ids(tokenizer, before, after, room, mode=mode, origin=origin) for before, after in sides]
    longest = [min(max_new_tokens + more, context - room) for more in again]
    return PlannedGaps(prompts, retold, longest, max_new_tokens)


def special_ids(tokenizer: Any) -> dict[str, int]:
    """Return the ids of the five special tokens, by SantaCoder's spelling; see `fim_santa.ids_of_sentinels`."""
    return ids_of_sentinels(tokenizer)


def _texts(stops: str | Sequence[str] | None) -> Sequence[str]:
    return [stops] if isinstance(stops, str) else stops or ()


def _settings(
    tokenizer: Any,
    given: dict[str, Any],
    end_ids: list[int],
    pad_id: int,
    planned: PlannedGaps,
    seed: int | None,
    stops: Stop,
) -> dict[str, Any]:
    """Return generate's settings: ours, and over them what the caller passed."""
    gaps = len(planned.prompts)
    settings: dict[str, Any] = {"eos_token_id": end_ids, "pad_token_id": pad_id, **given}
    settings["logits_processor"] = [OnlyTokens(len(tokenizer)), *(given.get("logits_processor") or [])]
    if any(planned.retold):
        table = token_bytes_of(tokenizer)
        settings["logits_processor"].append(HealedRows(table, planned.retold, planned.start))
    if "generation_config" not in given:
        settings.setdefault("do_sample", False)
    count = given.get("num_return_sequences") or 1
    if seed is not None:
        temperature, top_p = (settings.pop(name, 1.0) or 1.0 for name in ("temperature", "top_p"))
        check_settings(temperature=temperature, top_p=top_p)
        if count != 1 or not settings.pop("do_sample", False):
            raise ModelError("infill: a seed needs do_sample=True and one sample a gap. Call model.stream for several.")
        draw = Draw([f"{seed}/{i}" for i in range(gaps)], temperature=temperature, top_p=top_p, n_tokens=len(tokenizer))
        settings |= {"do_sample": False, "logits_processor": [*settings["logits_processor"], draw]}
    if settings.get("streamer") is not None:
        if gaps * count > 1:
            raise ModelError(
                f"infill: a streamer takes one gap, not {gaps * count}. Leave it out, or loop over the gaps."
            )
        healed = len(planned.retold[0])
        settings["streamer"] = MiddleStreamer(settings["streamer"], tokenizer, end_ids, stops, healed_characters=healed)
    return settings


def _middle(
    tokenizer: Any,
    ids: list[int],
    end_ids: list[int],
    stops: Stop,
    gaps: PlannedGaps,
    gap: int,
    cancel: threading.Event | None,
) -> Middle:
    """Return the text before the first special token or stop string, and why it ended."""
    end = next((at for at, token_id in enumerate(ids) if token_id in end_ids), None)
    text = decode(tokenizer, ids[:end], is_whole=end is not None)[len(gaps.retold[gap]) :]
    size, is_stopped = stops.decided(text)
    if is_stopped:
        return Middle(text[:size], finish="stop")
    finish: Finish = "end" if end is not None else "length" if len(ids) >= gaps.longest[gap] else "stop"
    if finish == "stop" and cancel is not None and cancel.is_set():
        finish = "cancelled"
    return Middle(text, finish=finish)
