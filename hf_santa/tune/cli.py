"""The command `hf-santa tune`."""

import argparse
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

from hf_santa.errors import HfSantaError
from hf_santa.flags import add_json


def add_commands(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `tune` to the command line."""
    parser = subparsers.add_parser(
        "tune",
        help="make a measured autocomplete of your repositories and a base model",
        description="Tune a base model that fills gaps on your repositories, measure it before and after on lines that it "
        "has not seen, and write all that an editor needs. What is up to date is not done again: give the same command "
        "after a kill.",
        epilog="example: hf-santa tune ~/src/tool --since 2026-06-01 --base Qwen/Qwen2.5-Coder-0.5B --out out/tool",
    )
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="git repositories, folders of code, or archives")
    parser.add_argument("--base", required=True, metavar="MODEL", help="a model folder, or a repository on the Hub")
    parser.add_argument("--out", type=Path, required=True, help="folder for all results")
    held = parser.add_argument_group("what is held back")
    held.add_argument(
        "--since", metavar="DATE", help="train on repositories as before this date or commit, ask for lines added since"
    )
    held.add_argument(
        "--later", nargs="+", default=[], metavar="SOURCE", help="a later state of the sources: the same, for archives"
    )
    held.add_argument("--heldout", type=float, default=0.1, help="share of the files held back (default: 0.1)")
    held.add_argument(
        "--gaps",
        type=int,
        default=150,
        metavar="N",
        help="held-back lines that the model infills, to measure it (default: 150)",
    )
    parser.add_argument("--recipe", default="near_dedup", help="a recipe of the store (default: near_dedup)")
    parser.add_argument("--languages", nargs="+", default=[], metavar="NAME", help="take only files of these languages")
    training = parser.add_argument_group("training")
    training.add_argument("--full", action="store_true", help="train every weight in place of low-rank adapters (LoRA)")
    training.add_argument("--lora-rank", type=int, default=16, metavar="N", help="rank of the adapters (default: 16)")
    training.add_argument("--steps", type=int, metavar="N", help="stop after N steps (default: by --epochs)")
    training.add_argument("--epochs", type=float, default=3.0, metavar="N", help="passes over the text (default: 3)")
    training.add_argument("--batch-size", type=int, default=8, metavar="N", help="sequences a step (default: 8)")
    training.add_argument("--lr", type=float, default=2e-4, help="highest learning rate (default: 2e-4)")
    training.add_argument(
        "--seq-len", type=int, metavar="N", help="tokens of a sequence (default: 1024 or the context)"
    )
    training.add_argument(
        "--fim-rate",
        type=float,
        default=0.8,
        help="share of the texts that are cut and reordered for fill-in-the-middle (default: 0.8)",
    )
    training.add_argument(
        "--line-rate",
        type=float,
        default=0.8,
        help="of the reordered texts, the share whose middle follows lines (default: 0.8)",
    )
    training.add_argument(
        "--looks",
        type=int,
        default=10,
        metavar="N",
        help="checkpoints, at each of which it may end early (default: 10)",
    )
    training.add_argument(
        "--memory",
        type=float,
        metavar="GB",
        help="memory that training may take (default: four fifths of what is free)",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of every random choice (default: 0)")
    parser.add_argument(
        "--gguf-type",
        choices=("f16", "q8_0", "q4_k"),
        default="q8_0",
        help="weights of the GGUF file, where the model's type allows one (default: q8_0)",
    )
    add_json(parser)
    parser.set_defaults(func=_tune)


def _tune(arguments: argparse.Namespace) -> int:
    for package in ("accelerate", *(() if arguments.full else ("peft",))):  # needed only after minutes of work
        if importlib.util.find_spec(package) is None:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    _check_numbers(arguments)
    from hf_santa.demo.run import run_steps
    from hf_santa.tune.page import write_tune_page
    from hf_santa.tune.steps import TUNE_STEPS

    out: Path = arguments.out
    lines_to = sys.stderr if arguments.json else sys.stdout
    settings = _settings(arguments)
    report = run_steps(out, list(TUNE_STEPS), settings, lines_to, "hf_santa.tune.worker")
    results = write_tune_page(out, settings, report)
    model, serve = out / "model", results["serve"]["line"]
    if arguments.json:
        print(json.dumps({"out": str(out), "model": str(model), "serve": serve, "results": results}, indent=2))
        return 0
    print(f"report {out / 'index.html'}\nmodel  {model}\nserve  {serve}", flush=True)
    return 0


def _check_numbers(arguments: argparse.Namespace) -> None:
    for name in ("gaps", "batch_size", "lora_rank", "looks", "steps", "seq_len"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise HfSantaError(f"--{name.replace('_', '-')} is {value}. Give 1 or more.")
    if not 0 < arguments.heldout < 1:
        raise HfSantaError(f"--heldout is {arguments.heldout}. Give a share of the files between 0 and 1.")
    for name in ("fim_rate", "line_rate"):
        if not 0 <= getattr(arguments, name) <= 1:
            raise HfSantaError(
                f"--{name.replace('_', '-')} is {getattr(arguments, name)}. Give a share between 0 and 1."
            )
    for name in ("lr", "epochs", "memory"):
        if (value := getattr(arguments, name)) is not None and not value > 0:
            raise HfSantaError(f"--{name} is {value}. Give a number above 0.")


def _settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what decides the results, after a look at base and sources, so that a mistake is told in a second."""
    from hf_santa.files import sha256
    from hf_santa.repositories.gguf_check import server_program
    from hf_santa.tune.bases import folder_of_base, open_base
    from hf_santa.tune.sources import checked_sources, key_of_state, states_of

    folder = folder_of_base(arguments.base)
    open_base(folder)
    sources = [_expanded(source) for source in arguments.sources]
    later = [_expanded(source) for source in arguments.later]
    checked_sources([*sources, *later])
    earlier, later = states_of(sources, arguments.since, later)
    names = ("recipe", "languages", "heldout", "gaps", "seed", "steps", "epochs", "batch_size", "lr", "seq_len")
    more = ("fim_rate", "line_rate", "looks", "gguf_type")
    return {
        "earlier": earlier,
        "later": later,
        "keys": [key_of_state(earlier), key_of_state(later) if later else None],
        "base": str(folder),
        "base_digest": [sha256(path) for path in sorted(folder.iterdir()) if path.suffix in {".safetensors", ".json"}],
        "lora_rank": 0 if arguments.full else arguments.lora_rank,
        "memory_bytes": None if arguments.memory is None else round(1e9 * arguments.memory),
        "server": server_program(),
        **{name: getattr(arguments, name) for name in (*names, *more)},
    }


def _expanded(source: str) -> str:
    """Return a source that is a path in full, so that it means the same in every folder; an address as it is."""
    path = Path(source).expanduser()
    return str(path.resolve()) if path.exists() else str(path) if source.startswith("~") else source
