"""A recipe of one's own: read from YAML, checked line by line, run, and loaded by its name."""

import json

import pyarrow.parquet as pq
import pytest
from datasets import load_dataset

from data_recipes.cli import add_commands
from data_recipes.errors import DataError
from data_recipes.pipeline import run
from data_recipes.recipe_file import read_recipe
from data_recipes.recipes import RECIPES, Recipe
from data_recipes.settings import RunSettings

WHOLE = """
name: my-recipe
summary: Mine.
steps:
  - base: {max_line_length: 400}
  - html
  - comments: {min_comment_share: 0.05}
  - near_dedup_verified: {threshold: 0.8, bands: [30, 8]}
redaction: {types: [KEY], style: starcoder}
exclude: ["**/tests/**"]
"""

BAD = {
    "steps: [comment]": r"line 1: step 'comment' is unknown\. Expected one of base, stars, comments",
    "\n\nsteps: [comments, comments]": r"line 3: step 'comments' is given twice",
    "steps:\n- comments: {min: 1}": r"line 2: comments has no threshold 'min'\. Expected min_comment_share, max_com",
    "steps:\n- comments:\n    min_comment_share: lots": r"line 3: min_comment_share is 'lots'\. Expected a number, for ex",
    "steps:\n- comments: {min_comment_share: .nan}": r"line 2: min_comment_share is '\.nan'\. Expected a number",
    "steps:\n- comments: {min_comment_share: yes}": r"line 2: min_comment_share is 'yes'\. Expected a number",
    "steps:\n- fertility: {min_chars_per_token: {Go: 500%}}": r"line 2: min_chars_per_token is .*numbers or percentiles",
    "steps:\n- fertility: {min_chars_per_token: 2}": r"line 2: min_chars_per_token is '2'\. Expected a mapping of lang",
    "steps: [near_dedup_alt: {bands: [100, 3]}]": r"line 1: bands is .*whole numbers whose product is at most 256",
    "steps: [near_dedup_alt: {threshold: 2}]": r"threshold is '2'\. Expected a Jaccard similarity",
    "steps: [near_dedup_alt: {jaccard: .7}]": r"near-deduplication has no 'jaccard'\. Expected threshold, ngram",
    "steps: [{comments: , stars: }]": r"line 1: 2 names in one step",
    "steps: comments": r"line 1: 'comments' is no list",
    "stepz: []": r"line 1: field 'stepz' is unknown\. Expected one of name, summary, extends",
    "name: x\nname: y": r"line 2: 'name' is given twice",
    "name: python-base": r"ends like, that of a built-in one \(base\)",
    "name: Mine": r"recipe name 'Mine': expected a-z",
    "extends: finale": r"line 1: recipe 'finale' is unknown\. Expected one of base",
    "extends: none.yaml": r"line 1: 'none.yaml' is no file",
    "benchmarks: [none.jsonl]": r"line 1: 'none.jsonl' is no file",
    "redaction: {style: none}": r"line 1: style 'none' is unknown\. Expected one of santacoder",
    "languages: Python": r"line 1: 'Python' is no list",
    "steps: [&a base, *a]": r"line 1: a YAML alias \(\*a\)\. Write the value out",
    "steps: [": r"line 1: no YAML",
    "- 1": r"line 1: '- 1' is no mapping",
    "": r"is empty\. Expected fields of name",
    "name: !!python/object:os.system x": r"recipe name 'x'|is no text|a name",
}


@pytest.fixture(autouse=True)
def _no_filters_of_before(monkeypatch):
    """What a test registers is gone after it."""
    monkeypatch.setattr("data_recipes.filters.registry._own", {})
    monkeypatch.setattr("data_recipes.filters.own._loaded", {})


def _written(folder, text, name="mine.yaml"):
    path = folder / name
    path.write_text(text)
    return path


def test_a_file_gives_a_recipe(tmp_path):
    """Filters of the store, thresholds, modes and settings go to where a run looks for them."""
    made = read_recipe(_written(tmp_path, WHOLE))
    assert (made.name, made.summary) == ("my-recipe", "Mine.")
    assert made.steps == ("comments", "near_dedup_verified_after_comments")
    assert made.thresholds == {"max_line_length": 400, "min_comment_share": 0.05}
    assert made.near_dedup == {"near_dedup_verified": {"threshold": 0.8, "bands": (30, 8)}}
    assert made.settings == {
        "filters": ("html",),
        "pii_types": ("KEY",),
        "style": "starcoder",
        "exclude": ("**/tests/**",),
    }
    settings = RunSettings(recipe=made, style="preserve")
    assert (settings.style, settings.pii_types, settings.filters) == ("preserve", ("KEY",), ("html",))
    assert settings.modes()["near_dedup_verified"].layout() == (30, 8)


@pytest.mark.parametrize("text", BAD)
def test_a_wrong_file_is_named_with_its_line(tmp_path, text):
    """The message says file, line and what was expected."""
    path = _written(tmp_path, text)
    if text.startswith("name: !!python"):
        assert read_recipe(path).name == "x"  # a tag of Python's is not followed
        return
    with pytest.raises(DataError, match=BAD[text]) as caught:
        read_recipe(path)
    assert str(path) in str(caught.value)


def test_extends_takes_what_a_file_leaves_out(tmp_path):
    """Fields of the file hold; the parent's name and summary don't pass; a circle is named."""
    _written(tmp_path, WHOLE, "parent.yaml")
    made = read_recipe(_written(tmp_path, "extends: parent.yaml\nexclude: [x]"))
    assert (made.name, made.settings["exclude"]) == ("mine", ("x",))
    assert made.thresholds == {"max_line_length": 400, "min_comment_share": 0.05}
    assert (
        read_recipe(_written(tmp_path, "extends: final_filtered_first")).steps == RECIPES["final_filtered_first"].steps
    )
    _written(tmp_path, "extends: mine.yaml", "other.yaml")
    with pytest.raises(DataError, match=r"extends itself: mine\.yaml extends other\.yaml extends mine\.yaml"):
        read_recipe(_written(tmp_path, "extends: other.yaml"))


def test_recipes_that_differ_are_two_stores(tmp_path):
    """A store has one value of each number, the built-in recipes' included."""
    mine = read_recipe(_written(tmp_path, WHOLE))
    other = Recipe("other", "", ("comments",), "", {"min_comment_share": 0.2})
    with pytest.raises(DataError, match=r"'my-recipe' has min_comment_share 0\.05, recipe 'other' 0\.2"):
        RunSettings(recipe=(mine, other))
    with pytest.raises(DataError, match=r"'my-recipe' and 'comments' have other numbers for 'comments'"):
        RunSettings(recipe=(mine, "comments"))
    with pytest.raises(DataError, match=r"recipe name 'final' is"):
        RunSettings(recipe=Recipe("final", "", (), ""))
    with pytest.raises(DataError, match=r"recipe 'x': step 'y' is unknown"):
        RunSettings(recipe=Recipe("x", "", ("y",), ""))


def test_a_recipe_of_ones_own_is_run_and_loaded(tmp_path, write_stack):
    """It is in funnel, card and configs; what was left out by path has its reason; another number is another store."""
    source, store = write_stack(tmp_path / "stack"), tmp_path / "store"
    text = (
        'steps:\n- comments: {min_comment_share: 0.02}\n- near_dedup_alt\nexclude: ["src/m00*"]\nlanguages: [python]\n'
    )
    recipe = _written(tmp_path, text, "short-one.yaml")
    funnel = run(source, store, recipe)
    made = funnel["definitions"]["short-one"]
    assert made["own"]["thresholds"] == {"min_comment_share": 0.02}
    assert made["steps"] == ["comments", "near_dedup_alt_after_comments"]
    reasons = {reject["reason"] for entry in funnel["funnel"] for reject in entry["rejects"]}
    assert {"excluded", "other_language"} <= reasons
    rows = load_dataset(str(store), "short-one", split="train", cache_dir=tmp_path / "cache")
    assert len(rows) == funnel["totals"]["recipes"]["short-one"]["files"] > 0
    assert set(rows["lang"]) == {"Python"}
    assert min(rows["comment_share"]) > 0.02
    assert f"# digest {made['digest']}" in (store / "README.md").read_text()
    lines = []
    recipe.write_text(text.replace("0.02", "0.5"))
    again = run(source, store, recipe, progress=lines.append)
    assert again["totals"]["recipes"]["short-one"]["files"] < len(rows)
    assert not any(line.endswith("step=store reused") for line in lines)


def test_filters_before_near_dedup_lose_no_cluster(tmp_path):
    """Where the kept one of two near-duplicates has no comments, `final` loses both and `final_filtered_first` one."""
    body = "".join(f"value_{n} = compute_{n}(first_{n}, second_{n}) + {n}\n" for n in range(60))
    texts = {
        "starred.py": body,
        "commented.py": "# What this computes is of no importance to the test at all.\n" + body,
    }
    (tmp_path / "tree").mkdir()
    for name, text in texts.items():
        (tmp_path / "tree" / name).write_text(text)
    from data_recipes.sources.write_rows import write_rows

    write_rows(tmp_path / "tree", tmp_path / "rows")
    funnel = run(tmp_path / "rows", tmp_path / "store", ["final", "final_filtered_first"])
    files = {name: made["files"] for name, made in funnel["totals"]["recipes"].items()}
    kept = [
        row
        for file in (tmp_path / "store" / "data").rglob("*.parquet")
        for row in pq.ParquetFile(file).read().to_pylist()
    ]
    survivor = next(row for row in kept if row["near_dedup_alt_keep"])
    assert files == {"final": int(survivor["path"].endswith("commented.py")), "final_filtered_first": 1, "base": 2}
    by_name = {row["path"].rpartition("/")[2]: row["near_dedup_alt_after_comments_keep"] for row in kept}
    assert by_name == {"commented.py": True, "starred.py": None}


FILTER_FILE = """
from data_recipes.filters import Drop, Filter

def keep(record, thresholds):
    count = record["content"].count("def")
    return Drop("imports", f"{count} imports") if count > thresholds["max_imports"] else None

FILTER = Filter(name="few_imports", summary="Few imports.", source="me", stage="store", keep=keep,
                columns=("content",), thresholds={"max_imports": 0})
"""


def test_a_filter_of_ones_own_from_a_file(tmp_path, write_stack, capsys):
    """It is on the list, drops with its reason, takes numbers of a recipe, and its faults are told as its own."""
    import argparse

    module = _written(tmp_path, FILTER_FILE.replace("few_imports", "no_imports"), "mine.py")
    source = write_stack(tmp_path / "stack")
    funnel = run(source, tmp_path / "store", "base", filter_modules=[str(module)], filters=["no_imports"])
    assert {r["reason"] for entry in funnel["funnel"] for r in entry["rejects"]} >= {"imports"}
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers())
    args = parser.parse_args(["data", "recipes", "--json", "--filter-module", str(module)])
    assert args.func(args) == 0
    assert json.loads(capsys.readouterr().out)["filters"]["no_imports"]["thresholds"] == {"max_imports": 0}
    recipe = _written(tmp_path, "steps: [no_imports: {max_imports: 99}]")
    assert RunSettings(recipe=str(recipe)).thresholds(())["max_imports"] == 99
    module.write_text(module.read_text().replace(".count(", ".contains("))
    with pytest.raises(DataError, match=r"filter 'no_imports': keep\(\) failed: AttributeError"):
        run(source, tmp_path / "store", "base", filter_modules=[str(module)], filters=["no_imports"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", r"defines no filter"),
        ("1/0", r"is broken: ZeroDivisionError"),
        (FILTER_FILE.replace("few_imports", "html"), r"'html' has the same name"),
        (FILTER_FILE.replace("max_imports", "min_stars").replace("few_", "a_"), r"'stars' has a threshold 'min_stars'"),
        (FILTER_FILE.replace("few_imports", "Few Imports"), r"expected a name of a-z"),
    ],
)
def test_a_file_without_a_filter_is_named(tmp_path, text, message):
    """Nothing of it is taken."""
    with pytest.raises(DataError, match=message):
        RunSettings(filter_modules=(str(_written(tmp_path, text, "mine.py")),))
    with pytest.raises(DataError, match=r"no such Python file"):
        RunSettings(filter_modules=(str(tmp_path / "none.py"),))
