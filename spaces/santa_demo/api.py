"""The named API, `/complete` and `/infill`: what programs call."""

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr
from generation import Chunk, Writer
from prompt import Prompt, RequestError, Settings, completion_prompt
from prompt import infill_prompt as prompt_with_gap
from seen import SeenIndex


def offer_api(writer: Writer, index: SeenIndex | None, concurrency: int) -> None:
    """Add `/complete` and `/infill` to the page that is being built."""

    def answers(make_prompt: Callable[[str], Prompt], text: str, settings: Settings) -> Iterator[dict[str, Any]]:
        try:
            prompt = make_prompt(text)
            for chunk in writer.stream(prompt, settings):
                yield _answer(prompt, chunk, settings, writer, index)
        except RequestError as error:
            raise gr.Error(str(error), print_exception=False) from error

    def complete(
        prompt: str, max_new_tokens: int = 64, temperature: float = 0.2, top_p: float = 0.95, seed: int = 0
    ) -> Iterator[dict[str, Any]]:
        """Continue code from its last character; stream the growing answer.

        Args:
            prompt: The code to continue, at most 100,000 characters. White space counts.
            max_new_tokens: How many tokens to write at most.
            temperature: 0 is greedy; higher is more varied, up to 2.
            top_p: Only the most likely tokens that together have this probability are drawn.
            seed: The same seed and settings give the same text.

        Returns:
            An object with text (all of it), generated, finish_reason (end, length, time; null until then),
            seen_in_training_data (parts of generated as [start, end]; null until then, or without an index) and figures.
        """
        yield from answers(completion_prompt, prompt, Settings(max_new_tokens, temperature, top_p, seed))

    def infill(
        prompt: str, max_new_tokens: int = 64, temperature: float = 0.2, top_p: float = 0.95, seed: int = 0
    ) -> Iterator[dict[str, Any]]:
        """Fill the one gap in code, marked <FILL_HERE> or <FILL-HERE>; stream the growing answer.

        Args:
            prompt: The code with one gap marker, at most 100,000 characters. White space counts.
            max_new_tokens: How many tokens to write at most.
            temperature: 0 is greedy; higher is more varied, up to 2.
            top_p: Only the most likely tokens that together have this probability are drawn.
            seed: The same seed and settings give the same text.

        Returns:
            The same object as /complete; generated is the middle alone.
        """
        yield from answers(prompt_with_gap, prompt, Settings(max_new_tokens, temperature, top_p, seed))

    for function in (complete, infill):
        gr.api(function, api_name=function.__name__, concurrency_limit=concurrency, concurrency_id="model")


def _answer(
    prompt: Prompt, chunk: Chunk, settings: Settings, writer: Writer, index: SeenIndex | None
) -> dict[str, Any]:
    seen = index.look_up(chunk.middle) if index and chunk.finish else None
    return {
        "text": prompt.with_middle(chunk.middle),
        "generated": chunk.middle,
        "finish_reason": chunk.finish,
        "tokens": chunk.tokens,
        "prompt_tokens": chunk.prompt_tokens,
        "prompt_tokens_seen": chunk.seen_tokens,
        "seconds": round(chunk.seconds, 3),
        "tokens_per_second": round(chunk.tokens_per_second, 2),
        "seed": settings.seed,
        "model": writer.loaded.source.name,
        "fingerprint": writer.loaded.fingerprint,
        "seen_in_training_data": None if seen is None else [list(span) for span in seen.spans],
    }
