"""Take one training step: forward and backward in micro-batches, then one update of the weights."""

import logging
import math
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from modeling_santa.corpus.fim_samples import IGNORED
from modeling_santa.errors_santa import ModelError
from modeling_santa.training.loop.chunked_loss import chunked_loss
from modeling_santa.training.loop.plan import TrainingPlan, optimizers_for
from modeling_santa.training.loop.speed import dtype_of_products
from modeling_santa.training.loop.team import Team

logger = logging.getLogger("hf_santa.train")


class SampleSource(Protocol):
    """What samples are drawn from: FimDataset, or random numbers where only time is measured."""

    length: int  # tokens of a sample, one more than its inputs

    def __len__(self) -> int:
        """Return the number of samples in an epoch."""

    def batch(self, epoch: int, indices: Iterable[int]) -> tuple[Any, Any]:
        """Return input ids and labels, (batch, length - 1)."""


class TrainingStoppedError(ModelError, RuntimeError):
    """A run cannot go on from here; the message says at which step, on which samples, and what to do."""

    exit_code = 3


class LossOf(nn.Module):
    """A model whose forward pass is its loss; products in bfloat16 where that is fast, weights in float32."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: torch.Tensor, labels: torch.Tensor, count: float) -> torch.Tensor:
        """Return the sum of the losses of all labels (…) but -100, divided by `count`."""
        dtype = dtype_of_products(inputs.device)
        with torch.autocast(inputs.device.type, dtype, enabled=dtype != torch.float32):
            hidden = self.model.base_model(inputs, use_cache=False).last_hidden_state
        return chunked_loss(hidden, self.model.get_output_embeddings().weight, labels, count)


class Stepper:
    """Takes the steps of a plan; every process of the team has one, and all end each step with the same weights."""

    def __init__(self, model: PreTrainedModel, dataset: SampleSource, plan: TrainingPlan, team: Team) -> None:
        self.model, self.dataset, self.plan, self.team = model, dataset, plan, team
        if plan.batch_size % team.size:
            raise ModelError(
                f"train: {plan.batch_size} sequences a step cannot be shared by {team.size} processes. "
                "Choose a multiple of their number."
            )
        self.each = plan.batch_size // team.size
        self.micro = min(plan.micro_batch or self.each, self.each)
        if plan.checkpoint_activations:
            enable_checkpointing(model)
        self.optimizers = optimizers_for(model, plan)
        self.module = team.share(LossOf(model))

    def __call__(self, step: int, at: float) -> float:
        """Take step number `step` with the rates of the schedule at `at`; return the mean loss in nats a token.

        Raises:
            ModelError: the loss or the gradient is not finite, or the memory of a GPU does not suffice for one sequence.
        """
        epoch, indices = batch_indices(self.dataset, self.plan, step)
        mine = indices[self.team.rank * self.each : (self.team.rank + 1) * self.each]
        inputs, labels = self.dataset.batch(epoch, mine)
        (count,) = self.team.sums(float((labels != IGNORED).sum()))
        self._set_rates(self.plan.rates(at))
        while True:
            try:
                (loss,) = self.team.sums(self._gradients(step, inputs, labels, max(count, 1.0)))
                break
            except torch.OutOfMemoryError as error:
                self._halve(error)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.plan.clip)
        if not math.isfinite(loss) or not math.isfinite(norm):
            raise TrainingStoppedError(
                f"train: the loss at step {step + 1} is {loss} and its gradient's norm {float(norm)}, on samples {indices} of "
                "the corpus. Lower matrix_lr and other_lr, or look at these samples; the last checkpoint is from before."
            )
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return loss

    def _set_rates(self, rates: Sequence[float]) -> None:
        for optimizer, rate in zip(self.optimizers, rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate

    def _gradients(self, step: int, inputs: Any, labels: Any, count: float) -> float:
        """Add up the gradients of this process's sequences, `micro` at a time; return their share of the loss."""
        torch.manual_seed((self.plan.seed * 1_000_003 + step) * 4099 + self.team.rank)  # dropout draws from it
        self.model.train()
        starts = range(0, len(inputs), self.micro)
        total = 0.0
        for start in starts:
            rows = slice(start, start + self.micro)
            sides = (torch.from_numpy(np.ascontiguousarray(side[rows])) for side in (inputs, labels))
            ids, wanted = (side.to(self.team.device, non_blocking=True) for side in sides)
            with self._unsent(is_last=start == starts[-1]):
                loss = self.module(ids, wanted, count)
                torch.autograd.backward(loss * self.team.size)  # the processes' gradients are averaged, not summed
            total += loss.item()
        return total

    def _unsent(self, *, is_last: bool) -> AbstractContextManager[Any]:
        """Keep gradients to this process until the last micro-batch."""
        return nullcontext() if is_last or self.team.size == 1 else self.module.no_sync()

    def _halve(self, error: torch.OutOfMemoryError) -> None:
        """Try again with half of the sequences at a time; the step's sequences stay the same."""
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        if self.micro == 1 or self.team.size > 1:  # the other processes are in the middle of their step
            raise TrainingStoppedError(
                f"train: {self.micro} sequences of {self.dataset.length - 1} tokens at a time do not fit into the memory of "
                f"{self.team.device} ({error}). Lower --micro-batch, use --checkpoint-activations, or a shorter context."
            ) from error
        self.micro = -(-self.micro // 2)
        logger.warning(
            "train: out of memory; from here on %d sequences at a time, the same %d a step.", self.micro, self.each
        )
        torch.cuda.empty_cache()


def enable_checkpointing(model: Any) -> None:
    """Keep a block's input alone and compute the rest again for its gradient; transformers has renamed the switch."""
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    enable()


def batch_indices(dataset: SampleSource, plan: TrainingPlan, step: int) -> tuple[int, list[int]]:
    """Return the epoch of batch number `step` and the samples in it: a fresh order in each epoch."""
    epoch, at = divmod(step, len(dataset) // plan.batch_size)
    order = np.random.default_rng((plan.seed, epoch)).permutation(len(dataset))
    return epoch, order[at * plan.batch_size : (at + 1) * plan.batch_size].tolist()
