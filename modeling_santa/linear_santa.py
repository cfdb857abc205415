"""Multiply with the fastest kernel that this CPU has for inference.

torch hands float32 products to MKL, which is two to four times slower than oneDNN on AMD with AVX-512; with AVX2 each is
faster for some numbers of rows. Without AVX-512 nothing multiplies many rows of bfloat16 (or float16) fast: torch takes
as long for each row as for the first. There the weights stay as they are in memory and are widened to float32 block by
block, each block just before it is multiplied.
"""

import warnings
from functools import cache

import torch
from torch import nn

from .capabilities_santa import MKL_ROWS, NARROW_ROWS, has_fast_mkl, has_kernel, pointwise

PLAIN = (torch.Tensor, nn.Parameter)  # not a subclass, which would want to see the operation
HALF = (torch.bfloat16, torch.float16)
BLOCK = 2**20  # numbers of a weight that are widened at once: 4 MiB of float32 stay in the processor's cache


def is_cpu_inference(*tensors: torch.Tensor) -> bool:
    """Return whether the CPU kernels may be used: no gradient is wanted, no compiler, tracer or autocast is at work."""
    return (
        not (torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors))
        and all(tensor.is_cpu and type(tensor) in PLAIN for tensor in tensors)
        and not torch.compiler.is_compiling()
        and torch._C._get_tracing_state() is None
        and not torch.is_autocast_enabled("cpu")
    )


class SantaLinear(nn.Linear):
    """An nn.Linear with the same parameters that uses the fastest kernel for inference on a CPU.

    `fused_gelu=True` applies a tanh-GELU to the result; only callers that know this class may ask for it.
    """

    def forward(self, x: torch.Tensor, *, fused_gelu: bool = False) -> torch.Tensor:
        """Return x @ weight.T + bias, (…, in) to (…, out)."""
        if self.is_fast(x):
            return linear(x, self.weight, self.bias, fused_gelu=fused_gelu)
        return plain_linear(x, self.weight, self.bias, fused_gelu=fused_gelu)

    def is_fast(self, x: torch.Tensor) -> bool:
        """Return whether `linear` takes this input."""
        return (
            x.dtype == self.weight.dtype
            and (x.dtype == torch.float32 or x.dtype in HALF)
            and is_cpu_inference(x, self.weight)
        )


def plain_linear(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, *, fused_gelu: bool = False
) -> torch.Tensor:
    """Return x @ weight.T + bias by torch's own operators, which take any input."""
    y = nn.functional.linear(x, weight, bias)
    return nn.functional.gelu(y, approximate="tanh") if fused_gelu else y


def linear(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, *, fused_gelu: bool = False
) -> torch.Tensor:
    """Return x @ weight.T + bias for a dense weight of the same dtype, by the fastest kernel for this many rows."""
    rows = x.numel() // max(1, weight.shape[1])
    if x.dtype == torch.float32:
        if has_kernel("dense", x.dtype) and (1 < rows < MKL_ROWS or not has_fast_mkl()):
            return onednn_linear(x, weight, bias, fused_gelu=fused_gelu)
    elif has_kernel("dense", x.dtype):
        if rows == 1:
            # oneDNN's kernel for one row reads bfloat16 weights at 21 GB/s where the one for two reaches 26.
            y = onednn_linear(x.reshape(1, -1).repeat(2, 1), weight, bias, fused_gelu=fused_gelu)[0]
            return y.view(*x.shape[:-1], len(weight))
        return onednn_linear(x, weight, bias, fused_gelu=fused_gelu)
    elif rows > NARROW_ROWS and rows * weight.numel() >= BLOCK:
        return widened_linear(x, weight, bias, fused_gelu=fused_gelu)
    return plain_linear(x, weight, bias, fused_gelu=fused_gelu)


def onednn_linear(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, *, fused_gelu: bool = False
) -> torch.Tensor:
    """Return x @ weight.T + bias by oneDNN, or by torch's operators if it refuses a shape, with a warning once."""
    try:
        return pointwise(x, weight, bias, fused_gelu=fused_gelu)
    except RuntimeError as refused:
        y = plain_linear(x, weight, bias, fused_gelu=fused_gelu)  # raises itself where the input is at fault
        _warn_of_refusal(str(x.dtype), str(refused).split("\n", 1)[0])
        return y


def widened_linear(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, *, fused_gelu: bool = False
) -> torch.Tensor:
    """Return x @ weight.T + bias in the dtype of `x`, computed in float32 from blocks of the weight.

    The sums are float32 and rounded once. Memory beside input and output: BLOCK float32 numbers.
    """
    out_features, in_features = weight.shape
    wide = x.reshape(-1, in_features).float()
    y = x.new_empty(len(wide), out_features)
    rows = max(1, BLOCK // in_features)
    room = torch.empty(min(rows, out_features), in_features, device=x.device)
    for start in range(0, out_features, rows):
        part = weight[start : start + rows]
        block = room[: len(part)].copy_(part)
        block_bias = None if bias is None else bias[start : start + rows].float()
        y[:, start : start + rows] = linear(wide, block, block_bias, fused_gelu=fused_gelu)
    return y.view(*x.shape[:-1], out_features)


@cache
def _warn_of_refusal(dtype: str, reason: str) -> None:
    """Warn once for each reason."""
    warnings.warn(
        f"SantaLinear: oneDNN refused a product in {dtype} ({reason}); torch's slower one is used. "
        "The results are the same up to rounding.",
        stacklevel=2,
    )
