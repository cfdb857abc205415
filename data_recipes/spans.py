"""What every rule yields."""

from typing import NamedTuple


class Span(NamedTuple):
    """Where a find stands, in characters, and the rule that found it."""

    start: int
    end: int
    rule: str
