"""Run one process: `python -m modeling_santa.training.nanotron.worker CONFIG --corpus … --out …`.

`hf-santa train` starts it, alone or one per GPU under torchrun. Exit code 3 says that training had to stop, 2 that the
configuration or the corpus is not right, each with a message that says why.
"""

import argparse
import os
import socket
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch.utils.data import DataLoader

    from modeling_santa.training.nanotron.trainer import SantaTrainer


def main() -> int:
    """Train, and return the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("config", type=Path)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--wandb", action="store_true")
    parser.add_argument("--checked", action="store_true")
    arguments = parser.parse_args()
    _alone()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the loader's workers are processes already
    os.environ.setdefault("TQDM_DISABLE", "1")
    if not arguments.wandb:
        sys.modules["wandb"] = None  # type: ignore[assignment]  # nanotron would start a run wherever it can be imported
    for kind in (FutureWarning, DeprecationWarning):
        warnings.filterwarnings("ignore", category=kind)
    warnings.filterwarnings("ignore", "c10d::.*autograd kernel")  # nanotron averages weights before there is a gradient
    from modeling_santa.training.nanotron.compat import prepare

    prepare(is_cpu=arguments.cpu)
    return _train(arguments)


def _alone() -> None:
    """Set what torchrun would have set, where there is one process."""
    if "RANK" in os.environ:
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    alone = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ.update(alone)


def _train(arguments: argparse.Namespace) -> int:
    import torch
    from dacite import DaciteError

    from modeling_santa.training.nanotron.trainer import SantaTrainer, TrainingError

    try:
        trainer = SantaTrainer(arguments.config, arguments.out)
        trainer.train(_batches(trainer, arguments))
    except (TrainingError, DaciteError, ValueError) as error:
        said = str(error).strip().splitlines()[-1]  # from a loader's process comes a traceback with the message last
        said = said.removeprefix("ValueError: ")
        print(f"hf-santa {said if said.startswith('train: ') else f'train: {said}'}", file=sys.stderr, flush=True)
        return int(getattr(error, "exit_code", 2))
    torch.distributed.destroy_process_group()
    return 0


def _batches(trainer: "SantaTrainer", arguments: argparse.Namespace) -> "DataLoader[dict[str, torch.Tensor]]":
    """Return this rank's loader, from the step on at which the trainer stands."""
    from nanotron import distributed as dist

    from modeling_santa.corpus.fim_samples import FimDataset, read_tokens
    from modeling_santa.tokenizer.train import load_tokenizer
    from modeling_santa.training.nanotron.loader import MicroBatches, Samples, dataloader

    config, dp_pg, tokenizer = trainer.config, trainer.parallel_context.dp_pg, load_tokenizer(arguments.tokenizer)
    seed, tokens = config.data.seed, config.tokens
    drawn = {name: getattr(config.fim, name) for name in ("fim_rate", "spm_rate", "line_rate", "mode")}
    # Reading 145 GB takes minutes: once a machine, and not at all where `hf-santa train` has just done it.
    is_checked = arguments.checked or os.environ["LOCAL_RANK"] != "0"
    corpus = read_tokens(arguments.corpus, verify=not is_checked)
    fim = FimDataset(corpus, tokenizer, seq_len=tokens.sequence_length, seed=seed, **drawn)
    batches = MicroBatches(
        size=tokens.micro_batch_size,
        accumulation=tokens.batch_accumulation_per_replica,
        dp=dp_pg.size(),
        rank=dist.get_rank(dp_pg),
        first_step=trainer.start_iteration_step,
        steps=tokens.train_steps,
    )
    size = tokenizer.get_vocab_size(with_added_tokens=True)
    samples = Samples(fim, seed=seed, vocab_size=size, folder=str(arguments.corpus))
    return dataloader(samples, batches, workers=config.data.num_loading_workers)


if __name__ == "__main__":
    sys.exit(main())
