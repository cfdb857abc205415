"""Train from start to end within a time: steps, held-out losses, checkpoints; a killed run can go on."""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from modeling_santa.corpus.fim_samples import FimDataset, Ids
from modeling_santa.training.loop.checkpoint import load_latest, save_checkpoint
from modeling_santa.training.loop.plan import TrainingPlan, optimizers_for
from modeling_santa.training.loop.progress import Progress
from modeling_santa.training.loop.speed import dtype_of_products, peak_flops, training_flops
from modeling_santa.training.loop.step import Stepper
from modeling_santa.training.loop.team import Team

__all__ = ["TrainingPlan", "heldout_bits", "optimizers_for", "train"]


def heldout_bits(model: PreTrainedModel, windows: Ids, batch_size: int = 32) -> float:
    """Return the cost in bits of all but the first token of `windows` (n, seq_len + 1), left to right."""
    device, nats = model.device, 0.0
    dtype = dtype_of_products(device)
    with torch.no_grad(), torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        for start in range(0, len(windows), batch_size):
            ids = torch.from_numpy(windows[start : start + batch_size]).to(device)
            logits = model(ids[:, :-1], use_cache=False).logits.float()
            nats += nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="sum").item()
    return nats / math.log(2)


def train(
    model: PreTrainedModel,
    dataset: FimDataset,
    plan: TrainingPlan,
    out: Path,
    *,
    heldout: Ids,
    heldout_bytes: int,
    team: Team | None = None,
    on_step: Callable[[dict[str, float]], None] = lambda _: None,
) -> dict[str, Any]:
    """Train `model` in place, from the last good checkpoint under `out` if there is one.

    `out/loss.jsonl` gets a line every `log_every` steps (training loss in nats a token) and every
    `evaluate_every` steps (`heldout_bits_per_byte`). The same plan, data and number of threads give the same bytes,
    however often the run was killed. Only where time is short do they depend on the machine's speed: the learning rate then
    falls with the time that is left (`Progress`). A run that time has ended goes on with a larger `time_limit_s`.

    Args:
        model: In float32, on the team's device.
        dataset: What is drawn from.
        plan: How long and how fast.
        out: Folder for checkpoints and `loss.jsonl`.
        heldout: Windows that the model is measured on.
        heldout_bytes: The bytes of text that they stand for.
        team: The processes that train together (default: this one alone).
        on_step: Is given step, loss and speed after each step, in the first process.

    Raises:
        ValueError: the loss is not finite (the message has the step and the batch), the corpus is too small for the plan,
            its vocabulary is not the model's, or a checkpoint cannot be written; the last good one stays.
    """
    team = team or Team()
    plan.check(len(dataset), model.config.vocab_size, len(dataset.sizes))
    stepper = Stepper(model, dataset, plan, team)
    progress, log = load_latest(out, model, stepper.optimizers, Progress(plan.steps, plan.time_limit_s))
    progress.go_on()
    tokens = plan.batch_size * (dataset.length - 1)
    flops, peak = tokens * training_flops(model.config, dataset.length - 1), peak_flops(team.device) * team.size
    started = time.perf_counter()
    while not progress.is_over:
        loss = stepper(progress.step, progress.at)
        took = time.perf_counter() - started
        record: dict[str, float] = {"step": progress.step + 1, "loss": loss}
        if record["step"] % plan.evaluate_every == 0 and team.is_first:
            record["heldout_bits_per_byte"] = heldout_bits(model.eval(), heldout) / heldout_bytes
        now = time.perf_counter()
        (seconds,) = team.sums(now - started if team.is_first else 0.0)
        started = now
        is_last = progress.advance(seconds)
        if is_last and team.is_first:
            record["heldout_bits_per_byte"] = heldout_bits(model.eval(), heldout) / heldout_bytes
        if progress.step % plan.log_every == 0 or is_last or "heldout_bits_per_byte" in record:
            log.append(record)
        if progress.step % plan.save_every == 0 or is_last:
            if team.is_first:
                save_checkpoint(out, model, stepper.optimizers, progress=progress, log=log, keep=plan.keep)
            team.wait()
        if team.is_first:
            on_step({**record, "tokens_per_s": tokens / took, **({"mfu": flops / took / peak} if peak else {})})
    if team.is_first:
        (out / "loss.jsonl").write_text("".join(json.dumps(record) + "\n" for record in log))
    return {
        "steps": progress.step,
        "seconds": progress.seconds,
        "log": log,
        "is_timed_out": progress.step < plan.steps,
    }
