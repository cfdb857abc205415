"""The command `hf-santa ablate`."""

import argparse
import json
import math
from pathlib import Path

from hf_santa.ablate.intervals import FIRST_LOOK
from hf_santa.ablate.variants import SCALES, VARIANTS
from hf_santa.errors import HfSantaError
from hf_santa.flags import add_json
from hf_santa.training_flags import add_fim_flags, add_gaps_flag, add_languages_flag, fim_settings


def add_commands(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `ablate` to the command line."""
    parser = subparsers.add_parser(
        "ablate",
        help="train the report's eight variants in small and compare them",
        description="Train the report's eight variants at equal tokens on recipes of one raw corpus, with several seeds, "
        "and show its Tables 5, 6 and 8 in small, with intervals, beside the published rows. A stopped run goes on where "
        "it was.",
        epilog="example: hf-santa ablate --source ~/code --out out/ablate",
    )
    parser.add_argument("--source", type=Path, nargs="+", required=True, help="source trees, or parquet rows")
    parser.add_argument("--out", type=Path, required=True, help="folder for all results")
    add_languages_flag(parser)
    parser.add_argument(
        "--scale",
        choices=tuple(SCALES),
        default="tiny",
        help="size of the models: tiny for a CPU, proxy for a GPU (default: tiny)",
    )
    parser.add_argument(
        "--seeds",
        type=int,
        default=3,
        metavar="N",
        help="models of each variant, each from a seed of its own (default: 3); at most so many with --until-decided",
    )
    parser.add_argument(
        "--until-decided",
        action="store_true",
        help="train a variant no further once its difference in bits per byte is known to be above or below zero, or smaller "
        "than --matters",
    )
    parser.add_argument(
        "--matters",
        type=float,
        default=0.01,
        metavar="BITS",
        help="smallest difference that counts, in bits per byte; the page says how many seeds would show it (default: 0.01)",
    )
    parser.add_argument("--variants", metavar="A,B", help=f"only these (default: {','.join(VARIANTS)})")
    parser.add_argument("--tokens", type=int, metavar="N", help="tokens a model reads (default: by scale)")
    add_gaps_flag(parser)
    parser.add_argument(
        "--samples", type=int, default=2, metavar="N", help="completions of each problem (default: 2; 0 for none)"
    )
    parser.add_argument("--stars", type=Path, metavar="FILE", help="JSON object of path prefixes and star counts")
    add_fim_flags(parser, line_rate=0.0, with_rate=False)
    add_json(parser)
    parser.set_defaults(func=_ablate)


def _ablate(arguments: argparse.Namespace) -> int:
    from hf_santa.ablate.run import run

    _check(arguments)
    answer = run(
        arguments.source,
        arguments.out,
        scale_name=arguments.scale,
        seeds=arguments.seeds,
        matters=arguments.matters,
        until_decided=arguments.until_decided,
        variants=arguments.variants.split(",") if arguments.variants else None,
        tokens=arguments.tokens,
        gaps=arguments.gaps,
        samples=arguments.samples,
        stars=arguments.stars,
        languages=tuple(arguments.languages),
        fim=fim_settings(arguments),
        say=(lambda _: None) if arguments.json else lambda line: print(line, flush=True),
    )
    if arguments.json:
        print(json.dumps(answer, indent=2))
    return 0


def _check(arguments: argparse.Namespace) -> None:
    for name, least in (("seeds", 1), ("gaps", 1), ("samples", 0), ("tokens", 1)):
        value = getattr(arguments, name)
        if value is not None and value < least:
            raise HfSantaError(f"--{name} is {value}. Give {least} or more.")
    if not 0 < arguments.matters < math.inf:
        raise HfSantaError(f"--matters is {arguments.matters:g}. Give a number of bits per byte above zero, as 0.01.")
    if arguments.until_decided and arguments.seeds < FIRST_LOOK:
        raise HfSantaError(
            f"--until-decided looks from the seed number {FIRST_LOOK} on, and --seeds is {arguments.seeds}. Give more seeds, "
            "as 12: they are the most that are trained."
        )
