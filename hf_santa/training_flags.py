"""Flags that all training commands share: FIM samples, memory, and what is measured."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hf_santa.errors import HfSantaError

LINE_RATE = 0.5  # Differs from the report: half of the middles follow lines, since that is what is asked for later
RATES = ("fim_rate", "spm_rate", "line_rate")


def add_fim_flags(parser: argparse.ArgumentParser, *, line_rate: float = LINE_RATE, with_rate: bool = True) -> None:
    """Add `--spm-rate`, `--line-rate`, `--fim-mode` and, where the command does not decide it itself, `--fim-rate`."""
    if with_rate:
        parser.add_argument(
            "--fim-rate",
            type=float,
            default=0.5,
            help="share of the texts that are cut and reordered for fill-in-the-middle (default: 0.5)",
        )
    parser.add_argument(
        "--spm-rate",
        type=float,
        default=0.5,
        help="of the reordered texts, the share that has the suffix first (default: 0.5)",
    )
    parser.add_argument(
        "--line-rate",
        type=float,
        default=line_rate,
        help=f"of the reordered texts, the share whose middle follows lines; the others are cut anywhere (default: {line_rate:g})",
    )
    parser.add_argument(
        "--fim-mode",
        choices=("whole", "megatron"),
        default="whole",
        help="how a reordered text is cut to its length: whole keeps every middle, megatron does as the report's code (default: whole)",
    )


def add_memory_flags(parser: argparse.ArgumentParser) -> None:
    """Add `--micro-batch` and `--checkpoint-activations`, with which a step fits into less memory."""
    parser.add_argument(
        "--micro-batch",
        type=int,
        metavar="N",
        help="sequences at a time on a device (default: all of a step; fewer where memory is short)",
    )
    parser.add_argument(
        "--checkpoint-activations", action="store_true", help="compute activations twice, in a fraction of the memory"
    )


def add_measure_flags(parser: argparse.ArgumentParser, *, heldout: float) -> None:
    """Add `--heldout`, `--gaps` and `--seed`: what the trained model is measured on, and the seed of all chance."""
    parser.add_argument(
        "--heldout", type=float, default=heldout, help=f"share of the files held back (default: {heldout:g})"
    )
    add_gaps_flag(parser)
    parser.add_argument("--seed", type=int, default=0, help="seed of every random choice (default: 0)")


def add_gaps_flag(parser: argparse.ArgumentParser) -> None:
    """Add `--gaps`: how many held-back lines the model infills."""
    parser.add_argument(
        "--gaps",
        type=int,
        default=200,
        metavar="N",
        help="held-back lines that the model infills, to measure it (default: 200)",
    )


def add_languages_flag(parser: argparse.ArgumentParser) -> None:
    """Add `--languages`: what of the sources is trained on."""
    parser.add_argument(
        "--languages",
        metavar="NAME",
        nargs="+",
        default=[],
        help="take only files of these languages, in any case, or of a kind: programming, markup, data, prose (default: programming; "
        "of rows, in tables or JSON lines, all)",
    )


def chosen_languages(sources: Sequence[Path], asked: Sequence[str]) -> tuple[str, ...]:
    """Return the languages to train on: those asked for, else all programming languages of source trees.

    Whoever gives rows, as a table or JSON lines, has chosen already: of them all are taken. JSON, Markdown and the like are
    a third of a usual tree, and a model of code should not learn lock files.
    """
    from data_recipes.sources.json_lines import is_json_lines
    from data_recipes.sources.parquet import tables_of

    is_chosen = bool(tables_of(sources)) or any(map(is_json_lines, sources))
    return tuple(asked) or (() if is_chosen else ("programming",))


def fim_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what the flags say, by the names of `FimDataset`.

    Raises:
        HfSantaError: a rate is not a share.
    """
    settings: dict[str, Any] = {name: getattr(arguments, name) for name in RATES if hasattr(arguments, name)}
    for name, rate in settings.items():
        if not 0 <= rate <= 1:
            raise HfSantaError(f"--{name.replace('_', '-')} is {rate}. Give a share between 0 and 1.")
    return settings | {"mode": arguments.fim_mode}
