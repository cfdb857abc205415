"""Steps `tokenizer`, `corpus` and `train`: from the dataset folder to trained weights."""

import hashlib
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hf_santa.baselines import baselines, told_baselines
from hf_santa.demo.steps import DemoError, code_digest
from hf_santa.files import write_json
from hf_santa.measures import graded, hits_of, infilled, is_held_back, line_tasks, share_of, told
from modeling_santa.fim_santa import FimMode

HELDOUT_SHARE = 0.03  # of the files, chosen by their hexsha
GAPS = 200


def texts(dataset: Path, *, is_heldout: bool) -> Iterator[str]:
    """Yield the near-deduplicated files that are held back, or all the others.

    A file is held back by its hexsha alone, so the choice survives any change elsewhere in the corpus.
    Near-duplicates were removed before: what is held back has no copy among the rest.
    """
    from tqdm import tqdm

    for row in tqdm(rows_of(dataset, is_heldout=is_heldout), desc="files", unit="file", disable=None):
        yield row["content"]


def rows_of(dataset: Path, *, is_heldout: bool) -> Iterator[dict[str, Any]]:
    """Yield the rows of those files."""
    from datasets import load_dataset

    for row in load_dataset(str(dataset), "near_dedup", split="train", streaming=True):
        if is_held_back(row["hexsha"], HELDOUT_SHARE) == is_heldout:
            yield row


def train_the_tokenizer(out: Path, settings: dict[str, Any]) -> str:
    """Train the byte-level BPE on the training files; write `tokenizer/`."""
    from modeling_santa.tokenizer.train import save_tokenizer, train_tokenizer

    tokenizer = train_tokenizer(
        texts(out / "dataset", is_heldout=False),
        vocab_size=settings["shape"]["vocab_size"],
        show_progress=sys.stderr.isatty(),
    )
    save_tokenizer(tokenizer, out / "tokenizer", n_positions=settings["shape"]["seq_len"])
    sizes = tokenizer.get_vocab_size(with_added_tokens=False), tokenizer.get_vocab_size(with_added_tokens=True)
    return f"tokens={sizes[0]} special={sizes[1] - sizes[0]}"


def pack_the_corpus(out: Path, _: dict[str, Any]) -> str:
    """Encode the training and the held-back files; write `corpus/train/` and `corpus/heldout/`."""
    from modeling_santa.corpus.fim_samples import pack
    from modeling_santa.tokenizer.train import load_tokenizer

    tokenizer = load_tokenizer(out / "tokenizer")
    train = pack(texts(out / "dataset", is_heldout=False), tokenizer, out / "corpus" / "train")
    try:
        heldout = pack(texts(out / "dataset", is_heldout=True), tokenizer, out / "corpus" / "heldout")
    except ValueError as error:
        raise DemoError(
            f"corpus: no file was held back out of {train['documents']}, so nothing can be measured. "
            "Give a larger --source (a few hundred files or more)."
        ) from error
    per_token = train["text_bytes"] / train["tokens"]
    return (
        f"train_files={train['documents']} train_tokens={train['tokens']} heldout_files={heldout['documents']} "
        f"heldout_tokens={heldout['tokens']} bytes_per_token={per_token:.2f}"
    )


def train_the_model(out: Path, settings: dict[str, Any]) -> str:
    """Train on the CPU with FIM rate 0.5; write `trained/` (weights, config, loss curve, measures)."""
    import numpy as np
    import torch

    from modeling_santa.corpus.fim_samples import FimDataset, read_tokens, unigram_bits
    from modeling_santa.corpus.windows import windows_of
    from modeling_santa.modeling_santa import SantaForCausalLM
    from modeling_santa.tokenizer.train import load_tokenizer, padded_vocab_size, token_bytes
    from modeling_santa.training.loop.budget import Shape
    from modeling_santa.training.loop.curve import Curve
    from modeling_santa.training.loop.loop import TrainingPlan, train

    shape = Shape(**settings["shape"])
    tokenizer = load_tokenizer(out / "tokenizer")
    tokens = read_tokens(out / "corpus" / "train")
    heldout_tokens = read_tokens(out / "corpus" / "heldout")
    windows = windows_of(heldout_tokens, shape.seq_len)
    heldout_bytes = int(np.array([len(piece) for piece in token_bytes(tokenizer)])[windows[:, 1:]].sum())
    unigram = float(unigram_bits(tokens, padded_vocab_size(tokenizer))[windows[:, 1:]].sum()) / heldout_bytes

    torch.manual_seed(settings["seed"])
    end_id = tokenizer.token_to_id("<|endoftext|>")
    config = shape.config(
        vocab_size=padded_vocab_size(tokenizer),
        bos_token_id=end_id,
        eos_token_id=end_id,
        pad_token_id=tokenizer.token_to_id("<fim-pad>"),
    )
    model = SantaForCausalLM(config)
    steps = max(1, settings["train_tokens"] // (shape.batch_size * shape.seq_len))
    plan = TrainingPlan(
        steps=steps,
        batch_size=shape.batch_size,
        seed=settings["seed"],
        save_every=min(100, max(1, steps // 4)),
        time_limit_s=60 * settings["max_minutes"],
    )
    dataset = FimDataset(tokens, tokenizer, seq_len=shape.seq_len, seed=settings["seed"], **settings["fim"])
    result = train(
        model,
        dataset,
        plan,
        checkpoints_of(out, plan, config.to_dict()),
        heldout=windows,
        heldout_bytes=heldout_bytes,
        on_step=Curve(steps),
    )
    tasks = line_tasks(list(rows_of(out / "dataset", is_heldout=True)), count=GAPS, seed=settings["seed"])
    infilling, exact = infilling_of(out, model.eval(), tasks)
    bars = baselines(
        tokens, tokenizer, windows, size=heldout_bytes, tasks=tasks, texts=texts(out / "dataset", is_heldout=False)
    )
    final = result["log"][-1]["heldout_bits_per_byte"]
    measures = {
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "tokens": result["steps"] * shape.batch_size * shape.seq_len,
        "steps": result["steps"],
        "planned_steps": steps,
        "seq_len": shape.seq_len,
        "batch_size": shape.batch_size,
        "fim_rate": settings["fim"]["fim_rate"],
        "fim": settings["fim"],
        "bits_per_byte": final,
        "unigram_bits_per_byte": unigram,
        "heldout_files": json.loads((out / "corpus" / "heldout" / "corpus.json").read_text())["documents"],
        "heldout_bytes": heldout_bytes,
        "infilling": infilling,
        "exact_match": exact,
        "baselines": bars,
        "is_timed_out": result["is_timed_out"],
        "log": result["log"],
    }
    shutil.rmtree(out / "trained", ignore_errors=True)  # a run killed while it saved left half of one
    model.save_pretrained(out / "trained")
    write_json(out / "trained" / "measures.json", measures)
    write_json(out / ".seconds" / "train.json", {"training_seconds": result["seconds"]})
    late = ""
    if result["is_timed_out"]:
        late = f" stopped_by=time steps={result['steps']}/{steps}"
        print(short_of_time(result["steps"], steps, settings["max_minutes"], final, unigram), flush=True)
    return (
        f"parameters={measures['parameters']} tokens={measures['tokens']} bits_per_byte={final:.3f} "
        f"unigram={unigram:.3f} better_by={1 - final / unigram:.1%} "
        f"{_told_hits(exact)}{told(infilling['psm'])} {told_baselines(bars)}{late}"
    )


def _told_hits(exact: dict[str, Any]) -> str:
    hits = exact.get("psm")
    return f"exact_match={hits['value']:.3f} n={hits['tasks']} " if hits else ""


def infilling_of(out: Path, model: Any, tasks: list[dict[str, str]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return how near the model is to the true lines of the files held back, and how many it hits, in both modes."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(out / "tokenizer")
    modes: tuple[FimMode, ...] = ("psm", "spm")
    return (
        {mode: graded(model, tokenizer, tasks, mode) for mode in modes},
        {mode: share_of(hits_of(tasks, infilled(model, tokenizer, tasks, mode))) for mode in modes if tasks},
    )


def short_of_time(steps: int, planned: int, minutes: float, cost: float, unigram: float) -> str:
    """Say that the training had too little time, what that means, and how it goes on."""
    worth = "better than" if cost < unigram else "NOT better than"
    return (
        f"train: {minutes:g} minutes were enough for {steps} of {planned} steps on this machine as busy as it was. The model is "
        f"{worth} a table of how often each token occurs ({cost:.3f} against {unigram:.3f} bits a byte). Run the same with "
        f"--max-minutes {2 * minutes:g}: it goes on from there."
    )


def checkpoints_of(out: Path, plan: Any, config: dict[str, Any]) -> Path:
    """Return the folder for this very run's checkpoints; those of any other plan, corpus or code are removed.

    How long it may take is no part of the plan: with more time a run goes on.
    """
    corpus = json.loads((out / "corpus" / "train" / "corpus.json").read_text())
    identity = json.dumps(
        [asdict(replace(plan, time_limit_s=0.0)), config, corpus, code_digest(("modeling_santa",))],
        sort_keys=True,
        default=str,
    )
    folder = out / "checkpoints" / hashlib.sha256(identity.encode()).hexdigest()[:16]
    for other in (out / "checkpoints").glob("*"):
        if other != folder:
            shutil.rmtree(other)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
