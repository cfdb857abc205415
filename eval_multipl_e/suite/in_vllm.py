"""Run a model with vLLM in this process: token ids in, continuations out.

The prompts are those of `Continuer`, token by token, and each has a seed made of its key. vLLM draws by numbers of its own,
so that drawn texts differ from `Continuer`'s, and its kernels may round otherwise.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

from eval_multipl_e.errors import EvalError
from eval_multipl_e.suite.completing import AnswerSettings, Continued, GapPrompt, of_answer
from eval_multipl_e.suite.fim_forms import FimForm, end_ids, form_of
from eval_multipl_e.suite.model import Sampling, prompt_ids
from eval_multipl_e.suite.problems import cut_at_stop


class VllmModel:
    """Continues prompts by `vllm.LLM.generate`, all of a batch at once.

    Raises:
        EvalError: vLLM is not installed, or the model can't be asked what is asked of it.
    """

    def __init__(
        self,
        name: str,
        sampling: Sampling,
        asked: AnswerSettings,
        *,
        revision: str | None = None,
        dtype: str = "auto",
        trust_remote_code: bool = False,
    ) -> None:
        try:
            import vllm
        except ImportError as error:
            raise EvalError(
                f"--backend vllm: vLLM can't be imported ({error}). Install it (pip install vllm), or leave --backend out."
            ) from error
        self._params, self.version = vllm.SamplingParams, str(vllm.__version__)
        self._llm = vllm.LLM(
            model=name,
            revision=revision,
            tokenizer_revision=revision,
            dtype=dtype,
            trust_remote_code=trust_remote_code,
            seed=0,
        )
        self._tokenizer = self._llm.get_tokenizer()
        if asked.chat is not None and not getattr(self._tokenizer, "chat_template", None):
            raise EvalError("this model's tokenizer has no chat template: it is no chat model. Leave --chat out.")
        self._chat, self._sampling = asked.chat, sampling
        self.form: FimForm = form_of(self._tokenizer, asked.form)
        self._is_named = asked.form != "auto"
        context = int(self._llm.llm_engine.model_config.max_model_len)
        if asked.max_new_tokens >= context:
            raise EvalError(
                f"max_new_tokens={asked.max_new_tokens} leaves no room for a prompt in a context of {context}."
            )
        self._room = context - asked.max_new_tokens
        configured = self._llm.get_default_sampling_params()
        self._ends = end_ids(self._tokenizer, self.form, list(getattr(configured, "stop_token_ids", None) or ()))
        self._end_texts = [text for text in self._tokenizer.convert_ids_to_tokens(self._ends) if text]
        self._settings = {
            "temperature": asked.temperature,
            "top_p": asked.top_p,
            "max_tokens": asked.max_new_tokens,
        }

    def __call__(self, prompts: Sequence[GapPrompt]) -> list[Continued]:
        """Return the continuations of a batch, in its order."""
        is_gap = any(prompt.suffix is not None for prompt in prompts)
        if is_gap and self.form.name == "left-to-right" and not self._is_named:
            raise EvalError("this tokenizer has the sentinels of no form that is known here. Name one with --form.")
        encoded = [
            prompt_ids(self._tokenizer, prompt, self.form, self._chat, fit=self._sampling.fit, room=self._room)
            for prompt in prompts
        ]
        stops = [
            [] if self._chat else [stop for stop in (*each.stops, *self.form.text_ends) if stop] for each in prompts
        ]
        answers = self._llm.generate(
            [{"prompt_token_ids": ids} for ids, _ in encoded],
            [self._params_of(*pair) for pair in zip(prompts, stops, strict=True)],
            use_tqdm=False,
        )
        return [
            self._continued(prompt, answer.outputs[0], stop, left_out)
            for prompt, answer, stop, (_, left_out) in zip(prompts, answers, stops, encoded, strict=True)
        ]

    def _params_of(self, prompt: GapPrompt, stops: list[str]) -> Any:
        seed = int.from_bytes(hashlib.sha256(prompt.key.encode()).digest()[:4], "big") >> 1
        return self._params(
            n=1,
            seed=seed,
            stop=stops or None,
            stop_token_ids=self._ends or None,
            skip_special_tokens=False,
            spaces_between_special_tokens=False,
            **self._settings,
        )

    def _continued(self, prompt: GapPrompt, output: Any, stops: Sequence[str], left_out: int) -> Continued:
        text = cut_at_stop(str(output.text), self._end_texts)
        is_cut = output.finish_reason == "length"
        if self._chat is not None:
            return of_answer(text, prompt, "length" if is_cut else "token")
        kept = cut_at_stop(text, stops)
        # With a text as its reason vLLM has cut the stop itself; a number is a token's, and none the end of text.
        is_stop = len(kept) < len(text) or isinstance(output.stop_reason, str)
        return Continued(kept, "length" if is_cut and not is_stop else "stop" if is_stop else "token", left_out)
