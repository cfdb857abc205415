"""Which kernels this CPU has for which dtype: each is tried once a process, and believed only if its numbers are right.

A kernel may exist in a torch and be refused by the CPU, for one dtype and not for another: oneDNN multiplies bfloat16
on AVX-512 only, and packs it there only.
"""

import platform
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from torch import nn

INT4_GROUP = 32  # inputs that share a scale and a zero in int4 weights
ROWS = (1, 2, 5)  # a kernel for one row is often another one than that for several


def isa() -> str:
    """Return the widest vector instructions torch uses on this CPU: "AVX512", "AVX2", "DEFAULT", or another name."""
    return str(torch.backends.cpu.get_cpu_capability())


def is_x86() -> bool:
    """Return whether this is an Intel or AMD processor of 64 bits."""
    return platform.machine().lower() in ("x86_64", "amd64")


@cache
def has_fast_bf16() -> bool:
    """Return whether bfloat16 products pay on this CPU: with AMX, or on AMD with AVX512-BF16.

    Measured: 2.2 times the speed of float32 on AMD Zen 5, a quarter of it on an Intel CPU that has AVX512-BF16 but no
    AMX. Without /proc (not Linux) the answer is no, and only speed depends on it.
    """
    cpu = Path("/proc/cpuinfo")
    try:
        words = set(cpu.read_text(encoding="utf-8", errors="replace").split())
    except OSError:
        return False
    is_wide = "amx_bf16" in words or {"AuthenticAMD", "avx512_bf16"} <= words
    return is_wide and has_kernel("dense", torch.bfloat16)


def pointwise(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, *, fused_gelu: bool = False
) -> torch.Tensor:
    """Return x @ weight.T + bias by oneDNN, through a tanh-GELU if asked; `weight` is dense or packed."""
    act, form = ("gelu", "tanh") if fused_gelu else ("none", "")
    y: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, act, [], form)
    return y


def pack(weight: torch.Tensor) -> torch.Tensor:
    """Return a dense weight in oneDNN's own order."""
    packed: torch.Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), None)
    return packed


def int8_product(x: torch.Tensor, steps: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """Return x @ (steps * scales).T, with a scale for each output."""
    y: torch.Tensor = torch.ops.aten._weight_int8pack_mm(x, steps, scales)
    return y


def int4_packed(steps: torch.Tensor) -> torch.Tensor:
    """Return steps of 0 to 15 in the order of the int4 kernel, which differs from CPU to CPU."""
    packed: torch.Tensor = torch.ops.aten._convert_weight_to_int4pack_for_cpu(steps.to(torch.int32), 1)
    return packed


def int4_product(x: torch.Tensor, packed: torch.Tensor, scales_and_zeros: torch.Tensor) -> torch.Tensor:
    """Return x @ ((steps - 8) * scale + zero).T, with a scale and a zero for each group of inputs of an output."""
    y: torch.Tensor = torch.ops.aten._weight_int4pack_mm_for_cpu(x, packed, INT4_GROUP, scales_and_zeros)
    return y


@cache
def has_kernel(kernel: str, dtype: torch.dtype) -> bool:
    """Return whether a kernel ("dense", "packed", "int8", "int4") computes a product in `dtype` on this CPU, and rightly.

    The first call for a pair takes about a millisecond.
    """
    try:
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            return _is_right(PROBES[kernel], dtype)
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):  # no such operator, or it refuses
        return False


def _is_right(product: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], dtype: torch.dtype) -> bool:
    """Return whether a product of small whole numbers, which every dtype holds exactly, comes out as it should."""
    weight = (torch.arange(64 * 96, device="cpu") * 7 % 15 - 7).view(64, 96)
    weight[:, ::INT4_GROUP], weight[:, 1::INT4_GROUP] = -8, 7  # so that the steps of int4 are 1
    weight[:, 0] = 127 if product is _int8_probe else -8  # and those of int8
    for rows in ROWS:
        x = (torch.arange(rows * 96, device="cpu") * 5 % 7 - 3).view(rows, 96)
        expected, found = (x @ weight.T).float(), product(x.to(dtype), weight.to(dtype)).float()
        if found.shape != expected.shape or not torch.allclose(expected, found, rtol=1e-2, atol=1e-2):
            return False
    return True


def _dense_probe(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    curved = pointwise(x, weight, None, fused_gelu=True)
    y = pointwise(x, weight, None)
    return y if torch.allclose(curved.float(), nn.functional.gelu(y.float(), approximate="tanh"), rtol=1e-2) else -y


def _packed_probe(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    packed = pack(weight)
    return pointwise(x, packed, None) if torch.equal(weight, packed.to_dense()) else -weight


def _int8_probe(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return int8_product(x, weight.to(torch.int8), x.new_ones(len(weight)))


def _int4_probe(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    groups = (weight.shape[1] // INT4_GROUP, len(weight))
    scales_and_zeros = torch.stack([x.new_ones(groups), x.new_zeros(groups)], dim=-1)
    return int4_product(x, int4_packed(weight.float() + 8), scales_and_zeros)


PROBES = {"dense": _dense_probe, "packed": _packed_probe, "int8": _int8_probe, "int4": _int4_probe}
