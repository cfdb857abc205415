"""The command `hf-santa`: one small `cli.py` a room, put together here.

As an extension of the Hugging Face command line it is `hf santa`; both are the same program.
"""

import argparse
import os
import sys

import data_recipes.cli
import eval_multipl_e.cli
import hf_santa.ablate.cli
import hf_santa.demo.cli
import hf_santa.finetune.cli
import hf_santa.publishing.cli
import modeling_santa.cli
from hf_santa import __version__


def build_parser() -> argparse.ArgumentParser:
    """Return the parser with every room's commands."""
    parser = argparse.ArgumentParser(
        prog="hf-santa",
        description="SantaCoder as one Hugging Face Hub-centric plugin set: data recipes, model, metric, Space.",
        epilog="start here: hf-santa demo",
    )
    parser.add_argument("--version", action="version", version=f"hf-santa {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for room in (
        hf_santa.demo.cli,
        data_recipes.cli,
        modeling_santa.cli,
        eval_multipl_e.cli,
        hf_santa.finetune.cli,
        hf_santa.ablate.cli,
        hf_santa.publishing.cli,
    ):
        room.add_commands(subparsers)
    return parser


def main() -> int:
    """Run the command line and return its exit code."""
    arguments = build_parser().parse_args()
    try:
        exit_code: int = arguments.func(arguments)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return exit_code
