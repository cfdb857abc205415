"""The pictures of the dataset card."""

from xml.etree import ElementTree as ET

import pytest

from data_recipes.card.pictures import example_picture, funnel_picture, histogram_picture
from tests.fixtures.funnel import FUNNEL, entry, kept


@pytest.mark.parametrize("draw", [funnel_picture, histogram_picture, example_picture])
def test_pictures_are_sound_svg(draw):
    """Every picture is XML with a title, whatever characters a file or its path has, and the same each time."""
    picture = draw(FUNNEL)
    root = ET.fromstring(picture)
    assert root.find("{http://www.w3.org/2000/svg}title").text
    assert not set("\x00\u202e\ufffe") & set(picture)
    assert picture == draw(FUNNEL)


def test_pictures_hold_the_funnels_numbers():
    """Volumes, shares and numbers of files are written in the pictures; code keeps its indentation."""
    assert "25.0 kB" not in funnel_picture(FUNNEL)
    assert "19.0 kB (95.0 %)" in funnel_picture(FUNNEL)
    assert "tallest bar 10" in histogram_picture(FUNNEL)
    assert "unknown 6" in histogram_picture(FUNNEL)
    picture = example_picture(FUNNEL)
    assert "Python · &lt;a &amp; b&gt;.py" in picture
    assert ">    &#x27;" in picture


def test_a_store_without_examples_or_rows_of_a_language_is_drawn():
    """A language without rows is left out, one without a short file has no example."""
    empty = {**entry("Java", [3, 0, 0, 0]), "example": None}
    empty["recipes"] = {name: kept(0) for name in FUNNEL["recipes"]}
    bare = {**FUNNEL, "funnel": [empty, {**entry("Python", [1, 1, 1, 1]), "example": None}]}
    assert "Java" not in funnel_picture(bare)
    assert "No file is short enough to be shown." in example_picture(bare)
    ET.fromstring(histogram_picture(bare))
