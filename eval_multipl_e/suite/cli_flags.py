"""Flags that several commands of `hf-santa eval` have, and the checks of what they are given."""

import argparse
import tempfile
from pathlib import Path

from eval_multipl_e.errors import EvalError

TASK_NAMES = (
    "humaneval-CODE, mbpp-CODE, humanevalplus-py, mbppplus-py, humanevalpack-CODE, humanevalfix-CODE, infill, infill-single-line, infill-multi-line, "
    "infill-random-span, docstring or docstring-LANGUAGE"
)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add `--json`."""
    parser.add_argument(
        "--json", action="store_true", help="print the result as JSON, and nothing else on standard output"
    )


def add_problems(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say which problems are meant, and which share of them."""
    parser.add_argument("--problems", type=Path, help="problems as JSON lines, in place of the task's data set")
    parser.add_argument("--dataset", help="another data set of the task's schema: a repository or a folder")
    parser.add_argument(
        "--dataset-revision", metavar="REV", help="the data set's commit, so that a later run reads the same"
    )
    parser.add_argument("--shard", default="0/1", metavar="I/N", help="only share I of N, from 0 (default: 0/1, all)")


def check_flags(args: argparse.Namespace, **least: float) -> None:
    """Raise EvalError for a number below its least and an `--out` that can't be written, before any work is done."""
    for name, lowest in least.items():
        value = getattr(args, name)
        if value is not None and not value >= lowest:
            raise EvalError(f"--{name.replace('_', '-')} is {value}. Give {lowest} or more.")
    out = Path(args.out)
    folder = next(parent for parent in out.absolute().parents if parent.exists())
    try:
        if out.is_dir():
            raise IsADirectoryError("it is a folder")
        with tempfile.TemporaryFile(dir=folder):  # permissions alone do not tell: /proc, a read-only or a full disk
            pass
    except OSError as error:
        raise EvalError(
            f"--out {out} can't be written ({error.strerror or error}). Name a file in a folder that you may write to."
        ) from error
