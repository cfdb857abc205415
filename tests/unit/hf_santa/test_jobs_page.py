"""The lines of docs/guides/jobs.md are understood by the installed `hf` command, and say what they mean."""

import importlib
import re
import shlex
from pathlib import Path

import pytest

from hf_santa import __version__
from hf_santa.cli import build_parser

ROOT = Path(__file__).resolve().parents[3]
LINES = re.findall(r"^hf (jobs .*)$", (ROOT / "docs/guides/jobs.md").read_text(), re.MULTILINE)


def understood(words):
    """What the client's own parser makes of `hf jobs …`; the command itself is not called, nothing is sent."""
    from huggingface_hub.cli.hf import app

    command = app
    if not hasattr(app, "make_context"):  # the client's first versions are built on typer
        command = importlib.import_module("typer.main").get_command(app)
    context, name = None, "hf"
    while hasattr(command, "resolve_command"):
        # A group parses its own options, and leaves the name of a subcommand and all behind it.
        context = command.make_context(name, words, parent=context)
        name, command, words = command.resolve_command(context, [*context._protected_args, *context.args])
    return command.make_context(name, words, parent=context).params


@pytest.mark.parametrize("line", LINES)
def test_a_line_is_understood_by_both_parsers(line):
    """The program is `hf-santa`, its words are a command of ours, and the job's options are the client's."""
    from huggingface_hub import JobHardware

    found = understood(shlex.split(line))
    assert "hf-santa" == found["script"]
    build_parser().parse_args(found["script_args"])
    assert [f"file:///jobs/hf_santa-{__version__}-py3-none-any.whl"] == [
        part.split(" @ ")[1] for part in found["with_"]
    ]
    assert found["flavor"] in {hardware.value for hardware in JobHardware}
    assert re.fullmatch(r"\d+h", found["timeout"])
    assert "./out/jobs:/jobs:rw" == found["volume"][0]


def test_there_is_a_line_for_each_purpose():
    """One completes problems, one fine-tunes."""
    assert ["eval", "finetune"] == [understood(shlex.split(line))["script_args"][0] for line in LINES]


def test_a_mistyped_flag_becomes_the_program():
    """Why the lines are compared with what was understood: the client's parser refuses nothing."""
    assert "--flavr" == understood(shlex.split(LINES[0].replace("--flavor", "--flavr")))["script"]


def test_the_mounted_repository_is_one_that_the_client_reads():
    """The model's volume names a repository and is read-only."""
    from huggingface_hub.cli._cli_utils import parse_volumes

    (volume,) = parse_volumes([spec for spec in understood(shlex.split(LINES[1]))["volume"] if spec.startswith("hf:")])
    assert ("model", "OWNER/santa", "/model", True) == (
        volume.type,
        volume.source,
        volume.mount_path,
        volume.read_only,
    )
