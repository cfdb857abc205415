"""Finds what the rules for keys describe: a prefilter over all rules, then the exact expressions of those that may match.

Three backends give identical spans: `hyperscan` (one pass over all expressions), `re2` (one pass over the keywords)
and `re` (a search for each keyword). The exact expressions run in RE2 where it is installed, on the text's UTF-8 bytes.
"""

import os
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from threading import Lock
from typing import Any

from data_recipes.errors import DataError
from data_recipes.pii.key_filters import is_block_of_key, is_key
from data_recipes.pii.key_rules import Rule, key_rules

BACKENDS = ("hyperscan", "re2", "re")
"""The backends, fastest first; each needs the package of its name, the last one nothing."""

MAX_BLOCK_BYTES = 24_000
"""No private key is longer; a header without a footer is searched no further."""

GATES = {
    "IPV4": r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]",
    "IPV6": r"[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:]",
}
"""Expressions that are searched for in the same pass: a text without a match holds no address of that kind."""

_ESCAPED_BEFORE = re.compile(
    rb"(?:\\(?:[abfnrtv0]|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|033\[[0-9;]{1,5}m)|%[0-9A-Fa-f]{2})\Z"
)
# What is left of a block that was cut off: runs of base64, and what stands between lines of a literal.
_BODY = re.compile(rb"(?:(?:[\s\"'+,;*#|>]|\\+[nrt]){0,40}[A-Za-z0-9+/=]{20,})+")
_CONTINUATION, _LETTER = re.compile(rb"[\x80-\xbf]"), re.compile(rb"[\x80-\xff]")
_Search = Callable[[bytes, int], Any]


def best_backend() -> str:
    """The fastest backend whose package is installed, or what HF_SANTA_PII_BACKEND names."""
    if named := os.environ.get("HF_SANTA_PII_BACKEND"):
        return named
    return next(name for name in BACKENDS if name == "re" or is_installed(name))


@cache
def is_installed(package: str) -> bool:
    """Whether a package is there; looked up once, for a package that is not there is searched for on the whole path."""
    return find_spec(package) is not None


class KeyEngine:
    """Searches texts for the keys of some rules."""

    def __init__(self, rules: Sequence[Rule], backend: str | None = None) -> None:
        self.rules, self.backend = tuple(rules), backend or best_backend()
        if self.backend not in BACKENDS:
            raise DataError(f"KeyEngine: backend={self.backend!r} is unknown. Choose one of {', '.join(BACKENDS)}.")
        if self.backend != "re" and not is_installed(self.backend):
            raise DataError(
                f"KeyEngine: backend {self.backend!r} is not installed. Run pip install 'hf-santa[pii]', or choose 're'."
            )
        self._names = [*GATES]
        self._compiled: dict[str, _Search] = {}
        prefilter = {"hyperscan": _hyperscan_prefilter, "re2": _re2_prefilter, "re": _plain_prefilter}[self.backend]
        self._prefilter = prefilter(self.rules)

    def candidates(self, data: bytes) -> tuple[list[int], set[str]]:
        """The numbers of the rules that may match, in order, and the names of the gates that do."""
        hits = self._prefilter(data)
        count = len(self.rules)
        return sorted(hit for hit in hits if hit < count), {self._names[hit - count] for hit in hits if hit >= count}

    def spans(self, data: bytes, candidates: Iterable[int]) -> list[tuple[int, int, Rule]]:
        """Where the values of these rules stand, in bytes and in order; of two that overlap, the earlier rule's."""
        starts: list[int] = []
        kept: list[tuple[int, int, Rule]] = []
        for number in candidates:
            rule = self.rules[number]
            for start, end in self._found(rule, data):
                at = bisect_left(starts, start)
                if (at and kept[at - 1][1] > start) or (at < len(kept) and kept[at][0] < end):
                    continue
                starts.insert(at, start)
                kept.insert(at, (start, end, rule))
        return kept

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
            if not _begins(rule, data, start, found.start()):
                at = _after_word(rule, data, start)  # whatever begins in the rest of the word begins inside it, too
            elif not _goes_on(rule, data, end) and is_key(rule, data, start, end):
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


def key_engine(backend: str | None = None) -> KeyEngine:
    """The engine for this package's rules; one a process and backend."""
    return _key_engine(backend or best_backend())


@cache
def _key_engine(backend: str) -> KeyEngine:
    return KeyEngine(key_rules(), backend)


def _begins(rule: Rule, data: bytes, start: int, begin: int) -> bool:
    """Whether a value begins here: behind what the rule asks for, or else at the beginning of a word."""
    if begin < start or not start or data[start - 1 : start] == b"=" or not rule.inside.match(data, start - 1):
        return True
    return _ESCAPED_BEFORE.search(data, max(0, start - 8), start) is not None


def _goes_on(rule: Rule, data: bytes, end: int) -> bool:
    """Whether a value goes on at `end`; a password has letters of any script, and no value ends inside a character."""
    more = _LETTER if rule.kind == "password" else _CONTINUATION
    return rule.inside.match(data, end) is not None or more.match(data, end) is not None


def _after_word(rule: Rule, data: bytes, start: int) -> int:
    """Where the run of a value's characters that goes on at `start` ends."""
    found = rule.outside.search(data, start + 1)
    return found.start() if found else len(data)


def _exact(regex: str, *, use_re2: bool) -> _Search:
    if not use_re2 or not is_installed("re2"):
        plain = re.compile(regex.encode())
        return plain.search
    import re2

    search: _Search = re2.compile(regex.encode(), _re2_options()).search
    return search


def _re2_options() -> Any:
    import re2

    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1  # bytes in, bytes out, as `re` does with bytes
    options.log_errors = False
    options.max_mem = 256 << 20
    return options


def _hyperscan_prefilter(rules: Sequence[Rule]) -> Callable[[bytes], set[int]]:
    import hyperscan

    expressions = [*(rule.regex for rule in rules), *GATES.values()]
    flags = hyperscan.HS_FLAG_PREFILTER | hyperscan.HS_FLAG_SINGLEMATCH | hyperscan.HS_FLAG_ALLOWEMPTY
    database = hyperscan.Database()
    database.compile(
        [regex.encode() for regex in expressions],
        ids=list(range(len(expressions))),
        flags=flags | hyperscan.HS_FLAG_DOTALL,
    )
    lock = Lock()  # a database has one scratch space

    def prefilter(data: bytes) -> set[int]:
        hits: set[int] = set()
        with lock:
            database.scan(data, match_event_handler=lambda number, *_: hits.add(number))
        return hits

    return prefilter


def _re2_prefilter(rules: Sequence[Rule]) -> Callable[[bytes], set[int]]:
    import re2

    owners = _owners(rules)
    options = _re2_options()
    words = re2.Set.SearchSet(options)
    for word in owners:
        words.Add((re.escape(word) if word != word.lower() else f"(?i:{re.escape(word)})").encode())
    words.Compile()
    gates = [re2.compile(regex.encode(), options) for regex in GATES.values()]
    numbers = list(owners.values())

    def prefilter(data: bytes) -> set[int]:
        hits = {number for word in words.Match(data) or () for number in numbers[word]}
        return hits | {len(rules) + at for at, gate in enumerate(gates) if gate.search(data)}

    return prefilter


def _plain_prefilter(rules: Sequence[Rule]) -> Callable[[bytes], set[int]]:
    owners = _owners(rules).items()
    any_case = [(word.encode(), numbers) for word, numbers in owners if word == word.lower()]
    exact = [(word.encode(), numbers) for word, numbers in owners if word != word.lower()]
    gates = [re.compile(regex.encode()) for regex in GATES.values()]

    def prefilter(data: bytes) -> set[int]:
        lower = data.lower()
        hits = {number for word, numbers in any_case if word in lower for number in numbers}
        hits |= {number for word, numbers in exact if word in data for number in numbers}
        return hits | {len(rules) + at for at, gate in enumerate(gates) if gate.search(data)}

    return prefilter


def _owners(rules: Sequence[Rule]) -> dict[str, list[int]]:
    """The rules of each keyword."""
    owners: dict[str, list[int]] = {}
    for number, rule in enumerate(rules):
        for word in rule.keywords:
            owners.setdefault(word, []).append(number)
    return owners
