"""Batches of prompts continued by a causal model, each row by draws of its own.

A row's random numbers come from (seed, problem, sample) alone, and the token from them by inverse distribution
function, so that neither the batch nor the shard a row lands in has a say in its draws.
"""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessor, StoppingCriteria

from eval_multipl_e.errors import EvalError
from eval_multipl_e.suite.chat import ChatRequest
from eval_multipl_e.suite.completing import Continued, GapPrompt, of_answer
from eval_multipl_e.suite.fim_forms import FimForm, encode, end_ids, form_of
from eval_multipl_e.suite.problems import cut_at_stop


def open_model(
    name: str,
    *,
    revision: str | None = None,
    dtype: str = "auto",
    device: str = "auto",
    trust_remote_code: bool = False,
) -> tuple[Any, Any]:
    """A model and its tokenizer by the Auto classes, ready to continue text."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if name.startswith((".", "/", "~")) and not Path(name).is_dir():
        raise EvalError(f"there is no model folder {name}. Give a folder with a config.json, or a repository.")
    place = device_of(device)
    common = {"revision": revision, "trust_remote_code": trust_remote_code}
    model = AutoModelForCausalLM.from_pretrained(name, dtype=dtype, **common)
    return model.to(place).eval(), AutoTokenizer.from_pretrained(name, **common)


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
    """A model with its form and sampling settings: prompts in, continuations out."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        form: str = "auto",
        chat: ChatRequest | None = None,
        temperature: float = 0.2,
        top_p: float = 0.95,
        max_new_tokens: int = 512,
    ) -> None:
        if not temperature >= 0 or not 0 < top_p <= 1:
            raise EvalError(
                f"temperature={temperature} and top_p={top_p}: give 0 (greedy) or more, and 0 < top_p <= 1."
            )
        if max_new_tokens < 1:
            raise EvalError(f"max_new_tokens={max_new_tokens} is below 1.")
        context = getattr(model.config, "max_position_embeddings", None) or getattr(model.config, "n_positions", None)
        if context is not None and max_new_tokens >= context:
            raise EvalError(f"max_new_tokens={max_new_tokens} leaves no room for a prompt in a context of {context}.")
        if chat is not None and not getattr(tokenizer, "chat_template", None):
            raise EvalError("this model's tokenizer has no chat template: it is no chat model. Leave --chat out.")
        self._chat = chat
        self.form: FimForm = form_of(tokenizer, form)
        self._model, self._tokenizer = model, tokenizer
        self._temperature, self._top_p, self._max_new = temperature, top_p, max_new_tokens
        self._room = None if context is None else context - max_new_tokens
        configured = getattr(model, "generation_config", None)
        self._ends = end_ids(tokenizer, self.form, getattr(configured, "eos_token_id", None))
        self._is_named = form != "auto"

    @torch.inference_mode()
    def __call__(self, prompts: Sequence[GapPrompt]) -> list[Continued]:
        """Continues the prompts as one batch, padded on the left."""
        if (
            any(prompt.suffix is not None for prompt in prompts)
            and self.form.name == "left-to-right"
            and not self._is_named
        ):
            found = ", ".join(sorted(self._tokenizer.all_special_tokens)[:12]) or "none"
            raise EvalError(
                f"this tokenizer has the sentinels of no form that is known here (special tokens: {found}). Describe the "
                "model's form in a file and give it with --form; or ask for 'left-to-right' to continue the text before "
                "the gap alone, whose score is no infilling score."
            )
        encoded = [self._encoded(prompt) for prompt in prompts]
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
        draws = [random.Random(prompt.key) for prompt in prompts]
        drawer = _Drawer(draws, self._temperature, self._top_p, len(self._tokenizer))
        # A configuration of its own: a model folder may ask for sampling or penalties, which must not add to ours.
        self._model.generation_config = GenerationConfig(
            eos_token_id=self._ends or None, pad_token_id=pad, max_new_tokens=self._max_new
        )
        out = self._model.generate(
            input_ids=input_ids,
            attention_mask=mask,
            logits_processor=[drawer],
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

    def _encoded(self, prompt: GapPrompt) -> tuple[list[int], int]:
        if self._chat is None:
            return encode(self._tokenizer, self.form, prompt.text, prompt.suffix, room=self._room)
        messages = self._chat.messages(prompt.problem or {})
        text = self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        ids = list(self._tokenizer(text, add_special_tokens=False)["input_ids"])
        if self._room is not None and len(ids) > self._room:
            raise EvalError(
                f"a chat of {len(ids)} tokens leaves no room for an answer: the context less the answer is {self._room}. "
                "Lower --max-new-tokens."
            )
        return ids, 0

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


def pick(logits: torch.Tensor, uniforms: Sequence[float], temperature: float, top_p: float) -> torch.Tensor:
    """One token id a row: the likeliest at temperature 0, else drawn from the nucleus by the row's number in [0, 1).

    The nucleus is the smallest set of likeliest tokens that holds `top_p` of the probability; ties go by id.
    """
    if temperature == 0:
        return logits.argmax(dim=-1)
    ordered, ids = torch.sort(logits.float() / temperature, dim=-1, descending=True, stable=True)
    mass = torch.softmax(ordered.double(), dim=-1).cumsum(dim=-1)
    last = (mass < top_p).sum(dim=-1, keepdim=True).clamp(max=mass.shape[-1] - 1)
    target = torch.tensor(uniforms, dtype=torch.float64, device=mass.device)[:, None] * mass.gather(1, last)
    rank = torch.minimum((mass <= target).sum(dim=-1, keepdim=True), last)
    return ids.gather(1, rank)[:, 0]


class _Drawer(LogitsProcessor):  # type: ignore[misc]  # transformers ships no types
    """Leaves each row only the token that its own draw picked, so that greedy search takes it."""

    def __init__(self, draws: list[random.Random], temperature: float, top_p: float, n_tokens: int) -> None:
        self._draws, self._temperature, self._top_p, self._n_tokens = draws, temperature, top_p, n_tokens

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # noqa: ARG002  # its signature
        """The scores with everything but the drawn tokens ruled out; ids that only pad the matrix are never drawn."""
        uniforms = [draw.random() for draw in self._draws]
        chosen = pick(scores[:, : self._n_tokens], uniforms, self._temperature, self._top_p)
        return torch.full_like(scores, -torch.inf).scatter_(1, chosen[:, None], 0.0)


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
