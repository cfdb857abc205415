"""The table of recipes: views, what they need, and what is said where a source lacks it."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_recipes.dedup.modes import MODES
from data_recipes.errors import DataError
from data_recipes.filters.registry import filters
from data_recipes.pipeline import run
from data_recipes.recipes import (
    DEFAULT_OF_ALL,
    NEAR_DEDUP_MODES,
    RECIPES,
    chosen_recipes,
    configs,
    find_recipe,
    mode_of,
    slug,
)
from data_recipes.sources.available import SourceFields


def _has_all(_need):
    return None


def test_steps_are_known_filters_and_modes():
    """Every recipe is listed under its own name; every step is a filter or a mode of near-deduplication."""
    assert [recipe.name for recipe in RECIPES.values()] == list(RECIPES)
    assert set(MODES) == set(NEAR_DEDUP_MODES)
    plain = {mode_of(step) or step for recipe in RECIPES.values() for step in recipe.steps}
    assert plain == {*filters("recipe"), *NEAR_DEDUP_MODES}
    assert RECIPES["final"].steps == ("near_dedup_alt", "comments")


def test_an_unknown_recipe_is_named():
    """A misspelt recipe is answered with the known ones."""
    with pytest.raises(DataError, match=r"recipe='near' is unknown\. Choose one of base, stars, comments, fertility, "):
        find_recipe("near")


def test_configs_are_views_over_all_and_per_language():
    """Each recipe has one config over all languages and one for each; the first recipe's is the default."""
    expected = ["base", "java-base", "python-base", "near_dedup", "java-near_dedup", "python-near_dedup"]
    recipes, languages = [RECIPES["near_dedup"], RECIPES["base"]], {"Java": "aa", "Python": "bb"}
    entries = configs(recipes, languages, dict.fromkeys(expected, 9))
    assert [entry["config_name"] for entry in entries] == expected
    assert [entry["config_name"] for entry in entries if entry.get("default")] == ["near_dedup"]
    paths = [entry["data_files"][0]["path"] for entry in entries[:5]]
    assert paths[:3] == ["data/*/*.parquet", "data/*/java-[0-9]*-aa.parquet", "data/*/python-[0-9]*-bb.parquet"]
    assert paths[3:] == ["data/1/*.parquet", "data/1/java-[0-9]*-aa.parquet"]
    assert not any("filters" in entry for entry in entries)
    assert [slug(name) for name in ("C++", "C#", "C")] == ["cpp", "csharp", "c"]


def test_a_view_without_rows_has_no_config():
    """Datasets can't load one; where the first recipe has no row, the next one is the default."""
    rows = {"stars": 0, "java-stars": 0, "base": 5, "java-base": 0}
    entries = configs([RECIPES["stars"], RECIPES["base"]], {"Java": "aa"}, rows)
    assert [(entry["config_name"], entry.get("default")) for entry in entries] == [("base", True)]


def test_base_is_in_every_store_and_the_first_recipe_leads():
    """Several recipes keep their order, each once; base is added at the end."""
    recipes, missing = chosen_recipes(["final", "stars", "final"], _has_all)
    assert ([recipe.name for recipe in recipes], missing) == (["final", "stars", "base"], {})
    with pytest.raises(DataError, match=r"No recipe was given\. Choose of base"):
        chosen_recipes([], _has_all)


def test_all_leaves_out_what_the_source_lacks():
    """`all` has every recipe whose needs are met, ours first, and says why the others are missing."""
    recipes, missing = chosen_recipes("all", lambda need: f"no {need} for {{recipe}}" if need == "stars" else None)
    assert recipes[0].name == DEFAULT_OF_ALL
    assert {recipe.name for recipe in recipes} == set(RECIPES) - {"stars"}
    assert missing == {"stars": "no stars for stars"}


def test_a_lacking_column_is_named_with_row_and_file(tmp_path):
    """The first shard without stars is named, with the column, its columns and what to do."""
    for name, extra in (("a", {"max_stars_count": [1]}), ("b", {})):
        columns = {"content": ["x = 1\n"], "max_stars_repo_path": ["a.py"], "lang": ["Python"], **extra}
        (tmp_path / "in").mkdir(exist_ok=True)
        pq.write_table(pa.table(columns), tmp_path / "in" / f"{name}.parquet")
    expected = (
        rf"{tmp_path}/in/b\.parquet, read as 'The Stack v1', has no 'max_stars_count' column, needed by recipe 'stars'\. "
        r"Columns found: content, max_stars_repo_path, lang\. Use recipe 'base' or a Stack v1\.1\+ export\."
    )
    with pytest.raises(DataError, match=expected):
        run(tmp_path / "in", tmp_path / "out", "stars")
    assert not (tmp_path / "out").exists()


def test_a_column_of_another_layout_is_to_be_renamed(tmp_path):
    """A table without The Stack v1's path is no such table: the name that its layout has for stars is given."""
    pq.write_table(pa.table({"content": ["x"], "path": ["a.py"], "max_stars_count": [5]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"read as 'rows', has no 'stars' .* Rename 'max_stars_count' to 'stars'\."):
        run(tmp_path / "a.parquet", tmp_path / "out", "stars")


def test_lists_need_their_columns(tmp_path):
    """An opt-out list for a source without repositories is an error, not a list that finds nobody."""
    pq.write_table(pa.table({"content": ["x"], "path": ["a.py"]}), tmp_path / "a.parquet")
    fields = SourceFields.of([tmp_path / "a.parquet"])
    with pytest.raises(DataError, match=r"read as 'rows', has no 'repo' column, needed by the opt-out list\. Columns"):
        fields.require({"repo": "the opt-out list"})
    assert fields.provenance == ()


def test_fertility_needs_a_tokenizer(tmp_path):
    """Without a tokenizer the recipe says which argument is missing."""
    pq.write_table(pa.table({"content": ["x"], "path": ["a.py"]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"recipe 'fertility' counts tokens\. Pass tokenizer=PATH of a tokenizer\.json"):
        run(tmp_path / "a.parquet", tmp_path / "out", "fertility")
