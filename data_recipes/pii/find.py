"""Find the personal data of a text in one scan; `find_pii` and the presidio adapter use it."""

from bisect import bisect_left
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any

from data_recipes.errors import DataError
from data_recipes.pii.addresses import ip_spans
from data_recipes.pii.decoded import decoded_spans
from data_recipes.pii.emails import email_spans, has_email_candidate
from data_recipes.pii.finding import DEFAULT_TYPES, TYPES, Finding, Span
from data_recipes.pii.key_engine import KeyEngine, key_engine
from data_recipes.pii.named_values import is_surely_random
from data_recipes.pii.names import may_hold_name, name_spans
from data_recipes.pii.recognizers import OtherRecognizer, other_recognizers
from data_recipes.pii.replacements import is_replacement

RANDOM_PASSWORD = "random-password"  # noqa: S105  # the name of a rule
"""The rule of a key that is called a password."""


DECODED_TYPES = ("EMAIL_ADDRESS", "IP_ADDRESS", "KEY", "PASSWORD")
"""The types that are looked for in what is encoded, too."""

_BY_NAME = frozenset({"generic-inline", "query-key"})


class TextSearch:
    """The finds of a text by type; nothing is searched for before it is asked for."""

    def __init__(self, text: str, engine: KeyEngine, *, is_decoded: bool = False) -> None:
        self._text, self._engine, self._is_decoded = text, engine, is_decoded
        self._found: dict[str, list[Span]] = {}

    def may_hold(self, kind: str) -> bool:
        """Tell whether the text may hold a find of this type; a quick look that misses none."""
        if kind in DECODED_TYPES and "ENCODED" in self._candidates[1] and not self._is_decoded:
            return True
        if kind == "EMAIL_ADDRESS":
            return "SPELT_OUT" in self._candidates[1] or has_email_candidate(self._text)
        if kind == "NAME":
            return may_hold_name(self._text)
        rules, gates = self._candidates
        if kind == "IP_ADDRESS":
            return not gates.isdisjoint(("IPV4", "IPV6"))
        return any(self._engine.may_find(number, kind) for number in rules)

    def spans(self, kind: str) -> list[Span]:
        """Return the finds of a type, in order and without overlap."""
        if not self.may_hold(kind):
            return []
        if kind not in self._found:
            spans = self._plain(kind)
            if kind in DECODED_TYPES and not self._is_decoded and "ENCODED" in self._candidates[1]:
                spans = _in_gaps(spans, decoded_spans(self._text, lambda text: self._of_decoded(text, kind)))
            self._found[kind] = spans
        return self._found[kind]

    def _plain(self, kind: str) -> list[Span]:
        """Return the finds of a type in the text as it stands."""
        if kind == "EMAIL_ADDRESS":
            return list(email_spans(self._text, is_spelt_out="SPELT_OUT" in self._candidates[1]))
        if kind == "IP_ADDRESS":
            return list(ip_spans(self._text))
        if kind == "NAME":
            spans = name_spans(self._text)
            return [s for s in spans if not is_replacement("NAME", self._text[s.start : s.end])]
        return self._of_type(kind)

    def _of_decoded(self, text: str, kind: str) -> list[Span]:
        """Return the finds in a decoded part; of keys only those that say by their form what they are."""
        spans = TextSearch(text, self._engine, is_decoded=True).spans(kind)
        return [span for span in spans if span.rule not in _BY_NAME]

    @cached_property
    def _data(self) -> bytes:
        return self._text.encode("utf-8", "surrogatepass")

    @cached_property
    def _candidates(self) -> tuple[dict[int, list[int]], set[str]]:
        return self._engine.candidates(self._data)

    @cached_property
    def _assigned(self) -> list[tuple[int, int, str, str]]:
        """The keys and passwords with a name: place in bytes, type, rule; a random password is there again as a key."""
        numbers = self._candidates[0]
        found = list(self._engine.assigned(self._data, numbers, is_user=False))
        values = [(start, end, kind, rule.id) for start, end, kind, rule in found]
        random = [
            (start, end, "KEY", RANDOM_PASSWORD)
            for start, end, kind, _rule in found
            if kind == "PASSWORD" and is_surely_random(self._data[start:end].decode("utf-8", "replace"))
        ]
        return values + random

    @cached_property
    def _users(self) -> list[tuple[int, int, str, str]]:
        """The user names with a name, as in `_assigned`; searched for only where they are asked for."""
        found = self._engine.assigned(self._data, self._candidates[0], is_user=True)
        return [(start, end, kind, rule.id) for start, end, kind, rule in found]

    def _of_type(self, kind: str) -> list[Span]:
        numbers = [number for number in self._candidates[0] if self._engine.rules[number].type == kind]
        found = [Span(start, end, rule.id) for start, end, rule in self._engine.spans(self._data, numbers)]
        assigned = self._users if kind == "USERNAME" else self._assigned
        more = sorted(Span(start, end, rule) for start, end, named, rule in assigned if named == kind)
        spans = _in_gaps(found, more)
        if len(self._data) == len(self._text):
            return spans
        moved, at, chars = [], 0, 0
        for start, end, rule in spans:
            first = chars + _length(self._data[at:start])
            chars = first + _length(self._data[start:end])
            at = end
            moved.append(Span(first, chars, rule))
        return moved


def _in_gaps(spans: list[Span], more: list[Span]) -> list[Span]:
    """Return the spans in order with those of `more` that overlap none of them nor each other."""
    kept = [*spans]
    starts = [span.start for span in kept]
    for span in more:
        at = bisect_left(starts, span.start)
        if (at and kept[at - 1].end > span.start) or (at < len(kept) and kept[at].start < span.end):
            continue
        starts.insert(at, span.start)
        kept.insert(at, span)
    return kept


def _length(data: bytes) -> int:
    return len(data.decode("utf-8", "surrogatepass"))


def scan(text: str, engine: KeyEngine | None = None) -> TextSearch:
    """Return the scan of a text; the last one is kept, so that the recognizers of an engine share it."""
    return _scan(text, engine or key_engine())


@lru_cache(maxsize=1)
def _scan(text: str, engine: KeyEngine) -> TextSearch:
    return TextSearch(text, engine)


def find_pii(
    text: str,
    types: Sequence[str] | None = None,
    *,
    engine: KeyEngine | None = None,
    recognizers: Sequence[Any] = (),
) -> list[Finding]:
    """Return the personal data in a text, in order and without overlap.

    PASSWORD, USERNAME and NAME are found only where they are asked for. A password that a machine drew is a KEY where
    PASSWORD is not asked for. Without `types` they are e-mail and IP addresses, keys, and all types of the recognizers.

    `engine` holds other rules for keys than those of this package. `recognizers` are presidio's `EntityRecognizer`s, or
    their names (`module:NAME`), which are asked besides; of finds that overlap the first counts, then the longest.

    >>> find_pii("author = 'bob@corp.io'")
    [Finding(start=10, end=21, type='EMAIL_ADDRESS', rule='email')]

    Raises:
        DataError: a type that neither is one of `TYPES` nor a recognizer's; a recognizer that can't be used.
    """
    if types is None and not recognizers:
        return _own(text, DEFAULT_TYPES, engine)
    others = other_recognizers(recognizers)
    asked = asked_types(types, others)
    own = _own(text, [kind for kind in asked if kind in TYPES], engine)
    if not others:
        return own
    more = [find for other in others for find in other.findings(text) if find.type in asked]
    kept: list[Finding] = []
    for find in sorted([*own, *more], key=lambda one: (one.start, -one.end, one.rule.startswith("recognizer:"))):
        if not kept or find.start >= kept[-1].end:
            kept.append(find)
    return kept


def asked_types(types: Sequence[str] | None, others: Sequence[OtherRecognizer]) -> tuple[str, ...]:
    """Return the types to find, in the order of `TYPES`, then those of other recognizers; None stands for the usual ones.

    Raises:
        DataError: one is not known, or they are no list.
    """
    theirs = [kind for other in others for kind in other.types]
    known = tuple(dict.fromkeys([*TYPES, *theirs]))
    asked = (*DEFAULT_TYPES, *theirs) if types is None else types
    if isinstance(asked, str) or set(asked) - set(known):
        wrong = asked if isinstance(asked, str) else next(one for one in asked if one not in known)
        raise DataError(f"find_pii: type {wrong!r} is not available. Types of this version: {', '.join(known)}.")
    return tuple(kind for kind in known if kind in asked)


def _own(text: str, types: Sequence[str], engine: KeyEngine | None) -> list[Finding]:
    """Return what this package's own rules find."""
    seen = scan(text, engine)
    spans = sorted(
        (start, end, kind, rule)
        for kind in set(types)
        for start, end, rule in seen.spans(kind)
        if rule != RANDOM_PASSWORD or "PASSWORD" not in types
    )
    findings: list[Finding] = []
    for start, end, kind, rule in spans:
        if not findings or start >= findings[-1].end:
            findings.append(Finding(start, end, kind, rule))
    return findings
