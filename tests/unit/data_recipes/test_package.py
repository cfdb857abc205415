"""The package's surface, its recipes and its card."""

import argparse
import importlib
import sys
from importlib.resources import files
from string import Template
from types import FunctionType
from xml.etree import ElementTree as ET

import pyarrow as pa
import pytest
import yaml

import data_recipes
from data_recipes import cli
from data_recipes.card.card import render_card
from data_recipes.card.pictures import example_picture, funnel_picture, histogram_picture
from data_recipes.filters.rules import thresholds_for
from data_recipes.recipes import RECIPES, configs
from data_recipes.store.facts import example_of, histograms, license_counts
from data_recipes.store.tables import config_rows, funnel_rows, recipe_rows

_BINS = {
    "size": {"edges": [0, 256, 1024], "files": [1, 5, 2], "unknown": 0},
    "comment_share": {"edges": [0.0, 0.01, 0.8, 1.0], "files": [2, 4, 1, 1], "unknown": 3},
    "stars": {"edges": [0, 5, 100], "files": [0, 0, 0], "unknown": 8},
}


def _kept(files):
    return {"files": files, "bytes": files * 1000}


def _entry(lang, files_left):
    names = ["read", "base", "decontaminated", "near_dedup"]
    return {
        "lang": lang,
        "stages": [{"name": name, **_kept(n)} for name, n in zip(names, files_left, strict=True)],
        "recipes": {"near_dedup": _kept(files_left[3]), "base": _kept(files_left[2]), "stars": _kept(1)},
        "rejects": [{"stage": "base", "reason": "opt_out", "files": 1, "bytes": 1000}],
        "redactions": {"EMAIL_ADDRESS": 2, "IP_ADDRESS": 0, "files": 1},
        "licenses": {"mit": 3, "a|b": 1},
        "histograms": _BINS,
        "example": {
            "path": "<a & b>.py",
            "hexsha": "0",
            "first_line": 3,
            "lines": ["if a < b:\x00", "    '\u202e\ufffe'"],
        },
    }


_FUNNEL = {
    "recipe": "near_dedup",
    "recipes": ["near_dedup", "base", "stars"],
    "unavailable": {"fertility": "recipe 'fertility' counts tokens."},
    "order": ["base filter", "redaction"],
    "filters": ["base"],
    "compat": "report",
    "permissions": {"opt_outs": 7, "licenses": ["mit"], "keep_unlicensed": False},
    "provenance": ["repo", "stars", "licenses"],
    "scores": ["comment_share"],
    "thresholds": thresholds_for(),
    "redaction_key": "public seed",
    "benchmarks": {"demo": 12},
    "configs": [],
    "redactions": {"EMAIL_ADDRESS": 4, "IP_ADDRESS": 0, "files": 2},
    "funnel": [_entry("Java", [10, 8, 8, 6]), _entry("Python", [20, 20, 19, 19])],
}


@pytest.mark.parametrize("name", data_recipes.__all__)
def test_public_names_are_importable_and_documented(name):
    """Every name of `__all__` exists; every callable has a docstring."""
    value = getattr(data_recipes, name)
    assert name == "RECIPES" or (isinstance(value, FunctionType | type) and value.__doc__)


def test_an_unknown_name_is_an_attribute_error():
    """A misspelt public name is answered with the public names."""
    with pytest.raises(AttributeError, match="Public names: RECIPES"):
        _ = data_recipes.recipe


def test_importing_the_package_and_the_command_line_loads_nothing_heavy(monkeypatch):
    """Importing the package and building the parser needs neither pyarrow nor presidio nor datasketch."""
    for name in [
        m for m in sys.modules if m.split(".")[0] in {"data_recipes", "pyarrow", "presidio_analyzer", "datasketch"}
    ]:
        monkeypatch.delitem(sys.modules, name)
    importlib.import_module("data_recipes.cli").add_commands(argparse.ArgumentParser().add_subparsers())
    loaded = {name.split(".")[0] for name in sys.modules}
    assert loaded & {"pyarrow", "presidio_analyzer", "datasketch"} == set()


def test_the_funnel_table_has_totals_and_shares():
    """The table gives each language's and the total volume per stage with its change."""
    header, *body = funnel_rows(_FUNNEL)
    assert header == ["", "files", "read", "base", "decontaminated", "near_dedup", "files left"]
    assert body[0] == ["Java", "10", "10.0 kB", "8.0 kB (-20.0 %)", "8.0 kB (0.0 %)", "6.0 kB (-25.0 %)", "6"]
    assert body[2][:3] == ["total", "30", "30.0 kB"]


def test_the_recipe_table_compares_with_base():
    """As in the report's Table 3 there is a row a language and a column a recipe, with the change against base."""
    assert recipe_rows(_FUNNEL)[:2] == [
        ["", "base", "stars", "near_dedup"],
        ["Java", "8.0 kB", "1.0 kB (-87.5 %)", "6.0 kB (-25.0 %)"],
    ]
    assert recipe_rows(_FUNNEL)[3] == ["total", "27.0 kB", "2.0 kB (-92.6 %)", "25.0 kB (-7.4 %)"]


def test_the_card_is_valid_and_complete():
    """The card's front matter parses, every config and its rows are listed, no placeholder is left."""
    card = render_card(_FUNNEL, repository="user/set")
    _, front, text = card.split("---\n", 2)
    header = yaml.safe_load(front)
    recipes = [RECIPES[name] for name in _FUNNEL["recipes"]]
    assert header["configs"] == configs(recipes, ["Java", "Python"], _FUNNEL["thresholds"], config_rows(_FUNNEL))
    assert config_rows(_FUNNEL)["near_dedup"] == 25
    assert all(f"| `{name}` | {count:,} |" in text for name, count in config_rows(_FUNNEL).items())
    assert 'load_dataset("user/set", "near_dedup"' in text
    template = Template((files("data_recipes.card") / "card.md").read_text("utf-8"))
    assert not [name for name in template.get_identifiers() if f"${name}" in card]


def test_the_card_says_who_may_be_in_it():
    """Licences are counted, lists applied are named with their effect, and what is missing is said with its reason."""
    card = render_card(_FUNNEL, repository="user/set")
    assert "| mit | 6 |" in card
    assert "| a&#124;b | 2 |" in card
    assert "An opt-out list of 7 names was applied: 2 files are not here. Only these licences are taken: mit" in card
    assert "- `fertility` is not in this store: recipe 'fertility' counts tokens." in card
    assert "`stars` (" not in card
    assert "- `stars`: stars of the repository" in card
    unknown = {
        **_FUNNEL,
        "permissions": {"opt_outs": 0, "licenses": None, "keep_unlicensed": False},
        "funnel": [{**_entry("Java", [1, 1, 1, 1]), "licenses": None}],
    }
    card = render_card(unknown, repository="user/set")
    assert "The source names no licences." in card
    assert "Neither an opt-out list nor a licence list was given to this run." in card


@pytest.mark.parametrize("draw", [funnel_picture, histogram_picture, example_picture])
def test_pictures_are_sound_svg(draw):
    """Every picture is XML with a title, whatever characters a file or its path has, and the same each time."""
    picture = draw(_FUNNEL)
    root = ET.fromstring(picture)
    assert root.find("{http://www.w3.org/2000/svg}title").text
    assert not set("\x00\u202e\ufffe") & set(picture)
    assert picture == draw(_FUNNEL)


def test_pictures_hold_the_funnels_numbers():
    """Volumes, shares and numbers of files are written in the pictures; code keeps its indentation."""
    assert "25.0 kB" not in funnel_picture(_FUNNEL)
    assert "19.0 kB (95.0 %)" in funnel_picture(_FUNNEL)
    assert "at most 10" in histogram_picture(_FUNNEL)
    assert "unknown 6" in histogram_picture(_FUNNEL)
    picture = example_picture(_FUNNEL)
    assert "Python · &lt;a &amp; b&gt;.py" in picture
    assert ">    &#x27;" in picture


def test_a_store_without_examples_or_rows_of_a_language_is_drawn():
    """A language without rows is left out, one without a short file has no example."""
    entry = {**_entry("Java", [3, 0, 0, 0]), "example": None}
    entry["recipes"] = {name: _kept(0) for name in _FUNNEL["recipes"]}
    bare = {**_FUNNEL, "funnel": [entry, {**_entry("Python", [1, 1, 1, 1]), "example": None}]}
    assert "Java" not in funnel_picture(bare)
    assert "No file is short enough to be shown." in example_picture(bare)
    ET.fromstring(histogram_picture(bare))


def test_histograms_count_every_row_once():
    """Values on an edge belong to the bin that begins there; what lies beyond is in the last; nulls are unknown."""
    store = pa.table({"stars": [0, 1, 4, 5, 5000, None], "size": [0, 256, 1 << 20, 1 << 30, 511, 512]})
    found = histograms(store)
    assert found["stars"]["unknown"] == 1
    assert sum(found["stars"]["files"]) == 5
    assert found["stars"]["files"][found["stars"]["edges"].index(5)] == 1
    assert found["stars"]["files"][-1] == 1
    assert found["size"]["files"][-1] == 2
    assert "comment_share" not in found
    assert license_counts(pa.table({"licenses": [["mit", "b"], ["mit"], None]})) == {"mit": 2, "b": 1, "unknown": 1}


def test_the_example_is_a_readable_part_of_a_file():
    """Lines from a third on are shown, of the first kept row whose lines are narrow and many enough."""
    long = "\n".join(f"line {n}" for n in range(90))
    store = pa.table({"path": ["wide", "short", "left out", "good"], "hexsha": list("abcd")})
    store = store.append_column("content", pa.array(["x" * 200 + "\n" * 9, "a\nb", long, long]))
    found = example_of(store, pa.array([True, True, False, True]))
    assert (found["path"], found["first_line"], found["lines"][0], len(found["lines"])) == ("good", 31, "line 30", 16)
    assert example_of(store, pa.array([True, True, False, False])) is None


def _command(*arguments):
    parser = argparse.ArgumentParser()
    cli.add_commands(parser.add_subparsers(required=True))
    args = parser.parse_args(["data", *arguments])
    return args.func(args)


def test_redact_checks_shows_and_changes_files(tmp_path, capsys):
    """`--check` fails on a find and changes nothing, `--diff` shows it, plain redaction writes it once."""
    path = tmp_path / "a.py"
    path.write_bytes(b"x = 1\r\nauthor = 'bob@corp.io'\r\n")
    path.chmod(0o640)
    before = path.read_bytes()
    assert _command("redact", "--check", str(path)) == 1
    assert capsys.readouterr().out == f"{path}:2:11: EMAIL_ADDRESS (email)\n"
    assert _command("redact", "--diff", str(path)) == 0
    assert "@example.com" in capsys.readouterr().out
    assert path.read_bytes() == before
    assert _command("redact", str(path)) == 0
    after = path.read_bytes()
    assert (after.count(b"\r\n"), b"bob" in after, path.stat().st_mode & 0o777) == (2, False, 0o640)
    assert _command("redact", "--check", str(path)) == 0


def test_redact_names_files_that_are_no_text(tmp_path, capsys):
    """A file that is not UTF-8 is named on stderr, with exit code 2; the others are still done."""
    (tmp_path / "bad.bin").write_bytes(b"\xff\xfe")
    (tmp_path / "good.py").write_text("# bob@corp.io\n")
    assert _command("redact", str(tmp_path / "bad.bin"), str(tmp_path / "good.py")) == 2
    assert "bad.bin: not readable as UTF-8" in capsys.readouterr().err
    assert "bob" not in (tmp_path / "good.py").read_text()
