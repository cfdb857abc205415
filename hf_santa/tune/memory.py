"""Estimate the memory of training before any of it is taken, and choose how a step is divided by it."""

import gc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hf_santa.errors import HfSantaError
from hf_santa.tune.bases import FimBase
from modeling_santa.capabilities_santa import has_fast_bf16
from modeling_santa.memory_santa import free_memory
from modeling_santa.training.finetune import with_lora
from modeling_santa.training.loop.step import enable_checkpointing

SHARE = 0.8  # of the free memory: other programs want some, and an estimate is none of the peak to the byte
FLOAT = 4


class MemoryShortError(HfSantaError):
    """A base does not fit into this machine; the message has the estimate and what could be done."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes that training takes at its peak, part by part; `process` is what the program takes without a model."""

    process: int
    weights: int
    trained: int
    activations: int
    logits: int
    micro_batch: int
    checkpoint_activations: bool

    @property
    def peak(self) -> int:
        """All of it."""
        return self.process + self.weights + self.trained + self.activations + self.logits


def estimates(base: FimBase, seq_len: int, batch_size: int, lora_rank: int) -> Iterator[MemoryEstimate]:
    """Yield estimates for smaller and smaller parts of a step, first with all activations kept, then without.

    The model is built with its real configuration out of tensors that have shapes and no memory; what its forward pass
    keeps for the gradient is counted. Weights are in float32, and so are gradients and Adam's two averages of what is
    trained; one copy of the logits and its gradient come on top.
    """
    for is_checkpointed in (False, True):
        for micro in (part for part in range(batch_size, 0, -1) if batch_size % part == 0):
            yield estimate_of(base, seq_len, micro, lora_rank, is_checkpointed=is_checkpointed)


def estimate_of(base: FimBase, seq_len: int, micro: int, lora_rank: int, *, is_checkpointed: bool) -> MemoryEstimate:
    """Return the estimate for so many sequences at a time."""
    process = resident_memory() if not torch.cuda.is_available() else 0
    counted = _counted(base, seq_len, micro, lora_rank, is_checkpointed=is_checkpointed)
    return MemoryEstimate(process, *counted, micro, is_checkpointed)


def fitting_estimate(
    base: FimBase, seq_len: int, batch_size: int, lora_rank: int, *, most: int | None = None
) -> MemoryEstimate:
    """Return the first estimate that fits into the memory that is free, or into `most` bytes.

    Raises:
        MemoryShortError: none does.
    """
    free = usable_memory() if most is None else most
    for found in estimates(base, seq_len, batch_size, lora_rank):
        if free is None or found.peak <= free:
            return found
        if found.process + found.weights + found.trained > free:
            break
    smallest = estimate_of(base, seq_len, 1, lora_rank, is_checkpointed=True)
    place = "this GPU" if torch.cuda.is_available() else "this machine, which has no GPU,"
    raise MemoryShortError(
        f"{base.folder} takes about {smallest.peak / 1e9:.1f} GB to train, one sequence at a time ({smallest.weights / 1e9:.1f} "
        f"GB of weights in float32, {smallest.trained / 1e9:.1f} GB of what is trained, "
        f"{(smallest.activations + smallest.logits) / 1e9:.1f} GB of activations), and {place} gives {(free or 0) / 1e9:.1f} GB. "
        f"Choose a smaller base, {'' if lora_rank else 'leave --full out, '}lower --seq-len, or use a machine with more memory."
    )


def usable_memory() -> int | None:
    """Return the bytes that training may take: of the GPU where there is one, else of the machine; None where unknown."""
    if torch.cuda.is_available():
        return round(SHARE * torch.cuda.mem_get_info()[0])
    free = free_memory()
    return None if free is None else round(SHARE * (free + resident_memory()))


def resident_memory() -> int:
    """Return the bytes of memory that this process has now; 0 where the system does not say."""
    return _status("VmRSS:")


def peak_memory() -> int:
    """Return the most bytes of memory that this process had so far; 0 where the system does not say."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return _status("VmHWM:")


def _status(name: str) -> int:
    path = Path("/proc/self/status")
    lines = path.read_text().splitlines() if path.is_file() else []
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(name)), 0)


def _counted(
    base: FimBase, seq_len: int, micro: int, lora_rank: int, *, is_checkpointed: bool
) -> tuple[int, int, int, int]:
    """Return the bytes of weights, of what is trained, of activations and of logits."""
    from torch._subclasses.fake_tensor import FakeTensorMode
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(base.folder)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    kept: dict[int, torch.UntypedStorage] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        kept[id(tensor.untyped_storage())] = tensor.untyped_storage()
        return tensor

    with torch.device("meta"):
        plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32).train()
        model = with_lora(plain, lora_rank, 0) if lora_rank else plain
    layers = max(1, int(getattr(config, "num_hidden_layers", 1)))
    with FakeTensorMode():
        _give_shapes(model, device)
        if is_checkpointed:
            enable_checkpointing(plain)
            if lora_rank:
                plain.enable_input_require_grads()
        ids = torch.zeros((micro, seq_len), dtype=torch.long, device=device)
        with (
            torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor),
            torch.autocast(device, torch.bfloat16, enabled=has_fast_bf16() or device == "cuda"),
        ):
            model(input_ids=ids, labels=ids, shift_labels=ids, use_cache=False)
        own = {id(value.untyped_storage()) for value in model.parameters()}
        weights = sum(value.numel() for value in model.parameters())
        trained = sum(value.numel() for value in model.parameters() if value.requires_grad)
        activations = sum(storage.nbytes() for name, storage in kept.items() if name not in own)
    kept.clear()
    gc.collect()
    if is_checkpointed:  # one block at a time is computed again, with all that its gradient needs
        whole = _counted(base, seq_len, micro, lora_rank, is_checkpointed=False)[2]
        activations += max(0, whole - activations) // layers
    logits = 2 * FLOAT * micro * seq_len * int(config.vocab_size)
    return FLOAT * weights, 3 * FLOAT * trained, activations, logits


def _give_shapes(model: Any, device: str) -> None:
    """Put tensors of shapes alone, which behave as those of a device do, in place of a model's; shared ones stay shared."""
    made: dict[int, torch.nn.Parameter] = {}
    for module in model.modules():
        for name, value in list(module.named_parameters(recurse=False, remove_duplicate=False)):
            if id(value) not in made:
                blank = torch.empty(value.shape, dtype=value.dtype, device=device)
                made[id(value)] = torch.nn.Parameter(blank, requires_grad=value.requires_grad)
            module.register_parameter(name, made[id(value)])
        for name, value in list(module.named_buffers(recurse=False)):
            setattr(module, name, torch.empty(value.shape, dtype=value.dtype, device=device))
