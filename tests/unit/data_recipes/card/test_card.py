"""The dataset card."""

from importlib.resources import files
from string import Template

import yaml

from data_recipes.card.card import render_card
from tests.fixtures.funnel import FUNNEL, entry, funnel_of


def test_the_card_is_valid_and_complete():
    """The card's front matter parses, every config and its rows are listed, no placeholder is left."""
    card = render_card(FUNNEL, repository="user/set")
    _, front, text = card.split("---\n", 2)
    header = yaml.safe_load(front)
    shown = {entry["config_name"]: entry["rows"] for entry in FUNNEL["configs"]}
    assert [{**entry, "rows": shown[entry["config_name"]]} for entry in header["configs"]] == FUNNEL["configs"]
    assert shown == {
        "base": 27,
        "java-base": 8,
        "python-base": 19,
        "stars": 2,
        "java-stars": 1,
        "python-stars": 1,
        "near_dedup": 25,
        "java-near_dedup": 6,
        "python-near_dedup": 19,
    }
    assert all(f"| `{name}` | {count:,} |" in text for name, count in shown.items())
    assert 'load_dataset("user/set", "near_dedup"' in text
    template = Template((files("data_recipes.card") / "card.md").read_text("utf-8"))
    assert not [name for name in template.get_identifiers() if f"${name}" in card]


def test_the_card_says_who_may_be_in_it():
    """Licences are counted, lists applied are named with their effect, and what is missing is said with its reason."""
    card = render_card(FUNNEL, repository="user/set")
    assert "| mit | 6 |" in card
    assert "| a&#124;b | 2 |" in card
    assert "An opt-out list of 7 names was applied: 2 files are not here. Only these licences are taken: mit" in card
    assert "- `fertility` is not in this store: recipe 'fertility' counts tokens." in card
    assert "`stars` (" not in card
    assert "- `stars`: stars of the repository" in card
    unknown = funnel_of(
        [{**entry("Java", [1, 1, 1, 1]), "licenses": None}],
        permissions={"opt_outs": 0, "licenses": None, "keep_unlicensed": False},
        benchmarks={},
    )
    card = render_card(unknown, repository="user/set")
    assert "The source names no licences." in card
    assert "Neither an opt-out list nor a licence list was given to this run." in card
    assert "No benchmark was given to this run: nothing was searched for" in card
    assert "no file with a benchmark string" not in card


def test_thresholds_on_the_card_are_those_of_the_filters_in_use():
    """A filter that no recipe of the store has leaves no threshold on the card."""
    card = render_card(FUNNEL, repository="user/set")
    assert "min_stars 5" in card
    assert "chars_per_token" not in card
