"""Run many programs side by side, equal ones once, and keep each outcome as soon as it is there."""

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from .execution import Outcome, Turns, judged
from .execution_cache import KeptOutcomes
from .languages import language_of
from .sandbox_box import SandboxError
from .toolchains import missing_library
from .warm import Warm

SPEEDS = ("warm", "cold")
# Something warm costs up to two seconds to start.
_WORTH_WARMING = 4
_TELL_S = 15.0
_STREAM_CHARS = 4000  # of each stream; whole ones of 600,000 programs would fill the memory
_QUOTAS = (("cpu.max", None), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"))

_log = logging.getLogger("hf_santa.eval")

# Called with the number of programs that are done, and of all that are to be run.
Progress = Callable[[int, int], None]

# A language's code and a whole program.
Key = tuple[str, str]


def usable_processors(cgroup: str | Path = "/sys/fs/cgroup") -> int:
    """Return how many processors this process may use: those it is bound to, or its container's share where that is less.

    >>> usable_processors() >= 1
    True
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for name, period_name in _QUOTAS:
        try:
            words = Path(cgroup, name).read_text(encoding="utf-8").split()
            words += Path(cgroup, period_name).read_text(encoding="utf-8").split() if period_name else []
            quota, period = int(words[0]), int(words[1])
        except (OSError, ValueError, IndexError):
            continue  # no such file, or "max"
        if quota > 0 and period > 0:
            bound = min(bound, math.ceil(quota / period))
    return max(1, bound)


@dataclass(frozen=True)
class BatchSettings:
    """How programs are run."""

    mode: str
    way: str
    timeout_s: float | None
    num_workers: int
    speed: str

    def limit_s(self, code: str) -> float:
        """Return the time limit of a run."""
        return self.timeout_s or language_of(code).run_timeout_s


def run_all(
    keys: Sequence[Key],
    lacking: Mapping[str, str],
    settings: BatchSettings,
    kept: KeptOutcomes,
    progress: Progress | None = None,
) -> tuple[dict[Key, Outcome], set[Key]]:
    """Return the outcome of every distinct program, and which of them were kept from before.

    What the machine did to a program, by a sandbox that fell or 20 limits of waiting for a processor, is undone once:
    these programs are run again, side by side, after the others. Streams are cut to 4,000 characters.
    """
    distinct = list(dict.fromkeys(keys))
    done = {key: Outcome("ToolMissing", -1, "", "", 0.0, lacking[key[0]]) for key in distinct if key[0] in lacking}
    names = {key: _name(key, settings, kept) for key in distinct if key not in done}
    found = {key: outcome for key, name in names.items() if (outcome := kept.get(language_of(key[0]), name))}
    todo = [key for key in names if key not in found]
    counts: dict[str, int] = {}
    for code, _ in todo:
        counts[code] = counts.get(code, 0) + 1
    is_warm = {code: settings.speed == "warm" and count >= _WORTH_WARMING for code, count in counts.items()}
    stop = threading.Event()
    tell = _Teller(len(todo), progress)
    turns = Turns(settings.num_workers)

    with Warm(settings.way) as warm, ThreadPoolExecutor(turns.threads, "santa-eval") as pool:

        def work(key: Key) -> Outcome | None:
            if stop.is_set():
                return None
            try:
                outcome = _outcome(key, settings, warm if is_warm[key[0]] else None, turns)
            except SandboxError as error:
                # The machine may have been short of memory or process ids: alone, it is tried once more.
                return Outcome("Exception", -1, "", "", 0.0, str(error), is_starved=True)
            outcome = _shortened(outcome)
            if not outcome.is_starved:
                kept.put(language_of(key[0]), names[key], outcome)
                tell.one_more()
            return outcome

        def again(key: Key) -> Outcome | None:
            if stop.is_set():
                return None
            outcome = _shortened(_outcome(key, settings, None, turns))
            kept.put(language_of(key[0]), names[key], outcome)
            tell.one_more()
            return outcome

        def all_of(do: Callable[[Key], Outcome | None], which: Iterable[Key]) -> dict[Key, Outcome | None]:
            futures = {key: pool.submit(do, key) for key in which}
            return {key: future.result() for key, future in futures.items()}

        try:
            ran = all_of(work, todo)
            ran |= all_of(again, [key for key, outcome in ran.items() if outcome is not None and outcome.is_starved])
        finally:
            # After an error or Ctrl-C, programs that wait are not started.
            stop.set()
            turns.end()
    done.update(found)
    done.update({key: outcome for key, outcome in ran.items() if outcome is not None})
    return done, set(found)


class _Teller:
    """Tells how far a run has come: to a caller each time, to the log every 15 s."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total, self._progress = total, progress
        self._done = 0
        self._told = time.monotonic()
        self._lock = threading.Lock()

    def one_more(self) -> None:
        """Count one program that is done."""
        with self._lock:
            self._done += 1
            if self._progress is not None:
                self._progress(self._done, self._total)
            if time.monotonic() - self._told >= _TELL_S:
                self._told = time.monotonic()
                _log.info("step=score programs=%d of=%d", self._done, self._total)


def _shortened(outcome: Outcome) -> Outcome:
    return replace(outcome, stdout=_ends(outcome.stdout), stderr=_ends(outcome.stderr))


def _ends(text: str) -> str:
    half = _STREAM_CHARS // 2 - 2
    return text if len(text) <= _STREAM_CHARS else f"{text[:half]}\n…\n{text[-half:]}"


def _name(key: Key, settings: BatchSettings, kept: KeptOutcomes) -> str:
    return kept.key(language_of(key[0]), key[1], settings.limit_s(key[0]))


def _outcome(key: Key, settings: BatchSettings, warm: Warm | None, turns: Turns) -> Outcome:
    language = language_of(key[0])
    lacking = missing_library(language, key[1])
    if lacking:
        return Outcome("ToolMissing", -1, "", "", 0.0, lacking)
    strict = settings.mode == "strict"
    limit_s = settings.limit_s(key[0])
    return judged(language, key[1], settings.way, limit_s, strict=strict, warm=warm, turns=turns)
