"""The command `hf-santa pretrain`."""

import argparse
import json
from pathlib import Path

from hf_santa.errors import HfSantaError
from hf_santa.flags import add_json
from hf_santa.training_flags import add_fim_flags, add_languages_flag, add_measure_flags, add_memory_flags, fim_settings


def add_commands(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `pretrain` to the command line."""
    parser = subparsers.add_parser(
        "pretrain",
        help="train a model from scratch within a time",
        description="Train a model from scratch on source code, as large as the time or the operations make sensible, and "
        "measure it on files of other packages. The result is a canonical folder, OUT/model. Run the same command again after "
        "a kill: it goes on from there.",
        epilog="example: hf-santa pretrain --source ~/code --out out/hour --minutes 60",
    )
    parser.add_argument(
        "--source",
        type=Path,
        nargs="+",
        required=True,
        help="source trees, parquet rows, or a folder that `data run` wrote",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for all results")
    parser.add_argument(
        "--minutes", type=float, metavar="N", help="minutes of training; the learning rate has reached its end by then"
    )
    parser.add_argument(
        "--flops", type=float, metavar="N", help="in place of --minutes: train for so many floating-point operations"
    )
    parser.add_argument("--recipe", default="near_dedup", help="a recipe of the store (default: near_dedup)")
    add_languages_flag(parser)
    parser.add_argument(
        "--device",
        choices=("auto", "cuda", "cpu"),
        default="auto",
        help="where to train (default: a GPU if there is one)",
    )
    parser.add_argument(
        "--processes", type=int, default=1, metavar="N", help="processes that train together (default: 1)"
    )
    add_memory_flags(parser)
    parser.add_argument("--keep", type=int, default=2, metavar="N", help="checkpoints to keep (default: 2)")
    add_fim_flags(parser)
    add_measure_flags(parser, heldout=0.05)
    add_json(parser)
    parser.set_defaults(func=_pretrain)


def _pretrain(arguments: argparse.Namespace) -> int:
    from hf_santa.pretrain.run import PretrainRequest, run

    _check(arguments)
    names = [name for name in PretrainRequest.__dataclass_fields__ if name not in ("fim", "languages")]
    request = PretrainRequest(
        **{name: getattr(arguments, name) for name in names},
        languages=tuple(arguments.languages),
        fim=fim_settings(arguments),
    )
    result = run(request, say=(lambda _: None) if arguments.json else lambda line: print(line, flush=True))
    if arguments.json:
        print(json.dumps(result, indent=2))
    return 0


def _check(arguments: argparse.Namespace) -> None:
    if (arguments.minutes is None) == (arguments.flops is None):
        raise HfSantaError("Give either --minutes or --flops.")
    for name in ("minutes", "flops", "processes", "keep", "gaps", "micro_batch"):
        value = getattr(arguments, name)
        if value is not None and not value > 0:
            raise HfSantaError(f"--{name.replace('_', '-')} is {value:g}. Give a number above 0.")
    if not 0 < arguments.heldout < 1:
        raise HfSantaError(f"--heldout is {arguments.heldout}. Give a share of the files between 0 and 1.")
