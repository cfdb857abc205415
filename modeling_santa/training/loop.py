"""The small CPU training loop: the whole run on one page, resumable to the same bytes.

Source of the settings: report section 5.1 (Adam 0.9/0.95, weight decay 0.1, clipping at 1.0, 2 % warm-up, cosine).
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from modeling_santa.linear_santa import has_fast_bf16
from modeling_santa.training.checkpoint import load_latest, save_checkpoint
from modeling_santa.training.chunked_loss import chunked_loss
from modeling_santa.training.corpus import FimDataset, Ids


@dataclass(frozen=True)
class TrainingPlan:
    """Says how long and how fast a model is trained.

    # Differs from the report: the matrices are trained with Muon, the rest with Adam at a higher rate than 2e-4. A
    # model of 1 M parameters that sees a few million tokens needs it (docs/decisions.md has the comparison).
    """

    steps: int
    batch_size: int = 8  # sequences a step
    matrix_lr: float = 0.02  # Muon, for the two-dimensional weights inside the blocks
    other_lr: float = 2e-2  # Adam, for embeddings, biases and norms
    weight_decay: float = 0.1
    warmup_share: float = 0.02
    clip: float = 1.0
    seed: int = 0
    log_every: int = 10
    evaluate_every: int = 80
    save_every: int = 100
    time_limit_s: float = 170.0

    def rate(self, step: int) -> float:
        """Return the share of the full learning rate at `step`: linear warm-up, then cosine to zero."""
        warmup = max(1, round(self.steps * self.warmup_share))
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, self.steps - warmup)))


def optimizers_for(model: PreTrainedModel, plan: TrainingPlan) -> list[torch.optim.Optimizer]:
    """Return Muon over the blocks' matrices and Adam over everything else; decay on matrices only."""
    named = list(model.named_parameters())
    matrices = [p for name, p in named if p.dim() == 2 and ".h." in name]
    embeddings = [p for name, p in named if p.dim() == 2 and ".h." not in name]
    vectors = [p for _, p in named if p.dim() < 2]
    groups = [{"params": embeddings, "weight_decay": plan.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return [
        torch.optim.Muon(matrices, lr=plan.matrix_lr, weight_decay=plan.weight_decay),
        torch.optim.AdamW(groups, lr=plan.other_lr, betas=(0.9, 0.95), eps=1e-8),
    ]


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
        ValueError: the loss is not finite; the message has the step.
    """
    optimizers = optimizers_for(model, plan)
    step, seconds, log = load_latest(out, model, optimizers)
    is_timed_out = False
    while step < plan.steps and not is_timed_out:
        started = time.perf_counter()
        loss = _step(model, dataset, optimizers, plan, step)
        step += 1
        if not math.isfinite(loss):
            raise ValueError(
                f"train: the loss at step {step} is {loss}. Lower matrix_lr and other_lr, or check the data."
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


def _step(
    model: PreTrainedModel, dataset: FimDataset, optimizers: list[torch.optim.Optimizer], plan: TrainingPlan, step: int
) -> float:
    """Take one optimizer step on batch number `step` and return its loss in nats a token."""
    steps_per_epoch = max(1, len(dataset) // plan.batch_size)
    epoch, at = divmod(step, steps_per_epoch)
    order = np.random.default_rng((plan.seed, epoch)).permutation(len(dataset))
    inputs, labels = dataset.batch(epoch, order[at * plan.batch_size : (at + 1) * plan.batch_size].tolist())
    for optimizer, full_rate in zip(optimizers, (plan.matrix_lr, plan.other_lr), strict=True):
        for group in optimizer.param_groups:
            group["lr"] = full_rate * plan.rate(step)
    with torch.autocast("cpu", torch.bfloat16, enabled=has_fast_bf16()):
        hidden = model.train().base_model(torch.from_numpy(inputs), use_cache=False).last_hidden_state
    loss = chunked_loss(hidden, model.get_output_embeddings().weight, torch.from_numpy(labels))
    torch.autograd.backward(loss)
    nn.utils.clip_grad_norm_(model.parameters(), plan.clip)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return loss.item()
