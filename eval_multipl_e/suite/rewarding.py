"""Give a number for each completion that is run, as the reward of reinforcement learning."""

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any

from eval_multipl_e.errors import EvalError
from eval_multipl_e.execution import MODES, STATUSES, Outcome, Turns, judged, toolchain_problem
from eval_multipl_e.execution_batch import usable_processors
from eval_multipl_e.execution_cache import KeptOutcomes
from eval_multipl_e.languages import language_of
from eval_multipl_e.sandbox import resolve
from eval_multipl_e.sandbox_box import SandboxError
from eval_multipl_e.scoring import check_gate
from eval_multipl_e.suite.chat import code_of_answer
from eval_multipl_e.suite.problems import cut_at_stop
from eval_multipl_e.toolchains import missing_library
from eval_multipl_e.warm import Warm

PASS_ONLY: Mapping[str, float] = MappingProxyType({"OK": 1.0})
_COLUMNS = ("prompt", "tests", "language", "stop_tokens")

Completion = str | Sequence[Mapping[str, Any]]


class Reward:
    """Runs completions with their problems' tests and gives a number for each: 1.0 for a pass, else 0.0.

    What it keeps warm, an interpreter for instance, lives until `close`. Any number of threads may call it at once;
    all calls share `num_workers` programs at a time. `values` gives other numbers by status, as
    `{"OK": 1.0, "AssertionError": 0.1}`; a status that it does not name counts 0.0. The other settings are those of
    `score`. Trainers name what they log after `__name__`.
    """

    def __init__(
        self,
        *,
        values: Mapping[str, float] = PASS_ONLY,
        mode: str = "strict",
        timeout_s: float | None = 5.0,
        num_workers: int | None = None,
        sandbox: str = "auto",
        cache_dir: str | None = None,
    ) -> None:
        check_gate()
        unknown = sorted(values.keys() - set(STATUSES))
        if unknown:
            raise EvalError(f"reward: values names the status {unknown[0]!r}. Statuses are {', '.join(STATUSES)}.")
        if mode not in MODES:
            raise EvalError(f"reward: mode={mode!r} is unknown. Use 'strict' or 'compat'.")
        if num_workers is not None and num_workers < 1:
            raise EvalError(f"reward: num_workers={num_workers} is below 1. Give 1 or more, or None.")
        if timeout_s is not None and not timeout_s > 0:
            raise EvalError(
                f"reward: timeout_s={timeout_s} is not positive. Give seconds, or None for each language's."
            )
        self.__name__ = "passes_tests"
        self._values, self._mode, self._timeout_s, self._sandbox = dict(values), mode, timeout_s, sandbox
        self._way = resolve(sandbox)
        self._kept = KeptOutcomes(cache_dir, mode)
        self._warm = Warm(self._way)
        self._turns = Turns(num_workers or usable_processors())
        self._pool = ThreadPoolExecutor(self._turns.threads, "santa-reward")

    def __call__(
        self,
        completions: Sequence[Completion],
        problems: Sequence[Mapping[str, Any]] | None = None,
        prompts: Sequence[Completion] | None = None,
        **columns: Any,
    ) -> list[float]:
        """Return a number for each completion.

        A problem is a row of `prompt`, `tests`, `language` and, if there are any, `stop_tokens`. Without `problems`
        they are made of `prompts` and the columns of those names, which TRL's trainers hand over from the data set;
        other columns are ignored. A completion is a text that goes on after its prompt, or a chat model's messages,
        of which the last one's code is taken; its problem's prompt is then `problems`' or the column `code_prompt`.

        Raises:
            EvalError: the columns do not fit together, or a toolchain is missing: a problem that can't be run has no
                reward, and a training run should not go on without one.
        """
        outcomes = self.outcomes(completions, problems, prompts, **columns)
        found = [outcome.status for outcome in outcomes]
        log: Callable[[str, float], object] | None = columns.get("log_metric")
        if callable(log) and found:
            for status in dict.fromkeys(("OK", *found)):
                log(f"{self.__name__}/{status}", found.count(status) / len(found))
        return [self._values.get(status, 0.0) for status in found]

    async def call_async(self, completions: Sequence[Completion], *rows: Any, **columns: Any) -> list[float]:
        """Return the same without blocking an async loop, for environments whose rewards are coroutines."""
        return await asyncio.to_thread(self, completions, *rows, **columns)

    def outcomes(
        self,
        completions: Sequence[Completion],
        problems: Sequence[Mapping[str, Any]] | None = None,
        prompts: Sequence[Completion] | None = None,
        **columns: Any,
    ) -> list[Outcome]:
        """Return what became of each completion's program; identical programs are run once."""
        rows = _rows(completions, problems, prompts, columns)
        keys = [(row["language"], _program(each, row)) for each, row in zip(completions, rows, strict=True)]
        for code in dict.fromkeys(code for code, _ in keys):
            lacking = toolchain_problem(code, self._sandbox)
            if lacking:
                raise EvalError(lacking)
        futures = {key: self._pool.submit(self._run, *key) for key in dict.fromkeys(keys)}
        done = {key: future.result() for key, future in futures.items()}
        return [done[key] for key in keys]

    def close(self) -> None:
        """End what was kept warm."""
        self._turns.end()
        self._pool.shutdown(cancel_futures=True)
        self._warm.__exit__(None, None, None)
        self._kept.close()

    def _run(self, code: str, program: str) -> Outcome:
        language = language_of(code)
        limit_s = self._timeout_s or language.run_timeout_s
        name = self._kept.key(language, program, limit_s)
        found = self._kept.get(language, name)
        if found is not None:
            return found
        lacking = missing_library(language, program)
        if lacking:
            raise EvalError(lacking)
        strict = self._mode == "strict"
        try:
            outcome = judged(language, program, self._way, limit_s, strict=strict, warm=self._warm, turns=self._turns)
            is_starved = outcome.is_starved
        except SandboxError:
            is_starved = True  # the machine may have been short of memory or process ids
        if is_starved:
            outcome = judged(language, program, self._way, limit_s, strict=strict, turns=self._turns)
        self._kept.put(language, name, outcome)
        return outcome


_defaults: dict[int, Reward] = {}
_defaults_lock = threading.Lock()


def reward(
    completions: Sequence[Completion],
    problems: Sequence[Mapping[str, Any]] | None = None,
    prompts: Sequence[Completion] | None = None,
    **columns: Any,
) -> list[float]:
    """Return 1.0 for each completion that passes its problem's tests, else 0.0: a reward function for TRL's trainers.

    It is `Reward` with its defaults, made once a process: see there for what the arguments may be.
    """
    with _defaults_lock:
        made = _defaults.get(os.getpid())
        if made is None:
            made = _defaults[os.getpid()] = Reward()
            made.__name__ = "reward"
            atexit.register(made.close)
    return made(completions, problems, prompts, **columns)


def _rows(
    completions: Sequence[Completion],
    problems: Sequence[Mapping[str, Any]] | None,
    prompts: Sequence[Completion] | None,
    columns: Mapping[str, Any],
) -> list[dict[str, Any]]:
    if isinstance(completions, str | bytes | Mapping):
        raise EvalError(
            f"reward: completions is {type(completions).__name__}, not a list. Give one entry a completion."
        )
    if problems is not None:
        rows = [dict(problem) for problem in problems]
    else:
        given = {name: columns[name] for name in _COLUMNS[1:] if columns.get(name) is not None}
        given["prompt"] = columns.get("code_prompt") or prompts
        lengths = {name: len(column) for name, column in given.items() if column is not None}
        wrong = next((name for name, length in lengths.items() if length != len(completions)), None)
        if wrong is not None:
            raise EvalError(
                f"reward: {lengths[wrong]} of {wrong!r} and {len(completions)} completions. Give one of each."
            )
        rows = [{name: given[name][i] for name in lengths} for i in range(len(completions))]
    if len(rows) != len(completions):
        raise EvalError(f"reward: {len(completions)} completions and {len(rows)} problems. Give one problem for each.")
    for number, row in enumerate(rows):
        lacking = [name for name in _COLUMNS[:3] if not isinstance(row.get(name), str)]
        if lacking:
            more = " A chat prompt is no code: give the column 'code_prompt'." if lacking == ["prompt"] else ""
            raise EvalError(f"reward: problem {number} has no text for {', '.join(map(repr, lacking))}.{more}")
        row["language"] = language_of(row["language"]).code
        row["stop_tokens"] = list(row.get("stop_tokens") or [])
    return rows


def _program(completion: Completion, row: Mapping[str, Any]) -> str:
    prelude = row.get("prelude", "")
    if isinstance(completion, str):
        return f"{prelude}{row['prompt']}{cut_at_stop(completion, row['stop_tokens'])}\n{row['tests']}"
    content = completion[-1].get("content") if completion else ""
    found = code_of_answer(content if isinstance(content, str) else "", row)
    return f"{prelude}{'' if found.is_program else row['prompt']}{found.text}\n{row['tests']}"
