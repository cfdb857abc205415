"""Print what `gpu_check.sh` measures: throughput, MFU, and losses beside those of transformers.

Neither needs nanotron: a run's folder says all.
"""

import argparse
import json
import math
import statistics
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from torch.nn import functional as F

from modeling_santa.corpus.fim_samples import FimDataset, read_tokens
from modeling_santa.errors_santa import ModelError
from modeling_santa.tokenizer.train import load_tokenizer
from modeling_santa.training.nanotron.estimate import PEAK_TFLOPS
from modeling_santa.training.nanotron.loader import MicroBatches, Samples

PARITY = 1e-4  # float32 on a GPU; on a CPU a test asks for 1e-5
WARM_UP = 3


def run_losses(out: Path) -> dict[int, float]:
    """Return the losses of a run by step, from its `loss.jsonl`."""
    records = map(json.loads, (out / "loss.jsonl").read_text().splitlines())
    return {record["step"]: record["loss"] for record in records}


def throughput(log: Path) -> dict[str, float]:
    """Return the medians after the first three steps: tokens/s and TFLOP/s a GPU, its share of 989, peak memory.

    Raises:
        ValueError: there are no more steps than those.
    """
    records = [json.loads(line) for line in log.read_text().splitlines()][WARM_UP:]
    if not records:
        raise ModelError(f"{log} has no more than {WARM_UP} steps. Train longer.")
    flops = statistics.median(record["tflops_per_gpu"] for record in records)
    return {
        "steps": len(records),
        "tokens_per_s": statistics.median(record["tokens_per_s"] for record in records),
        "tflops_per_gpu": flops,
        "mfu": flops / PEAK_TFLOPS["h100"],
        "peak_memory_gb": max(record["peak_memory_gb"] for record in records),
    }


def reference_losses(out: Path, corpus: Path, tokenizer: Path, start: Path) -> dict[int, float]:
    """Return the losses of the same training with transformers and torch alone, from the canonical weights in `start`.

    It is written down a second time on purpose: the model is GPTBigCode's, the optimizer torch's, the schedule a formula.
    """
    from transformers import GPTBigCodeForCausalLM

    config = yaml.safe_load((out / "config.yaml").read_text())
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = GPTBigCodeForCausalLM.from_pretrained(start).to(device).train()
    adam = config["optimizer"]
    matrices = [weight for weight in model.parameters() if weight.dim() == 2]
    vectors = [weight for weight in model.parameters() if weight.dim() < 2]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": adam["weight_decay"]}, {"params": vectors, "weight_decay": 0.0}],
        betas=(adam["adam_beta1"], adam["adam_beta2"]),
        eps=adam["adam_eps"],
    )
    samples, batches = _data(config, corpus, tokenizer)
    losses = {}
    for step, numbers in enumerate(batches, start=1):
        items = [samples[number] for number in numbers]
        batch = {name: torch.stack([item[name] for item in items]).to(device) for name in items[0]}
        logits = model(batch["input_ids"], use_cache=False).logits.float().flatten(0, 1)
        labels = batch["label_ids"].masked_fill(~batch["label_mask"], -100).flatten()
        loss = F.cross_entropy(logits, labels, reduction="sum") / labels.numel()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), adam["clip_grad"])
        for group in optimizer.param_groups:
            group["lr"] = _rate(adam["learning_rate_scheduler"], step - 1)
        optimizer.step()
        losses[step] = loss.item()
    return losses


def _data(config: Mapping[str, Any], corpus: Path, tokenizer: Path) -> tuple[Samples, MicroBatches]:
    tokens, seed = config["tokens"], config["data"]["seed"]
    if config["parallelism"]["dp"] * tokens["batch_accumulation_per_replica"] != 1:
        raise ModelError("parity: the run has several micro-batches a step. Train with dp 1 and no accumulation.")
    drawn = {name: value for name, value in config["fim"].items() if name != "recipe"}
    opened = load_tokenizer(tokenizer)
    fim = FimDataset(read_tokens(corpus), opened, seq_len=tokens["sequence_length"], seed=seed, **drawn)
    samples = Samples(fim, seed=seed, vocab_size=opened.get_vocab_size(with_added_tokens=True), folder=str(corpus))
    steps, size = tokens["train_steps"], tokens["micro_batch_size"]
    return samples, MicroBatches(size=size, accumulation=1, dp=1, rank=0, first_step=0, steps=steps)


def _rate(schedule: Mapping[str, Any], done: int) -> float:
    """Return the learning rate after `done` steps: linear from 0, then half a cosine to 0."""
    full, warmup = schedule["learning_rate"], schedule["lr_warmup_steps"]
    if done <= warmup:
        return float(full * done / max(1, warmup))
    return float(full * (1 + math.cos(math.pi * (done - warmup) / schedule["lr_decay_steps"])) / 2)


def main() -> int:
    """Print a report; exit code 1 says that the losses differ."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("throughput", "parity"))
    parser.add_argument("place", type=Path)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--tokenizer", type=Path)
    arguments = parser.parse_args()
    if arguments.what == "throughput":
        print(json.dumps(throughput(arguments.place)))
        return 0
    from modeling_santa.checkpoints import convert_checkpoint

    start = arguments.place / "start"
    if not start.exists():
        convert_checkpoint(arguments.place / "checkpoints" / "0", start)
    found = run_losses(arguments.place)
    expected = reference_losses(arguments.place, arguments.corpus, arguments.tokenizer, start)
    worst = max(abs(found[step] - expected[step]) for step in expected)
    print(json.dumps({"steps": len(expected), "largest_difference": worst, "limit": PARITY}))
    return int(worst > PARITY)


if __name__ == "__main__":
    sys.exit(main())
