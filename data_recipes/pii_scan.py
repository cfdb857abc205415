"""One scan of a text, shared by all recognizers: what it may hold is looked up once, each type is searched for once."""

from functools import cached_property, lru_cache

from data_recipes.email_rules import email_spans, has_email_candidate
from data_recipes.ip_rules import ip_spans
from data_recipes.key_engine import KeyEngine, key_engine
from data_recipes.spans import Span


class Scan:
    """The finds of a text by type; nothing is searched for before it is asked for."""

    def __init__(self, text: str, engine: KeyEngine) -> None:
        self._text, self._engine = text, engine
        self._keys: dict[str, list[Span]] = {}

    def may_hold(self, kind: str) -> bool:
        """Whether the text may hold a find of this type; a quick look that misses none."""
        if kind == "EMAIL_ADDRESS":
            return has_email_candidate(self._text)
        rules, gates = self._candidates
        if kind == "IP_ADDRESS":
            return bool(gates)
        return any(self._engine.rules[number].type == kind for number in rules)

    def spans(self, kind: str) -> list[Span]:
        """The finds of a type, in order and without overlap."""
        if not self.may_hold(kind):
            return []
        if kind == "EMAIL_ADDRESS":
            return self._emails
        if kind == "IP_ADDRESS":
            return self._addresses
        if kind not in self._keys:
            self._keys[kind] = self._of_type(kind)
        return self._keys[kind]

    @cached_property
    def _data(self) -> bytes:
        return self._text.encode("utf-8", "surrogatepass")

    @cached_property
    def _candidates(self) -> tuple[list[int], set[str]]:
        return self._engine.candidates(self._data)

    @cached_property
    def _emails(self) -> list[Span]:
        return list(email_spans(self._text))

    @cached_property
    def _addresses(self) -> list[Span]:
        return list(ip_spans(self._text))

    def _of_type(self, kind: str) -> list[Span]:
        numbers = [number for number in self._candidates[0] if self._engine.rules[number].type == kind]
        found = self._engine.spans(self._data, numbers)
        if len(self._data) == len(self._text):
            return [Span(start, end, rule.id) for start, end, rule in found]
        spans, at, chars = [], 0, 0
        for start, end, rule in found:
            first = chars + _length(self._data[at:start])
            chars = first + _length(self._data[start:end])
            at = end
            spans.append(Span(first, chars, rule.id))
        return spans


def _length(data: bytes) -> int:
    return len(data.decode("utf-8", "surrogatepass"))


def scan(text: str, engine: KeyEngine | None = None) -> Scan:
    """The scan of a text; the last one is kept, so that the recognizers of an engine share it."""
    return _scan(text, engine or key_engine())


@lru_cache(maxsize=1)
def _scan(text: str, engine: KeyEngine) -> Scan:
    return Scan(text, engine)
