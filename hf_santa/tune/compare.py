"""Grade answers to gaps, and compare two sets of them on the same gaps, with intervals over files."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

MEASURES = ("exact_match", "edit_similarity", "characters_saved", "bits_per_byte")
RESAMPLES = 2000
_WORD = re.compile(r"\s*(?:\w+|[^\w\s]+)")
Floats = NDArray[np.float64]


def distance(one: str, other: str) -> int:
    """Return the fewest characters to insert, delete or replace that make one text of another (Levenshtein 1965).

    >>> distance("kitten", "sitting")
    3
    """
    a = np.frombuffer(one.encode("utf-32-le", "surrogatepass"), "<u4")
    b = np.frombuffer(other.encode("utf-32-le", "surrogatepass"), "<u4")
    steps = np.arange(len(b) + 1)
    row = steps.copy()
    for number, character in enumerate(a, 1):
        best = np.minimum(row[1:] + 1, row[:-1] + (b != character))
        row = np.minimum.accumulate(np.concatenate([[number], best]) - steps) + steps
    return int(row[-1])


def similarity(answer: str, middle: str) -> float:
    """Return one less the share of characters that differ, blanks at both ends aside: 1 for the same text.

    >>> similarity(" return x", "return y")
    0.875
    """
    a, b = answer.strip(), middle.strip()
    longest = max(len(a), len(b))
    return 1.0 - distance(a, b) / longest if longest else 1.0


def keystrokes(answer: str, middle: str) -> int:
    """Return the keys that a person presses to have a middle: one takes a whole right answer, or its next right word.

    The suggestion is shown once, at the gap; what is not taken of it is typed, a key a character.

    >>> keystrokes("return x + 1", "return x + 1"), keystrokes("return x - 1", "return x + 1"), keystrokes("", "abc")
    (1, 6, 3)
    """
    a, b = answer.rstrip(), middle.rstrip()
    if not b:
        return 0
    if a == b:
        return 1
    taken = keys = 0
    for word in _WORD.finditer(b):
        if a[taken : word.end()] != b[taken : word.end()] or _goes_on(a, word.end()) != _goes_on(b, word.end()):
            break
        taken, keys = word.end(), keys + 1
    return min(len(b), keys + len(b) - taken)


def _goes_on(text: str, at: int) -> bool:
    """Tell whether a word of the text reaches over a place."""
    return 0 < at < len(text) and text[at].isalnum() and text[at - 1].isalnum()


def graded_gap(gap: Mapping[str, Any], answer: str) -> dict[str, float]:
    """Return the measures of one answer, each as a numerator and a denominator whose sums are compared."""
    keys = keystrokes(answer, gap["middle"])
    return {
        "exact_match": float(answer.strip() == gap["middle"].strip()),
        "edit_similarity": similarity(answer, gap["middle"]),
        "saved": len(gap["middle"].rstrip()) - keys,
        "keys": keys,
    }


def parts_of(grades: Sequence[Mapping[str, float]], measure: str) -> tuple[Floats, Floats]:
    """Return a measure's numerators and denominators, one for each gap."""
    above, below = {"characters_saved": ("saved", "keys"), "bits_per_byte": ("bits", "bytes")}.get(
        measure, (measure, "")
    )
    numerators = np.array([grade[above] for grade in grades], dtype=np.float64)
    return numerators, np.array([grade[below] if below else 1.0 for grade in grades], dtype=np.float64)


def paired_difference(
    before: Sequence[Mapping[str, float]],
    after: Sequence[Mapping[str, float]],
    files: Sequence[str],
    measure: str,
    *,
    seed: int,
) -> dict[str, float | int]:
    """Return a measure before and after on the same gaps, and its gain with a 95 % interval.

    Whole files are drawn with replacement, since the gaps of one file resemble each other; with gaps of one file alone
    single gaps are drawn.
    """
    sides = [parts_of(grades, measure) for grades in (before, after)]
    values = [_ratio(above.sum(), below.sum()) for above, below in sides]
    names = sorted(set(files))
    groups = np.array([names.index(file) for file in files]) if len(names) > 1 else np.arange(len(files))
    count = int(groups.max()) + 1
    sums = [tuple(np.bincount(groups, part, count) for part in side) for side in sides]
    draws = np.random.default_rng(seed).integers(0, count, size=(RESAMPLES, count))
    drawn = [_ratio(above[draws].sum(axis=1), below[draws].sum(axis=1)) for above, below in sums]
    low, high = np.quantile(drawn[1] - drawn[0], [0.025, 0.975])
    return {
        "before": float(values[0]),
        "after": float(values[1]),
        "gain": float(values[1] - values[0]),
        "low": float(low),
        "high": float(high),
        "gaps": len(files),
        "files": len(names),
    }


def _ratio(above: Any, below: Any) -> Any:
    return above / np.maximum(below, 1e-9)
