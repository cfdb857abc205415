"""Complete a text that is being edited, and keep the model's cache from one keystroke to the next."""

import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

from .cache_santa import Cancelled, full_context_bytes
from .errors_santa import ModelError
from .stream_santa import CachedPrompt, PlannedAnswer, StreamedPiece, plan_answer, read, write

DEFAULT_BYTES = 1 << 30
WORTH_KEEPING = 4  # a cache that holds less than a fourth of a prompt is another text's


class Completer:
    """A completion session for texts that are being edited, one or several at a time.

    The prompt puts the suffix first (SPM), so that a keystroke before the gap leaves all that stands before it in the
    cache; texts and tokens are compared, and only what differs is encoded and read. A text too long for the context moves its ends by an
    eighth of the context at a time, so that they, too, stay the same for many keystrokes. The answer depends on the
    texts and the settings alone, never on what is cached.

    Calls from several threads do not wait for each other: each takes the cache that shares most with its prompt, and
    gives it back when its iterator ends or is closed. Memory: at most `texts` idle caches that hold at most `max_bytes`
    together, the texts and their tokens included, and one cache for each call that is running. The one that was used
    longest ago goes first; an idle one goes after `expire_s` seconds. Without `max_bytes` that is 1 GiB, or one full
    context where that needs more.
    """

    def __init__(
        self, model: Any, tokenizer: Any, *, texts: int = 4, max_bytes: int | None = None, expire_s: float = 600.0
    ) -> None:
        if texts < 1 or not expire_s > 0:
            raise ModelError(
                f"completer: texts={texts} and expire_s={expire_s}. Give at least one text, and some time."
            )
        context = full_context_bytes(model.config, model.dtype.itemsize)
        if max_bytes is not None and max_bytes < context:
            raise ModelError(
                f"completer: max_bytes={max_bytes} holds no full context, whose cache has {context} bytes for this model. "
                "Give that much, or leave max_bytes out."
            )
        self._model, self._tokenizer, self._texts, self._expire_s = model, tokenizer, texts, expire_s
        self._max_bytes = max(DEFAULT_BYTES, context) if max_bytes is None else max_bytes
        self._idle: list[tuple[float, CachedPrompt]] = []  # when it was given back, in this order
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def stream(self, prefix: str, suffix: str | None = "", **settings: Any) -> Iterator[StreamedPiece]:
        """Yield the text for the gap as it is written; the settings are those of `stream` for one sample."""
        return self._write(self._planned(prefix, suffix, settings))

    def complete(self, prefix: str, suffix: str | None = "", **settings: Any) -> str:
        """Return the text for the gap."""
        return "".join(piece.text for piece in self.stream(prefix, suffix, **settings))

    def prepare(self, prefix: str, suffix: str | None = "", **settings: Any) -> int:
        """Read a text without writing, and return how many tokens were read, 0 where `cancel` was set meanwhile.

        For an editor whose cursor has jumped: the next keystroke there is then as fast as any other.
        """
        plan = self._planned(prefix, suffix, settings)
        held = self._take(plan.ids)
        try:
            shared, held.sides = held.shared_with(plan.ids), plan.sides
            read(self._model, plan.ids, held, cancel=plan.cancel)
        except Cancelled:
            return 0
        finally:
            self._give_back(held)
        return len(plan.ids) - shared

    def clear(self) -> None:
        """Give the memory of all idle caches back."""
        with self._lock:
            self._idle = []

    def cached_tokens(self) -> list[int]:
        """Return how many tokens each idle cache holds, the least recently used first."""
        with self._lock:
            return [len(held.ids) for _, held in self._idle]

    def cached_bytes(self) -> int:
        """Return how many bytes the idle caches hold, with their texts."""
        with self._lock:
            return self._bytes()

    def _bytes(self) -> int:
        return sum(held.nbytes for _, held in self._idle)

    def _planned(self, prefix: str, suffix: str | None, settings: dict[str, Any]) -> PlannedAnswer:
        if settings.get("n", 1) != 1:
            raise ModelError("a completion session writes one sample. Call model.stream for several.")
        with self._lock:
            like = [held.sides for _, held in reversed(self._idle)]
        step = max(1, int(self._model.config.n_positions) // 8)
        settings = {"mode": "spm", "step": step, "like": like, **settings}
        return plan_answer(self._model, self._tokenizer, prefix, suffix, **settings)

    def _write(self, plan: PlannedAnswer) -> Iterator[StreamedPiece]:
        held = self._take(plan.ids)
        try:
            yield from write(self._model, plan, held)
        finally:
            self._give_back(held)

    def _take(self, ids: list[int]) -> CachedPrompt:
        """Take the idle cache that shares most with a prompt, or a new one while there is room for one."""
        with self._lock:
            if not self._idle:
                return CachedPrompt()
            shared = [held.shared_with(ids) for _, held in self._idle]
            best = shared.index(max(shared))
            if shared[best] * WORTH_KEEPING < len(ids):
                if len(self._idle) < self._texts:
                    return CachedPrompt()
                best = 0
            return self._idle.pop(best)[1]

    def _give_back(self, held: CachedPrompt) -> None:
        if held.cache is None:
            return
        with self._lock:
            self._idle.append((time.monotonic(), held))
            del self._idle[: -self._texts]
            while len(self._idle) > 1 and self._bytes() > self._max_bytes:
                del self._idle[0]
            if self._bytes() > self._max_bytes:  # for its texts: they are encoded anew next time
                held.sides = ()
            self._wake_later()

    def _wake_later(self) -> None:
        """Set a timer for the oldest idle cache, unless one runs; it does not keep the session alive."""
        if self._timer is None and self._idle:
            wait = max(0.0, self._idle[0][0] + self._expire_s - time.monotonic())
            self._timer = threading.Timer(wait, _expire, [weakref.ref(self)])
            self._timer.daemon = True
            self._timer.start()

    def drop_expired(self) -> None:
        """Drop the caches that nobody used for `expire_s` seconds; the session calls this itself."""
        with self._lock:
            oldest = time.monotonic() - self._expire_s
            self._idle = [(at, held) for at, held in self._idle if at > oldest]
            self._timer = None
            self._wake_later()


def _expire(session: "weakref.ref[Completer]") -> None:
    completer = session()
    if completer is not None:
        completer.drop_expired()
