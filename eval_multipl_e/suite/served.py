"""Ask a model behind an OpenAI-compatible server, many prompts at a time, and check what it answers."""

import hashlib
import json
import random
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from itertools import groupby
from typing import Any
from urllib.parse import urlsplit

from eval_multipl_e.errors import EvalError
from eval_multipl_e.suite.completing import AnswerSettings, Continued, GapPrompt, of_answer
from eval_multipl_e.suite.fim_forms import OPENING, PREFIX, SUFFIX, FimForm, named_form
from eval_multipl_e.suite.problems import cut_at_stop

_LONGEST_WAIT_S = 60.0
_MOST_STOPS = 4  # OpenAI's own limit; all stops are applied here again


class _PassingError(Exception):
    """What a server may do once and not again; `wait_s` is what it asked for."""

    def __init__(self, said: str, wait_s: float | None = None) -> None:
        super().__init__(said)
        self.wait_s = wait_s


class ServedModel:
    """Continues prompts by `/completions` or, where a chat is asked, `/chat/completions` below `base_url`.

    All prompts of a batch are on their way at once. Samples of one problem go by one request where the server takes
    `n`. Each request has a seed, made of its first sample's key. 429, 5xx, a broken connection and half an answer are
    tried again `retries` times, after the time that the server asks for or twice as long each time.

    Raises:
        EvalError: the server can't be reached, refuses a request, goes on failing, or answers as another model.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        asked: AnswerSettings,
        *,
        retries: int = 6,
        timeout_s: float = 600.0,
        api_key: str | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        if urlsplit(base_url).scheme not in ("http", "https") or not urlsplit(base_url).netloc:
            raise EvalError(f"--base-url is {base_url!r}. Give the address of the API, as http://localhost:8000/v1.")
        self._url, self._model, self._chat = base_url.rstrip("/"), model, asked.chat
        self.form: FimForm | None = None if asked.form == "auto" else named_form(asked.form)
        self._settings = {"temperature": asked.temperature, "top_p": asked.top_p, "max_tokens": asked.max_new_tokens}
        self._retries, self._timeout_s, self._sleep = retries, timeout_s, sleep
        self._headers = {"Content-Type": "application/json"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._takes_n = True

    @property
    def form_name(self) -> str:
        """How prompts are told to the model, for the settings file."""
        return "chat" if self._chat else self.form.name if self.form else "text"

    def check(self) -> None:
        """Refuse a server that can't be reached or that lists other models, before any work is done."""
        try:
            found = self._answer("/models", None, retries=0)
        except EvalError as error:
            if isinstance(error.__cause__, urllib.error.HTTPError):
                return  # it is there, and keeps no list
            raise
        names = [row.get("id") for row in found.get("data") or [] if isinstance(row, dict)]
        if names and not any(_is_same(self._model, name) for name in names):
            raise EvalError(
                f"{self._url} serves {', '.join(map(str, names[:8]))}, not {self._model!r}. Give --model one of them."
            )

    def __call__(self, prompts: Sequence[GapPrompt]) -> list[Continued]:
        """Return the continuations of a batch, in its order."""
        if self._chat is None and any(prompt.suffix is not None for prompt in prompts) and self.form is None:
            raise EvalError("a server does not tell its model's sentinels. Name the form of a gap with --form.")
        groups = [list(group) for _, group in groupby(prompts, key=lambda each: (each.text, each.suffix, each.stops))]
        with ThreadPoolExecutor(max(1, len(prompts))) as pool:
            done = list(pool.map(lambda group: self._group(group, pool), groups))
        return [each for group in done for each in group]

    def _group(self, group: Sequence[GapPrompt], pool: ThreadPoolExecutor) -> list[Continued]:
        """The samples of one problem."""
        if self._settings["temperature"] == 0:
            return self._request(group[0], 1) * len(group)  # greedy: one answer is all of them
        if len(group) > 1 and self._takes_n:
            found = self._request(group[0], len(group))
            if len(found) == len(group):
                return found
            self._takes_n = False
        futures = [pool.submit(self._request, prompt, 1) for prompt in group[1:]]
        return [*self._request(group[0], 1)[:1], *(future.result()[0] for future in futures)]

    def _request(self, prompt: GapPrompt, n: int) -> list[Continued]:
        seed = int.from_bytes(hashlib.sha256(prompt.key.encode()).digest()[:4], "big") >> 1
        body = {"model": self._model, **self._settings, "n": n, "seed": seed, "stream": False}
        if self._chat is not None:
            path, body["messages"] = "/chat/completions", self._chat.messages(prompt.problem or {})
        else:
            path, body["prompt"] = "/completions", self._spelled(prompt)
            stops = [stop for stop in prompt.stops if stop]
            if stops:
                body["stop"] = stops[:_MOST_STOPS]
        answer = self._answer(path, body)
        return [self._continued(prompt, choice) for choice in answer["choices"][:n]]

    def _spelled(self, prompt: GapPrompt) -> str:
        if prompt.suffix is None or self.form is None:
            return prompt.text
        places = {PREFIX: prompt.text, SUFFIX: prompt.suffix, OPENING: ""}
        return "".join(places.get(part, part) for part in self.form.order)

    def _continued(self, prompt: GapPrompt, choice: Mapping[str, Any]) -> Continued:
        is_cut = choice.get("finish_reason") == "length"
        if self._chat is not None:
            return of_answer(_text_of(choice, is_chat=True), prompt, "length" if is_cut else "token")
        text = _text_of(choice, is_chat=False)
        ends = (*self.form.ends, *self.form.text_ends) if self.form else ()
        kept = cut_at_stop(text, (*prompt.stops, *ends))
        return Continued(kept, "stop" if len(kept) < len(text) else "length" if is_cut else "token", 0)

    def _answer(self, path: str, body: Mapping[str, Any] | None, retries: int | None = None) -> dict[str, Any]:
        left = self._retries if retries is None else retries
        wait_s = 1.0
        while True:
            try:
                return self._once(path, body)
            except _PassingError as error:
                if left == 0:
                    tried = 1 + (self._retries if retries is None else retries)
                    raise EvalError(
                        f"{self._url}{path} failed {f'{tried} times, last by' if tried > 1 else 'by'} {error}. "
                        "The same command goes on where this one stopped."
                    ) from error.__cause__
                # A little disorder, so that requests which failed together do not come back together.
                self._sleep(
                    min(_LONGEST_WAIT_S, error.wait_s if error.wait_s is not None else wait_s * random.uniform(1, 1.5))
                )  # no secret
                left, wait_s = left - 1, wait_s * 2

    def _once(self, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(self._url + path, data, self._headers)  # noqa: S310  # http or https, checked
        try:
            with urllib.request.urlopen(asked, timeout=self._timeout_s) as response:  # noqa: S310  # as above
                found = json.loads(response.read())
        except urllib.error.HTTPError as error:
            said = " ".join(error.read(2000).decode("utf-8", "replace").split())[:300]
            if error.code in (408, 409, 425, 429) or error.code >= 500:  # HTTP's own
                raise _PassingError(
                    f"HTTP {error.code}: {said}", _asked_wait(error.headers.get("Retry-After"))
                ) from error
            raise EvalError(
                f"{self._url}{path} refuses the request with HTTP {error.code}: {said or 'no words'}"
            ) from error
        except (OSError, HTTPException, ValueError, RecursionError) as error:
            raise _PassingError(f"{type(error).__name__}: {error}") from error
        if not isinstance(found, dict):
            raise _PassingError(f"an answer that is {type(found).__name__}")
        if body is not None:
            self._check_answer(found)
        return found

    def _check_answer(self, found: Mapping[str, Any]) -> None:
        name, choices = found.get("model"), found.get("choices")
        if isinstance(name, str) and name and not _is_same(self._model, name):
            raise EvalError(
                f"{self._url} answered as model {name!r}, and {self._model!r} was asked. Give --model that name."
            )
        if not isinstance(choices, list) or not choices:
            raise _PassingError("an answer without choices")
        if not all(isinstance(_text_of(choice, is_chat=self._chat is not None), str) for choice in choices):
            raise _PassingError("a choice without text")


def _text_of(choice: Any, *, is_chat: bool) -> Any:
    """The text of a choice; none at all is one where the model was still reasoning at its limit, or a filter stopped it."""
    if not isinstance(choice, dict):
        return None
    holder = choice.get("message") if is_chat else choice
    text = holder.get("content" if is_chat else "text") if isinstance(holder, dict) else None
    return "" if text is None and choice.get("finish_reason") in ("length", "content_filter") else text


def _is_same(asked: str, answered: object) -> bool:
    """Whether two names mean one model: servers add a date, a revision or a path."""
    ours, theirs = asked.rstrip("/").lower(), str(answered).rstrip("/").lower()
    return (
        ours == theirs
        or ours.startswith((theirs + ":", theirs + "@", theirs + "-"))
        or theirs.startswith((ours + ":", ours + "@", ours + "-"))
        or ours.rpartition("/")[2] == theirs.rpartition("/")[2]
    )


def _asked_wait(text: str | None) -> float | None:
    """The seconds that Retry-After asks for, as a number or a date."""
    if not text:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None
