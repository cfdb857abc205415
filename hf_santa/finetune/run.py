"""Fine-tune a model folder on source code, and measure it before and after: `hf-santa finetune`."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_santa.baselines import baselines, told_baselines
from hf_santa.errors import HfSantaError
from hf_santa.files import read_json, sha256, write_json
from hf_santa.measures import (
    bits_per_byte,
    graded,
    hits_of,
    infilled,
    is_held_back,
    line_tasks,
    loss_of,
    share_of,
    told,
)
from hf_santa.training_flags import chosen_languages


@dataclass(frozen=True)
class FinetuneRequest:
    """What was asked for on the command line."""

    model: Path
    source: Path
    out: Path
    recipe: str
    languages: tuple[str, ...]
    heldout: float
    gaps: int
    seq_len: int | None
    fim: dict[str, Any]
    steps: int | None
    epochs: float
    batch_size: int
    micro_batch: int | None
    checkpoint_activations: bool
    lr: float
    lora_rank: int
    keep_adapter: bool
    seed: int
    save_every: int


def run(request: FinetuneRequest, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Fine-tune and measure; return what `results.json` holds.

    Raises:
        ValueError, RuntimeError: something is not usable; the message says what to do.
    """
    import datasets
    import numpy as np
    from transformers.utils import logging

    from modeling_santa.checkpoints import read_config
    from modeling_santa.corpus.fim_samples import FimDataset
    from modeling_santa.corpus.windows import windows_of
    from modeling_santa.tokenizer.train import token_bytes
    from modeling_santa.training.finetune import FinetunePlan, finetune, open_to_finetune

    _check(request)
    datasets.disable_progress_bars()
    logging.disable_progress_bar()
    out = request.out
    seq_len = request.seq_len or min(2048, int(read_config(request.model).get("n_positions", 0)))
    model, tokenizer = open_to_finetune(request.model, seq_len)
    kept, held = _files(request, say)
    _begin(request, seq_len, [row["hexsha"] for row in kept])
    tokens, held_tokens = _packed(out, tokenizer, kept, held)
    windows = windows_of(held_tokens, seq_len)
    samples = FimDataset(tokens, tokenizer, seq_len=seq_len, seed=request.seed, **request.fim)
    steps = request.steps or max(1, round(request.epochs * len(samples) / request.batch_size))
    plan = FinetunePlan(
        steps=steps,
        batch_size=request.batch_size,
        lr=request.lr,
        seed=request.seed,
        save_every=request.save_every,
        micro_batch=request.micro_batch,
        checkpoint_activations=request.checkpoint_activations,
        lora_rank=request.lora_rank,
    )
    tasks = line_tasks(held, count=request.gaps, seed=request.seed)
    bytes_of = token_bytes(tokenizer)
    before = _measured(out / "before.json", request.model, tasks, windows, bytes_of)
    say(f"step=before {_told(before)}")
    adapter = out / "adapter" if request.keep_adapter else None
    trained, curve = finetune(model, samples, plan, out / "checkpoints", keep_adapter=adapter)
    say(f"step=train steps={steps} tokens={steps * request.batch_size * seq_len} loss={curve[-1]['loss']:.3f}")
    seen = stage_finetuned(request.model, trained, tokenizer, out / "model")
    say(f"step=model classes=2 max_abs_logit_difference={seen['max_abs_logit_difference']:.3g}")
    after = _measured(out / "after.json", out / "model", tasks, windows, bytes_of)
    say(f"step=after {_told(after)}")
    size = int(np.array([len(piece) for piece in bytes_of])[windows[:, 1:]].sum())
    bars = baselines(tokens, tokenizer, windows, size=size, tasks=tasks, texts=(row["content"] for row in kept))
    say(f"step=baselines {told_baselines(bars)}")
    results = {
        "baselines": bars,
        "files": {"trained": len(kept), "held_back": len(held)},
        "tokens": {
            "corpus": len(tokens),
            "trained": steps * request.batch_size * seq_len,
            "held_back": len(held_tokens),
        },
        "plan": {**vars(plan), "seq_len": seq_len, **request.fim},
        "before": _without_texts(before),
        "after": _without_texts(after),
        "exact_match_difference": _difference(before["hits"], after["hits"], request.seed),
        "loss": curve,
        "parity": seen,
    }
    write_json(out / "results.json", results)
    return results


def _check(request: FinetuneRequest) -> None:
    for name in ("batch_size", "gaps", "save_every"):
        if getattr(request, name) < 1:
            raise HfSantaError(f"--{name.replace('_', '-')} is {getattr(request, name)}. Give 1 or more.")
    if not 0 < request.heldout < 1:
        raise HfSantaError(f"--heldout is {request.heldout}. Give a share of the files between 0 and 1.")
    if not request.lr > 0 or not request.epochs > 0 or (request.steps is not None and request.steps < 1):
        raise HfSantaError("--lr, --epochs and --steps must be above 0.")
    if request.micro_batch is not None and (request.micro_batch < 1 or request.batch_size % request.micro_batch):
        raise HfSantaError(
            f"--micro-batch is {request.micro_batch}. Give a divisor of --batch-size, which is {request.batch_size}."
        )


def _files(request: FinetuneRequest, say: Callable[[str], None]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the files of the recipe to train on, and those held back, by hash."""
    from datasets import load_dataset

    from data_recipes.pipeline import run as run_recipe
    from data_recipes.sources.write_rows import write_rows

    dataset = request.source
    if not (dataset / "funnel.json").is_file():
        dataset = request.out / "dataset"
        write_rows([request.source], request.out / "rows", progress=say)
        languages = chosen_languages([request.source], request.languages)
        run_recipe(request.out / "rows", dataset, request.recipe, seed=request.seed, languages=languages, progress=say)
    elif request.languages:
        raise HfSantaError(
            f"--languages chooses among source files, and {dataset} is a finished dataset. Leave it out."
        )
    # Streamed, since a folder that was written anew would be answered from datasets' cache.
    rows = load_dataset(str(dataset), request.recipe, split="train", streaming=True)
    wanted = ("content", "hexsha", "lang")
    files = sorted(({name: row[name] for name in wanted} for row in rows), key=lambda row: row["hexsha"])
    held = [row for row in files if is_held_back(row["hexsha"], request.heldout)]
    kept = [row for row in files if not is_held_back(row["hexsha"], request.heldout)]
    if not held or not kept:
        raise HfSantaError(
            f"{len(files)} files are left of {request.source}, and --heldout {request.heldout} holds {len(held)} of them "
            "back. Expected some on both sides: give more files, or another share."
        )
    return kept, held


def _begin(request: FinetuneRequest, seq_len: int, files: list[str]) -> None:
    """Record what the folder is made with; refuse to go on with anything else."""
    fields = {name: str(value) if isinstance(value, Path) else value for name, value in vars(request).items()}
    fields["languages"] = list(request.languages)
    config = request.model / "config.json"
    weights = [sha256(path) for path in sorted(request.model.glob("*.safetensors"))]
    content = hashlib.sha256("".join(files).encode()).hexdigest()
    wanted = {**fields, "seq_len": seq_len, "config": sha256(config), "weights": weights, "files": content}
    for name in ("out", "micro_batch", "checkpoint_activations"):  # they change no result
        wanted.pop(name)
    path = request.out / "settings.json"
    if path.is_file():
        found = read_json(path, {})
        other = next((name for name in {**found, **wanted} if found.get(name) != wanted.get(name)), None)
        if other is not None:
            raise HfSantaError(
                f"{request.out} was begun with {other}={found.get(other)!r}, and now it is {wanted.get(other)!r}. Give "
                "another --out, or the same settings to go on."
            )
    write_json(path, wanted)


def _packed(out: Path, tokenizer: Any, kept: list[dict[str, Any]], held: list[dict[str, Any]]) -> tuple[Any, Any]:
    from modeling_santa.corpus.fim_samples import pack, read_tokens

    for name, files in (("train", kept), ("heldout", held)):
        pack((row["content"] for row in files), tokenizer, out / "corpus" / name)
    return read_tokens(out / "corpus" / "train"), read_tokens(out / "corpus" / "heldout")


def _measured(path: Path, folder: Path, tasks: list[dict[str, str]], windows: Any, bytes_of: Any) -> dict[str, Any]:
    """Measure a folder on the held-back files, or read what was measured before."""
    if path.is_file():
        found: dict[str, Any] = read_json(
            path, {"exact_match": dict, "bits_per_byte": float, "infilling": dict, "hits": list}
        )
        return found
    import torch
    from transformers import AutoTokenizer

    from modeling_santa.modeling_santa import SantaForCausalLM

    model = SantaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    if torch.cuda.is_available():
        model = model.to("cuda")
    opened = AutoTokenizer.from_pretrained(folder)
    middles = infilled(model, opened, tasks)
    hits = hits_of(tasks, middles)
    answer = {
        "exact_match": share_of(hits),
        "bits_per_byte": bits_per_byte(loss_of(model, windows), windows, bytes_of),
        "infilling": {mode: graded(model, opened, tasks, mode) for mode in ("psm", "spm")},
        "hits": hits,
        "lines": [[task["middle"], middle] for task, middle in zip(tasks, middles, strict=True)],
    }
    write_json(path, answer)
    return answer


def stage_finetuned(base: Path, trained: Any, tokenizer: Any, out: Path) -> dict[str, Any]:
    """Write the canonical folder in the dtype of the source, and open it by both classes in a clean process."""
    from hf_santa.repositories.clean_process import open_in_clean_process
    from hf_santa.repositories.write import StageError, stage_model
    from modeling_santa.modeling_santa import SantaForCausalLM
    from modeling_santa.tokenizer.train import save_tokenizer

    plain, words = out.with_name(".trained"), out.with_name(".tokenizer")
    trained.to(SantaForCausalLM.from_pretrained(base, dtype="auto").dtype).save_pretrained(plain)
    save_tokenizer(tokenizer, words, n_positions=trained.config.n_positions)
    stage_model(plain, words, out)
    for folder in (plain, words):
        shutil.rmtree(folder)
    seen: dict[str, Any] = open_in_clean_process("model", {"name": str(out.resolve())})
    if seen["max_abs_logit_difference"] > 1e-4 * max(seen["max_abs_logit"], 1e-6) and trained.dtype.itemsize == 4:
        raise StageError(f"the fine-tuned folder gives other logits in the native class: {json.dumps(seen)}.")
    return seen


def _difference(before: list[float], after: list[float], seed: int) -> dict[str, float]:
    """Return the gain in exact match with its interval, both measured on the same tasks."""
    import numpy as np

    gains = np.asarray(after) - np.asarray(before)
    draws = np.random.default_rng(seed).integers(0, len(gains), size=(2000, len(gains)))
    low, high = np.quantile(gains[draws].mean(axis=1), [0.025, 0.975])
    return {"value": float(gains.mean()), "low": float(low), "high": float(high), "tasks": len(gains)}


def _told(measured: dict[str, Any]) -> str:
    em = measured["exact_match"]
    return (
        f"exact_match={em['value']:.3f} [{em['low']:.3f}, {em['high']:.3f}] n={em['tasks']} "
        f"bits_per_byte={measured['bits_per_byte']:.3f} {told(measured['infilling']['psm'])}"
    )


def _without_texts(measured: dict[str, Any]) -> dict[str, Any]:
    return {name: measured[name] for name in ("exact_match", "bits_per_byte", "infilling")}
