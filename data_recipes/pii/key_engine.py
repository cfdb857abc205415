"""Find keys and tokens: ask a prefilter which rules may match, then try these rules' expressions.

The backends of `prefilter.py` give identical spans. The exact expressions run in RE2 where it is installed, on the
text's UTF-8 bytes.
"""

import os
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from data_recipes.errors import DataError
from data_recipes.pii.assignments import PLACES, name_at, read_assignment
from data_recipes.pii.key_filters import is_block_of_key, is_certain, is_key
from data_recipes.pii.key_rules import Rule, key_rules
from data_recipes.pii.named_values import is_value
from data_recipes.pii.prefilter import BACKENDS, GATES, MOST_ENDS, best_backend, is_installed, prefilter_of, re2_options
from data_recipes.pii.value_roles import TYPE_OF_ROLE, role_of

LONGEST_MATCH = 400
"""No expression of a place matches more bytes."""

MAX_BLOCK_BYTES = 24_000
"""No private key is longer; a header without a footer is searched no further."""

_ESCAPED_BEFORE = re.compile(
    rb"(?:\\(?:[abfnrtv0]|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|033\[[0-9;]{1,5}m)|%[0-9A-Fa-f]{2})\Z"
)
# What is left of a block that was cut off: runs of base64, and what stands between lines of a literal.
_BODY = re.compile(rb"(?:(?:[\s\"'+,;*#|>]|\\+[nrt]){0,40}[A-Za-z0-9+/=]{20,})+")
_DIGIT = re.compile(rb"[0-9]")
_IDENTIFIER = re.compile(rb"[A-Za-z_$][A-Za-z0-9_$]*")
_CONTINUATION, _LETTER = re.compile(rb"[\x80-\xbf]"), re.compile(rb"[\x80-\xff]")
# Of so many characters of base64 beside a value some are "+" or "/": it is a part of theirs.
_RUN, _BASE64_MARKS = 48, frozenset({b"+", b"/"})
_RUN_BEFORE, _RUN_AFTER = re.compile(rb"[A-Za-z0-9+/]{%d}\Z" % _RUN), re.compile(rb"[A-Za-z0-9+/]{%d}" % _RUN)
_Search = Callable[..., Any]  # of a text, from a place on, up to another


class KeyEngine:
    """Search texts for the keys of some rules.

    Without a `backend` it is the one that HF_SANTA_PII_BACKEND names, or else the fastest that is installed, which then
    is loaded only where there is much to search.
    """

    def __init__(self, rules: Sequence[Rule], backend: str | None = None) -> None:
        named = backend or os.environ.get("HF_SANTA_PII_BACKEND")
        self.rules, self.backend = tuple(rules), named or best_backend()
        if self.backend not in BACKENDS:
            raise DataError(f"KeyEngine: backend={self.backend!r} is unknown. Choose one of {', '.join(BACKENDS)}.")
        if self.backend != "re" and not is_installed(self.backend):
            raise DataError(
                f"KeyEngine: backend {self.backend!r} is not installed. Run pip install 'hf-santa[pii]', or choose 're'."
            )
        self._names = [*GATES]
        self._compiled: dict[str, _Search] = {}
        self._prefilter = prefilter_of(self.rules, self.backend, is_patient=named is None)

    def candidates(self, data: bytes) -> tuple[dict[int, list[int]], set[str]]:
        """Return the numbers of the rules that may match, in order, and the names of the gates that do.

        With each number go the ends of its matches, as `prefilter_of` tells them.
        """
        hits = self._prefilter(data)
        count = len(self.rules)
        gates = {self._names[hit - count] for hit in hits if hit >= count}
        return {hit: hits[hit] for hit in sorted(hits) if hit < count}, gates

    def spans(self, data: bytes, candidates: Iterable[int]) -> list[tuple[int, int, Rule]]:
        """Return the places of these rules' values, in bytes and in order; of two that overlap, the earlier rule's."""
        starts: list[int] = []
        kept: list[tuple[int, int, Rule]] = []
        for number in candidates:
            rule = self.rules[number]
            for start, end in self._found(rule, data) if rule.kind not in PLACES else ():
                at = bisect_left(starts, start)
                if (at and kept[at - 1][1] > start) or (at < len(kept) and kept[at][0] < end):
                    continue
                starts.insert(at, start)
                kept.insert(at, (start, end, rule))
        return kept

    def may_find(self, number: int, kind: str) -> bool:
        """Return whether a rule may find something of this type."""
        rule = self.rules[number]
        return rule.type == kind or (rule.kind in PLACES and rule.type != "USERNAME" and kind in {"KEY", "PASSWORD"})

    def assigned(
        self, data: bytes, candidates: Iterable[int], *, is_user: bool | None = None
    ) -> Iterator[tuple[int, int, str, Rule]]:
        """Yield the values with a name that are keys, passwords or user names: place in bytes, type and rule.

        With `is_user` only user names, with False all but these.
        """
        ends = candidates if isinstance(candidates, Mapping) else {}
        for number in candidates:
            rule = self.rules[number]
            if rule.kind not in PLACES or is_user is (rule.type != "USERNAME"):
                continue
            search, at = self._search(rule.regex), 0
            for first, last in _windows(ends.get(number, ()), len(data)):  # a sign may end before its expression
                at = max(at, first)
                while at < last and (found := search(data, at, last)):
                    begin, start = found.start(), found.start(1)
                    name = name_at(data, begin, start)
                    role = role_of(name, is_user=rule.type == "USERNAME") if rule.needs_name else rule.role or rule.type
                    read = read_assignment(rule.kind, data, begin, start) if role else None
                    if read and role and is_value(role, name, read) and not (read.is_listed and rule.is_unsure(role)):
                        yield read.start, read.end, TYPE_OF_ROLE[role], rule
                        at = read.end
                    else:
                        at = max(begin + 1, start)

    def _search(self, regex: str) -> _Search:
        if regex not in self._compiled:
            self._compiled[regex] = _exact(regex, use_re2=self.backend != "re")
        return self._compiled[regex]

    def _found(self, rule: Rule, data: bytes) -> Iterator[tuple[int, int]]:
        search = self._search(rule.regex)
        if rule.kind == "block":
            yield from self._blocks(rule, data, search)
            return
        at = 0
        while found := search(data, at):
            start, end = found.span(found.re.groups)
            if rule.kind == "named" and not _is_named(data, found.start(), start, end):
                at = max(start, found.start() + 1)
            elif not _begins(rule, data, start, found.start()):
                at = _after_word(rule, data, start)  # whatever begins in the rest of the word begins inside it, too
            elif (
                not _goes_on(rule, data, end)
                and is_key(rule, data, start, end)
                and not _is_amid_base64(data, start, end)
            ):
                yield start, end
                at = end
            else:
                at = max(start, found.start() + 1)

    # Differs from the report: private keys are found, which it left out.
    def _blocks(self, rule: Rule, data: bytes, search: _Search) -> Iterator[tuple[int, int]]:
        closes, at = self._search(rule.end), 0
        opened = search(data, at)
        while opened:
            following = search(data, opened.end())
            limit = min(following.start() if following else len(data), opened.end() + MAX_BLOCK_BYTES)
            closed = closes(data[opened.end() : limit], 0) or _BODY.match(data, opened.end(), limit)
            if closed:
                end = closed.end() if closed.re is _BODY else opened.end() + closed.end()
                if is_block_of_key(data[opened.start() : end], opened.end() - opened.start()):
                    yield opened.start(), end
            opened = following


def _windows(ends: Sequence[int], length: int) -> Iterator[tuple[int, int]]:
    """Yield where matches may stand of which some end at these places; all of a text where no end is known."""
    if not ends:
        yield 0, length
        return
    first, last = max(0, ends[0] - LONGEST_MATCH), ends[0] + LONGEST_MATCH
    for end in ends:
        if end - LONGEST_MATCH > last:
            yield first, last
            first = end - LONGEST_MATCH
        last = max(last, end + LONGEST_MATCH)
    yield first, min(last, length) if len(ends) < MOST_ENDS else length


def key_engine(backend: str | None = None) -> KeyEngine:
    """Return the engine for this package's rules; there is one a process and backend."""
    return _key_engine(backend or os.environ.get("HF_SANTA_PII_BACKEND"))


@cache
def _key_engine(backend: str | None) -> KeyEngine:
    return KeyEngine(key_rules(), backend)


def _begins(rule: Rule, data: bytes, start: int, begin: int) -> bool:
    """Whether a value begins here: behind what the rule asks for, or else at the beginning of a word."""
    if begin < start or not start or data[start - 1 : start] == b"=" or not rule.inside.match(data, start - 1):
        return True
    return _ESCAPED_BEFORE.search(data, max(0, start - 8), start) is not None


def _is_named(data: bytes, begin: int, start: int, end: int) -> bool:
    """Return whether a vendor's name begins a word, and its value is no identifier: `etsy`, not `betsy`."""
    before, first = data[begin - 1 : begin], data[begin : begin + 1]
    is_inside = before.isalpha() and first.isalpha() and not (before.islower() and first.isupper())
    if is_inside and begin < start:
        return False
    is_quoted = data[start - 1 : start] in {b'"', b"'", b"`"} or data[start - 5 : start] == b"quot;"
    value = data[start:end]
    return (
        is_quoted
        or _IDENTIFIER.fullmatch(value) is None
        or 8 * len(_DIGIT.findall(value)) >= len(value)
        or is_certain(value.decode())
    )


def _goes_on(rule: Rule, data: bytes, end: int) -> bool:
    """Whether a value goes on at `end`; a password has letters of any script, and no value ends inside a character."""
    more = _LETTER if rule.kind == "password" else _CONTINUATION
    return rule.inside.match(data, end) is not None or more.match(data, end) is not None


def _is_amid_base64(data: bytes, start: int, end: int) -> bool:
    """Return whether a value is part of a long run of base64, such as a picture or a font."""
    before, after = data[start - 1 : start], data[end : end + 1]
    return (before in _BASE64_MARKS and _RUN_BEFORE.search(data, max(0, start - _RUN), start) is not None) or (
        after in _BASE64_MARKS and _RUN_AFTER.match(data, end) is not None
    )


def _after_word(rule: Rule, data: bytes, start: int) -> int:
    """Where the run of a value's characters that goes on at `start` ends."""
    found = rule.outside.search(data, start + 1)
    return found.start() if found else len(data)


def _exact(regex: str, *, use_re2: bool) -> _Search:
    if not use_re2 or not is_installed("re2"):
        plain = re.compile(regex.encode())
        return plain.search
    import re2

    search: _Search = re2.compile(regex.encode(), re2_options()).search
    return search
