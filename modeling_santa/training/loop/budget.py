"""Choose the shape of a model and its number of tokens for a time or a number of operations.

A model that is too large sees too little text, one that is too small learns too little from it. The shapes are steps of one
ladder; the largest is taken that still sees `TOKENS_PER_PARAMETER` tokens for each of its parameters
(docs/decisions/training.md has the runs).
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from modeling_santa.configuration_santa import SantaConfig
from modeling_santa.errors_santa import ModelError
from modeling_santa.modeling_santa import SantaForCausalLM
from modeling_santa.training.loop.plan import TrainingPlan
from modeling_santa.training.loop.speed import training_flops
from modeling_santa.training.loop.step import Stepper
from modeling_santa.training.loop.team import Team

TOKENS_PER_PARAMETER = 5.0
RESERVE = 0.85  # of the time is planned to be trained; the rest is for measures and checkpoints
VOCABULARY_MULTIPLE = 128
TIMED_STEPS = 4


@dataclass(frozen=True)
class Shape:
    """A rung of the ladder: the model's width and depth, its vocabulary and context, and the sequences of a step."""

    n_embd: int
    n_layer: int
    n_head: int
    vocab_size: int
    seq_len: int
    batch_size: int

    def config(self, **more: Any) -> SantaConfig:
        """Return the configuration of a model of this shape, without dropout."""
        padded = -(-(self.vocab_size + 5) // VOCABULARY_MULTIPLE) * VOCABULARY_MULTIPLE
        return SantaConfig(
            n_positions=self.seq_len,
            n_embd=self.n_embd,
            n_layer=self.n_layer,
            n_head=self.n_head,
            # Differs from the report: no dropout. A small model sees its text a few times at most.
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            **{"vocab_size": padded, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0, **more},
        )


LADDER = (
    Shape(64, 2, 2, 2048, 256, 8),
    Shape(96, 3, 3, 2048, 256, 8),
    Shape(128, 3, 4, 4096, 256, 8),
    Shape(192, 4, 6, 4096, 512, 8),
    Shape(256, 6, 8, 8192, 512, 16),
    Shape(384, 8, 12, 16_384, 1024, 32),
    Shape(512, 12, 8, 32_768, 1024, 64),
    Shape(768, 12, 12, 49_152, 2048, 96),
)
TIMED = LADDER[2]


@dataclass(frozen=True)
class Choice:
    """What a budget buys."""

    shape: Shape
    parameters: int
    tokens: int
    flops: float

    @property
    def steps(self) -> int:
        """The number of optimizer steps that read these tokens."""
        return max(1, self.tokens // (self.shape.batch_size * self.shape.seq_len))


def choose(flops: float) -> Choice:
    """Return the model and the tokens for so many floating-point operations.

    Raises:
        ModelError: they do not suffice for one step of the smallest shape.

    >>> choose(5e13).shape.n_embd
    128
    """
    best: Choice | None = None
    for shape in LADDER:
        with torch.device("meta"):
            model = SantaForCausalLM(shape.config())
        parameters = sum(weight.numel() for weight in model.parameters())
        tokens = int(flops / training_flops(model.config, shape.seq_len))
        if best is not None and tokens < TOKENS_PER_PARAMETER * parameters:
            break
        best = Choice(shape, parameters, tokens, flops)
    if best is None or best.tokens < best.shape.batch_size * best.shape.seq_len:
        raise ModelError(f"{flops:.3g} operations are not enough for one step of the smallest model. Give more.")
    return best


def flops_a_second(team: Team) -> float:
    """Return what training does on this device in a second, as it is now: a few steps of a small model, timed."""
    torch.manual_seed(0)
    model = SantaForCausalLM(TIMED.config()).to(team.device)
    stepper = Stepper(model, _Noise(TIMED), TrainingPlan(steps=1000, batch_size=TIMED.batch_size), team)
    times = []
    for step in range(TIMED_STEPS):
        started = time.perf_counter()
        stepper(step, step)
        times.append(time.perf_counter() - started)
    tokens = TIMED.batch_size * TIMED.seq_len
    return float(tokens * training_flops(model.config, TIMED.seq_len) / np.mean(times[1:]))


class _Noise:
    """Random samples, for timing."""

    def __init__(self, shape: Shape) -> None:
        self.length, self.size = shape.seq_len + 1, shape.vocab_size

    def __len__(self) -> int:
        return 1 << 16

    def batch(self, epoch: int, indices: Iterable[int]) -> tuple[Any, Any]:
        """Return inputs and labels."""
        rows = list(indices)
        ids = np.random.default_rng((epoch, *rows)).integers(0, self.size, (len(rows), self.length))
        return ids[:, :-1], ids[:, 1:]
