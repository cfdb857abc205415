"""Write and read training checkpoints: safetensors and JSON; a folder appears whole or not at all."""

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from modeling_santa.errors_santa import ModelError
from modeling_santa.training.loop.progress import Progress

logger = logging.getLogger("hf_santa.train")


def save_checkpoint(
    out: Path,
    model: PreTrainedModel,
    optimizers: list[torch.optim.Optimizer],
    *,
    progress: Progress,
    log: list[Any],
    keep: int = 2,
) -> None:
    """Write `out/step-NNNNNN/` with config, weights, optimizer state, progress and loss curve; keep the newest `keep`.

    The folder opens with `from_pretrained`, too: it has the canonical names.

    Raises:
        OSError: it cannot be written; what was begun is removed and the checkpoints before it stay.
    """
    step = progress.step
    final, partial = out / f"step-{step:06d}", out / f".partial-{step:06d}"
    shutil.rmtree(partial, ignore_errors=True)
    weights = {name: value.detach() for name, value in model.named_parameters()}
    about = {"step": step, "at": progress.at, "seconds": progress.seconds, "log": log}
    try:
        partial.mkdir(parents=True)
        save_file(weights, partial / "model.safetensors", metadata={"format": "pt"})
        save_file(_flat_state(optimizers), partial / "optimizer.safetensors")
        (partial / "progress.json").write_text(json.dumps(about))
        model.config.save_pretrained(partial)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        good = [folder.name for folder in sorted(out.glob("step-*"))]
        raise ModelError(
            f"train: the checkpoint of step {step} could not be written ({error}). "
            f"{good[-1] if good else 'No checkpoint'} stays. Free some space and run the same again."
        ) from error
    shutil.rmtree(final, ignore_errors=True)
    partial.replace(final)
    for old in sorted(out.glob("step-*"))[: -max(1, keep)]:
        shutil.rmtree(old)


def load_latest(
    out: Path, model: PreTrainedModel, optimizers: list[torch.optim.Optimizer], progress: Progress
) -> tuple[Progress, list[dict[str, float]]]:
    """Restore the newest readable checkpoint; return how far it was, and its log, or `progress` as it is.

    An unreadable one is set aside as `corrupt-…` and the one before it is used.
    """
    for folder in sorted(out.glob("step-*"), reverse=True):
        try:
            weights = load_file(folder / "model.safetensors")
            state = load_file(folder / "optimizer.safetensors")
            about = json.loads((folder / "progress.json").read_text())
            found = replace(progress, step=about["step"], at=about["at"], seconds=about["seconds"])
            log: list[dict[str, float]] = about["log"]
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            set_aside = folder.with_name(f"corrupt-{folder.name}")
            logger.warning(
                "train: %s cannot be read (%s); set aside as %s, going back one.", folder.name, error, set_aside.name
            )
            shutil.rmtree(set_aside, ignore_errors=True)
            folder.replace(set_aside)
            continue
        model.load_state_dict(weights, strict=False)  # the tied head is not stored twice
        _restore_state(optimizers, state)
        return found, log
    return progress, []


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
