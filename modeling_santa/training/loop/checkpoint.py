"""Training checkpoints: safetensors and JSON, never pickles; a folder appears whole or not at all."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from modeling_santa.errors_santa import ModelError

KEPT = 2  # the last good one stays while the next is written
RANDOM = "random_state"  # dropout draws from it


def save_checkpoint(
    out: Path,
    model: nn.Module,
    optimizers: list[torch.optim.Optimizer],
    *,
    step: int,
    seconds: float,
    log: list[Any],
) -> None:
    """Write `out/step-NNNNNN/` with weights, optimizer and random state, progress and loss curve, then drop older ones.

    Raises:
        OSError: it cannot be written; what was begun is removed and the checkpoints before it stay.
    """
    final, partial = out / f"step-{step:06d}", out / f".partial-{step:06d}"
    shutil.rmtree(partial, ignore_errors=True)
    weights = {name: value.detach() for name, value in model.named_parameters()}
    state = {**_flat_state(optimizers), RANDOM: torch.get_rng_state()}
    try:
        partial.mkdir(parents=True)
        save_file(weights, partial / "model.safetensors")
        save_file(state, partial / "optimizer.safetensors")
        (partial / "progress.json").write_text(json.dumps({"step": step, "seconds": seconds, "log": log}))
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        good = [folder.name for folder in sorted(out.glob("step-*"))]
        raise ModelError(
            f"train: the checkpoint of step {step} could not be written ({error}). "
            f"{good[-1] if good else 'No checkpoint'} stays. Free some space and run the same again."
        ) from error
    shutil.rmtree(final, ignore_errors=True)
    partial.replace(final)
    for old in sorted(out.glob("step-*"))[:-KEPT]:
        shutil.rmtree(old)


def load_latest(
    out: Path, model: nn.Module, optimizers: list[torch.optim.Optimizer]
) -> tuple[int, float, list[dict[str, float]]]:
    """Restore the newest readable checkpoint; return its step, seconds and log, or zeros for a fresh start.

    An unreadable one is set aside as `corrupt-…` and the one before it is used.
    """
    for folder in sorted(out.glob("step-*"), reverse=True):
        try:
            weights = load_file(folder / "model.safetensors")
            state = load_file(folder / "optimizer.safetensors")
            progress = json.loads((folder / "progress.json").read_text())
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            set_aside = folder.with_name(f"corrupt-{folder.name}")
            print(f"train: {folder.name} cannot be read ({error}); set aside as {set_aside.name}, going back one.")
            shutil.rmtree(set_aside, ignore_errors=True)
            folder.replace(set_aside)
            continue
        model.load_state_dict(weights, strict=False)  # the tied head is not stored twice
        torch.set_rng_state(state.pop(RANDOM))
        _restore_state(optimizers, state)
        return progress["step"], progress["seconds"], progress["log"]
    return 0, 0.0, []


def _flat_state(optimizers: list[torch.optim.Optimizer]) -> dict[str, torch.Tensor]:
    flat = {}
    for number, optimizer in enumerate(optimizers):
        for index, values in optimizer.state_dict()["state"].items():
            for name, value in values.items():
                flat[f"{number}.{index}.{name}"] = torch.as_tensor(value).contiguous()
    return flat


def _restore_state(optimizers: list[torch.optim.Optimizer], flat: dict[str, torch.Tensor]) -> None:
    states: list[dict[int, dict[str, torch.Tensor]]] = [{} for _ in optimizers]
    for key, value in flat.items():
        number, index, name = key.split(".", 2)
        states[int(number)].setdefault(int(index), {})[name] = value
    for optimizer, state in zip(optimizers, states, strict=True):
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
