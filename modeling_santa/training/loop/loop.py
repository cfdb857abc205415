"""The small CPU training loop: the whole run on one page, resumable to the same bytes."""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from modeling_santa.capabilities_santa import has_fast_bf16
from modeling_santa.corpus.fim_samples import FimDataset, Ids
from modeling_santa.errors_santa import ModelError
from modeling_santa.training.loop.checkpoint import load_latest, save_checkpoint
from modeling_santa.training.loop.chunked_loss import chunked_loss
from modeling_santa.training.loop.plan import TrainingPlan, optimizers_for

__all__ = ["TrainingPlan", "heldout_bits", "optimizers_for", "train"]


def heldout_bits(model: PreTrainedModel, windows: Ids, batch_size: int = 32) -> float:
    """Return the cost in bits of all but the first token of `windows` (n, seq_len + 1), left to right."""
    nats = 0.0
    with torch.no_grad():
        for start in range(0, len(windows), batch_size):
            ids = torch.from_numpy(windows[start : start + batch_size])
            logits = model(ids[:, :-1]).logits.float()
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
    on_step: Callable[[dict[str, float]], None] = lambda _: None,
) -> dict[str, Any]:
    """Train `model` in place, from the last good checkpoint under `out` if there is one.

    `out/loss.jsonl` gets a line every `log_every` steps (training loss in nats a token) and every
    `evaluate_every` steps (`heldout_bits_per_byte`). The same plan, data and number of threads give the same bytes,
    however often the run was killed. Only where the time limit ends the run do they depend on the machine's speed.

    Raises:
        ValueError: the loss is not finite (the message has the step and the batch), the corpus is too small for the plan,
            or its vocabulary is not the model's.
        OSError: the disk is full; the last good checkpoint stays.
    """
    plan.check(len(dataset), model.config.vocab_size, len(dataset.sizes))
    optimizers = optimizers_for(model, plan)
    step, seconds, log = load_latest(out, model, optimizers)
    is_timed_out = False
    while step < plan.steps and not is_timed_out:
        started = time.perf_counter()
        loss = _step(model, dataset, optimizers, plan, step)
        step += 1
        if not math.isfinite(loss):
            raise ModelError(
                f"train: the loss at step {step} is {loss}, on samples {batch_indices(dataset, plan, step - 1)[1]} of the "
                "corpus. Lower matrix_lr and other_lr, or look at these samples; the last checkpoint is from before."
            )
        seconds += time.perf_counter() - started
        is_timed_out = seconds > plan.time_limit_s
        is_last = step == plan.steps or is_timed_out
        record: dict[str, float] = {"step": step, "loss": loss}
        if step % plan.evaluate_every == 0 or is_last:
            started = time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16, enabled=has_fast_bf16()):
                record["heldout_bits_per_byte"] = heldout_bits(model.eval(), heldout) / heldout_bytes
            seconds += time.perf_counter() - started
        if step % plan.log_every == 0 or is_last or "heldout_bits_per_byte" in record:
            log.append(record)
        if step % plan.save_every == 0 or is_last:
            save_checkpoint(out, model, optimizers, step=step, seconds=seconds, log=log)
        on_step(record)
    (out / "loss.jsonl").write_text("".join(json.dumps(record) + "\n" for record in log))
    return {"steps": step, "seconds": seconds, "log": log, "is_timed_out": step < plan.steps}


def batch_indices(dataset: FimDataset, plan: TrainingPlan, step: int) -> tuple[int, list[int]]:
    """Return the epoch of batch number `step` and the samples in it: a fresh order in each epoch."""
    epoch, at = divmod(step, len(dataset) // plan.batch_size)
    order = np.random.default_rng((plan.seed, epoch)).permutation(len(dataset))
    return epoch, order[at * plan.batch_size : (at + 1) * plan.batch_size].tolist()


def _step(
    model: PreTrainedModel, dataset: FimDataset, optimizers: list[torch.optim.Optimizer], plan: TrainingPlan, step: int
) -> float:
    """Take one optimizer step on batch number `step` and return its loss in nats a token."""
    inputs, labels = dataset.batch(*batch_indices(dataset, plan, step))
    for optimizer, rate in zip(optimizers, plan.rates(step), strict=True):
        for group in optimizer.param_groups:
            group["lr"] = rate
    with torch.autocast("cpu", torch.bfloat16, enabled=has_fast_bf16()):
        hidden = model.train().base_model(torch.from_numpy(inputs), use_cache=False).last_hidden_state
    loss = chunked_loss(hidden, model.get_output_embeddings().weight, torch.from_numpy(labels))
    torch.autograd.backward(loss)
    nn.utils.clip_grad_norm_(model.parameters(), plan.clip)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return loss.item()
