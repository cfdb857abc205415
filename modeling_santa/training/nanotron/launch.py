"""Check everything that can go wrong, then start nanotron's processes."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from modeling_santa.errors_santa import ModelError
from modeling_santa.json_files import read_object
from modeling_santa.training.nanotron.estimate import padded_vocab, parameter_count
from modeling_santa.training.nanotron.settings import sequences_a_step

WORKER = "modeling_santa.training.nanotron.worker"
SAVED_FIELDS = ("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "intermediate_size")


def check_devices(config: Mapping[str, Any], device: str) -> bool:
    """Return whether the run is on the CPU.

    Raises:
        ValueError: GPUs are asked for that this machine does not have.
    """
    import torch

    wanted, found = config["parallelism"]["dp"], torch.cuda.device_count()
    if device == "cpu":
        return True
    if device == "auto" and not found and wanted == 1 and config["model"]["dtype"] == "float32":
        return True
    if found < wanted:
        raise ModelError(
            f"train: the configuration asks for {wanted} GPUs (parallelism.dp), this machine has {found}. "
            + (
                f"Use --gpus {found}, or --slurm for several machines."
                if found
                else "Use --dry-run here, --slurm for a "
            )
            + ("" if found else "cluster, or --device cpu to try it slowly.")
        )
    return False


def check_data(config: Mapping[str, Any], corpus: Path, tokenizer_folder: Path, max_epochs: float) -> str:
    """Check that corpus, tokenizer and model belong together and that there are tokens enough; say so in a line.

    Raises:
        ValueError: they do not, or there are not, or the corpus is unfinished or damaged.
    """
    from modeling_santa.corpus.fim_samples import read_tokens
    from modeling_santa.corpus.shards import AGAIN
    from modeling_santa.tokenizer.train import load_tokenizer

    tokenizer = load_tokenizer(tokenizer_folder)
    size, model_size = tokenizer.get_vocab_size(with_added_tokens=True), config["model"]["model_config"]["vocab_size"]
    if size != model_size:
        raise ModelError(
            f"train: the tokenizer in {tokenizer_folder} has {size} tokens, the configuration's vocab_size is {model_size}. "
            f"Use the tokenizer that the configuration was made for, or --set model.model_config.vocab_size={size}."
        )
    try:
        tokens = read_tokens(corpus)
    except OSError as error:
        raise ModelError(f"train: the corpus {corpus} lacks a file ({error}). Pack it again.") from error
    tokens.check_tokenizer(tokenizer)
    packed, wanted_recipe = read_object(corpus / "corpus.json", {}, AGAIN).get("recipe"), config["fim"]["recipe"]
    if packed is not None and packed != wanted_recipe:
        raise ModelError(
            f"train: {corpus} was packed from recipe {packed!r}, the configuration trains on {wanted_recipe!r} (fim.recipe). "
            f"Pack that recipe, or say that it is meant: --set fim.recipe={packed}."
        )
    wanted = sequences_a_step(config) * config["tokens"]["sequence_length"] * config["tokens"]["train_steps"]
    epochs = wanted / max(1, len(tokens))
    if epochs > max_epochs:
        raise ModelError(
            f"train: {config['tokens']['train_steps']} steps take {wanted:,} tokens, {corpus} has {len(tokens):,}: "
            f"{epochs:.1f} times the same text, and more than {max_epochs:g} teaches little. "
            "Pack more text, lower --steps, or raise --max-epochs."
        )
    unknown = "" if packed else ", of no recipe that is known"
    return f"{wanted:,} tokens from {len(tokens):,}{unknown}: {epochs:.2f} epochs"


def latest_step(checkpoints: Path) -> int:
    """Return the step of the newest whole checkpoint, 0 without one.

    Raises:
        ValueError: `latest.txt` names none.
    """
    latest = checkpoints / "latest.txt"
    if not latest.is_file():
        return 0
    text = latest.read_text().strip()
    if not text.isdecimal() or not (checkpoints / text / "model_config.json").is_file():
        raise ModelError(
            f"train: {latest} says {text[:20]!r}, which is no checkpoint beside it. Write the step of a whole one into it, "
            "or remove it to start anew."
        )
    return int(text)


def check_checkpoint(config: Mapping[str, Any], checkpoints: Path) -> int:
    """Return the step at which the run goes on: 0, or that of the newest checkpoint, after a look into it.

    Raises:
        ValueError: it is damaged, or of a model of another shape or dtype, or of another batch.
    """
    step = latest_step(checkpoints)
    if not step:
        return 0
    from modeling_santa.checkpoints import read_checkpoint

    folder = checkpoints / str(step)
    state, _, _ = read_checkpoint(folder)
    saved, model = (
        read_object(
            folder / "model_config.json",
            dict.fromkeys(SAVED_FIELDS, object),
            "Name another --out, or remove the checkpoint.",
        ),
        config["model"]["model_config"],
    )
    expected = {name: model[name] for name in SAVED_FIELDS} | {"vocab_size": padded_vocab(model)}
    before = yaml.safe_load((folder / "config.yaml").read_text())
    kind = str(next(iter(state.values())).dtype).removeprefix("torch.")
    pairs = {name: (saved[name], value) for name, value in expected.items()}
    pairs["dtype"] = (kind, config["model"]["dtype"])
    pairs["parallelism.dp"] = (before["parallelism"]["dp"], config["parallelism"]["dp"])
    pairs["sequences a step"] = (sequences_a_step(before), sequences_a_step(config))
    for name, (old, new) in pairs.items():
        if old != new:
            raise ModelError(
                f"train: the checkpoint {folder} has {name} {old}, the configuration {new}. "
                "Go on with the same configuration, or name another --out."
            )
    return step


def command(
    config_file: Path, corpus: Path, tokenizer: Path, out: Path, *, processes: int, is_cpu: bool, has_wandb: bool
) -> list[str]:
    """Return the command that trains: one process, or torchrun with one per GPU."""
    flags = ["--cpu"] * is_cpu + ["--wandb"] * has_wandb
    paths = [
        str(config_file),
        "--corpus",
        str(corpus),
        "--tokenizer",
        str(tokenizer),
        "--out",
        str(out),
        "--checked",
        *flags,
    ]
    if processes == 1:
        return [sys.executable, "-m", WORKER, *paths]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return [*torchrun, "-m", WORKER, *paths]


def write_config(config: dict[str, Any], tokenizer: Path, out: Path) -> Path:
    """Write the run's configuration to `OUT/config.yaml`; checkpoints go to `OUT/checkpoints` and are resumed from."""
    place = str((out / "checkpoints").resolve())
    config["checkpoints"] |= {"checkpoints_path": place, "resume_checkpoint_path": place}
    config["tokenizer"] |= {"tokenizer_name_or_path": str(tokenizer.resolve())}
    Path(place).mkdir(parents=True, exist_ok=True)
    path = out / "config.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def start(arguments: list[str]) -> int:
    """Become the command, so that whatever signal comes reaches the trainer itself."""
    sys.stdout.flush()
    return os.execv(arguments[0], arguments)  # noqa: S606


def about_model(config: Mapping[str, Any]) -> str:
    """Return the model of a configuration in a line."""
    model = config["model"]["model_config"]
    return f"{parameter_count(model):,} parameters, {model['num_hidden_layers']} layers of {model['hidden_size']}"
