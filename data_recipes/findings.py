"""Finds of personal data in source code, by presidio's engine with our recognizers."""

from collections.abc import Sequence
from dataclasses import dataclass

from data_recipes.errors import DataError

DEFAULT_TYPES = ("EMAIL_ADDRESS", "IP_ADDRESS", "KEY")
"""The types that are found unless others are asked for."""

TYPES = (*DEFAULT_TYPES, "PASSWORD", "USERNAME")
"""The types that can be found."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One find: its place in characters, its type, and the rule that found it. It never holds the value."""

    start: int
    end: int
    type: str
    rule: str


def find_pii(text: str, types: Sequence[str] = DEFAULT_TYPES) -> list[Finding]:
    """The personal data in a text, in order and without overlap.

    PASSWORD and USERNAME are found only where they are asked for. Texts without a find are answered without presidio,
    whose recognizers would look into the same scan.

    >>> find_pii("author = 'bob@corp.io'")
    [Finding(start=10, end=21, type='EMAIL_ADDRESS', rule='email')]
    """
    if unknown := [name for name in types if name not in TYPES]:
        raise DataError(f"find_pii: type {unknown[0]!r} is not available. Types of this version: {', '.join(TYPES)}.")
    from data_recipes.pii_scan import scan

    seen = scan(text)
    wanted = [name for name in types if seen.spans(name)]
    if not wanted:
        return []
    from data_recipes.recognizers import analyze

    findings: list[Finding] = []
    for start, end, kind, rule in analyze(text, wanted):
        if not findings or start >= findings[-1].end:
            findings.append(Finding(start, end, kind, rule))
    return findings
