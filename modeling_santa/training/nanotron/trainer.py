"""Train with nanotron: whole checkpoints, resumption to the same bytes, and a check of the loss.

Import this module only after `compat.prepare`.
"""

import contextlib
import json
import math
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nanotron.helpers
import nanotron.trainer
import torch
from nanotron import distributed as dist
from nanotron.optim.named_optimizer import NamedOptimizer
from nanotron.trainer import DistributedTrainer

from modeling_santa.errors_santa import ModelError
from modeling_santa.training.nanotron.model import SantaForTraining, SantaTrainConfig

LOSSES = "loss.jsonl"


class TrainingError(ModelError, RuntimeError):
    """Training cannot go on; the message says at which step, on which samples, and what to do."""

    exit_code = 3


class DecayOnMatrices(NamedOptimizer):
    """Splits the parameters into those with weight decay and those without, as Megatron does: biases and norms have none.

    nanotron 0.4 has no setting for it. ZeRO hands over flat slices, so the names must tell.
    """

    def __init__(self, named_params_or_groups: Any, optimizer_builder: Any) -> None:
        groups: list[Any] = list(named_params_or_groups)
        are_groups = bool(groups) and isinstance(groups[0], dict)
        named: list[Any] = [pair for group in groups for pair in group["named_params"]] if are_groups else groups
        decayed = [pair for pair in named if _has_decay(pair[0])]
        others = [pair for pair in named if not _has_decay(pair[0])]
        split: list[dict[str, Any]] = [{"named_params": decayed}, {"named_params": others, "weight_decay": 0.0}]
        super().__init__([group for group in split if group["named_params"]], optimizer_builder)


def _has_decay(name: str) -> bool:
    return not (name.endswith(".bias") or ".ln_1." in name or ".ln_2." in name or "final_layer_norm" in name)


class SantaTrainer(DistributedTrainer):
    """Trains SantaCoder; a folder of checkpoints and a line of `loss.jsonl` a step come out."""

    def __init__(self, config_file: Path, out: Path) -> None:
        nanotron.helpers.NamedOptimizer = DecayOnMatrices
        self.out = out
        super().__init__(str(config_file), config_class=SantaTrainConfig, model_class=SantaForTraining)
        # nanotron 0.4 restores the schedule but not the rate that it had set: the first step would be taken at rate 0.
        for group, rate in zip(
            self.optimizer.get_base_optimizer().param_groups, self.lr_scheduler.get_last_lr(), strict=True
        ):
            group["lr"] = rate
        self.is_first = dist.get_rank(self.parallel_context.world_pg) == 0
        self.last_saved = self.start_iteration_step
        self.clock = time.perf_counter()
        if self.is_first:
            _truncate(out / LOSSES, self.start_iteration_step)

    def pre_training(self, *_: Any, **__: Any) -> None:
        """Start a wandb run where `--wandb` asked for one; else the worker has hidden wandb."""
        if self.is_first and nanotron.trainer.wandb is not None:
            nanotron.trainer.wandb.init(
                project=self.config.general.project, name=self.config.general.run, config=self.config.as_dict()
            )

    def training_step(self, dataloader: Iterator[Mapping[str, torch.Tensor]]) -> tuple[Any, Any]:
        """Take a step, with dropout drawn from (seed, step, rank), so that a resumed run draws the same.

        Raises:
            TrainingError: the loss is not finite.
        """
        rank = dist.get_rank(self.parallel_context.dp_pg)
        torch.manual_seed((self.config.general.seed * 1_000_003 + self.iteration_step) * 4099 + rank)
        rate = self.lr_scheduler.get_last_lr()[0]
        outputs, loss = super().training_step(dataloader)
        value = loss.item()
        if not math.isfinite(value):
            first = (self.iteration_step - 1) * self.global_batch_size
            raise TrainingError(
                f"train: the loss at step {self.iteration_step} is {value} (samples {first} to "
                f"{first + self.global_batch_size - 1} of the run). Lower learning_rate or check the corpus; the last "
                f"good checkpoint is that of step {self.last_saved}."
            )
        if self.is_first:
            self._log(value, rate)
        return outputs, loss

    def train_step_logs(self, *_: Any, **__: Any) -> None:
        """Do nothing: `loss.jsonl` has it all."""

    def _log(self, loss: float, rate: float) -> None:
        now = time.perf_counter()
        seconds, self.clock = now - self.clock, now
        tokens = self.global_batch_size * self.sequence_length / seconds
        flops, _ = self.unwrapped_model.get_flops_per_sec(seconds, self.sequence_length, self.global_batch_size)
        record = {
            "step": self.iteration_step,
            "loss": loss,
            "grad_norm": float(self.grad_norm_unclipped),
            "lr": rate,
            "tokens_per_s": round(tokens, 1),
            "tflops_per_gpu": round(flops, 3),
            "peak_memory_gb": round(torch.cuda.max_memory_allocated() / 1e9, 3),
        }
        with (self.out / LOSSES).open("a") as log:
            log.write(json.dumps(record) + "\n")
        if nanotron.trainer.wandb is not None:
            nanotron.trainer.wandb.log(record, step=self.iteration_step)
        total = self.config.tokens.train_steps
        print(f"step {self.iteration_step}/{total} loss {loss:.4f} {tokens:,.0f} tokens/s", flush=True)

    def save_checkpoint(self) -> Path:
        """Write the checkpoint aside, then move it to its place: the one before stays whatever happens.

        Raises:
            TrainingError: it cannot be written, for instance because the disk is full.
        """
        place: Path = self.config.checkpoints.checkpoints_path
        aside = place / ".partial"
        if self.is_first:
            shutil.rmtree(aside, ignore_errors=True)
        dist.barrier(self.parallel_context.world_pg)
        self.config.checkpoints.checkpoints_path = aside
        try:
            written = super().save_checkpoint()
        except Exception as error:
            # safetensors, torch.save and the file system each have an error of their own for a full disk.
            shutil.rmtree(aside, ignore_errors=True)
            free = shutil.disk_usage(place).free
            raise TrainingError(
                f"train: the checkpoint of step {self.iteration_step} cannot be written to {place} "
                f"({str(error).strip()[:200]}; {free / 1e6:.1f} MB free). Make room and start again: the last good "
                f"checkpoint is that of step {self.last_saved}."
            ) from error
        finally:
            self.config.checkpoints.checkpoints_path = place
        dist.barrier(self.parallel_context.world_pg)
        target: Path = place / written.name
        if self.is_first:
            self.config.save_as_yaml(written / "config.yaml")
            shutil.rmtree(target, ignore_errors=True)
            written.replace(target)
            _write_whole(place / "latest.txt", written.name)
            shutil.rmtree(aside)
        dist.barrier(self.parallel_context.world_pg)
        self.last_saved = self.iteration_step
        self.clock = time.perf_counter()
        return target

    def post_training(self) -> None:
        """Save the last step, where the interval did not."""
        if self.last_saved != self.iteration_step:
            self.save_checkpoint()


def _write_whole(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text)
    partial.replace(path)


def _truncate(log: Path, step: int) -> None:
    """Drop the lines of steps that will be taken again, and a last line that a kill cut short."""
    kept = []
    if log.is_file() and step:
        for line in log.read_text().splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                if json.loads(line)["step"] <= step:
                    kept.append(line)
    _write_whole(log, "".join(line + "\n" for line in kept))
