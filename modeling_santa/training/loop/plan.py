"""Plan a run: how long, with which learning rates and which optimizers.

Source of the settings: report section 5.1 (Adam 0.9/0.95, weight decay 0.1, clipping at 1.0, 2 % warm-up, cosine).
"""

import math
from dataclasses import dataclass
from typing import Any, Literal, Self

import torch
from transformers import PreTrainedModel

from modeling_santa.errors_santa import ModelError
from modeling_santa.training.loop.muon import FittedMuon


@dataclass(frozen=True)
class TrainingPlan:
    """Says how long and how fast a model is trained.

    # Differs from the report: the matrices are trained with Muon, the rest with Adam at a higher rate than 2e-4. A
    # model of 1 M parameters that sees a few million tokens needs it (docs/decisions/training.md has the comparison).
    # `TrainingPlan.report` has the report's own settings.
    """

    steps: int
    batch_size: int = 8  # sequences a step, over all processes
    micro_batch: int | None = None  # sequences of a process at a time; None: all
    checkpoint_activations: bool = False  # a third more work, a fraction of the memory
    optimizer: Literal["muon", "adamw"] = "muon"  # adamw: for all weights, at other_lr
    matrix_lr: float = 0.02  # Muon, for the two-dimensional weights inside the blocks
    other_lr: float = 2e-2  # Adam, for embeddings, biases and norms
    weight_decay: float = 0.1
    warmup_share: float = 0.02
    clip: float = 1.0
    seed: int = 0
    log_every: int = 10
    evaluate_every: int = 80
    save_every: int = 100
    keep: int = 2  # checkpoints, the newest
    time_limit_s: float = math.inf  # the learning rate is at its end by then
    max_epochs: float | None = None  # passes over the data; None: as many as the steps need

    @classmethod
    def report(cls, steps: int = 600_000, **changes: Any) -> Self:
        """Return the report's settings, those of the nanotron configs: Adam at 2e-4, 192 sequences a step."""
        settings: dict[str, Any] = {"batch_size": 192, "optimizer": "adamw", "other_lr": 2e-4}
        return cls(steps=steps, **(settings | changes))

    def rate(self, at: float) -> float:
        """Return the share of the full learning rate at a place in the schedule, in steps: warm-up, then cosine to zero."""
        warmup = max(1, round(self.steps * self.warmup_share))
        if at < warmup:
            return (at + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (at - warmup) / max(1, self.steps - warmup)))

    def rates(self, at: float) -> tuple[float, ...]:
        """Return the learning rate of each optimizer at a place in the schedule."""
        full = (self.other_lr,) if self.optimizer == "adamw" else (self.matrix_lr, self.other_lr)
        return tuple(rate * self.rate(at) for rate in full)

    def check(self, samples: int, vocab_size: int, tokens: int) -> None:
        """Refuse a corpus that is too small for the steps, or of more tokens than the model has.

        Raises:
            ValueError: with the numbers.
        """
        if tokens > vocab_size:
            raise ModelError(
                f"train: the tokenizer has {tokens} tokens, the model a vocabulary of {vocab_size}. "
                "Train a model of padded_vocab_size(tokenizer), or take the tokenizer that belongs to it."
            )
        if self.batch_size > samples:
            raise ModelError(
                f"train: the corpus gives {samples} samples, fewer than a batch of {self.batch_size}. "
                "Use more text, a smaller batch_size or a shorter seq_len."
            )
        needed = self.steps * self.batch_size
        if self.max_epochs is not None and needed > samples * self.max_epochs:
            raise ModelError(
                f"train: {self.steps} steps of {self.batch_size} need {needed} samples, the corpus gives {samples} in "
                f"each of max_epochs={self.max_epochs:g}. Use more text, fewer steps (at most "
                f"{int(samples * self.max_epochs) // self.batch_size}), or raise max_epochs."
            )


def optimizers_for(model: PreTrainedModel, plan: TrainingPlan) -> list[torch.optim.Optimizer]:
    """Return Muon over the blocks' matrices and Adam over everything else, or Adam alone; decay on matrices only."""
    named = list(model.named_parameters())
    is_muon = plan.optimizer == "muon"
    matrices = [p for name, p in named if is_muon and p.dim() == 2 and ".h." in name]
    others = [p for name, p in named if p.dim() == 2 and not (is_muon and ".h." in name)]
    vectors = [p for _, p in named if p.dim() < 2]
    groups = [{"params": others, "weight_decay": plan.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    adam = torch.optim.AdamW(groups, lr=plan.other_lr, betas=(0.9, 0.95), eps=1e-8)
    return [FittedMuon(matrices, lr=plan.matrix_lr, weight_decay=plan.weight_decay), adam] if is_muon else [adam]
