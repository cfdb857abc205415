"""One object is all that a new filter needs."""

import argparse
import json
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from datasets import load_dataset

from data_recipes import cli
from data_recipes.card.card import render_card
from data_recipes.card.pictures import write_pictures
from data_recipes.errors import DataError
from data_recipes.filters import registry, rules
from data_recipes.filters.filter import Drop, Filter, Histogram
from data_recipes.filters.registry import filters, find_filter, registered, thresholds_for
from data_recipes.pipeline import run
from data_recipes.recipes import RECIPES
from data_recipes.store.explain import explain

REPORT = ["base", "stars", "comments", "fertility"]
STORE = ["xml", "html", "generated", "alphabetic", "encoded_data", "data_files", "opencoder"]


def _keep(record, thresholds):
    share = record["digit_share"]
    return Drop("many_digits", f"{share:.2f}") if share >= thresholds["max_digit_share"] else None


def _measure(texts, langs, use):
    del langs, use
    return [sum(map(str.isdigit, text)) / len(text) for text in texts]


FEW_DIGITS = Filter(
    name="few_digits",
    summary="Base files that are not tables of numbers.",
    source="this test",
    keep=_keep,
    columns=("digit_share",),
    thresholds={"max_digit_share": 0.045},
    measures="digit_share",
    about="share of the characters that are digits",
    measure=_measure,
    histograms=(Histogram("digit_share", "Share of digits", [0.0, 0.045, 0.1, 1.0], ("max_digit_share",)),),
)


def _words(capsys):
    parser = argparse.ArgumentParser()
    cli.add_commands(parser.add_subparsers())
    with pytest.raises(SystemExit):
        parser.parse_args(["data", "run", "--help"])
    return capsys.readouterr().out


def test_a_new_filter_is_one_object(tmp_path, write_stack, capsys):
    """Registered, it has a recipe, a config, a histogram, sentences on the card and a place on the command line."""
    source, store = write_stack(tmp_path / "stack"), tmp_path / "store"
    with registered(FEW_DIGITS):
        funnel = run(source, store, "few_digits")
        assert "few_digits" in _words(capsys)
    assert "few_digits" not in _words(capsys)
    assert "few_digits" not in RECIPES
    shares = [
        share
        for file in sorted((store / "data").rglob("*.parquet"))
        for share in pq.read_table(file)["digit_share"].to_pylist()
    ]
    kept = sum(share < 0.045 for share in shares)
    assert 0 < kept < len(shares)
    rows = load_dataset(str(store), "few_digits", split="train", cache_dir=str(tmp_path / "cache"))
    assert rows.num_rows == kept == funnel["totals"]["recipes"]["few_digits"]["files"]
    assert funnel["funnel"][0]["histograms"]["digit_share"]["thresholds"] == [0.045]
    assert "Share of digits" in (store / "images" / "histograms.svg").read_text()
    card = (store / "README.md").read_text()
    assert "- `few_digits`: Base files that are not tables of numbers. (this test)" in card
    assert "- `digit_share`: share of the characters that are digits" in card
    assert "max_digit_share 0.045" in card
    reject = next(
        r for r in pq.read_table(store / "rejects" / "python.parquet").to_pylist() if r["stage"] == "few_digits"
    )
    (found,) = explain(store, reject["hexsha"])
    assert found.verdicts(json.loads((store / "funnel.json").read_text()))["few_digits"] == [
        f"few_digits: many_digits: {reject['detail']}"
    ]


ONE_FILE = """
from data_recipes.filters.filter import Drop, Filter, Histogram


def keep(record, thresholds):
    share = record["numeral_share"]
    return Drop("numerals", f"{share:.2f}") if share > thresholds["max_numeral_share"] else None


def measure(texts, langs, use):
    return [sum(map(str.isdigit, text)) / max(len(text), 1) for text in texts]


FILTER = Filter(
    name="wordy",
    summary="Base files that are not full of numbers.",
    source="one file",
    keep=keep,
    columns=("numeral_share",),
    thresholds={"max_numeral_share": 0.045},
    measures="numeral_share",
    about="share of the characters that are numerals",
    measure=measure,
    histograms=(Histogram("numeral_share", "Share of numerals", [0.0, 0.045, 0.5, 1.0], ("max_numeral_share",)),),
)
"""
RECIPE = """
summary: The wordier half.
steps:
  - wordy: {max_numeral_share: 0.001}
  - near_dedup
"""


@pytest.fixture
def one_more_file(tmp_path, monkeypatch):
    """A module beside those of `filters/rules`, as a change of the project would add it; nothing else is edited."""
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "wordy.py").write_text(ONE_FILE)
    monkeypatch.setattr(rules, "__path__", [*rules.__path__, str(folder)])
    registry._built_in.cache_clear()
    yield
    registry._built_in.cache_clear()
    sys.modules.pop("data_recipes.filters.rules.wordy", None)


def test_a_built_in_filter_is_one_file(tmp_path, write_stack, capsys, monkeypatch, one_more_file):
    """Recipes, flags, `data recipes`, a recipe file, the reference page, funnel, card and pictures know it by that file."""
    (tmp_path / "calm.yaml").write_text(RECIPE)
    parser = argparse.ArgumentParser()
    cli.add_commands(parser.add_subparsers())
    asked = parser.parse_args(["data", "recipes", str(tmp_path / "calm.yaml")])
    assert 0 == asked.func(asked)
    said = capsys.readouterr().out
    assert "wordy" in said
    assert "max_numeral_share" in said
    assert "wordy" in _words(capsys)
    monkeypatch.syspath_prepend(str(Path(__file__).parents[4] / "docs"))
    import generate_tables

    assert "`wordy`" in generate_tables.recipes_page()
    source, store = write_stack(tmp_path / "stack"), tmp_path / "store"
    funnel = run(source, store, "wordy")
    kept = {name: funnel["totals"]["recipes"][name]["files"] for name in ("base", "wordy")}
    assert 0 < kept["wordy"] < kept["base"]
    assert [0.045] == funnel["funnel"][0]["histograms"]["numeral_share"]["thresholds"]
    assert "- `numeral_share`: share of the characters that are numerals" in (store / "README.md").read_text()
    stricter = run(source, tmp_path / "calm", str(tmp_path / "calm.yaml"))
    assert "calm" == stricter["recipe"]
    assert 0.001 == stricter["thresholds"]["max_numeral_share"]
    assert stricter["totals"]["recipes"]["calm"]["files"] < kept["wordy"]


def test_the_card_is_made_from_funnel_json_alone(tmp_path, write_stack):
    """Written anew from the file, card and pictures have the same bytes: they compute nothing from the rows."""
    store = tmp_path / "store"
    run(write_stack(tmp_path / "stack"), store, ["near_dedup", "comments", "stars"])
    funnel = json.loads((store / "funnel.json").read_text())
    assert (store / "README.md").read_text() == render_card(funnel, repository="store")
    for path in write_pictures(tmp_path / "again", funnel):
        assert (store / "images" / path.name).read_bytes() == path.read_bytes()


def test_a_name_is_taken_once():
    """A filter can't take the name or the column of another; a wrong shape is said when it is made."""
    with (
        registered(FEW_DIGITS),
        pytest.raises(DataError, match="'few_digits' has the same name"),
        registered(FEW_DIGITS),
    ):
        raise AssertionError
    with pytest.raises(DataError, match="give both 'measures' and 'measure'"):
        Filter(name="x", summary="", source="", keep=_keep, columns=(), measures="y")


def test_the_filters_stand_in_their_order():
    """The base filter leads, the report's follow in its order, then those that are asked for; an unknown one is named."""
    assert list(filters()) == [*REPORT, "quality", *STORE]
    assert (list(filters("base")), list(filters("store"))) == (["base"], STORE)
    assert thresholds_for("bigcode", ["stars"]) == {"min_stars": 6}
    with pytest.raises(DataError, match=r"filter 'star' is unknown\. Choose one of base, stars"):
        find_filter("star")
