"""Train a model from scratch within a time, and measure it: `hf-santa pretrain`."""

import hashlib
import json
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from hf_santa.baselines import baselines, told_baselines
from hf_santa.errors import HfSantaError, IncompleteError
from hf_santa.files import read_json, write_json
from hf_santa.measures import graded, hits_of, infilled, line_tasks, share_of, told
from hf_santa.training_flags import chosen_languages

TOKENIZER_BYTES = 30_000_000
MAX_EPOCHS = 4.0
WORKER = "modeling_santa.training.loop.worker"
_RUN = {"config": dict, "plan": {"batch_size": int}, "fim": dict, "seq_len": int, "device": str}
_TRAINED = {"steps": int, "seconds": float, "is_timed_out": bool}


@dataclass(frozen=True)
class PretrainRequest:
    """What was asked for on the command line."""

    source: list[Path]
    out: Path
    minutes: float | None
    flops: float | None
    recipe: str
    languages: tuple[str, ...]
    device: str
    processes: int
    micro_batch: int | None
    checkpoint_activations: bool
    keep: int
    fim: dict[str, Any]
    heldout: float
    gaps: int
    seed: int


def run(request: PretrainRequest, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Train and measure; return what `OUT/results.json` holds.

    Raises:
        HfSantaError: other settings than those that the folder was begun with, or too little text.
        ModelError: training cannot go on; the message says why.
    """
    import datasets
    from transformers.utils import logging

    from data_recipes.store.reading import read_funnel
    from hf_santa.repositories.model_card import write_model_card

    datasets.disable_progress_bars()
    logging.disable_progress_bar()
    out = request.out
    out.mkdir(parents=True, exist_ok=True)
    _begin(request)
    dataset = _dataset(request, say)
    file = out / "run.json"
    if not file.is_file():
        _plan(request, dataset, file, say)
    _train(request, file)
    trained = read_json(out / "trained" / "run.json", _TRAINED)
    late = " stopped_by=time" if trained["is_timed_out"] else ""
    say(f"step=train steps={trained['steps']} seconds={trained['seconds']:.0f}{late}")
    result = _measured(request, dataset, file, trained)
    write_json(out / "results.json", result)
    write_model_card(
        out / "model",
        measures=result,
        funnel=read_funnel(dataset) | {"recipe": request.recipe},
    )
    em = result["exact_match"]
    say(
        f"step=measure bits_per_byte={result['bits_per_byte']:.3f} unigram={result['unigram_bits_per_byte']:.3f} "
        f"exact_match={em['psm']['value']:.3f} spm={em['spm']['value']:.3f} n={em['psm']['tasks']} "
        f"{told(result['infilling']['psm'])}"
    )
    say(f"step=baselines {told_baselines(result['baselines'])}")
    return result


def package_of(row: dict[str, Any]) -> str:
    """Return what a file belongs to: the tree and the first folder in it, or the file itself where there is none.

    >>> package_of({"path": "site-packages/torch/nn/init.py", "hexsha": "0"})
    'site-packages/torch'
    """
    parts = str(row.get("path") or "").split("/")
    return "/".join(parts[:2]) if len(parts) > 2 else str(row["hexsha"])


def held_packages(sizes: Mapping[str, int], share: float) -> frozenset[str]:
    """Return the packages that are held back: about `share` of the bytes, at least one package and never all.

    They are taken in the order of their names' hashes. One that would bring the sum above twice the share is passed over, so
    a single large package does not take a quarter of the text; where that leaves none, the smallest is taken.

    Args:
        sizes: Bytes of text of each package.
        share: Between 0 and 1.

    >>> sorted(held_packages({"a": 50, "b": 50, "c": 900}, 0.05)), sorted(held_packages({"a": 50}, 0.05))
    (['b'], [])
    """
    wanted, taken = share * sum(sizes.values()), 0
    held: set[str] = set()
    for name in sorted(sizes, key=lambda name: hashlib.sha256(name.encode()).digest()):
        if taken >= wanted or len(held) == len(sizes) - 1:
            break
        if taken + sizes[name] <= 2 * wanted:
            held.add(name)
            taken += sizes[name]
    if not held and len(sizes) > 1:
        held.add(min(sizes, key=lambda name: (sizes[name], name)))
    return frozenset(held)


@lru_cache(maxsize=1)
def _held_back(dataset: Path, recipe: str, share: float) -> frozenset[str]:
    from datasets import load_dataset

    sizes: Counter[str] = Counter()
    columns = ["path", "hexsha", "size"]
    for row in load_dataset(str(dataset), recipe, split="train", streaming=True, columns=columns):
        sizes[package_of(row)] += row["size"]
    return held_packages(sizes, share)


def split_rows(dataset: Path, request: PretrainRequest, *, are_held: bool) -> Iterator[dict[str, Any]]:
    """Yield the recipe's rows that are held back, or all the others."""
    from datasets import load_dataset

    held = _held_back(dataset, request.recipe, request.heldout)
    for row in load_dataset(str(dataset), request.recipe, split="train", streaming=True):
        if (package_of(row) in held) == are_held:
            yield row


def _begin(request: PretrainRequest) -> None:
    """Record what the folder is made with; refuse to go on with anything else, but for time and devices."""
    free = ("out", "minutes", "flops", "device", "processes", "micro_batch", "checkpoint_activations", "keep", "gaps")
    wanted = {name: value for name, value in asdict(request).items() if name not in free}
    wanted = json.loads(json.dumps(wanted, default=str))
    path = request.out / "settings.json"
    if path.is_file() and (found := read_json(path, {})) != wanted:
        other = next(name for name in wanted if found.get(name) != wanted[name])
        raise HfSantaError(
            f"{request.out} was begun with {other}={found.get(other)!r}, and now it is {wanted[other]!r}. Give another --out, "
            "or the same settings to go on."
        )
    write_json(path, wanted)


def _dataset(request: PretrainRequest, say: Callable[[str], None]) -> Path:
    from data_recipes.pipeline import run as run_recipe
    from data_recipes.sources.write_rows import write_rows

    if len(request.source) == 1 and (request.source[0] / "funnel.json").is_file():
        if request.languages:
            raise HfSantaError(
                f"--languages chooses among source files, and {request.source[0]} is a finished dataset. Leave it out, or give "
                "the sources."
            )
        return request.source[0]
    dataset = request.out / "dataset"
    if not (dataset / "funnel.json").is_file():
        write_rows(list(request.source), request.out / "rows", progress=say)
        languages = chosen_languages(request.source, request.languages)
        run_recipe(request.out / "rows", dataset, request.recipe, seed=request.seed, languages=languages, progress=say)
    return dataset


def _plan(request: PretrainRequest, dataset: Path, file: Path, say: Callable[[str], None]) -> None:
    """Choose the shape, make tokenizer and corpora, and write the run's file."""
    import torch

    from modeling_santa.corpus.shards import pack
    from modeling_santa.tokenizer.train import padded_vocab_size, save_tokenizer, train_tokenizer
    from modeling_santa.training.loop.budget import RESERVE, choose, flops_a_second
    from modeling_santa.training.loop.team import join

    out = file.parent
    device = request.device if request.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    flops, timed = request.flops, ""
    if flops is None:
        rate = flops_a_second(join(device)) * request.processes
        flops, timed = rate * 60 * float(request.minutes or 0) * RESERVE, f" rate={rate / 1e9:.1f}GFLOP/s"
    choice = choose(flops)
    shape = choice.shape
    say(
        f"step=budget flops={flops:.2e}{timed} width={shape.n_embd} layers={shape.n_layer} "
        f"vocabulary={shape.vocab_size} context={shape.seq_len} parameters={choice.parameters} tokens={choice.tokens}"
    )
    texts = _some(lambda: (row["content"] for row in split_rows(dataset, request, are_held=False)), request.seed)
    tokenizer = train_tokenizer(texts, vocab_size=shape.vocab_size)
    save_tokenizer(tokenizer, out / "tokenizer", n_positions=shape.seq_len)
    about = {}
    for name, are_held in (("train", False), ("heldout", True)):
        texts = (row["content"] for row in split_rows(dataset, request, are_held=are_held))
        try:
            about[name] = pack(texts, tokenizer, out / "corpus" / name, recipe=request.recipe)
        except ValueError as error:
            raise HfSantaError(
                f"no file is left on the side {name!r} ({error}). Files are held back by package, {request.heldout:.0%} of "
                "the text: give at least two packages, or another --heldout."
            ) from error
    most = int(MAX_EPOCHS * about["train"]["tokens"]) // (shape.batch_size * shape.seq_len)
    if most < 1:
        raise HfSantaError(f"{about['train']['tokens']} tokens do not fill a step of this model. Give more text.")
    if most < choice.steps:
        say(
            f"step=budget the text suffices for {most} of {choice.steps} steps ({MAX_EPOCHS:g} epochs); more text is better"
        )
    steps, end_id = min(choice.steps, most), tokenizer.token_to_id("<|endoftext|>")
    say(f"step=corpus files={about['train']['documents']} tokens={about['train']['tokens']} steps={steps}")
    config = shape.config(
        vocab_size=padded_vocab_size(tokenizer),
        bos_token_id=end_id,
        eos_token_id=end_id,
        pad_token_id=tokenizer.token_to_id("<fim-pad>"),
    )
    plan = {"steps": steps, "batch_size": shape.batch_size, "seed": request.seed}
    plan |= {"evaluate_every": max(1, steps // 10), "save_every": max(1, min(200, steps // 5))}
    write_json(
        file,
        {
            "config": config.to_diff_dict(),
            "plan": plan,
            "fim": request.fim,
            "seq_len": shape.seq_len,
            "device": device,
            "budget": {"flops": flops, "tokens": choice.tokens, "parameters": choice.parameters},
        },
    )


def _some(texts: Callable[[], Iterator[str]], seed: int) -> Iterator[str]:
    """Yield some of the texts by chance, about enough to train a tokenizer on."""
    share = TOKENIZER_BYTES / max(1, sum(map(len, texts())))
    draw = random.Random(seed)
    return (text for text in texts() if draw.random() < share)


def _train(request: PretrainRequest, file: Path) -> None:
    """Run the training, here or in several processes; what the user may change from one start to the next goes in here."""
    from modeling_santa.training.loop.worker import train_run

    about = read_json(file, _RUN)
    about["plan"] |= {
        "micro_batch": request.micro_batch,
        "checkpoint_activations": request.checkpoint_activations,
        "keep": request.keep,
    }
    if request.minutes is not None:
        about["plan"]["time_limit_s"] = 60 * request.minutes
    if request.device != "auto":
        about["device"] = request.device
    write_json(file, about)
    if request.processes == 1:
        train_run(file)
        return
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={request.processes}"]
    done = subprocess.run([*command, "-m", WORKER, str(file)], check=False, stdout=sys.stderr)
    if done.returncode:
        raise IncompleteError("training stopped; the reason stands above. Run the same again: it goes on from there.")


def _measured(request: PretrainRequest, dataset: Path, file: Path, trained: dict[str, Any]) -> dict[str, Any]:
    """Stage the canonical folder and measure it on the files held back."""
    import numpy as np
    import torch
    from transformers import AutoTokenizer

    from hf_santa.repositories.write import stage_model
    from modeling_santa.corpus.fim_samples import read_tokens, unigram_bits
    from modeling_santa.corpus.windows import windows_of
    from modeling_santa.modeling_santa import SantaForCausalLM
    from modeling_santa.tokenizer.train import load_tokenizer, token_bytes
    from modeling_santa.training.loop.loop import heldout_bits

    out, run = file.parent, read_json(file, _RUN)
    shutil.rmtree(out / "model", ignore_errors=True)
    stage_model(out / "trained", out / "tokenizer", out / "model")
    model = SantaForCausalLM.from_pretrained(out / "model", dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(out / "model")
    windows = windows_of(read_tokens(out / "corpus" / "heldout"), run["seq_len"])
    words, trained_on = load_tokenizer(out / "tokenizer"), read_tokens(out / "corpus" / "train")
    sizes = np.array([len(piece) for piece in token_bytes(words)])
    size = int(sizes[windows[:, 1:]].sum())
    unigram = unigram_bits(trained_on, model.config.vocab_size)
    held = list(split_rows(dataset, request, are_held=True))
    tasks = line_tasks(held, count=request.gaps, seed=request.seed)
    exact = {
        mode: share_of(hits_of(tasks, infilled(model, tokenizer, tasks, mode))) if tasks else None
        for mode in ("psm", "spm")
    }
    return {
        **trained,
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "tokens": trained["steps"] * run["plan"]["batch_size"] * run["seq_len"],
        "fim_rate": run["fim"]["fim_rate"],
        "budget": run["budget"],
        "heldout_files": len(held),
        "heldout_packages": len({package_of(row) for row in held}),
        "bits_per_byte": heldout_bits(model, windows) / size,
        "unigram_bits_per_byte": float(unigram[windows[:, 1:]].sum()) / size,
        "baselines": baselines(
            trained_on,
            words,
            windows,
            size=size,
            tasks=tasks,
            texts=(row["content"] for row in split_rows(dataset, request, are_held=False)),
        ),
        "exact_match": exact,
        "infilling": {mode: graded(model, tokenizer, tasks, mode) for mode in ("psm", "spm")},
    }
