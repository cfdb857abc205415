"""Finds of personal data in source code, by presidio's engine with our recognizers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from data_recipes.errors import DataError
from data_recipes.pii_rules import has_email_candidate, has_ip_candidate

TYPES: Mapping[str, Callable[[str], bool]] = {"EMAIL_ADDRESS": has_email_candidate, "IP_ADDRESS": has_ip_candidate}
"""The types that can be found, each with a quick look whether a text may hold it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One find: its place in characters, its type, and the rule that found it. It never holds the value."""

    start: int
    end: int
    type: str
    rule: str


def find_pii(text: str, types: Sequence[str] = ("EMAIL_ADDRESS", "IP_ADDRESS")) -> list[Finding]:
    """The personal data in a text, in order and without overlap.

    Texts without an "@" between words or a dotted quad are answered without presidio.

    >>> find_pii("author = 'bob@corp.io'")
    [Finding(start=10, end=21, type='EMAIL_ADDRESS', rule='email')]
    """
    if unknown := [name for name in types if name not in TYPES]:
        raise DataError(f"find_pii: type {unknown[0]!r} is not available. Types of this version: {', '.join(TYPES)}.")
    wanted = [name for name in types if TYPES[name](text)]
    if not wanted:
        return []
    from data_recipes.recognizers import analyze

    findings: list[Finding] = []
    for start, end, kind, rule in analyze(text, wanted):
        if not findings or start >= findings[-1].end:
            findings.append(Finding(start, end, kind, rule))
    return findings
