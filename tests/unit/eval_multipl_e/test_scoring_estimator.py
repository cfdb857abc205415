"""pass@k and its interval against the definition."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval_multipl_e.scoring_estimator import bootstrap_interval, pass_at_k


@pytest.mark.parametrize("n", [1, 2, 5, 20, 200])
def test_pass_at_k_equals_its_definition(n):
    """pass@k equals 1 - C(n-c, k) / C(n, k) to 1e-12 for every c, and every k of a grid."""
    for c in range(n + 1):
        for k in {1, 2, 3, 10, n // 2, n} & set(range(1, n + 1)):
            expected = 1 - math.comb(n - c, k) / math.comb(n, k)
            assert math.isclose(expected, pass_at_k(n, c, k), rel_tol=0, abs_tol=1e-12)


@pytest.mark.parametrize(("n", "c", "k"), [(0, 0, 1), (3, 4, 1), (3, -1, 1), (3, 1, 0), (3, 1, 4)])
def test_impossible_numbers_are_refused(n, c, k):
    """Numbers that no set of completions can have are an error."""
    with pytest.raises(ValueError, match=r"pass_at_k: "):
        pass_at_k(n, c, k)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.integers(0, 5))
def test_the_interval_is_ordered_and_repeatable(values, seed):
    """An interval lies in order between the extreme values, and a seed gives it again."""
    low, high = bootstrap_interval(values, seed=seed, resamples=200)
    if set(values) not in ({0.0}, {1.0}):
        assert min(values) - 1e-12 <= low <= high <= max(values) + 1e-12
    assert (low, high) == bootstrap_interval(values, seed=seed, resamples=200)


def test_the_interval_covers_a_coin():
    """The interval of a hundred fair coins is about as wide as the normal approximation says."""
    low, high = bootstrap_interval([0.0, 1.0] * 50)
    assert math.isclose(2 * 1.96 * 0.05, high - low, abs_tol=0.03)


@pytest.mark.parametrize("count", [1, 24, 164])
def test_nothing_solved_is_not_certainly_nothing(count):
    """With no problem solved, the upper end p is where that has a chance of 2.5 %; all solved mirrors it."""
    low, high = bootstrap_interval([0.0] * count)
    assert 0.0 == low
    assert math.isclose(0.025, (1 - high) ** count)
    mirrored = bootstrap_interval([1.0] * count)
    assert math.isclose(1 - high, mirrored[0])
    assert 1.0 == mirrored[1]


def test_an_interval_of_nothing_is_refused():
    """No values is an error that says what to give."""
    with pytest.raises(ValueError, match="Give one value for each problem"):
        bootstrap_interval([])
