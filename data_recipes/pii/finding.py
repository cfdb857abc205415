"""Define a match of a rule (Span) and what is reported of it (Finding)."""

from dataclasses import dataclass
from typing import NamedTuple

DEFAULT_TYPES = ("EMAIL_ADDRESS", "IP_ADDRESS", "KEY")
"""The types that are found unless others are asked for."""

TYPES = (*DEFAULT_TYPES, "PASSWORD", "USERNAME", "NAME")
"""The types that can be found."""


class Span(NamedTuple):
    """A match: character offsets and the id of the rule."""

    start: int
    end: int
    rule: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One find: its place in characters, its type, and the rule that found it. It never holds the value."""

    start: int
    end: int
    type: str
    rule: str
