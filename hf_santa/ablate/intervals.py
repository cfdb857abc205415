"""Compare variants over several seeds: means with Student's intervals, and which differ from the baseline."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hf_santa.errors import HfSantaError

# Two-sided 95 % points of Student's t by degrees of freedom; beyond them the normal one is within 4 %.
T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)


@dataclass(frozen=True)
class Interval:
    """A mean over seeds with its 95 % interval; one seed has none, and its ends are None."""

    mean: float
    low: float | None
    high: float | None
    seeds: int

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies wholly on one side of zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def estimate(values: Sequence[float]) -> Interval:
    """Return the mean and its interval by Student's t.

    >>> found = estimate([1.0, 2.0, 3.0])
    >>> found.mean, round(found.low, 2), round(found.high, 2)
    (2.0, -0.48, 4.48)
    """
    if not values:
        raise HfSantaError("estimate: no values. Give one for each seed.")
    n, mean = len(values), sum(values) / len(values)
    if n == 1:
        return Interval(mean, None, None, 1)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (n - 1))
    reach = (T95[n - 2] if n - 2 < len(T95) else 1.96) * deviation / math.sqrt(n)
    return Interval(mean, mean - reach, mean + reach, n)


def paired(values: dict[int, float], baseline: dict[int, float]) -> Interval | None:
    """Return the mean difference over the seeds that both have, or None if they share none."""
    seeds = sorted(values.keys() & baseline.keys())
    return estimate([values[seed] - baseline[seed] for seed in seeds]) if seeds else None


def verdict(difference: Interval | None) -> str:
    """Return "higher", "lower" or "no evidence", by whether the interval of a difference excludes zero.

    A difference that is the same to the last bit in every seed is none that training could vary: it is no evidence.
    """
    if difference is None or not difference.excludes_zero or difference.low == difference.high:
        return "no evidence"
    return "higher" if difference.mean > 0 else "lower"
