"""Find out which kernels this CPU has for which number format, by trying each and checking its numbers.

A kernel may exist in a torch and be refused by the CPU, for one dtype and not for another: oneDNN multiplies bfloat16
on AVX-512 only, and packs it there only.
"""

import os
import platform
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

CPU_INFO = Path("/proc/cpuinfo")
QUANTISED = ("int8", "int4")
NARROW_ROWS = 4  # up to here torch's own product of half-precision rows is faster than widening the weight
MKL_ROWS = 128  # from here on MKL is faster than oneDNN with AVX2
ROWS = (1, 2, 5)  # a kernel for one row is often another one than that for several
LIMITS = (
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
)  # variables that forbid oneDNN instructions; the first that is set counts
WITHOUT_BF16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI")
WITHOUT_AMX = (*WITHOUT_BF16, "AVX512_CORE_BF16", "AVX512_CORE_FP16", "AVX10_1_512")


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
    AMX. What the environment forbids oneDNN counts as absent. Without /proc (not Linux) the answer is no, and only speed
    depends on it.
    """
    try:
        words = set(CPU_INFO.read_text(encoding="utf-8", errors="replace").split())
    except OSError:
        return False
    limit = next((value.upper() for name in LIMITS if (value := os.environ.get(name))), "")
    has_amx = "amx_bf16" in words and limit not in WITHOUT_AMX
    has_bf16 = {"AuthenticAMD", "avx512_bf16"} <= words and limit not in WITHOUT_BF16
    return is_x86() and (has_amx or has_bf16) and has_kernel("dense", torch.bfloat16)


def pointwise(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, *, fused_gelu: bool = False
) -> torch.Tensor:
    """Return x @ weight.T + bias by oneDNN, through a tanh-GELU if asked; `weight` is dense or packed."""
    act, form = ("gelu", "tanh") if fused_gelu else ("none", "")
    y: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, act, [], form)
    return y


def pack_dense(weight: torch.Tensor) -> torch.Tensor:
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


def int4_group(in_features: int) -> int:
    """Return how many inputs share a scale and a zero in int4 weights: 64 where they divide so, else 32."""
    return 32 if in_features % 64 else 64


def int4_product(x: torch.Tensor, packed: torch.Tensor, scales_and_zeros: torch.Tensor) -> torch.Tensor:
    """Return x @ ((steps - 8) * scale + zero).T, with a scale and a zero (groups, outputs, 2) for each group of inputs."""
    group = x.shape[1] // len(scales_and_zeros)
    y: torch.Tensor = torch.ops.aten._weight_int4pack_mm_for_cpu(x, packed, group, scales_and_zeros)
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


@cache
def int4_layout() -> tuple[int, bool] | None:
    """Return how the int4 kernel orders its weight, found by packing one: (outputs in a block, halved), or None.

    A block holds, input by input, one byte for two outputs: where halved, for outputs n and n + size / 2, else for 2n and
    2n + 1. The lower output is in the lower four bits.
    """
    if not has_kernel("int4", torch.bfloat16):
        return None
    steps = (torch.arange(128 * 64, device="cpu") * 7 // 3 % 16).view(128, 64)
    packed = int4_packed(steps)
    for size in (64, 32, 16):
        both = packed.view(-1, 64, size // 2)
        for is_halved in (True, False):
            found = torch.stack([both & 15, both >> 4], dim=2 if is_halved else 3).flatten(2)
            if torch.equal(steps, found.transpose(1, 2).reshape(128, 64).long()):
                return size, is_halved
    return None


def why_not(mode: str, dtype: torch.dtype) -> str | None:
    """Return why a mode of `optimize_for_cpu` cannot or should not run on this CPU in a dtype, or None if it pays."""
    if mode == "default":
        return None
    if dtype not in (torch.float32, torch.bfloat16):
        return f"it needs float32 or bfloat16, not {dtype}"
    if not has_kernel(mode, torch.bfloat16 if mode in QUANTISED else dtype):
        return f"this CPU ({isa()}) has no kernel for it in {dtype}"
    return _slower_because(mode, dtype)


def prompt_speed_alone(mode: str, dtype: torch.dtype) -> float | None:
    """Return the speed of a prompt of 128 tokens without the exact weights, as a share of the native class's, if below .9.

    Measured on AMD Zen 5, with AVX2 emulated; 128 tokens are the worst case: each block of 4-bit weights is widened for
    each prompt, which is as long for few tokens as for many.
    """
    if mode == "int4" and dtype == torch.bfloat16 and has_fast_bf16():
        return 0.6
    return 0.88 if mode == "int4" and dtype == torch.float32 and has_fast_mkl() else None


def _slower_because(mode: str, dtype: torch.dtype) -> str | None:
    """Return why a mode that runs would be slower than the model as it is, by what was measured, or None."""
    if not is_x86():
        return "it was never measured on this kind of CPU and may be slower"
    if mode in QUANTISED and isa() not in ("AVX2", "AVX512"):
        return "torch's kernel for it uses no vectors here and is several times slower"
    if mode == "packed" and dtype == torch.float32 and is_x86() and isa() != "AVX512":
        return "without AVX-512 packed float32 weights are read slower, .8 times for one row"
    return None


def capabilities() -> dict[str, Any]:
    """Return what this CPU has and what follows from it, as plain data (strings, numbers, lists) for printing.

    "kernels" has a row for each kernel and dtype, "modes" one for each dtype and mode of `optimize_for_cpu`: what
    computes it and, where the mode is refused, why. The first call takes some hundredths of a second.
    """
    dtypes = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    return {
        "isa": isa(),
        "threads": torch.get_num_threads(),
        "fast_bfloat16": has_fast_bf16(),
        "kernels": [
            {"kernel": kernel, "dtype": name, "works": has_kernel(kernel, dtype)}
            for kernel in PROBES
            for name, dtype in dtypes.items()
        ],
        "modes": [
            {
                "dtype": name,
                "mode": mode,
                "computed_by": _computed_by(mode, dtype),
                "refused_because": why_not(mode, dtype),
            }
            for name, dtype in dtypes.items()
            for mode in ("default", "packed", *QUANTISED)
        ],
    }


def _computed_by(mode: str, dtype: torch.dtype) -> str:
    """Return in words which kernel multiplies, for a mode and dtype."""
    if why_not(mode, dtype):
        return _computed_by("default", dtype)
    if mode == "packed":
        return "oneDNN, weights in its own order"
    if mode in QUANTISED:
        return f"torch's {mode} kernel for few rows, in bfloat16; the exact or widened weight for many"
    if dtype == torch.float32:
        by_rows = f"oneDNN for 2 to {MKL_ROWS - 1} rows, else MKL" if has_fast_mkl() else "oneDNN"
        return by_rows if has_kernel("dense", dtype) else "torch's own product"
    if has_kernel("dense", dtype):
        return "oneDNN"
    return f"torch's own product up to {NARROW_ROWS} rows; for more, weights widened to float32 block by block"


@cache
def has_fast_mkl() -> bool:
    """Return whether one row, or many, of float32 are faster by MKL than by oneDNN: on an x86 CPU without AVX-512.

    Measured on AMD Zen 3: 128 rows 37 against 45 ms, 512 rows 124 against 177 (a weight of 8192 x 2048, with GELU). On
    AMD Zen 5, which has AVX-512, oneDNN is 2.2 times as fast as MKL for 512 rows.
    """
    return is_x86() and isa() != "AVX512" and torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]


def _is_right(product: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], dtype: torch.dtype) -> bool:
    """Return whether a product of small whole numbers, which every dtype holds exactly, comes out as it should."""
    weight = (torch.arange(64 * 128, device="cpu") * 7 % 15 - 7).view(64, 128)
    for rows in ROWS:
        x = (torch.arange(rows * 128, device="cpu") * 5 % 7 - 3).view(rows, 128)
        expected, found = (x @ weight.T).float(), product(x.to(dtype), weight.to(dtype)).float()
        if found.shape != expected.shape or not torch.allclose(expected, found, rtol=1e-2, atol=1e-2):
            return False
    return True


def _dense_probe(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    curved = pointwise(x, weight, None, fused_gelu=True)
    y = pointwise(x, weight, None)
    return y if torch.allclose(curved.float(), nn.functional.gelu(y.float(), approximate="tanh"), rtol=1e-2) else -y


def _packed_probe(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    packed = pack_dense(weight)
    return pointwise(x, packed, None) if torch.equal(weight, packed.to_dense()) else -weight


def _int8_probe(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return int8_product(x, weight.to(torch.int8), x.new_ones(len(weight)))


def _int4_probe(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    groups = (weight.shape[1] // int4_group(weight.shape[1]), len(weight))
    scales_and_zeros = torch.stack([x.new_ones(groups), x.new_zeros(groups)], dim=-1)
    return int4_product(x, int4_packed(weight.float() + 8), scales_and_zeros)


PROBES = {"dense": _dense_probe, "packed": _packed_probe, "int8": _int8_probe, "int4": _int4_probe}
