"""Times a step of the CPU loop: our chunked loss against torch's cross-entropy, and bfloat16 against float32.

The variants take turns in one process on the same batches; medians of 15 steps, as ratios to the first.
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
from modeling_santa.training.loop import loop

ROUNDS, SEQ_LEN = 18, 256
VARIANTS = {
    "torch cross-entropy, float32": (False, False),
    "chunked loss, float32": (True, False),
    "chunked loss, bfloat16 autocast": (True, True),
}


def plain_loss(hidden: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """What the loop would do without ours."""
    return nn.functional.cross_entropy((hidden @ weight.T).float().flatten(0, 1), labels.flatten())


def main() -> int:
    """Print tokens a second and the ratios."""
    paths = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    texts = [path.read_text("utf-8") for path in paths]
    tokenizer = train_tokenizer(texts, vocab_size=4096)
    with tempfile.TemporaryDirectory() as folder:
        pack(texts, tokenizer, Path(folder))
        dataset = FimDataset(read_tokens(Path(folder)), tokenizer, seq_len=SEQ_LEN)
        config = SantaConfig(
            vocab_size=padded_vocab_size(tokenizer), n_positions=SEQ_LEN, n_embd=128, n_layer=4, n_head=4
        )
        plan = loop.TrainingPlan(steps=1000)
        ours, seconds, models = loop.chunked_loss, {name: [] for name in VARIANTS}, {}
        for name in VARIANTS:
            model = SantaForCausalLM(config)
            models[name] = model, loop.optimizers_for(model, plan)
        for step in range(ROUNDS):
            for name, (is_chunked, is_bf16) in VARIANTS.items():
                loop.chunked_loss = ours if is_chunked else plain_loss
                loop.has_fast_bf16 = lambda is_bf16=is_bf16: is_bf16
                started = time.perf_counter()
                loop._step(models[name][0], dataset, models[name][1], plan, step)
                seconds[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(times[3:]) for name, times in seconds.items()}
    first = next(iter(medians.values()))
    for name, median in medians.items():
        print(f"{name:<36}{plan.batch_size * SEQ_LEN / median:>8.0f} tokens/s  x{first / median:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
