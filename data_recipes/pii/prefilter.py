"""Tell quickly which rules may match a text, with the fastest search engine that is installed.

Three backends: `hyperscan` (one pass over all expressions), `re2` (one pass over the keywords) and `re` (a search for
each keyword). A rule that a backend does not name cannot match; the exact expressions decide on the others.
"""

import re
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from threading import Lock
from typing import Any

from data_recipes.pii.assignments import PLACES
from data_recipes.pii.compiled_rules import compiled_database
from data_recipes.pii.key_rules import Rule

BACKENDS = ("hyperscan", "re2", "re")
"""The backends, fastest first; each needs the package of its name, the last one nothing."""

_LABEL = r"[^\x00-,./:-@\[-^`{-\x7f]{1,63}"  # letters, digits, _, - and whatever is no ASCII
_DOT = r"(?:[ ]?[\[({<][ ]?(?:dot|DOT|\.)[ ]?[\])}>][ ]?|[ ](?:dot|DOT)[ ])"
# Four characters of base64 that stand for three of ASCII: their first bits are 0, and a first one is no control character.
BASE64_OF_ASCII = "[CDI-Za-f][A-HQ-Xg-nw-z0-3][ABEFIJMNQRUVYZcdghklopstwx014589][A-Za-z0-9+/]"
_BASE64 = rf"[\n\x22\x27`,=>: ](?:{BASE64_OF_ASCII}){{8}}"
# Hyperscan pays for the labels between "at" and "dot"; one of the two words in brackets, or "dot" alone, is always there.
_DOT_OR_AT = r"[\[({<] ?(?:at|AT|dot|DOT|\.) ?[\])}>] ?[A-Za-z0-9]|[A-Za-z0-9_\x80-\xff-] (?:dot|DOT) [A-Za-z0-9]"
_REFERENCE = r"[A-Za-z0-9._-]%40[A-Za-z0-9]|&(?:#(?:64|x40)|commat);"
# Hyperscan counts one class of characters at a third of the price of `_BASE64`, which RE2 then looks for from there on.
_RUN, _RUN_LENGTH = "[A-Za-z0-9+/]{32}", 32
GATES = {
    "IPV4": r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]",
    "IPV6": r"[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:]",
    "SPELT_OUT": r"[^ \t\r\n] ?[\[({<] ?(?:at|AT) ?[\])}>] ?[A-Za-z0-9]"
    rf"|(?:[ ](?:at|AT)[ ]|[\[({{<] ?@ ?[\])}}>] ?){_LABEL}(?:\.{_LABEL}){{0,2}}{_DOT}[A-Za-z0-9]",
    "ENCODED": rf"{_BASE64}|{_REFERENCE}",
}
"""Expressions that are searched for in the same pass: a text without a match holds no address of that kind.

IPV4 and IPV6 are for addresses, SPELT_OUT for e-mail addresses in words (`bob at corp dot io`),
ENCODED for what may be base64, percent encoding or character references.
"""

PATIENCE_BYTES = 1 << 20
"""So many bytes are searched with the keywords alone before Hyperscan's database is loaded or compiled."""

MOST_ENDS = 256
"""A rule with more matches in a text is searched for in the whole of it."""

Prefilter = Callable[[bytes], dict[int, list[int]]]


def best_backend() -> str:
    """Return the fastest backend whose package is installed."""
    return next(name for name in BACKENDS if name == "re" or is_installed(name))


@cache
def is_installed(package: str) -> bool:
    """Return whether a package is there; a missing one is looked for on the whole path, so the answer is kept."""
    return find_spec(package) is not None


def prefilter_of(rules: Sequence[Rule], backend: str, *, is_patient: bool = False) -> Prefilter:
    """Return a function from a text's bytes to the numbers of the rules that may match.

    With each number goes where its first match ends, and for the rules of a place where each match may end, at most
    `MOST_ENDS`; nothing where the backend does not tell.
    Numbers from `len(rules)` on are those of the `GATES`. With `is_patient`, Hyperscan begins its work after
    `PATIENCE_BYTES`.
    """
    if backend == "hyperscan" and is_patient:
        return _patient_prefilter(rules)
    return {"hyperscan": _hyperscan_prefilter, "re2": _re2_prefilter, "re": _plain_prefilter}[backend](rules)


def re2_options() -> Any:
    """Return RE2's options under which it reads bytes as Python's `re` does."""
    import re2

    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    options.max_mem = 256 << 20
    return options


def _patient_prefilter(rules: Sequence[Rule]) -> Prefilter:
    """Search by keywords first: a few small files are done before Hyperscan's database would be there."""
    quick = (_re2_prefilter if is_installed("re2") else _plain_prefilter)(rules)
    left, lock, scan = PATIENCE_BYTES, Lock(), None

    def prefilter(data: bytes) -> dict[int, list[int]]:
        nonlocal left, scan
        if scan is None:
            with lock:
                left -= len(data)
                if left < 0 and scan is None:
                    scan = _hyperscan_prefilter(rules)
        return quick(data) if scan is None else scan(data)

    return prefilter


def _hyperscan_prefilter(rules: Sequence[Rule]) -> Prefilter:
    gates = GATES | {"SPELT_OUT": _DOT_OR_AT, "ENCODED": _REFERENCE, "RUN": _RUN}
    expressions = [*(rule.sign or rule.regex for rule in rules), *gates.values()]
    database = compiled_database(expressions, [at for at, rule in enumerate(rules) if rule.kind in PLACES])
    lock = Lock()  # a database has one scratch space
    spelt_out, encoded, run = (len(rules) + list(gates).index(name) for name in ("SPELT_OUT", "ENCODED", "RUN"))
    has_base64, has_spelt_out = _searcher(_BASE64), _searcher(GATES["SPELT_OUT"])

    def prefilter(data: bytes) -> dict[int, list[int]]:
        hits: dict[int, list[int]] = {}

        def found(number: int, _from: int, end: int, *_: Any) -> None:
            ends = hits.setdefault(number, [])
            if len(ends) < MOST_ENDS:
                ends.append(end)

        with lock:
            database.scan(data, match_event_handler=found)
        runs = hits.pop(run, None)
        if runs and encoded not in hits and has_base64(data, max(0, runs[0] - _RUN_LENGTH - 1)):
            hits[encoded] = []
        if spelt_out in hits and not has_spelt_out(data):
            del hits[spelt_out]
        return hits

    return prefilter


def _searcher(regex: str) -> Callable[..., Any]:
    """Return the search of an expression, in RE2 where it is installed."""
    if not is_installed("re2"):
        return re.compile(regex.encode()).search
    import re2

    search: Callable[..., Any] = re2.compile(regex.encode(), re2_options()).search
    return search


def _re2_prefilter(rules: Sequence[Rule]) -> Prefilter:
    import re2

    owners = _owners(rules)
    options = re2_options()
    words = re2.Set.SearchSet(options)
    for word in owners:
        words.Add((re.escape(word) if word != word.lower() else f"(?i:{re.escape(word)})").encode())
    words.Compile()
    gates = [re2.compile(regex.encode(), options) for regex in GATES.values()]
    numbers = list(owners.values())

    def prefilter(data: bytes) -> dict[int, list[int]]:
        hits: dict[int, list[int]] = {number: [] for word in words.Match(data) or () for number in numbers[word]}
        return hits | {len(rules) + at: [] for at, gate in enumerate(gates) if gate.search(data)}

    return prefilter


def _plain_prefilter(rules: Sequence[Rule]) -> Prefilter:
    owners = _owners(rules).items()
    any_case = [(word.encode(), numbers) for word, numbers in owners if word == word.lower()]
    exact = [(word.encode(), numbers) for word, numbers in owners if word != word.lower()]
    gates = [re.compile(regex.encode()) for regex in GATES.values()]

    def prefilter(data: bytes) -> dict[int, list[int]]:
        lower = data.lower()
        hits: dict[int, list[int]] = {number: [] for word, numbers in any_case if word in lower for number in numbers}
        hits |= {number: [] for word, numbers in exact if word in data for number in numbers}
        return hits | {len(rules) + at: [] for at, gate in enumerate(gates) if gate.search(data)}

    return prefilter


def _owners(rules: Sequence[Rule]) -> dict[str, list[int]]:
    """Return the numbers of the rules of each keyword."""
    owners: dict[str, list[int]] = {}
    for number, rule in enumerate(rules):
        for word in rule.keywords:
            owners.setdefault(word, []).append(number)
    return owners
