"""Put the command `hf-santa` together from the `cli.py` of each package.

As an extension of the Hugging Face command line it is `hf santa`; both are the same program.
"""

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import data_recipes.cli
import eval_multipl_e.cli
import hf_santa.ablate.cli
import hf_santa.demo.cli
import hf_santa.doctor
import hf_santa.finetune.cli
import hf_santa.pretrain.cli
import hf_santa.publishing.cli
import hf_santa.tune.cli
import modeling_santa.cli
from data_recipes.engine.processors import usable_processors
from hf_santa import __version__, door
from hf_santa.sampling import model_sampling


class Parser(argparse.ArgumentParser):
    """A parser that takes no abbreviated options and answers a mistake in one line."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **settings})

    def error(self, message: str) -> NoReturn:
        """Print the mistake and where help is, and exit with 2."""
        self.exit(door.USER_MISTAKE, f"{self.prog}: {message}. See: {self.prog} --help\n")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser with every room's commands."""
    parser: argparse.ArgumentParser = Parser(
        prog="hf-santa",
        description="Make datasets of source code, train and try SantaCoder models, score them, and bring all of it to the Hugging Face "
        "Hub.",
        epilog="start here: hf-santa demo",
    )
    parser.add_argument("--version", action="version", version=f"hf-santa {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    hf_santa.demo.cli.add_commands(subparsers)
    data_recipes.cli.add_commands(subparsers)
    modeling_santa.cli.add_commands(subparsers)
    eval_multipl_e.cli.add_commands(subparsers, model_sampling)
    hf_santa.pretrain.cli.add_commands(subparsers)
    hf_santa.finetune.cli.add_commands(subparsers)
    hf_santa.tune.cli.add_commands(subparsers)
    hf_santa.ablate.cli.add_commands(subparsers)
    hf_santa.publishing.cli.add_commands(subparsers)
    hf_santa.doctor.add_commands(subparsers)
    _describe_commands(parser)
    for command in commands_of(parser):
        _add_door_options(command)
    return parser


def _describe_commands(parser: argparse.ArgumentParser) -> None:
    """Begin the help of each command with what its parent's list says of it, where it has no longer description."""
    for group in _groups(parser):
        about = {choice.dest: choice.help or "" for choice in group._choices_actions}  # noqa: SLF001 - as in _groups
        for name, child in group.choices.items():
            text = about.get(name, "")
            child.description = child.description or text[:1].upper() + text[1:] + "." * bool(text)
            _describe_commands(child)


def _groups(parser: argparse.ArgumentParser) -> "list[argparse._SubParsersAction[argparse.ArgumentParser]]":
    return [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]  # noqa: SLF001 - argparse has no public way


def commands_of(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield the parser of every command that runs something, `hf-santa data run` for example."""
    groups = _groups(parser)
    if not groups:
        yield parser
    for group in groups:
        for child in dict.fromkeys(group.choices.values()):
            yield from commands_of(child)


def _share_the_machine() -> None:
    """Let torch's threads soon sleep while they wait, and be no more than a container's quota; before torch is imported.

    By default they spin for milliseconds, and on a busy machine a wait lasts until the system gives another thread its
    turn. A thousand turns, some microseconds, cost nothing on a quiet machine.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    usable = usable_processors()
    if usable < (os.cpu_count() or 1):
        os.environ.setdefault("OMP_NUM_THREADS", str(usable))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    _print_what_the_terminal_can_show()
    if argv is None:
        _share_the_machine()
    arguments = build_parser().parse_args(argv)
    code = door.run(arguments.func, arguments, arguments.prog)
    if code == door.INTERRUPTED and argv is None:
        os._exit(code)  # threads of libraries that are still at work would keep the process
    return code


def _add_door_options(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("messages")
    amount = group.add_mutually_exclusive_group()
    amount.add_argument("-q", "--quiet", action="store_true", help="print no progress, only warnings and results")
    amount.add_argument("-v", "--verbose", action="store_true", help="print more about what is done")
    group.add_argument("--debug", action="store_true", help="print the traceback of an error")
    command.set_defaults(prog=command.prog)


def _print_what_the_terminal_can_show() -> None:
    """Let characters that the terminal's encoding lacks be replaced, in place of an error in the middle of an answer."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(ValueError):
                stream.reconfigure(errors="replace")
