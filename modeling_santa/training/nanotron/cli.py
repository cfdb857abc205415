"""The command `hf-santa train`."""

import argparse
import importlib.util
import json
import shlex
import sys
from pathlib import Path
from typing import Any

from modeling_santa.errors_santa import ModelError

GPUS_A_NODE = 8
CPUS_A_GPU = 8


def add_commands(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `train` to the command line."""
    parser = subparsers.add_parser(
        "train",
        help="train a model with nanotron, on GPUs or a CPU",
        description="Train SantaCoder with nanotron on a packed corpus. A run that was killed goes on where it stopped.",
        epilog="example: hf-santa train --config santacoder-1.1b --gpus 8 --dry-run",
    )
    parser.add_argument(
        "--config", metavar="NAME|FILE", help="a training recipe (see --list) or a YAML file of nanotron's"
    )
    parser.add_argument("--list", action="store_true", help="list the training recipes and their files, and stop")
    parser.add_argument(
        "--schema", choices=("0.4", "head"), default="0.4", help="nanotron's release or its git head (default: 0.4)"
    )
    parser.add_argument("--corpus", type=Path, metavar="DIR", help="the packed corpus")
    parser.add_argument(
        "--tokenizer", type=Path, metavar="DIR", help="tokenizer.json or its folder: what the corpus was packed with"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for checkpoints/, loss.jsonl and config.yaml")
    parser.add_argument(
        "--gpus",
        type=int,
        metavar="N",
        help="GPUs in all; the sequences of a step stay the same (default: parallelism.dp)",
    )
    parser.add_argument("--steps", type=int, metavar="N", help="stop after N steps; the learning rate's schedule stays")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a key of the configuration, such as tokens.micro_batch_size=4",
    )
    parser.add_argument(
        "--device",
        choices=("auto", "cuda", "cpu"),
        default="auto",
        help="where to train; auto takes GPUs, or the CPU for the recipe cpu (default: auto)",
    )
    parser.add_argument(
        "--max-epochs", type=float, default=4.0, metavar="X", help="refuse to repeat the corpus more often (default: 4)"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print parameters, tokens, FLOPs, memory and hours, and stop"
    )
    parser.add_argument("--print", action="store_true", help="print the configuration as YAML, and stop")
    parser.add_argument(
        "--gpu",
        choices=("h100", "h200", "a100", "v100"),
        default="h100",
        help="kind of GPU for --dry-run (default: h100)",
    )
    parser.add_argument(
        "--mfu", type=float, default=0.4, metavar="X", help="model FLOP utilisation assumed by --dry-run (default: 0.4)"
    )
    parser.add_argument(
        "--slurm", action="store_true", help="check all, write OUT/config.yaml and print a Slurm script, and stop"
    )
    parser.add_argument(
        "--json", action="store_true", help="print the result as JSON, and nothing else on standard output"
    )
    parser.add_argument("--wandb", action="store_true", help="log to wandb, too (default: OUT/loss.jsonl alone)")
    parser.set_defaults(func=_train)


def _train(arguments: argparse.Namespace) -> int:
    import yaml

    from modeling_santa.training.nanotron.settings import change, load_settings

    if arguments.list:
        return _list(arguments.schema, is_json=arguments.json)
    if arguments.config is None:
        raise ModelError("--config is missing. Name a recipe or a file; --list shows the recipes.")
    config = load_settings(arguments.config, schema=arguments.schema, gpus=arguments.gpus)
    change(config, arguments.set, arguments.schema)
    if arguments.steps is not None:
        config["tokens"]["train_steps"] = arguments.steps
    if config["tokens"]["train_steps"] < 1:
        raise ModelError(f"{config['tokens']['train_steps']} steps train nothing. Use --steps 1 or more.")
    if arguments.print:
        print(yaml.safe_dump(config, sort_keys=False), end="")
        return 0
    if arguments.dry_run:
        return _dry_run(config, arguments)
    return _start(config, arguments)


def _list(schema: str, *, is_json: bool) -> int:
    from modeling_santa.training.nanotron.recipes import RUN_RECIPES, config_path

    if is_json:
        rows = [
            {"name": made.name, "steps": made.steps, "about": made.about, "config": str(config_path(made.name, schema))}
            for made in RUN_RECIPES.values()
        ]
        print(json.dumps(rows, indent=2))
        return 0
    for recipe in RUN_RECIPES.values():
        print(f"{recipe.name:16} {recipe.steps:>7,} steps  {recipe.about}  {config_path(recipe.name, schema)}")
    return 0


def _dry_run(config: dict[str, Any], arguments: argparse.Namespace) -> int:
    from modeling_santa.training.nanotron.estimate import GPU_BYTES, estimate
    from modeling_santa.training.nanotron.launch import about_model
    from modeling_santa.training.nanotron.settings import sequences_a_step

    if not 0 < arguments.mfu <= 1:
        raise ModelError(f"--mfu {arguments.mfu:g} is no share. Use one above 0 and up to 1, such as 0.4.")
    found, tokens, gpus = (
        estimate(config, gpu=arguments.gpu, mfu=arguments.mfu),
        config["tokens"],
        config["parallelism"]["dp"],
    )
    is_too_much = found.memory > GPU_BYTES[arguments.gpu]
    if arguments.json:
        about = {**vars(found), "gpus": gpus, "gpu": arguments.gpu, "mfu": arguments.mfu, "fits": not is_too_much}
        print(json.dumps(about, indent=2))
        return 0
    rows = {
        "model": about_model(config),
        "data": f"recipe {config['fim']['recipe']!r}, fim_rate {config['fim']['fim_rate']}",
        "batch": f"{sequences_a_step(config)} sequences of {tokens['sequence_length']}: {gpus} GPUs x "
        f"{tokens['micro_batch_size']} x {tokens['batch_accumulation_per_replica']} accumulated",
        "tokens": f"{found.tokens:,} in {tokens['train_steps']:,} steps",
        "FLOPs": f"{found.flops:.3e}",
        "memory a GPU": f"{found.memory / 1e9:.1f} GB at least: {found.weights / 1e9:.1f} weights, gradients and Adam, "
        f"{found.activations / 1e9:.1f} activations",
        "time": f"{found.hours:,.1f} hours on {gpus} x {arguments.gpu} at {100 * arguments.mfu:g} % MFU (assumed)",
    }
    for name, value in rows.items():
        print(f"{name:13} {value}")
    if is_too_much:
        print(
            f"warning: more than the {GPU_BYTES[arguments.gpu] / 1e9:g} GB of one {arguments.gpu}; lower tokens.micro_batch_size"
        )
    return 0


def _start(config: dict[str, Any], arguments: argparse.Namespace) -> int:
    from modeling_santa.training.nanotron import launch

    if arguments.json:
        raise ModelError("--json shows what --list or --dry-run found. A run writes OUT/loss.jsonl; leave --json out.")
    missing = [f"--{name}" for name in ("corpus", "tokenizer", "out") if getattr(arguments, name) is None]
    if missing:
        raise ModelError(
            f"{', '.join(missing)} missing. Name the packed corpus, its tokenizer and a folder for the run."
        )
    if arguments.schema == "head":
        raise ModelError(
            "--schema head is for --print and --dry-run. Runs are started with the release 0.4, "
            "which `hf-santa[train]` installs. Leave --schema out."
        )
    if arguments.wandb and importlib.util.find_spec("wandb") is None:
        raise ModelError("--wandb needs wandb, which is not installed. Install it, or leave --wandb out.")
    corpus, tokenizer, out = arguments.corpus, arguments.tokenizer, arguments.out
    is_cpu = False if arguments.slurm else launch.check_devices(config, arguments.device)
    data = launch.check_data(config, corpus, tokenizer, arguments.max_epochs)
    if is_cpu:
        config["optimizer"]["torch_adam_is_fused"] = False
    step = launch.check_checkpoint(config, out / "checkpoints")
    if step >= config["tokens"]["train_steps"]:
        print(f"{out}: step {step} is trained already; raise --steps to go on")
        return 0
    path = launch.write_config(config, tokenizer, out)
    if arguments.slurm:
        print(_slurm(config, path, corpus.resolve(), tokenizer.resolve(), out.resolve()), end="")
        return 0
    print(f"{launch.about_model(config)}; {data}; {f'from step {step}' if step else 'from the start'}", flush=True)
    return launch.start(
        launch.command(
            path,
            corpus,
            tokenizer,
            out,
            processes=config["parallelism"]["dp"],
            is_cpu=is_cpu,
            has_wandb=arguments.wandb,
        )
    )


def _slurm(config: dict[str, Any], path: Path, corpus: Path, tokenizer: Path, out: Path) -> str:
    gpus = config["parallelism"]["dp"]
    each = min(gpus, GPUS_A_NODE)
    if gpus % each:
        raise ModelError(f"{gpus} GPUs do not fill nodes of {each}. Use --gpus with a multiple of {each}.")
    values = {
        "@NAME@": config["general"]["run"],
        "@NODES@": str(gpus // each),
        "@GPUS@": str(each),
        "@CPUS@": str(each * CPUS_A_GPU),
        "@PYTHON@": shlex.quote(sys.executable),
        "@ARGUMENTS@": shlex.join(
            [str(path.resolve()), "--corpus", str(corpus), "--tokenizer", str(tokenizer), "--out", str(out)]
        ),
    }
    text = Path(__file__).with_name("slurm.sh").read_text()
    for name, value in values.items():
        text = text.replace(name, value)
    return text
