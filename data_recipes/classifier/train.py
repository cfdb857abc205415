"""Train a quality classifier from labelled files, and measure it on files that it did not see."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha1
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_recipes.classifier.labels import Labelled, good_ones
from data_recipes.classifier.model import Classifier, joined
from data_recipes.engine.jit_linear import BINS, BUCKETS, KINDS, SHAPES, features, learn, score_features
from data_recipes.errors import DataError

EPOCHS, RATE, DECAY = 6, 0.5, 1e-6
HELD_OUT = 0.2
LEAST = 20
"""So many good and so many bad files must be there to learn from, and a fifth as many to measure with."""

_HELD_OUT_BELOW = int(HELD_OUT * 2**32)
_STEPS = tuple(round(0.1 * n, 1) for n in range(1, 10))


@dataclass(slots=True)
class _Features:
    """The features of many texts: buckets one behind the other, where each text's begin, and the bins."""

    counts: list[int] = field(default_factory=list)
    buckets: list[NDArray[np.int32]] = field(default_factory=list)
    bins: list[NDArray[np.int64]] = field(default_factory=list)
    stamps: NDArray[np.int64] = field(default_factory=lambda: np.full(BUCKETS, -1, np.int64))
    scratch: NDArray[np.int64] = field(default_factory=lambda: np.empty(BUCKETS, np.int64))

    def add(self, text: str) -> None:
        data, offsets = joined([text.encode("utf-8", "surrogatepass")])
        bins = np.zeros(SHAPES, np.int64)
        count = features(data, 0, offsets[1], KINDS, self.stamps, len(self.counts), self.scratch, bins)
        self.counts.append(count)
        self.buckets.append(self.scratch[:count].astype(np.int32))
        self.bins.append(bins)

    def arrays(self) -> tuple[Any, Any, Any]:
        offsets = np.zeros(len(self.counts) + 1, np.int64)
        np.cumsum(self.counts, out=offsets[1:])
        return offsets, np.concatenate(self.buckets), np.stack(self.bins)


def train_classifier(
    labelled: Iterable[Labelled], *, at_least: float | None = None, good: Sequence[str] = (), seed: int = 0
) -> Classifier:
    """Return a classifier of good and bad files, with what it does on a fifth of them that are held out.

    Held out are whole repositories where the labels name them, by a hash of the name: the same ones each time. Of equal
    contents the first counts. The same labels in the same order and the same seed give the same numbers.

    Args:
        labelled: The files with their labels.
        at_least: Labels that are numbers are good from this one on; None: the greater of two values.
        good: The labels that are good, where they are texts.
        seed: Draws the order in which the files are learned from.

    Raises:
        DataError: There are too few labels, or it is not clear which are good.
    """
    found, labels, is_held = _Features(), list[Any](), list[bool]()
    seen, repeated = dict[bytes, Any](), 0
    for item in labelled:
        digest = sha1(item.text.encode("utf-8", "surrogatepass"), usedforsecurity=False).digest()
        if digest in seen:
            repeated += 1
            continue
        seen[digest] = None
        found.add(item.text)
        labels.append(item.label)
        group = sha1(item.group.encode("utf-8", "surrogatepass"), usedforsecurity=False).digest()
        is_held.append(int.from_bytes(group[:4], "big") < _HELD_OUT_BELOW)
    if not labels:
        raise DataError("there are no labels. Give labelled files of both kinds.")
    is_good, held = np.array(good_ones(labels, at_least=at_least, good=good)), np.array(is_held)
    _check_enough(is_good, held)
    texts = found.arrays()
    model = _learned(texts, is_good.astype(np.float64), np.flatnonzero(~held), seed)
    scores = _scores(texts, np.flatnonzero(held), model)
    about = {
        "files": len(labels),
        "good": int(is_good.sum()),
        "repeated": repeated,
        "at_least": at_least,
        "good_labels": list(good),
        "seed": seed,
        "held_out": measured(scores, is_good[held]),
    }
    words, shapes, bias = (array.astype(np.float32) for array in model)
    return Classifier(words, shapes, bias, about)


def _check_enough(is_good: NDArray[np.bool_], held: NDArray[np.bool_]) -> None:
    for name, some, least in (("to learn from", ~held, LEAST), ("held out", held, LEAST // 5)):
        good, bad = int((is_good & some).sum()), int((~is_good & some).sum())
        if min(good, bad) < least:
            seen = f"{good:,} good and {bad:,} bad files are {name}"
            raise DataError(f"{seen}. Expected {least} of each at least: label more files, or more repositories.")


def _learned(texts: Any, labels: NDArray[np.float64], rows: NDArray[np.int64], seed: int) -> Any:
    """Return the numbers of a model that went through some texts several times."""
    model = (np.zeros(BUCKETS), np.zeros((SHAPES, BINS)), np.zeros(1))
    squares = tuple(np.zeros_like(array) for array in model)
    drawn = random.Random(seed)
    for _ in range(EPOCHS):
        order = rows.tolist()
        drawn.shuffle(order)
        learn(np.array(order), texts, labels, model, squares, RATE, DECAY)
    return model


def _scores(texts: Any, rows: NDArray[np.int64], model: Any) -> NDArray[np.float64]:
    words, shapes, bias = (array.astype(np.float32).astype(np.float64) for array in model)
    found = np.zeros(len(rows))
    score_features(rows, texts, words, shapes, float(bias[0]), found)
    return found


def measured(scores: NDArray[np.float64], is_good: NDArray[np.bool_]) -> Mapping[str, Any]:
    """Return how well scores tell good files from bad ones.

    `accuracy` is at .5, beside `majority`, that of always saying what most are; `auc` is the chance that a good file has
    a greater score than a bad one; `thresholds` says for each what share of the files is kept, how many of these are
    good (`precision`) and how many of the good ones are among them (`recall`).
    """
    share = float(is_good.mean())
    rows = []
    for least in _STEPS:
        kept = scores >= least
        right = int((kept & is_good).sum())
        rows.append(
            {
                "min_quality": least,
                "kept": round(float(kept.mean()), 4),
                "precision": round(right / max(int(kept.sum()), 1), 4),
                "recall": round(right / int(is_good.sum()), 4),
            }
        )
    return {
        "files": len(scores),
        "good": int(is_good.sum()),
        "accuracy": round(float(((scores >= 0.5) == is_good).mean()), 4),
        "majority": round(max(share, 1 - share), 4),
        "auc": round(_auc(scores, is_good), 4),
        "thresholds": rows,
    }


def _auc(scores: NDArray[np.float64], is_good: NDArray[np.bool_]) -> float:
    """Return the share of pairs of a good and a bad file in which the good one has the greater score; ties count half."""
    ordered = np.sort(scores[~is_good])
    good = scores[is_good]
    below, up_to = np.searchsorted(ordered, good, "left"), np.searchsorted(ordered, good, "right")
    return float((below + up_to).sum() / 2 / (len(ordered) * len(good)))
