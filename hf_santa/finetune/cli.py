"""The command `hf-santa finetune`."""

import argparse
import importlib.util
import json
from pathlib import Path

from hf_santa.errors import HfSantaError
from hf_santa.flags import add_json
from hf_santa.training_flags import add_fim_flags, add_languages_flag, add_measure_flags, add_memory_flags, fim_settings


def add_commands(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `finetune` to the command line."""
    parser = subparsers.add_parser(
        "finetune",
        help="fine-tune a model folder on your own code",
        description="Fine-tune a SantaCoder folder on source code, and measure it on files held back. The result is a "
        "canonical folder, OUT/model. Run the same command again after a kill: it goes on from there.",
        epilog="example: hf-santa finetune --model santacoder --source ~/code --out out/mine --lora",
    )
    parser.add_argument("--model", type=Path, required=True, help="a model folder")
    parser.add_argument(
        "--source", type=Path, required=True, help="a source tree, parquet rows, or a folder that `data run` wrote"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for all results")
    parser.add_argument("--recipe", default="near_dedup", help="a recipe of the store (default: near_dedup)")
    add_languages_flag(parser)
    parser.add_argument("--lora", action="store_true", help="train low-rank adapters, merged at the end (needs peft)")
    parser.add_argument("--lora-rank", type=int, default=16, metavar="N", help="rank of the adapters (default: 16)")
    parser.add_argument("--keep-adapter", action="store_true", help="with --lora, also write OUT/adapter")
    parser.add_argument("--steps", type=int, metavar="N", help="stop after N steps (default: by --epochs)")
    parser.add_argument("--epochs", type=float, default=1.0, metavar="N", help="passes over the text (default: 1)")
    parser.add_argument("--batch-size", type=int, default=8, metavar="N", help="sequences a step (default: 8)")
    add_memory_flags(parser)
    parser.add_argument("--lr", type=float, default=5e-5, help="highest learning rate (default: 5e-5)")
    parser.add_argument("--seq-len", type=int, metavar="N", help="tokens of a sequence (default: the context, 2048)")
    add_fim_flags(parser)
    add_measure_flags(parser, heldout=0.1)
    parser.add_argument(
        "--save-every", type=int, default=100, metavar="N", help="steps between checkpoints (default: 100)"
    )
    add_json(parser)
    parser.set_defaults(func=_finetune)


def _finetune(arguments: argparse.Namespace) -> int:
    for package in ("accelerate", *(("peft",) if arguments.lora else ())):  # needed only after minutes of work
        if importlib.util.find_spec(package) is None:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    from hf_santa.finetune.run import FinetuneRequest, run

    drawn = fim_settings(arguments)
    fields = {
        name: getattr(arguments, name)
        for name in FinetuneRequest.__dataclass_fields__
        if name not in {"fim", "languages"}
    }
    fields |= {
        "lora_rank": arguments.lora_rank if arguments.lora else 0,
        "fim": drawn,
        "languages": tuple(arguments.languages),
    }
    _check_lora(arguments)
    result = run(FinetuneRequest(**fields), say=(lambda _: None) if arguments.json else _say)
    if arguments.json:
        print(json.dumps(result, indent=2))
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


def _check_lora(arguments: argparse.Namespace) -> None:
    if arguments.lora and arguments.lora_rank < 1:
        raise HfSantaError(f"--lora-rank is {arguments.lora_rank}. Give 1 or more.")
    if arguments.keep_adapter and not arguments.lora:
        raise HfSantaError("--keep-adapter was given without --lora, so there is no adapter. Add --lora.")
