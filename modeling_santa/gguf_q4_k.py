"""Round weights to Q4_K, llama.cpp's 4.5 bits a weight, which the package `gguf` reads but can't write.

A row is cut into super-blocks of 256 weights, each into 8 blocks of 32. A block's weights are
`scale * level - minimum`, a level being 0 to 15. The scales and minima are 6-bit numbers themselves, times one float16
each for the super-block.

Source: the block layout of Q4_K in ggml.
"""

from typing import Any

import numpy as np

BLOCK, BLOCKS = 32, 8
SUPER_BLOCK = BLOCK * BLOCKS
BYTES = 2 + 2 + 12 + SUPER_BLOCK // 2
_ROWS_AT_ONCE = 1 << 15
Array = np.ndarray[Any, Any]


def quantise_q4_k(weights: Array) -> Array:
    """Return the bytes of a matrix in Q4_K, row by row.

    Args:
        weights: float32, (rows, columns); columns a multiple of 256.

    Returns:
        uint8, (rows, columns // 256 * 144).
    """
    rows, columns = weights.shape
    blocks = weights.reshape(-1, BLOCKS, BLOCK)
    parts = [_super_blocks(blocks[at : at + _ROWS_AT_ONCE]) for at in range(0, len(blocks), _ROWS_AT_ONCE)]
    return np.concatenate(parts).reshape(rows, columns // SUPER_BLOCK * BYTES)


def _super_blocks(weights: Array) -> Array:
    """Return (n, 144) bytes of (n, 8, 32) weights."""
    scale, minimum = _best_scale_and_minimum(weights)
    unit = (scale.max(axis=1, keepdims=True) / 63).astype(np.float16)
    unit_minimum = (minimum.max(axis=1, keepdims=True) / 63).astype(np.float16)
    scales = _multiples(scale, unit)
    minima = _multiples(minimum, unit_minimum)
    width = (unit.astype(np.float32) * scales)[..., None]
    offset = (unit_minimum.astype(np.float32) * minima)[..., None]
    levels = np.divide(weights + offset, width, out=np.zeros_like(weights), where=width > 0)
    levels = np.rint(levels).clip(0, 15).astype(np.uint8)
    nibbles = levels[:, 0::2] | levels[:, 1::2] << 4
    return np.concatenate(
        [
            unit.view(np.uint8),
            unit_minimum.view(np.uint8),
            _packed(scales.astype(np.uint8), minima.astype(np.uint8)),
            nibbles.reshape(len(weights), -1),
        ],
        axis=1,
    )


def _best_scale_and_minimum(weights: Array) -> tuple[Array, Array]:
    """Return the scale and the minimum of each block, of a few tries those of the least squared error."""
    low = np.minimum(weights.min(axis=-1), 0)
    span = weights.max(axis=-1) - low
    best_scale, best_minimum = span / 15, -low
    best_error = np.full(span.shape, np.inf, np.float32)
    mean = weights.mean(axis=-1)
    for steps in np.linspace(13, 17, 17, dtype=np.float32):
        width = np.where(span > 0, span / steps, 1)[..., None]
        levels = np.rint((weights - low[..., None]) / width).clip(0, 15)
        # Least squares for these levels: the scale is a slope, the minimum an intercept that may not be above zero.
        level_mean = levels.mean(axis=-1)
        spread = ((levels - level_mean[..., None]) ** 2).sum(axis=-1)
        slope = ((levels - level_mean[..., None]) * (weights - mean[..., None])).sum(axis=-1) / np.maximum(spread, 1e-9)
        minimum = np.maximum(level_mean * slope - mean, 0)
        through_zero = (levels * weights).sum(axis=-1) / np.maximum((levels**2).sum(axis=-1), 1e-9)
        scale = np.maximum(np.where(minimum > 0, slope, through_zero), 0)
        error = ((scale[..., None] * levels - minimum[..., None] - weights) ** 2).sum(axis=-1)
        is_better = error < best_error
        best_error = np.where(is_better, error, best_error)
        best_scale = np.where(is_better, scale, best_scale)
        best_minimum = np.where(is_better, minimum, best_minimum)
    return best_scale, best_minimum


def _multiples(values: Array, unit: Array) -> Array:
    """Return values as whole multiples of a unit, 0 to 63."""
    wide = unit.astype(np.float32)
    found = np.divide(values, wide, out=np.zeros_like(values), where=wide > 0)
    return np.rint(found).clip(0, 63)


def _packed(scales: Array, minima: Array) -> Array:
    """Return 8 scales and 8 minima of 6 bits in 12 bytes: four whole of each, and the others cut in 2 and 4 bits."""
    first, last = slice(0, 4), slice(4, 8)
    return np.concatenate(
        [
            scales[:, first] | scales[:, last] >> 4 << 6,
            minima[:, first] | minima[:, last] >> 4 << 6,
            scales[:, last] & 15 | (minima[:, last] & 15) << 4,
        ],
        axis=1,
    )
