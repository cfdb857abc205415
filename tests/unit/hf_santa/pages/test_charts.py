"""Charts and colours of the pages: scales, thinned curves, contrast."""

import doctest
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_santa.pages import charts


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_contrast(theme: int) -> None:
    """Text has a contrast of 4.5 and marks of charts 3 against each ground they stand on, in both themes."""
    style = charts.page_style()
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", re.findall(r":root \{(.*?)\}", style, re.DOTALL)[theme]))

    def contrast(one: str, other: str) -> float:
        high, low = sorted((luminance(colours[one]), luminance(colours[other])), reverse=True)
        return (high + 0.05) / (low + 0.05)

    text = [("ink", "page"), ("ink", "panel"), ("ink", "soft"), ("muted", "page"), ("muted", "panel")]
    text += [("accent", "page"), ("accent", "panel")]
    assert [pair for pair in text if contrast(*pair) < 4.5] == []
    assert [pair for pair in [("faint", "page"), ("accent", "page")] if contrast(*pair) < 3] == []


@given(
    st.floats(0, 1e6, allow_subnormal=False),
    st.floats(0, 1e6, allow_subnormal=False),
)
def test_scale_encloses(a: float, b: float) -> None:
    """Ticks rise evenly, enclose both ends, and are two to eight."""
    low, high = sorted((a, b))
    ticks = charts.scale(low, high)
    assert 2 <= len(ticks) <= 8
    assert ticks == sorted(set(ticks))
    assert ticks[0] <= low * (1 + 1e-9)
    assert high <= ticks[-1] * (1 + 1e-9)


@given(st.lists(st.tuples(st.integers(0, 99), st.floats(0, 9)), min_size=1), st.integers(2, 50))
def test_thin_keeps_the_ends(points: list[tuple[int, float]], most: int) -> None:
    """Thinning keeps order and both ends, and no more points than asked for."""
    kept = charts.thin(points, most)
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert len(kept) == min(len(points), most)


def test_doctests() -> None:
    """The examples in the docstrings give what they say."""
    assert doctest.testmod(charts).failed == 0
