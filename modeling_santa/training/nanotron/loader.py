"""Feed nanotron with FIM samples: which sample is at which place of which step.

The order depends on the seed and the step alone. So a resumed run sees what an uninterrupted one would have seen, and
the same samples make up a step whatever the number of GPUs.
"""

import hashlib
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from modeling_santa.corpus.fim_samples import IGNORED, FimDataset
from modeling_santa.errors_santa import ModelError

ROUNDS = 4


def shuffled(place: int, size: int, *, seed: int, epoch: int) -> int:
    """Return which of `size` samples comes at `place` of an epoch: a permutation, computed without a table of it.

    A Feistel network over the next power of four, walked until it lands inside. A table for 72 billion tokens would
    take 280 MB in every worker.

    >>> sorted(shuffled(place, 10, seed=0, epoch=0) for place in range(10)) == list(range(10))
    True
    """
    half = max(1, (size - 1).bit_length() + 1 >> 1)
    mask = (1 << half) - 1
    while True:
        left, right = place >> half, place & mask
        for turn in range(ROUNDS):
            digest = hashlib.blake2b(f"{seed}/{epoch}/{turn}/{right}".encode(), digest_size=8).digest()
            left, right = right, left ^ (int.from_bytes(digest, "little") & mask)
        place = (left << half) | right
        if place < size:
            return place


class Samples(Dataset[dict[str, torch.Tensor]]):
    """Gives the n-th sample of a run, over as many epochs as it takes."""

    def __init__(self, fim: FimDataset, *, seed: int, vocab_size: int, folder: str) -> None:
        self.fim, self.seed, self.folder = fim, seed, folder
        self.vocab_size = vocab_size
        self.consumed_tokens = 0

    def __len__(self) -> int:
        """Return the number of samples of one epoch."""
        return len(self.fim)

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        """Return sample `number` of the run, by nanotron's names."""
        epoch, place = divmod(number, len(self.fim))
        index = shuffled(place, len(self.fim), seed=self.seed, epoch=epoch)
        try:
            inputs, labels = self.fim.sample(epoch, index)
        except IndexError as error:
            raise ModelError(self._damaged(index)) from error
        if inputs.max() >= self.vocab_size:
            raise ModelError(self._damaged(index))
        label_ids = torch.from_numpy(labels)
        label_mask = label_ids != IGNORED
        input_ids = torch.from_numpy(inputs)
        return {
            "input_ids": input_ids,
            "input_mask": torch.ones_like(input_ids, dtype=torch.bool),
            "label_ids": label_ids.masked_fill(~label_mask, 0),
            "label_mask": label_mask,
        }

    def _damaged(self, index: int) -> str:
        return (
            f"train: sample {index} of {self.folder} holds token ids that the tokenizer does not have (it has "
            f"{self.vocab_size}). The corpus is damaged or another tokenizer's: pack it again."
        )

    def update_consumption_metrics(self, start_idx: int, end_idx: int, sequence_length: int) -> None:
        """Note that the samples up to `end_idx` are used; nanotron's head asks for it after each step."""
        if end_idx < start_idx:
            raise ModelError(f"train: samples {start_idx} to {end_idx} run backwards. Report it: this is a bug.")
        self.consumed_tokens = end_idx * sequence_length

    def get_consumption_stats(self) -> dict[str, dict[str, int]]:
        """Return the tokens used, by corpus folder; nanotron's head keeps it in its checkpoints."""
        return {self.folder: {"tokens": self.consumed_tokens}}


class MicroBatches(Sampler[list[int]]):
    """Lists the samples of each micro-batch of one rank, from a step on.

    Micro-batch m of a step takes the next `dp * size` samples, and rank r the r-th run of `size` of them.
    """

    def __init__(self, *, size: int, accumulation: int, dp: int, rank: int, first_step: int, steps: int) -> None:
        self.size, self.accumulation, self.dp, self.rank = size, accumulation, dp, rank
        self.first_step, self.steps = first_step, steps

    def __iter__(self) -> Iterator[list[int]]:
        """Yield `accumulation` lists a step, up to the last step."""
        for micro in range(self.first_step * self.accumulation, self.steps * self.accumulation):
            start = (micro * self.dp + self.rank) * self.size
            yield list(range(start, start + self.size))

    def __len__(self) -> int:
        """Return the number of micro-batches left."""
        return (self.steps - self.first_step) * self.accumulation


def dataloader(samples: Samples, batches: MicroBatches, *, workers: int) -> DataLoader[dict[str, torch.Tensor]]:
    """Return the loader of a rank; with `workers` processes, or in this one."""
    ahead: dict[str, Any] = {"prefetch_factor": 4, "persistent_workers": True} if workers else {}
    if torch.cuda.is_available():
        ahead["pin_memory"] = True
    # A generator of its own: from the common one it would draw at its first batch, and shift the dropout of that step.
    return DataLoader(samples, batch_sampler=batches, num_workers=workers, generator=torch.Generator(), **ahead)
