"""Times a training step: our chunked loss against torch's, bfloat16 against float32, and each against the machine.

The variants take turns in one process on the same batches; medians, as ratios to the first. Then a step at width 256: its
share of the machine's own matrix product, timed just before and after it, and the optimizer's share of the step.
"""

import statistics
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import torch
from torch import nn

from modeling_santa import SantaConfig, SantaForCausalLM
from modeling_santa.corpus.fim_samples import FimDataset, pack, read_tokens
from modeling_santa.tokenizer.train import padded_vocab_size, train_tokenizer
from modeling_santa.training.loop import step as steps
from modeling_santa.training.loop.plan import TrainingPlan
from modeling_santa.training.loop.speed import product_flops, training_flops
from modeling_santa.training.loop.team import Team

ROUNDS, SEQ_LEN = 18, 256
VARIANTS = {
    "torch cross-entropy, float32": (False, torch.float32),
    "chunked loss, float32": (True, torch.float32),
    "chunked loss, bfloat16 autocast": (True, torch.bfloat16),
}


def plain_loss(hidden, weight, labels, count):
    """What torch does without ours."""
    logits = (hidden @ weight.T.to(hidden.dtype)).float().flatten(0, 1)
    return nn.functional.cross_entropy(logits, labels.flatten(), reduction="sum") / count


def stepper_of(dataset, tokenizer, width, layers):
    """Return what takes the steps of a model of this shape."""
    config = SantaConfig(
        vocab_size=padded_vocab_size(tokenizer),
        n_positions=SEQ_LEN,
        n_embd=width,
        n_layer=layers,
        n_head=width // 32,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    )
    return steps.Stepper(SantaForCausalLM(config), dataset, TrainingPlan(steps=1000), Team())


def variants(dataset, tokenizer):
    """Print tokens a second and the ratios."""
    ours, seconds = steps.chunked_loss, {name: [] for name in VARIANTS}
    steppers = {name: stepper_of(dataset, tokenizer, 128, 4) for name in VARIANTS}
    for step in range(ROUNDS):
        for name, (is_chunked, dtype) in VARIANTS.items():
            steps.chunked_loss = ours if is_chunked else plain_loss
            steps.dtype_of_products = lambda _, dtype=dtype: dtype
            started = time.perf_counter()
            steppers[name](step, step)
            seconds[name].append(time.perf_counter() - started)
    steps.chunked_loss = ours
    medians = {name: statistics.median(times[3:]) for name, times in seconds.items()}
    first = next(iter(medians.values()))
    for name, median in medians.items():
        print(f"{name:<36}{8 * SEQ_LEN / median:>8.0f} tokens/s  x{first / median:.2f}")


def against_the_machine(dataset, tokenizer, dtype):
    """Print a step's operations a second beside a matrix product's, and the optimizer's share, in CPU seconds."""
    steps.dtype_of_products = lambda _: dtype
    stepper = stepper_of(dataset, tokenizer, 256, 4)
    flops = 8 * SEQ_LEN * training_flops(stepper.model.config, SEQ_LEN)
    whole, updates, probes = [], [], []
    muon = stepper.optimizers[0]
    step_of_muon = muon.step

    def timed():
        started = time.process_time()
        step_of_muon()
        updates.append(time.process_time() - started)

    muon.step = timed
    for step in range(12):
        probes.append(product_flops(torch.float32))
        clock, cpu = time.perf_counter(), time.process_time()
        stepper(step, step)
        whole.append((time.perf_counter() - clock, time.process_time() - cpu))
    clock, cpu = (statistics.median(side[2:]) for side in zip(*whole, strict=True))
    rate, probe = flops / clock, statistics.median(probes[2:])
    print(
        f"width 256, {str(dtype).removeprefix('torch.'):<8} {rate / 1e9:>7.1f} GFLOP/s a step, float32 product {probe / 1e9:.1f}: "
        f"{rate / probe:.0%}; Muon {statistics.median(updates[2:]) / cpu:.1%} of a step's CPU seconds"
    )


def main() -> int:
    """Print all figures."""
    paths = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    texts = [path.read_text("utf-8") for path in paths]
    tokenizer = train_tokenizer(texts, vocab_size=4096)
    with tempfile.TemporaryDirectory() as folder:
        pack(texts, tokenizer, Path(folder))
        dataset = FimDataset(read_tokens(Path(folder)), tokenizer, seq_len=SEQ_LEN)
        variants(dataset, tokenizer)
        for dtype in (torch.float32, torch.bfloat16):
            against_the_machine(dataset, tokenizer, dtype)
    return 0


if __name__ == "__main__":
    sys.exit(main())
