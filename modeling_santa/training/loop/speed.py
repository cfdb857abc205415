"""Measure training speed: tokens a second, and the share of what the machine can compute (MFU)."""

import time
from functools import cache
from typing import Any

import torch

from modeling_santa.capabilities_santa import has_fast_bf16
from modeling_santa.training.nanotron.estimate import PEAK_TFLOPS, flops_per_token

PROBE = (2048, 1024, 1024)  # rows, inputs, outputs of the product that a CPU is measured by
PROBES = 5


def dtype_of_products(device: torch.device) -> torch.dtype:
    """Return the dtype in which a device multiplies fastest; weights and sums stay in float32."""
    is_fast = torch.cuda.is_bf16_supported() if device.type == "cuda" else has_fast_bf16()
    return torch.bfloat16 if is_fast else torch.float32


def training_flops(config: Any, seq_len: int) -> float:
    """Return the floating-point operations of a token, forward and backward, the whole attention square counted."""
    about = {
        "hidden_size": config.n_embd,
        "intermediate_size": config.n_inner or 4 * config.n_embd,
        "num_hidden_layers": config.n_layer,
        "num_attention_heads": config.n_head,
        "num_key_value_heads": 1 if config.multi_query else config.n_head,
        "vocab_size": config.vocab_size,
    }
    return flops_per_token(about, seq_len)


@cache
def peak_flops(device: torch.device) -> float:
    """Return what a device can do a second: a GPU by its data sheet, 0 for an unknown one, a CPU by a product timed here."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device).lower()
        return next((1e12 * tflops for kind, tflops in PEAK_TFLOPS.items() if kind in name), 0.0)
    return product_flops(dtype_of_products(device))


def product_flops(dtype: torch.dtype) -> float:
    """Return the fastest of a few matrix products on the CPU, in operations a second."""
    rows, inputs, outputs = PROBE
    left, right = torch.ones(rows, inputs, dtype=dtype), torch.ones(inputs, outputs, dtype=dtype)
    times = []
    for _ in range(PROBES):
        started = time.perf_counter()
        left @ right
        times.append(time.perf_counter() - started)
    return 2.0 * rows * inputs * outputs / min(times)
