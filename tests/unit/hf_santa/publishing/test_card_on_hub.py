"""A card keeps what people wrote on the Hub, through any number of publications."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_santa.publishing.card_on_hub import together, with_kept
from hf_santa.repositories.kinds import KINDS

LINES = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="<#`~\n\r"), max_size=20), max_size=4)
CARDS = st.lists(st.tuples(st.sampled_from(["Use", "Data", "Limits"]), LINES), max_size=3)


def _card(sections):
    return "# A model\n\n" + "".join(f"## {name}\n" + "\n".join(lines) + "\n\n" for name, lines in sections)


@given(first=CARDS, second=CARDS, own=LINES)
def test_what_stands_below_the_line_stays(first, second, own):
    """Byte for byte, once, and under the new card; a third publication of the same card changes nothing."""
    hand = ("## By hand\n" + "\n".join(own)).strip()
    once, none = with_kept(_card(first), None)
    assert 0 == none
    twice, kept = with_kept(_card(second), once + "\n" + hand + "\n")
    assert 1 == kept
    assert twice.startswith(_card(second).rstrip())
    assert twice.endswith(f"\n{hand}\n")
    assert 1 == twice.count("## By hand")
    assert (twice, 1) == with_kept(_card(second), twice)


@given(made=CARDS)
def test_an_untouched_card_is_replaced_whole(made):
    """Nothing of an older card is taken for somebody's text."""
    old, _ = with_kept(_card([("Gone", ["old words"])]), None)
    new, kept = with_kept(_card(made), old)
    assert 0 == kept
    assert "old words" not in new


@pytest.mark.parametrize("end", ["\n", "\u2028", "\x0b", "\x0c"])
def test_a_section_added_above_the_line_moves_below_it(end):
    """With all its characters; a change inside a section that is made anew is replaced."""
    old, _ = with_kept(_card([("Use", ["run it"])]), None)
    edited = old.replace("run it", f"run it\n\n## Thanks\nto all{end}of you").replace("# A model", "# A model!")
    new, kept = with_kept(_card([("Use", ["call it"])]), edited)
    assert 1 == kept
    assert new.index("call it") < new.index("<!-- hf-santa") < new.index(f"## Thanks\nto all{end}of you")
    assert "run it" not in new


def test_a_heading_inside_of_code_is_no_section():
    """A line of a program that begins with ## is not cut out of it."""
    old, _ = with_kept(_card([("Use", ["words"])]), None)
    edited = old.replace("words", "words\n\n## Thanks\n```sh\n## a comment\n```")
    new, kept = with_kept(_card([("Use", ["words"])]), edited)
    assert 1 == kept
    assert "## Thanks\n```sh\n## a comment\n```" in new


@pytest.mark.parametrize("name", list(KINDS))
def test_a_card_links_to_the_others_and_not_to_itself(name):
    """Each by the path that the Hub gives its kind; without any there is no section."""
    ids = {other: f"me/{other}" for other in KINDS}
    text = together(KINDS[name], ids, list(KINDS), "https://example.org/project")
    assert f"me/{name}]" not in text
    paths = {
        "dataset": "datasets/me/dataset",
        "model": "me/model",
        "metric": "spaces/me/metric",
        "space": "spaces/me/space",
    }
    for other in set(KINDS) - {name}:
        assert f"(https://huggingface.co/{paths[other]})" in text
    assert "[https://example.org/project](https://example.org/project)" in text
    assert "" == together(KINDS[name], ids, [name], None)
