"""Make nanotron 0.4 importable, and let it run on a CPU.

nanotron 0.4, the newest release that a registry has, imports itself in a circle (its issues 191 and 235), and its Llama
asks for flash-attn, which our model has no use for. On a machine without a GPU, what it asks of CUDA is given by the CPU.
Nothing here touches a run on GPUs but the two import cures.
"""

import importlib.machinery
import importlib.util
import os
import sys
import types
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from modeling_santa.errors_santa import ModelError

FLASH_ATTN = {
    "flash_attn": ("bert_padding",),
    "flash_attn.bert_padding": (),
    "flash_attn.flash_attn_interface": (
        "flash_attn_func",
        "flash_attn_varlen_func",
        "flash_attn_with_kvcache",
    ),
    "flash_attn.layers": (),
    "flash_attn.layers.rotary": ("RotaryEmbedding",),
    "flash_attn.ops": (),
    "flash_attn.ops.triton": (),
    "flash_attn.ops.triton.layer_norm": ("layer_norm_fn",),
}


def prepare(*, is_cpu: bool) -> None:
    """Import nanotron once and for all in this process; with `is_cpu`, for a run on the CPU over gloo.

    Raises:
        ValueError: nanotron is not installed, or nanotron asks for a package that is not there.
    """
    if importlib.util.find_spec("nanotron") is None:
        raise ModelError("train: nanotron is not installed. Install it with: pip install 'hf-santa[train]'")
    os.environ.setdefault("CUDA_DEVICE_MAX_CONNECTIONS", "1")
    if importlib.util.find_spec("flash_attn") is None:
        _stand_in_for_flash_attn()
    _cure_circular_import()
    if is_cpu:
        _run_on_cpu()


class _Missing:
    """Stands where a function of flash-attn would be; our model never calls one."""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise RuntimeError("flash-attn is not installed, and SantaCoder does not need it; another model was built.")


def _stand_in_for_flash_attn() -> None:
    for name, attributes in FLASH_ATTN.items():
        module = types.ModuleType(name)
        module.__path__ = []
        module.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
        for attribute in attributes:
            setattr(module, attribute, sys.modules.get(f"{name}.{attribute}", _Missing))
        sys.modules[name] = module


def _cure_circular_import() -> None:
    """Import nanotron.logging first: it needs one name of the module that needs it."""
    if "nanotron.logging" in sys.modules:
        return
    names = ("nanotron.config", "nanotron.config.config")
    for name in names:
        module = types.ModuleType(name)
        module.__path__ = []
        module.LoggingArgs = type("LoggingArgs", (), {})  # type: ignore[attr-defined]
        sys.modules[name] = module
    importlib.import_module("nanotron.logging")
    for name in names:
        del sys.modules[name]


class _CudaIsCpu(TorchFunctionMode):
    """Reads the device "cuda" as "cpu"."""

    def __torch_function__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        renamed = {name: _on_cpu(value) for name, value in (kwargs or {}).items()}
        return func(*(_on_cpu(value) for value in args), **renamed)


def _on_cpu(value: Any) -> Any:
    is_name = isinstance(value, str) and value == "cuda"
    is_cuda = is_name or (isinstance(value, torch.device) and value.type == "cuda")
    return torch.device("cpu") if is_cuda else value


def _nothing(*_: Any, **__: Any) -> int:
    return 0


def _run_on_cpu() -> None:
    import nanotron.distributed as dist

    importlib.import_module("torch._dynamo")  # lists torch's functions once, and trips over those replaced below
    for name in (
        "set_device",
        "synchronize",
        "empty_cache",
        "memory_allocated",
        "max_memory_allocated",
        "max_memory_reserved",
        "reset_peak_memory_stats",
    ):
        setattr(torch.cuda, name, _nothing)
    dist.initialize_torch_distributed = _join_gloo
    plain = torch.distributed.all_reduce

    def all_reduce(tensor: torch.Tensor, op: Any = torch.distributed.ReduceOp.SUM, **settings: Any) -> Any:
        """Reduce; gloo has no average, so it is the sum over the number of processes."""
        if op != torch.distributed.ReduceOp.AVG:
            return plain(tensor, op=op, **settings)
        work = plain(tensor, op=torch.distributed.ReduceOp.SUM, **settings)
        if work is not None:
            work.wait()
        tensor.detach().div_(torch.distributed.get_world_size(settings.get("group")))
        return work

    dist.all_reduce = all_reduce
    _CudaIsCpu().__enter__()  # type: ignore[no-untyped-call]


def _join_gloo() -> bool:
    torch.distributed.init_process_group("gloo", rank=int(os.environ["RANK"]), world_size=int(os.environ["WORLD_SIZE"]))
    return True
