"""Let processes train together: one alone, or those that torchrun started."""

import os
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import distributed, nn

from modeling_santa.errors_santa import ModelError


@dataclass(frozen=True)
class Team:
    """One process's place among all; alone, nothing is sent anywhere."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def sums(self, *values: float) -> list[float]:
        """Return each value's sum over all processes."""
        if self.size == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.all_reduce(total)
        return total.tolist()

    def wait(self) -> None:
        """Wait until all are here."""
        if self.size > 1:
            distributed.barrier()

    def share(self, module: nn.Module) -> Any:
        """Return the module with its gradients averaged over all processes."""
        if self.size == 1:
            return module
        return nn.parallel.DistributedDataParallel(module)


def join(device: str) -> Team:
    """Return this process's place: alone, or as torchrun's environment variables say. Device: `cpu` or `cuda`.

    Raises:
        ModelError: there is no such device.
    """
    count = torch.cuda.device_count() if device == "cuda" else 0
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if device == "cuda" and local >= count:
        raise ModelError(
            f"--device cuda: process {local} of this machine needs a GPU of its own, and {count} are here. "
            "Use --device cpu, or as many processes as there are GPUs."
        )
    place = torch.device(device, local) if device == "cuda" else torch.device("cpu")
    if device == "cuda":
        torch.cuda.set_device(place)
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size > 1 and not distributed.is_initialized():
        distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    return Team(int(os.environ.get("RANK", "0")), size, place)
