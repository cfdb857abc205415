"""The n-gram table against a count by hand, and its bad inputs."""

import math
from collections import Counter

import numpy as np
import pytest

from modeling_santa.corpus.ngrams import NgramTable
from modeling_santa.errors_santa import ModelError


def share_by_hand(stream, order, size, context, token):
    """Witten and Bell's share of a token, by the formula and slow counting."""
    first = Counter(stream)
    share = (first[token] + len(first) / size) / (len(stream) + len(first))
    for length in range(1, min(order - 1, len(context)) + 1):
        before = tuple(context[len(context) - length :])
        after = Counter(
            stream[at + length] for at in range(len(stream) - length) if tuple(stream[at : at + length]) == before
        )
        if not after:
            break
        share = (after[token] + len(after) * share) / (after.total() + len(after))
    return share


@pytest.mark.parametrize("order", [2, 3, 5])
def test_the_costs_are_those_of_the_formula(order):
    draw = np.random.default_rng(0)
    stream, windows = draw.integers(0, 6, 300).tolist(), draw.integers(0, 8, (3, 12))
    table = NgramTable(np.array(stream, np.uint16), 8, order)
    wanted = [
        [-math.log2(share_by_hand(stream, order, 8, row[:at], row[at])) for at in range(1, len(row))]
        for row in windows.tolist()
    ]
    np.testing.assert_allclose(table.bits(windows), wanted)


@pytest.mark.parametrize("context", [[3], [7, 7, 7], [0, 1, 2, 3, 4]])
def test_the_shares_of_all_tokens_sum_to_one(context):
    table = NgramTable(np.random.default_rng(1).integers(0, 5, 200).astype(np.uint16), 8)
    windows = np.array([[*context, token] for token in range(8)])
    assert (2.0 ** -table.bits(windows)[:, -1]).sum() == pytest.approx(1.0)


def test_the_next_token_follows_the_longest_context_seen():
    table = NgramTable(np.array([1, 2, 3, 9, 2, 4, 9, 2, 4, 1, 2, 3], np.uint16), 10, order=3)
    assert [table.next_token(context) for context in ([1, 2], [9, 2], [2], [8, 2], [8, 8], [])] == [3, 4, 3, 3, 2, 2]


@pytest.mark.parametrize(
    ("stream", "order", "words"),
    [([1, 2, 3], 5, "3 tokens and order=5"), ([1, 2, 3], 1, "order=1"), ([1, 2, 30], 2, "token 30 is not in")],
)
def test_what_cannot_be_counted_is_refused(stream, order, words):
    with pytest.raises(ModelError, match=words):
        NgramTable(np.array(stream, np.uint16), 10, order)
