"""Run one process of the small loop: `python -m modeling_santa.training.loop.worker RUN.json`.

`hf-santa pretrain` writes the file and, with several processes, starts this by torchrun; alone, it calls `train_run`.
"""

import json
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed

from modeling_santa.configuration_santa import SantaConfig
from modeling_santa.corpus.fim_samples import FimDataset, read_tokens
from modeling_santa.corpus.windows import windows_of
from modeling_santa.errors_santa import ModelError
from modeling_santa.modeling_santa import SantaForCausalLM
from modeling_santa.tokenizer.train import load_tokenizer, token_bytes
from modeling_santa.training.loop.curve import Curve
from modeling_santa.training.loop.loop import train
from modeling_santa.training.loop.plan import TrainingPlan
from modeling_santa.training.loop.team import join


def train_run(file: Path) -> dict[str, Any]:
    """Train what a run's file says, from its last checkpoint on; the model goes to `trained/` beside the file.

    The file has `config` (the model's), `plan` (fields of TrainingPlan), `fim` (arguments of FimDataset), `seq_len` and
    `device`. Beside it lie `tokenizer/`, `corpus/train/` and `corpus/heldout/`.
    """
    out, run = file.parent, json.loads(file.read_text())
    team = join(run["device"])
    tokenizer, plan = load_tokenizer(out / "tokenizer"), TrainingPlan(**run["plan"])
    tokens = read_tokens(out / "corpus" / "train", verify=team.is_first)
    windows = windows_of(read_tokens(out / "corpus" / "heldout", verify=team.is_first), run["seq_len"])
    sizes = np.array([len(piece) for piece in token_bytes(tokenizer)])
    torch.manual_seed(plan.seed)
    model = SantaForCausalLM(SantaConfig(**run["config"])).to(team.device)
    result = train(
        model,
        FimDataset(tokens, tokenizer, seq_len=run["seq_len"], seed=plan.seed, **run["fim"]),
        plan,
        out / "checkpoints",
        heldout=windows,
        heldout_bytes=int(sizes[windows[:, 1:]].sum()),
        team=team,
        on_step=Curve(plan.steps),
    )
    if team.is_first:
        model.to("cpu").save_pretrained(out / "trained")
        about = {name: value for name, value in result.items() if name != "log"}
        (out / "trained" / "run.json").write_text(json.dumps(about, indent=2) + "\n")
    team.wait()
    return result


def main(file: str) -> int:
    """Train, and return the exit code."""
    logging.basicConfig(level=logging.WARNING, format="hf-santa pretrain: %(message)s")
    try:
        train_run(Path(file))
    except ModelError as error:
        print(f"hf-santa pretrain: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
