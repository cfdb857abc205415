"""The command line keeps its word: one meaning a flag, no abbreviations, inputs and outputs named apart."""

import argparse
import os
import subprocess
import sys

import pytest

from hf_santa.cli import build_parser, commands_of

# These mean the same everywhere (what is written, what is read, …), said in the words of each command.
_SAID_OF_EACH_COMMAND = {"--batch-size", "--device", "--dry-run", "--out", "--seed", "--since", "--source"}


def commands():
    return list(commands_of(build_parser()))


def test_a_flag_takes_a_value_everywhere_or_nowhere():
    """The same name is a switch in every command or takes a value in every command."""
    seen = {}
    for command in commands():
        for action in command._actions:
            for name in action.option_strings:
                seen.setdefault(name, {}).setdefault(action.nargs != 0, []).append(command.prog)
    assert {} == {name: kinds for name, kinds in seen.items() if len(kinds) > 1}


def test_a_flag_has_one_meaning():
    """The same name has the same help in every command, but for the words of those that are listed here."""
    seen = {}
    for command in commands():
        for action in command._actions:
            for name in action.option_strings:
                seen.setdefault(name, set()).add(
                    (action.help or "").partition(" (")[0].partition(";")[0].partition(":")[0].partition(", ")[0]
                )
    assert {} == {name: helps for name, helps in seen.items() if len(helps) > 1 and name not in _SAID_OF_EACH_COMMAND}


@pytest.mark.parametrize("command", commands(), ids=lambda command: command.prog)
def test_places_are_named_for_what_they_are(command):
    """OUT is only ever written; every positional argument is in capitals; no option may be abbreviated."""
    for action in command._actions:
        if not action.option_strings and not isinstance(action, argparse._SubParsersAction):
            shown = action.metavar or action.dest
            assert shown == shown.upper(), f"{command.prog} {shown}"
            assert shown != "OUT" or "write" in action.help or "folder" in action.help
    assert not command.allow_abbrev
    assert {"--debug", "--quiet", "--verbose"} <= set(command._option_string_actions)


# What they print is the result itself: the model's text as it is written, or an editor's settings to paste.
_PRINT_TEXT = {"hf-santa model complete", "hf-santa model infill", "hf-santa model editor-config"}


def test_every_result_can_be_had_as_json():
    """A command has --json unless what it prints is a text to be used as it is."""
    assert _PRINT_TEXT == {made.prog for made in commands() if "--json" not in made._option_string_actions}


def test_no_command_takes_an_abbreviation_or_hides_choices():
    """A value out of a fixed set is `choices`, and groups of commands take no abbreviations, either."""
    for command in commands():
        assert not command.allow_abbrev
        for action in command._actions:
            named = (action.help or "").split(" (default")[0]
            assert action.choices or "one of:" not in named, f"{command.prog} {action.option_strings}"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_help_prints_under_any_encoding(encoding):
    """Each command's help is printed where the terminal lacks some of its characters."""
    code = """
from hf_santa.cli import build_parser, commands_of, main
for command in commands_of(build_parser()):
    try:
        main([*command.prog.split()[1:], "--help"])
    except SystemExit as end:
        assert end.code == 0
"""
    environment = {
        **os.environ,
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONIOENCODING": encoding,
    }
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert (0, b"") == (done.returncode, done.stderr)
    assert len(commands()) == done.stdout.count(b"usage: hf-santa")
