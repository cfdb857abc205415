"""Many programs at once: each distinct one is run once, quickly, and what the machine's load did to it is undone."""

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from .execution import Outcome, judged
from .execution_cache import KeptOutcomes
from .languages import language_of
from .sandbox_box import SandboxError
from .toolchains import missing_library
from .warm import Warm

SPEEDS = ("warm", "cold")
# Something warm costs up to two seconds to start.
_WORTH_WARMING = 4

# A language's code and a whole program.
Key = tuple[str, str]


@dataclass(frozen=True)
class Settings:
    """How programs are run."""

    mode: str
    way: str
    timeout_s: float | None
    num_workers: int
    speed: str

    def limit_s(self, code: str) -> float:
        """The time limit of a run."""
        return self.timeout_s or language_of(code).run_timeout_s


def run_all(
    keys: Sequence[Key], lacking: Mapping[str, str], settings: Settings, kept: KeptOutcomes
) -> tuple[dict[Key, Outcome], set[Key]]:
    """The outcome of every distinct program, and which of them were kept from before.

    A program that ran out of time while it waited for a processor is run again when no other program runs, and then
    has its whole time limit in processor time, however long that takes: load changes no status.
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

    with Warm(settings.way) as warm, ThreadPoolExecutor(settings.num_workers, "santa-eval") as pool:

        def work(key: Key) -> Outcome | None:
            if stop.is_set():
                return None
            try:
                outcome = _outcome(key, settings, warm if is_warm[key[0]] else None)
            except SandboxError as error:
                # The machine may have been short of memory or process ids: alone, it is tried once more.
                return Outcome("Exception", -1, "", "", 0.0, str(error), is_starved=True)
            if not outcome.is_starved:
                kept.put(language_of(key[0]), names[key], outcome)
            return outcome

        futures = {key: pool.submit(work, key) for key in todo}
        try:
            ran = {key: future.result() for key, future in futures.items()}
        finally:
            # After an error or Ctrl-C, programs that wait are not started.
            stop.set()
    for key, outcome in ran.items():
        if outcome is not None and outcome.is_starved:
            ran[key] = again = _outcome(key, settings, None, is_patient=True)
            kept.put(language_of(key[0]), names[key], again)
    done.update(found)
    done.update({key: outcome for key, outcome in ran.items() if outcome is not None})
    return done, set(found)


def _name(key: Key, settings: Settings, kept: KeptOutcomes) -> str:
    return kept.key(language_of(key[0]), key[1], settings.limit_s(key[0]))


def _outcome(key: Key, settings: Settings, warm: Warm | None, *, is_patient: bool = False) -> Outcome:
    language = language_of(key[0])
    lacking = missing_library(language, key[1])
    if lacking:
        return Outcome("ToolMissing", -1, "", "", 0.0, lacking)
    strict = settings.mode == "strict"
    limit_s = settings.limit_s(key[0])
    return judged(language, key[1], settings.way, limit_s, strict=strict, warm=warm, is_patient=is_patient)
