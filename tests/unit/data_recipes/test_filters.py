"""The base filter."""

import pytest

from data_recipes.filters import base
from data_recipes.rows import make_row


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("x" * 1000 + "\n" + "y\n" * 20, None),
        ("x" * 1001 + "\n" + "y\n" * 20, "max_line_length"),
        (("x" * 100 + "\n") * 3, None),
        (("x" * 101 + "\n") * 3, "avg_line_length"),
        ("a...", None),
        ("a....", "alphanum_fraction"),
        ("   \n", "alphanum_fraction"),
    ],
)
def test_thresholds_are_the_reports(content, reason):
    """A row on the threshold is kept, one beyond it is dropped with the threshold's name."""
    drop = base(make_row(content.encode(), "a.py", ext="py", lang="Python"))
    assert (drop.reason if drop else None) == reason
