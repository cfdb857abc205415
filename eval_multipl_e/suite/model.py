"""Continue prompts in batches with a causal model that transformers opens.

How tokens are drawn and how long prompts are cut is not written here: whoever opens the model hands it in as `Sampling`.
The command hands in the model's own (`modeling_santa.draw_santa.Draw`, `modeling_santa.prompt_santa.fit`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, StoppingCriteria

from eval_multipl_e.errors import EvalError
from eval_multipl_e.suite.chat import ChatRequest
from eval_multipl_e.suite.completing import AnswerSettings, Continued, GapPrompt, of_answer
from eval_multipl_e.suite.fim_forms import FimForm, Fit, encode, end_ids, form_of
from eval_multipl_e.suite.problems import cut_at_stop


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn, and how a prompt is cut to its context.

    Attributes:
        draw: Called as `draw(keys, temperature=…, top_p=…, n_tokens=…)` for a batch. Returns a logits processor for
            `generate` that leaves each row of the scores (B, V) only the token which the row's own key draws among the
            first `n_tokens` ids.
        fit: Called as `fit(prefix, suffix, room)`. Returns the ids of both sides nearest to the gap, at most `room`.
    """

    draw: Callable[..., Any]
    fit: Fit


def open_model(
    name: str,
    *,
    revision: str | None = None,
    dtype: str = "auto",
    device: str = "auto",
    trust_remote_code: bool = False,
) -> tuple[Any, Any]:
    """Return a model and its tokenizer by the Auto classes, ready to continue text."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if name.startswith((".", "/", "~")) and not Path(name).is_dir():
        raise EvalError(f"there is no model folder {name}. Give a folder with a config.json, or a repository.")
    place = device_of(device)
    common = {"revision": revision, "trust_remote_code": trust_remote_code}
    model = AutoModelForCausalLM.from_pretrained(name, dtype=dtype, **common)
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, **common)
    except ValueError as error:
        raise EvalError(
            f"{name} has no tokenizer that can be opened. Copy tokenizer.json and "
            "tokenizer_config.json of the model that it was made from into it."
        ) from error
    return model.to(place).eval(), tokenizer


def device_of(name: str) -> torch.device:
    """Return the device that `--device` names; `auto` is the first GPU where there is one, else the CPU.

    Raises:
        EvalError: there is no such kind of device, or this machine lacks it.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    unknown = EvalError(f"--device is {name!r}. Give auto, cpu, cuda, cuda:N or mps.")
    try:
        device = torch.device(name if name != "auto" else "cuda" if count else "cpu")
    except RuntimeError as error:
        raise unknown from error
    if device.type not in ("cpu", "cuda", "mps"):
        raise unknown
    if device.type == "cuda" and (device.index or 0) >= count:
        raise EvalError(f"--device is {name!r}, but PyTorch sees {count} CUDA devices. Give auto, cpu or one of them.")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise EvalError(f"--device is {name!r}, but PyTorch has no MPS device here. Give auto or cpu.")
    return device


class Continuer:
    """Continue prompts with one model and tokenizer; call it with a batch.

    Raises:
        EvalError: the context leaves no room for a prompt, the tokenizer lacks the tokens of the form that is asked for,
            or a chat is asked of a tokenizer without a chat template.
    """

    def __init__(self, model: Any, tokenizer: Any, sampling: Sampling, asked: AnswerSettings) -> None:
        max_new_tokens = asked.max_new_tokens
        context = getattr(model.config, "max_position_embeddings", None) or getattr(model.config, "n_positions", None)
        if context is not None and max_new_tokens >= context:
            raise EvalError(f"max_new_tokens={max_new_tokens} leaves no room for a prompt in a context of {context}.")
        if asked.chat is not None and not getattr(tokenizer, "chat_template", None):
            raise EvalError("this model's tokenizer has no chat template: it is no chat model. Leave --chat out.")
        self._chat, self._asked, self._sampling = asked.chat, asked, sampling
        self.form: FimForm = form_of(tokenizer, asked.form)
        self._model, self._tokenizer = model, tokenizer
        self._room = None if context is None else context - max_new_tokens
        configured = getattr(model, "generation_config", None)
        self._ends = end_ids(tokenizer, self.form, getattr(configured, "eos_token_id", None))

    @torch.inference_mode()
    def __call__(self, prompts: Sequence[GapPrompt]) -> list[Continued]:
        """Continue the prompts as one batch, padded on the left."""
        has_gap = any(prompt.suffix is not None for prompt in prompts)
        if has_gap and self.form.name == "left-to-right" and self._asked.form == "auto":
            found = ", ".join(sorted(self._tokenizer.all_special_tokens)[:12]) or "none"
            raise EvalError(
                f"this tokenizer has the sentinels of no form that is known here (special tokens: {found}). Describe the "
                "model's form in a file and give it with --form; or ask for 'left-to-right' to continue the text before "
                "the gap alone, whose score is no infilling score."
            )
        encoded = [
            prompt_ids(self._tokenizer, prompt, self.form, self._chat, fit=self._sampling.fit, room=self._room)
            for prompt in prompts
        ]
        if any(not ids for ids, _ in encoded):
            raise EvalError("a prompt is empty, and this tokenizer puts nothing before a text. Give some text.")
        pad = self._tokenizer.pad_token_id
        pad = pad if pad is not None else self._ends[0] if self._ends else 0
        longest = max(len(ids) for ids, _ in encoded)
        device = self._model.device
        input_ids = torch.tensor([[pad] * (longest - len(ids)) + ids for ids, _ in encoded], device=device)
        mask = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids, _ in encoded], device=device)
        # A chat model's answer may name a stop before its code begins.
        stops = [() if self._chat else (*prompt.stops, *self.form.text_ends) for prompt in prompts]
        stopper = _Stopper(self._tokenizer, longest, stops)
        draw = self._sampling.draw(
            [prompt.key for prompt in prompts],
            temperature=self._asked.temperature,
            top_p=self._asked.top_p,
            n_tokens=len(self._tokenizer),
        )
        # A configuration of its own: a model folder may ask for sampling or penalties, which must not add to ours.
        self._model.generation_config = GenerationConfig(
            eos_token_id=self._ends or None, pad_token_id=pad, max_new_tokens=self._asked.max_new_tokens
        )
        out = self._model.generate(
            input_ids=input_ids,
            attention_mask=mask,
            logits_processor=[draw],
            stopping_criteria=[stopper],
        )
        rows = [row[longest:end] for row, end in zip(out.tolist(), stopper.ended_at, strict=True)]
        continued = [
            self._continued(ids, row, stop, left_out)
            for (ids, left_out), row, stop in zip(encoded, rows, stops, strict=True)
        ]
        if self._chat is None:
            return continued
        return [of_answer(each.text, prompt, each.end) for each, prompt in zip(continued, prompts, strict=True)]

    def _continued(self, prompt: list[int], row: list[int], stops: Sequence[str], left_out: int) -> Continued:
        at = next((i for i, token in enumerate(row) if token in self._ends), None)
        before, whole = (self._decode(ids) for ids in (prompt, prompt + row[:at]))
        # Tokenizers that mark a text's beginning would drop the blank before a continuation decoded alone.
        text = whole[len(before) :] if whole.startswith(before) else self._decode(row[:at])
        kept = cut_at_stop(text, stops)
        end = "stop" if len(kept) < len(text) else "token" if at is not None else "length"
        return Continued(kept, end, left_out)

    def _decode(self, ids: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text


def prompt_ids(
    tokenizer: Any, prompt: GapPrompt, form: FimForm, chat: ChatRequest | None, *, fit: Fit, room: int | None
) -> tuple[list[int], int]:
    """Return the ids of a prompt in a form, or of the chat that asks for it, and how many ids were left out.

    Raises:
        EvalError: a chat is longer than the room, and it can't be cut.
    """
    if chat is None:
        return encode(tokenizer, form, prompt.text, prompt.suffix, fit, room=room)
    text = tokenizer.apply_chat_template(
        chat.messages(prompt.problem or {}), tokenize=False, add_generation_prompt=True
    )
    ids = list(tokenizer(text, add_special_tokens=False)["input_ids"])
    if room is not None and len(ids) > room:
        raise EvalError(
            f"a chat of {len(ids)} tokens leaves no room for an answer: the context less the answer is {room}. "
            "Lower --max-new-tokens."
        )
    return ids, 0


class _Stopper(StoppingCriteria):  # type: ignore[misc]  # transformers ships no types
    """Ends each row where one of its own stop texts is complete; looks only at the tokens that could hold it."""

    def __init__(self, tokenizer: Any, start: int, stops: Sequence[Sequence[str]]) -> None:
        self._tokenizer, self._start, self._stops = tokenizer, start, stops
        # A token gives at least a byte of text; a few more, because a cut character decodes otherwise.
        self._window = max((len(stop.encode()) for row in stops for stop in row), default=0) + 8
        self.ended_at: list[int | None] = [None] * len(stops)

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:  # noqa: ARG002  # its signature
        """Which rows are done."""
        length = input_ids.shape[1]
        tails = input_ids[:, max(self._start, length - self._window) :].tolist()
        for i, (tail, stops) in enumerate(zip(tails, self._stops, strict=True)):
            if self.ended_at[i] is None and stops:
                text = self._tokenizer.decode(tail, skip_special_tokens=False, clean_up_tokenization_spaces=False)
                if any(stop in text for stop in stops):
                    self.ended_at[i] = length
        return torch.tensor([end is not None for end in self.ended_at], device=input_ids.device)
