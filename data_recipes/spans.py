"""What every rule yields."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """Where a find stands, in characters, and the rule that found it."""

    start: int
    end: int
    rule: str
