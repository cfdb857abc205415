"""The settings of a run are checked when they are made."""

import pickle

import pytest

from data_recipes.errors import DataError
from data_recipes.filters.permissions import Permissions
from data_recipes.pipeline import run
from data_recipes.settings import RunSettings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"threads": 0}, r"threads=0 is no whole number of 1 or more"),
        ({"threads": -3}, r"threads=-3 is no whole number of 1 or more"),
        ({"shard_bytes": 0}, r"shard_bytes=0 is no whole number"),
        ({"max_file_bytes": 1.5}, r"max_file_bytes=1\.5 is no whole number"),
        ({"recipe": "star"}, r"recipe='star' is unknown\. Choose one of base, stars"),
        ({"filters": ["csv"]}, r"filters=\['csv'\] names \['csv'\]\. Choose of xml, html"),
        ({"filters": "xml"}, r"filters is a single value, 'xml'\. Pass a list"),
        ({"benchmarks": {"string": "x"}}, r"benchmarks is a single value"),
        ({"compat": "big"}, r"compat='big' is unknown\. Choose one of report, bigcode"),
    ],
)
def test_a_wrong_setting_is_named_before_any_work(tmp_path, changes, message):
    """The setting, its value and what may be chosen are said; nothing is written, not even read."""
    with pytest.raises(DataError, match=message):
        run(tmp_path / "no source", tmp_path / "out", **changes)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_setting_is_a_mistake_of_the_caller():
    """A misspelt name is answered with the known ones."""
    with pytest.raises(TypeError, match=r"There is no setting 'recipes'\. Settings: recipe, threads, benchmarks"):
        RunSettings().changed(recipes="base")


def test_settings_can_be_changed_and_sent(tmp_path):
    """Lists become tuples, None changes nothing, and a copy through pickle is equal."""
    made = RunSettings(recipe=["final", "stars"], filters=["xml"], tokenizer=tmp_path, permissions=Permissions(["a"]))
    assert (made.recipe, made.filters, made.tokenizer) == (("final", "stars"), ("xml",), str(tmp_path))
    assert made.changed(seed=None, threads=2) == RunSettings(
        recipe=("final", "stars"), filters=("xml",), tokenizer=str(tmp_path), permissions=Permissions(["a"]), threads=2
    )
    assert pickle.loads(pickle.dumps(made)) == made


def test_thresholds_are_those_of_the_filters_in_use():
    """The base filter's, those asked for and those of the steps; with `bigcode` where its code differs."""
    assert list(RunSettings().thresholds()) == ["max_line_length", "avg_line_length", "alphanum_fraction"]
    made = RunSettings(filters=["html"], compat="bigcode").thresholds(["near_dedup", "stars"])
    assert (made["min_stars"], made["min_html_text_chars"], "min_comment_share" in made) == (6, 100, False)
