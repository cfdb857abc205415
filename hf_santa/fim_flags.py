"""The flags that say how fill-in-the-middle samples are drawn, the same in every command that trains."""

import argparse
from typing import Any

from hf_santa.errors import HfSantaError

LINE_RATE = 0.5  # Differs from the report: half of the middles follow lines, since that is what is asked for later
RATES = ("fim_rate", "spm_rate", "line_rate")


def add_fim_flags(parser: argparse.ArgumentParser, *, line_rate: float = LINE_RATE, with_rate: bool = True) -> None:
    """Add `--spm-rate`, `--line-rate`, `--fim-mode` and, where the command does not decide it itself, `--fim-rate`."""
    if with_rate:
        parser.add_argument("--fim-rate", type=float, default=0.5, help="share of permuted pieces (default: 0.5)")
    parser.add_argument(
        "--spm-rate", type=float, default=0.5, help="share of permuted pieces with the suffix first (default: 0.5)"
    )
    parser.add_argument(
        "--line-rate",
        type=float,
        default=line_rate,
        help=f"share of middles that follow lines; the others are cut between any characters (default: {line_rate:g})",
    )
    parser.add_argument(
        "--fim-mode",
        choices=("whole", "megatron"),
        default="whole",
        help="how a sample keeps its length: no middle is cut, or as in the report's code (default: whole)",
    )


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
