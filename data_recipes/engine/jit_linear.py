"""Compiled: features of a text for a linear model, the model's sum over them, and a pass of training.

A feature is a hashed token or pair of neighbouring tokens, each counted once a text, or the bin of a shape such as the
mean line length. Without numba the same source runs as Python. Only IEEE operations that round alike everywhere are
used, so that the same labels give the same model on every machine.
"""

import math
from typing import Any

import numpy as np

from data_recipes.engine.jit import compiled, inlined

BUCKETS = 1 << 18
SHAPES = 13
BINS = 32

_MASK = 0xFFFFFFFF
_FNV_START, _FNV_PRIME = 2166136261, 16777619
_NUMBER = 0x4E554D42  # every number is the same token
_OTHER, _BLANK, _LOWER, _UPPER, _DIGIT, _JOINER = range(6)
_LN2 = 0.6931471805599453
_MOST = 30.0  # beyond, a probability is 0 or 1 to 13 digits

KINDS = np.zeros(256, np.uint8)
KINDS[[9, 11, 12, 13, 32]] = _BLANK
KINDS[97:123], KINDS[65:91], KINDS[48:58] = _LOWER, _UPPER, _DIGIT
KINDS[95], KINDS[128:] = _JOINER, _JOINER


@compiled
def _bucket(value: Any) -> Any:
    mixed = ((value ^ (value >> 15)) * 0x2C1B3C6D) & _MASK
    return (mixed ^ (mixed >> 13)) & (BUCKETS - 1)


@compiled
def _bits(value: Any) -> Any:
    count = 0
    while value > 0:
        value >>= 1
        count += 1
    return min(count, BINS - 1)


@compiled
def _share(part: Any, whole: Any) -> Any:
    return min(BINS * part // max(whole, 1), BINS - 1)


@inlined
def _noted(bucket: Any, stamps: Any, stamp: Any, found: Any, count: Any) -> Any:
    """Add a bucket that the text did not have yet; return how many there are."""
    if stamps[bucket] != stamp:
        stamps[bucket] = stamp
        found[count] = bucket
        count += 1
    return count


@compiled
def _fill_bins(bins: Any, of_lines: Any, of_bytes: Any) -> None:
    size, lines, longest, empty = of_lines
    letters, digits, upper, blanks, signs, others = of_bytes
    bins[0], bins[1], bins[2] = _bits(size), _bits(lines), min(size // max(lines, 1) // 4, BINS - 1)
    bins[3], bins[4], bins[5] = _bits(longest), _share(letters, size), _share(digits, size)
    bins[6], bins[7], bins[8] = _share(upper, letters), _share(blanks, size), _share(signs, size)
    bins[9], bins[12] = _share(max(others, 0), size), _share(empty, lines)


@compiled
def features(data: Any, start: Any, end: Any, kinds: Any, stamps: Any, stamp: Any, found: Any, bins: Any) -> Any:
    """Fill in the buckets of the tokens and pairs, each once in the order of the text, and the bins; return how many buckets.

    `stamps` tells the buckets of this text, whose number is `stamp`, from those of others.
    """
    count = tokens = words = word_bytes = 0
    lines = empty = longest = letters = upper = digits = blanks = signs = 0
    line_start, previous, i = start, 1, start
    while i < end:
        kind = kinds[data[i]]
        if kind == _BLANK:
            blanks += 1
            i += 1
            continue
        value = int(data[i])
        if kind >= _LOWER:
            first, begin, value = kind, i, _FNV_START
            while i < end and kinds[data[i]] >= _LOWER:
                kind = kinds[data[i]]
                letters += kind in (_LOWER, _UPPER)
                upper += kind == _UPPER
                digits += kind == _DIGIT
                value = ((value ^ int(data[i])) * _FNV_PRIME) & _MASK
                i += 1
            words += 1
            word_bytes += i - begin
            if first == _DIGIT:
                value = _NUMBER
        else:
            i += 1
            if value == 10:
                lines += 1
                longest = max(longest, i - 1 - line_start)
                empty += i - 1 == line_start
                line_start = i
            else:
                signs += 1
        tokens += 1
        pair = ((previous * _FNV_PRIME) ^ value) & _MASK
        previous = value
        count = _noted(_bucket(value), stamps, stamp, found, count)
        count = _noted(_bucket(pair), stamps, stamp, found, count)
    if line_start < end:
        lines += 1
        longest = max(longest, end - line_start)
    others = end - start - letters - digits - blanks - signs - lines
    _fill_bins(bins, (end - start, lines, longest, empty), (letters, digits, upper, blanks, signs, others))
    bins[10], bins[11] = min(2 * word_bytes // max(words, 1), BINS - 1), _share(count, 2 * tokens)
    return count


@compiled
def logistic(z: Any) -> Any:
    """Return 1 / (1 + e^-z), by operations that round alike on every machine."""
    x = min(max(-z, -_MOST), _MOST)
    power = math.floor(x / _LN2 + 0.5)
    rest = x - power * _LN2
    term = grown = 1.0
    for n in range(1, 18):
        term = term * rest / n
        grown += term
    for _ in range(abs(power)):
        grown = grown * 2.0 if power > 0 else grown * 0.5
    return 1.0 / (1.0 + grown)


@compiled
def _sum(buckets: Any, count: Any, bins: Any, words: Any, shapes: Any) -> Any:
    total = 0.0
    for i in range(count):
        total += words[buckets[i]]
    total /= math.sqrt(max(count, 1))
    for shape in range(SHAPES):
        total += shapes[shape, bins[shape]]
    return total


@compiled
def score(data: Any, offsets: Any, kinds: Any, words: Any, shapes: Any, bias: Any, scores: Any) -> None:
    """Fill in the score of every text, from 0 to 1."""
    stamps, found = np.full(BUCKETS, -1, np.int64), np.empty(BUCKETS, np.int64)
    bins = np.zeros(SHAPES, np.int64)
    for row in range(len(scores)):
        count = features(data, offsets[row], offsets[row + 1], kinds, stamps, row, found, bins)
        scores[row] = logistic(bias + _sum(found, count, bins, words, shapes))


@compiled
def score_features(rows: Any, texts: Any, words: Any, shapes: Any, bias: Any, scores: Any) -> None:
    """Fill in the scores of some texts whose features are there, as `score` has them."""
    offsets, buckets, every_bins = texts
    for number in range(len(rows)):
        start, end = offsets[rows[number]], offsets[rows[number] + 1]
        total = _sum(buckets[start:end], end - start, every_bins[rows[number]], words, shapes)
        scores[number] = logistic(bias + total)


@compiled
def learn(order: Any, texts: Any, labels: Any, model: Any, squares: Any, rate: Any, decay: Any) -> None:
    """Go once through the texts in an order and move the model's numbers towards their labels, by AdaGrad.

    `texts` are (offsets into the buckets, the buckets, the bins); `model` and `squares` are (words, shapes, bias).
    """
    offsets, buckets, every_bins = texts
    words, shapes, bias = model
    word_squares, shape_squares, bias_squares = squares
    for row in order:
        start, count, bins = offsets[row], offsets[row + 1] - offsets[row], every_bins[row]
        z = bias[0] + _sum(buckets[start : start + count], count, bins, words, shapes)
        error = logistic(z) - labels[row]
        each = error / math.sqrt(max(count, 1))
        for i in range(start, start + count):
            bucket = buckets[i]
            slope = each + decay * words[bucket]
            word_squares[bucket] += slope * slope
            words[bucket] -= rate * slope / math.sqrt(word_squares[bucket] + 1e-12)
        for shape in range(SHAPES):
            at = bins[shape]
            slope = error + decay * shapes[shape, at]
            shape_squares[shape, at] += slope * slope
            shapes[shape, at] -= 0.1 * rate * slope / math.sqrt(shape_squares[shape, at] + 1e-12)
        bias_squares[0] += error * error
        bias[0] -= 0.1 * rate * error / math.sqrt(bias_squares[0] + 1e-12)
