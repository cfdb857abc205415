"""Makes small artefacts, stages them, and runs `hf-santa publish` against a Hub on loopback, as a user would."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import torch

from data_recipes.pipeline import run
from hf_santa.repositories.kinds import named
from hf_santa.repositories.staging import Sources, stage
from modeling_santa.configuration_santa import SantaConfig
from modeling_santa.modeling_santa import SantaForCausalLM
from modeling_santa.tokenizer.train import padded_vocab_size, save_tokenizer, train_tokenizer

COMMAND = str(Path(sys.executable).with_name("hf-santa"))
TOKEN = "hf_" + "Az09" * 8 + "xy"  # the form of a token, made here: never one
TEXTS = [f"def f_{n}(a, b):\n    return a + b + {n}\n" for n in range(80)]


def make_artefacts(folder, write_stack):
    """A model that was never trained, its tokenizer, and a store of 20 files, as a run of the demo leaves them."""
    tokenizer = train_tokenizer(TEXTS, vocab_size=300)
    end = tokenizer.token_to_id("<|endoftext|>")
    torch.manual_seed(0)
    config = SantaConfig(
        vocab_size=padded_vocab_size(tokenizer), n_positions=64, n_embd=32, n_layer=2, n_head=4,
        bos_token_id=end, eos_token_id=end, pad_token_id=tokenizer.token_to_id("<fim-pad>"),
    )  # fmt: skip
    SantaForCausalLM(config).save_pretrained(folder / "trained")
    save_tokenizer(tokenizer, folder / "tokenizer", n_positions=64)
    run(write_stack(folder / "stack"), folder / "dataset", "near_dedup", progress=lambda _line: None)
    return folder


def stage_all(artefacts, out):
    """Stage and check all four; return the lines that were said."""
    said = []
    stage(named("all"), Sources(artefacts), out, said.append, start_limit_s=900)  # a busy machine takes minutes
    return said


def environment(hub, home, token=TOKEN, **more):
    """A user's environment: the Hub's address, a token, empty caches, no Xet, short waits."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    tokens = {"HF_TOKEN": token} if token else {}
    return {
        **kept, **tokens, "HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1",
        "HF_SANTA_RETRY_WAIT_S": "0.02", **more,
    }  # fmt: skip


def publish(hub, what, folder, *arguments, home, namespace="me", token=TOKEN, load=False, timeout=120):
    """Run the command; return the finished process. The repositories are not loaded back unless asked for."""
    command = [COMMAND, "publish", what, folder, "--namespace", namespace, *([] if load else ["--no-load"]), *arguments]
    return subprocess.run(
        list(map(str, command)), env=environment(hub, home, token), capture_output=True, text=True, timeout=timeout,
        check=False,
    )  # fmt: skip


def copied(staged, out):
    """A copy of the staged repositories that a test may change."""
    shutil.copytree(staged, out)
    return out
