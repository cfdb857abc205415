"""The package's surface, its recipes and its card."""

import argparse
import importlib
import json
import sys
from importlib.resources import files
from string import Template
from types import FunctionType

import pytest
import yaml

import data_recipes
from data_recipes import cli
from data_recipes.card import config_rows, render_card
from data_recipes.errors import DataError
from data_recipes.funnel import funnel_rows
from data_recipes.near_dedup import MODES
from data_recipes.recipes import RECIPES, configs, find_recipe, slug


def _entry(lang, files_left):
    names = ["read", "base", "decontaminated", "near_dedup"]
    return {
        "lang": lang,
        "stages": [{"name": name, "files": n, "bytes": n * 1000} for name, n in zip(names, files_left, strict=True)],
        "rejects": [{"stage": "base", "reason": "max_line_length", "files": 1, "bytes": 1000}],
        "redactions": {"EMAIL_ADDRESS": 2, "IP_ADDRESS": 0, "files": 1},
    }


_FUNNEL = {
    "recipe": "near_dedup",
    "order": ["base filter", "redaction"],
    "thresholds": {"max_line_length": 1000},
    "seed": 0,
    "benchmarks": {"demo": 12},
    "configs": [],
    "redactions": {"EMAIL_ADDRESS": 4, "IP_ADDRESS": 0, "files": 2},
    "funnel": [_entry("Java", [10, 8, 8, 6]), _entry("Python", [20, 20, 19, 19])],
}


@pytest.mark.parametrize("name", data_recipes.__all__)
def test_public_names_are_importable_and_documented(name):
    """Every name of `__all__` exists; every callable has a docstring."""
    value = getattr(data_recipes, name)
    assert name == "RECIPES" or (isinstance(value, FunctionType) and value.__doc__)


def test_public_functions_win_over_modules_of_the_same_name():
    """`run`, `redact` and `decontaminate` are functions also after the modules of these names were imported."""
    for name in ("run", "redact", "decontaminate"):
        importlib.import_module(f"data_recipes.{name}")
    assert {type(getattr(data_recipes, name)) for name in ("run", "redact", "decontaminate")} == {FunctionType}


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


def test_recipes_name_existing_modes():
    """Every recipe is listed under its own name and uses a known near-duplicate mode."""
    assert [recipe.name for recipe in RECIPES.values()] == list(RECIPES)
    assert {recipe.near_dedup for recipe in RECIPES.values()} == {None, *MODES}


def test_an_unknown_recipe_is_named():
    """A misspelt recipe is answered with the known ones."""
    with pytest.raises(
        DataError, match="recipe='near' is unknown. Choose one of base, near_dedup, ".replace(".", r"\.")
    ):
        find_recipe("near")


def test_configs_are_views_over_all_and_per_language():
    """The base and the recipe's configs exist for all languages together and for each one."""
    entries = configs(RECIPES["near_dedup"], ["Java", "Python"])
    expected = ["base", "java-base", "python-base", "near_dedup", "java-near_dedup", "python-near_dedup"]
    assert [entry["config_name"] for entry in entries] == expected
    assert [entry["config_name"] for entry in entries if entry.get("default")] == ["near_dedup"]
    assert [slug(name) for name in ("C++", "C#", "C")] == ["cpp", "csharp", "c"]


def test_the_funnel_table_has_totals_and_shares():
    """The table gives each language's and the total volume per stage with its change."""
    header, *body = funnel_rows(_FUNNEL)
    assert header == ["", "files", "read", "base", "decontaminated", "near_dedup", "files left"]
    assert body[0] == ["Java", "10", "10.0 kB", "8.0 kB (-20.0 %)", "8.0 kB (0.0 %)", "6.0 kB (-25.0 %)", "6"]
    assert body[2][:3] == ["total", "30", "30.0 kB"]


def test_the_card_is_valid_and_complete():
    """The card's front matter parses, every config and its rows are listed, no placeholder is left."""
    card = render_card(_FUNNEL, repository="user/set")
    _, front, text = card.split("---\n", 2)
    header = yaml.safe_load(front)
    assert [entry["config_name"] for entry in header["configs"]] == [
        entry["config_name"] for entry in configs(RECIPES["near_dedup"], ["Java", "Python"])
    ]
    assert config_rows(_FUNNEL)["near_dedup"] == 25
    assert all(f"| `{name}` | {count:,} |" in text for name, count in config_rows(_FUNNEL).items())
    assert 'load_dataset("user/set", "near_dedup"' in text
    template = Template((files("data_recipes") / "card.md").read_text("utf-8"))
    assert not [name for name in template.get_identifiers() if f"${name}" in card]


def _command(*arguments):
    parser = argparse.ArgumentParser()
    cli.add_commands(parser.add_subparsers(required=True))
    args = parser.parse_args(["data", *arguments])
    return args.func(args)


def test_stats_prints_the_funnel(tmp_path, capsys):
    """`data stats` prints the funnel of a dataset folder, and names a folder that has none."""
    (tmp_path / "funnel.json").write_text(json.dumps(_FUNNEL))
    assert _command("stats", str(tmp_path)) == 0
    assert "Python" in capsys.readouterr().out
    assert _command("stats", str(tmp_path / "none")) == 2
    assert "no such file. Pass a folder" in capsys.readouterr().err


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
