"""Estimate what a training run costs: parameters, tokens, FLOPs, memory and hours."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PEAK_TFLOPS = {"h100": 989.0, "h200": 989.0, "a100": 312.0, "v100": 125.0}
"""Dense bfloat16 (V100: float16) matrix TFLOP/s of a GPU, by its data sheet."""

GPU_BYTES = {"h100": 80e9, "h200": 141e9, "a100": 80e9, "v100": 32e9}


@dataclass(frozen=True)
class RunCost:
    """Holds the figures of a planned run; memory is in bytes a GPU."""

    parameters: int
    tokens: int
    flops: float
    weights: float
    activations: float
    hours: float

    @property
    def memory(self) -> float:
        """The bytes a GPU needs, at least."""
        return self.weights + self.activations


def padded_vocab(model: Mapping[str, Any]) -> int:
    """Return the model's vocabulary: the tokenizer's, rounded up to a multiple of 128."""
    return -(-int(model["vocab_size"]) // 128) * 128


def parameter_count(model: Mapping[str, Any]) -> int:
    """Return the number of parameters, the tied head counted once.

    >>> parameter_count({"vocab_size": 49157, "hidden_size": 2048, "num_hidden_layers": 24, "num_attention_heads": 16,
    ...     "num_key_value_heads": 1, "intermediate_size": 8192, "max_position_embeddings": 2048})
    1124886528
    """
    width, inner = model["hidden_size"], model["intermediate_size"]
    fused = width + 2 * width // model["num_attention_heads"] * model["num_key_value_heads"]
    block = (width + 1) * fused + (width + 1) * width + (width + 1) * inner + (inner + 1) * width + 4 * width
    embeddings = (padded_vocab(model) + model["max_position_embeddings"]) * width
    return int(embeddings + model["num_hidden_layers"] * block + 2 * width)


def flops_per_token(model: Mapping[str, Any], seq_len: int) -> float:
    """Return the floating-point operations a token costs, forward and backward, the whole attention square counted.

    That is how MFU is commonly given: 7.929 GFLOP for the 1.1B model at 2,048 tokens.
    """
    width, inner = model["hidden_size"], model["intermediate_size"]
    fused = width + 2 * width // model["num_attention_heads"] * model["num_key_value_heads"]
    block = 2 * width * (fused + width + 2 * inner) + 4 * width * seq_len
    return float(3 * (model["num_hidden_layers"] * block + 2 * width * padded_vocab(model)))


def estimate(config: Mapping[str, Any], *, gpu: str = "h100", mfu: float = 0.4) -> RunCost:
    """Return what the run of a configuration takes on `parallelism.dp` GPUs of one kind, at a model FLOP utilisation.

    Weights: 2 bytes each in bfloat16 and 2 for their gradients, 4 for summed gradients, and 12 for Adam and the float32
    weights, which ZeRO-1 shares among the GPUs; in float32 4, 4 and 8. Activations without recomputation: 34 widths a
    layer and place (Korthikanti et al. 2022, less the attention square, which torch never keeps), and 10 bytes a logit.
    """
    model, tokens, dp = config["model"]["model_config"], config["tokens"], config["parallelism"]["dp"]
    count, seq_len = parameter_count(model), tokens["sequence_length"]
    batch = tokens["micro_batch_size"] * tokens["batch_accumulation_per_replica"] * dp
    seen = batch * seq_len * tokens["train_steps"]
    shares = dp if config["optimizer"]["zero_stage"] else 1
    is_half = config["model"]["dtype"] != "float32"
    per_weight = 8 + 12 / shares if is_half else 8 + 8 / shares
    places = tokens["micro_batch_size"] * seq_len
    widths = 34 if is_half else 60
    kept = places * (widths * model["num_hidden_layers"] * model["hidden_size"] + 10 * padded_vocab(model))
    flops = seen * flops_per_token(model, seq_len)
    hours = flops / (dp * PEAK_TFLOPS[gpu] * 1e12 * mfu) / 3600
    return RunCost(count, seen, flops, count * per_weight, kept, hours)
