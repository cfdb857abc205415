"""Estimate pass@k without bias (Chen et al. 2021, arXiv 2107.03374), with an interval over problems."""

import math
from collections.abc import Sequence

import numpy as np

from .errors import EvalError


def pass_at_k(n: int, c: int, k: int) -> float:
    """Return the chance that at least one of k completions drawn from n, of which c are correct, is correct.

    1 - C(n-c, k) / C(n, k), as a product, so that large n does not overflow.

    >>> pass_at_k(5, 1, 1)
    0.2
    >>> round(pass_at_k(10, 3, 2), 12) == round(1 - 21 / 45, 12)
    True
    """
    if n < 1 or not 0 <= c <= n:
        raise EvalError(f"pass_at_k: n={n} and c={c}. Give n >= 1 completions, of which 0 <= c <= n are correct.")
    if not 1 <= k <= n:
        raise EvalError(
            f"pass_at_k: k={k} with n={n} completions. k must lie between 1 and n; draw more completions or lower k."
        )
    if n - c < k:
        return 1.0
    if k == 1:
        return c / n
    return 1.0 - math.prod((n - c - i) / (n - i) for i in range(k))


def mean_scores(
    name: str, values: Sequence[tuple[str, float]], *, seed: int = 0
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Return means and intervals of (language, value) pairs, one a problem: over all as `name`, each as `name/CODE`.

    >>> mean_scores("pass@1", [("py", 1.0), ("py", 0.0), ("js", 1.0)])[0]["pass@1/py"]
    0.5
    """
    scores: dict[str, float] = {}
    intervals: dict[str, list[float]] = {}
    for code in (None, *dict.fromkeys(language for language, _ in values)):
        found = [value for language, value in values if code in (None, language)]
        if found:
            key = name if code is None else f"{name}/{code}"
            scores[key] = sum(found) / len(found)
            intervals[key] = list(bootstrap_interval(found, seed=seed))
    return scores, intervals


def bootstrap_interval(
    values: Sequence[float], *, seed: int = 0, resamples: int = 2000, level: float = 0.95
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a mean over problems; equal values and seed give the same one.

    Where no problem, or every problem, was solved, resampling would give an interval of no width; it is the exact
    binomial one of Clopper and Pearson then. None of 24 problems solved leaves up to 14 % possible.

    >>> [round(end, 2) for end in bootstrap_interval([0.0] * 24)]
    [0.0, 0.14]
    """
    if not values:
        raise EvalError("bootstrap_interval: no values. Give one value for each problem.")
    sample = np.asarray(values, dtype=np.float64)
    draws = np.random.default_rng(seed).integers(0, len(sample), size=(resamples, len(sample)))
    tail = (1.0 - level) / 2.0
    if not sample.any():
        return 0.0, 1.0 - tail ** (1.0 / len(sample))
    if (sample == 1.0).all():
        return tail ** (1.0 / len(sample)), 1.0
    low, high = np.quantile(sample[draws].mean(axis=1), [tail, 1.0 - tail])
    return float(low), float(high)
