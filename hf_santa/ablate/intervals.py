"""Compare variants over several seeds: means with Student's intervals, and which differ from the baseline."""

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass

from hf_santa.errors import HfSantaError

LEVEL = 0.95
POWER = 0.8
FIRST_LOOK = 3  # seeds before the first decision: the spread of two says next to nothing
MOST_SEEDS = 1000


@dataclass(frozen=True)
class Interval:
    """A mean over seeds with its interval; one seed has none, and its ends are None."""

    mean: float
    low: float | None
    high: float | None
    seeds: int

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies wholly on one side of zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def t_point(level: float, freedom: int) -> float:
    """Return the point which Student's t with so many degrees of freedom stays below, in size, with probability `level`.

    >>> round(t_point(0.95, 2), 3)
    4.303
    """
    low, high = 0.0, 1.0
    while _t_within(high, freedom) < level:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_within(middle, freedom) < level else (low, middle)
    return high


def _t_within(point: float, freedom: int) -> float:
    """Return the probability that Student's t lies within `point` of zero: the finite series for whole degrees."""
    angle = math.atan(point / math.sqrt(freedom))
    cosine = math.cos(angle)
    is_odd = freedom % 2
    term, total = (cosine if is_odd else 1.0), 0.0
    for i in range(1, freedom // 2 + 1):
        total += term
        term *= cosine * cosine * (2 * i / (2 * i + 1) if is_odd else (2 * i - 1) / (2 * i))
    return 2 / math.pi * (angle + math.sin(angle) * total) if is_odd else math.sin(angle) * total


def estimate(values: Sequence[float], level: float = LEVEL) -> Interval:
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
    reach = t_point(level, n - 1) * _deviation(values) / math.sqrt(n)
    return Interval(mean, mean - reach, mean + reach, n)


def _deviation(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))


def differences_of(values: dict[int, float], baseline: dict[int, float]) -> list[float]:
    """Return the differences of the seeds that both have, in the order of the seeds."""
    return [values[seed] - baseline[seed] for seed in sorted(values.keys() & baseline.keys())]


def paired(values: dict[int, float], baseline: dict[int, float], level: float = LEVEL) -> Interval | None:
    """Return the mean difference over the seeds that both have, or None if they share none."""
    found = differences_of(values, baseline)
    return estimate(found, level) if found else None


def verdict(difference: Interval | None) -> str:
    """Return "higher", "lower" or "no evidence", by whether the interval of a difference excludes zero.

    A difference that is the same to the last bit in every seed is none that training could vary: it is no evidence.
    """
    if difference is None or not difference.excludes_zero or difference.low == difference.high:
        return "no evidence"
    return "higher" if difference.mean > 0 else "lower"


def is_within(difference: Interval | None, matters: float) -> bool:
    """Tell whether the interval excludes every difference of `matters` and more, above and below."""
    if difference is None or difference.low is None or difference.high is None:
        return False
    return difference.low > -matters and difference.high < matters


def level_of_looks(most_seeds: int) -> float:
    """Return the level of each interval where one looks after every seed from the third on: Bonferroni's, so that all hold.

    >>> level_of_looks(3), round(level_of_looks(12), 4)
    (0.95, 0.995)
    """
    return 1 - (1 - LEVEL) / max(1, most_seeds - FIRST_LOOK + 1)


def is_decided(differences: Sequence[float], level: float, matters: float) -> bool:
    """Tell whether the interval excludes zero, or every difference of `matters` and more.

    >>> is_decided([0.2, 0.21, 0.19], 0.95, 0.05), is_decided([0.1, -0.1, 0.0], 0.95, 0.05)
    (True, False)
    >>> is_decided([0.001, -0.001, 0.0], 0.95, 0.05)
    True
    """
    if len(differences) < FIRST_LOOK:
        return False
    found = estimate(differences, level)
    return verdict(found) != "no evidence" or is_within(found, matters)


def seeds_to_see(differences: Sequence[float], level: float, matters: float) -> int | None:
    """Return about how many seeds show a true difference of `matters` in four cases of five, by the spread seen so far.

    None is more than a thousand, or a spread of fewer than two seeds.
    """
    if len(differences) < 2:  # a spread
        return None
    spread = _deviation(differences)

    def suffices(n: int) -> bool:
        points = t_point(level, n - 1) + t_point(2 * POWER - 1, n - 1)
        return points * spread / math.sqrt(n) <= matters

    n = bisect.bisect_left(range(2, MOST_SEEDS + 1), True, key=suffices) + 2
    return n if n <= MOST_SEEDS else None
