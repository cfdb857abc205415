"""The command line of the data room, and what importing it costs."""

import argparse
import importlib
import sys

import pytest

import data_recipes
from hf_santa.cli import main


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


def _command(*arguments):
    return main(["data", *map(str, arguments)])


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
    """A file that is no text is named on stderr, with exit code 2; the others are still done."""
    (tmp_path / "bad.bin").write_bytes(b"\xff\xfea")
    (tmp_path / "good.py").write_text("# bob@corp.io\n")
    assert _command("redact", str(tmp_path / "bad.bin"), str(tmp_path / "good.py")) == 2
    assert "bad.bin: can't be read (it is not UTF-16 text)" in capsys.readouterr().err
    assert "bob" not in (tmp_path / "good.py").read_text()
