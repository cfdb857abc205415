"""The command `hf-santa demo`."""

import argparse
import contextlib
import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hf_santa.flags import add_json
from hf_santa.training_flags import add_fim_flags, add_languages_flag, chosen_languages, fim_settings

TRAIN_TOKENS = 1_800_000
MAX_MINUTES = 6.0
SHAPE = {"n_embd": 128, "n_layer": 3, "n_head": 4, "vocab_size": 4096, "seq_len": 256, "batch_size": 8}


def add_commands(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `demo` to the command line."""
    from hf_santa.demo.steps import STEP_NAMES

    parser = subparsers.add_parser(
        "demo",
        help="run the whole life cycle on the source code of this machine",
        description="Run the whole life cycle on real source code: rows, recipe, tokenizer, training, a staged model, "
        "completions, the metric, the Space and a report page. What is up to date is not done again.",
        epilog="example: hf-santa demo --source ~/code --out out/mine --serve",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="folder for all results (default: out/demo)")
    parser.add_argument(
        "--source", type=Path, metavar="SOURCE", help="your own source tree or rows (default: this machine's code)"
    )
    add_languages_flag(parser)
    parser.add_argument("--only", metavar="STEP,STEP", help=f"only these and what they need: {','.join(STEP_NAMES)}")
    parser.add_argument("--seed", type=int, default=0, help="seed of every random choice (default: 0)")
    parser.add_argument(
        "--train-tokens",
        type=int,
        default=TRAIN_TOKENS,
        metavar="N",
        help=f"tokens to train on (default: {TRAIN_TOKENS})",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        metavar="N",
        help="minutes of training; model and tokens are those that this machine's speed allows, in place of --train-tokens",
    )
    parser.add_argument(
        "--max-minutes",
        type=float,
        default=MAX_MINUTES,
        metavar="N",
        help=f"longest training, for a busy machine; give more and it goes on (default: {MAX_MINUTES:g})",
    )
    parser.add_argument("--samples", type=int, default=5, metavar="N", help="completions of each problem (default: 5)")
    add_fim_flags(parser)
    parser.add_argument("--serve", action="store_true", help="leave the Space open afterwards")
    parser.add_argument("--port", type=int, default=7860, help="port of the Space under --serve (default: 7860)")
    add_json(parser)
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the demo and return the exit code."""
    from hf_santa.demo.run import run_steps
    from hf_santa.demo.steps import STEPS, with_needs

    out: Path = arguments.out
    lines_to = sys.stderr if arguments.json else sys.stdout
    steps = with_needs(arguments.only.split(",")) if arguments.only else list(STEPS)
    settings = _settings(arguments)
    if arguments.minutes is not None:
        words = " ".join(f"{name}={value}" for name, value in settings["shape"].items())
        print(
            f"budget minutes={arguments.minutes:g} {words} tokens={settings['train_tokens']}", file=lines_to, flush=True
        )
    report = run_steps(out, steps, settings, lines_to)
    page = None
    if len(steps) == len(STEPS):
        from hf_santa.demo.report.collect import write_the_page

        page = write_the_page(out, settings, report)
        print(f"report {page}", file=lines_to, flush=True)
    if arguments.json:
        print(json.dumps({"out": str(out), "page": page and str(page), "steps": report}, indent=2))
    if arguments.serve:
        from hf_santa.demo.steps_release import serve

        serve(out, arguments.port)
    return 0


def _settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what decides the results, with a digest of the corpus instead of its files."""
    from hf_santa.demo.steps import DemoError
    from hf_santa.demo.steps_data import corpus_fingerprint, default_roots

    for name in ("minutes", "max_minutes"):
        value = getattr(arguments, name)
        if value is not None and not value > 0:
            raise DemoError(f"--{name.replace('_', '-')} is {value:g}. Give a number above 0.")
    for name in ("train_tokens", "samples"):
        if getattr(arguments, name) < 1:
            raise DemoError(f"--{name.replace('_', '-')} is {getattr(arguments, name)}. Give 1 or more.")
    roots = default_roots() if arguments.source is None else [arguments.source.expanduser()]
    return {
        "corpus_roots": [str(root.resolve()) for root in roots],
        "is_default_corpus": arguments.source is None,
        "corpus_fingerprint": corpus_fingerprint(roots),
        "languages": list(_languages(arguments)),
        "seed": arguments.seed,
        **_budget(arguments),
        "fim": fim_settings(arguments),
        "samples": arguments.samples,
        "toolchains": {name: shutil.which(name) for name in ("python3", "node", "javac", "java")},
    }


def _languages(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Return the languages of one's own source to train on; this machine's code is read by limits for each language."""
    if arguments.source is None:
        return tuple(arguments.languages)
    return chosen_languages([arguments.source.expanduser()], arguments.languages)


def _budget(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the model's shape, the tokens to train on, and the longest time in minutes.

    What `--minutes` chose is kept in `OUT/budget.json`, so that a run goes on with the same model on a machine that is
    busier by now.
    """
    if arguments.minutes is None:
        return {"shape": SHAPE, "train_tokens": arguments.train_tokens, "max_minutes": arguments.max_minutes}
    from hf_santa.errors import HfSantaError
    from hf_santa.files import read_json, write_json
    from modeling_santa.training.loop.budget import RESERVE, choose, flops_a_second
    from modeling_santa.training.loop.team import join

    path, found = arguments.out / "budget.json", {}
    with contextlib.suppress(HfSantaError):  # what is damaged is chosen anew
        found = read_json(path, {"minutes": float | int, "shape": dict, "train_tokens": int})
    if found.keys() != {"minutes", "shape", "train_tokens"} or found["minutes"] != arguments.minutes:
        choice = choose(flops_a_second(join("cpu")) * 60 * arguments.minutes * RESERVE)
        arguments.out.mkdir(parents=True, exist_ok=True)
        found = {"minutes": arguments.minutes, "shape": asdict(choice.shape), "train_tokens": choice.tokens}
        write_json(path, found)
    return {"shape": found["shape"], "train_tokens": found["train_tokens"], "max_minutes": arguments.minutes}
