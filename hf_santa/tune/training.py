"""Steps `plan` and `train`: choose how to train by the memory there is, train, and write a model folder."""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hf_santa.files import read_json, write_json
from hf_santa.tune.bases import FimBase, open_base
from hf_santa.tune.holding import read_lines
from modeling_santa.checkpoints import TOKENIZER_FILES

MORE_TOKENIZER_FILES = ("tokenizer.model", "generation_config.json")
MEMORY = "memory.json"
LONGEST = 1024  # tokens of a training sample, unless asked for
PLAN = {"seq_len": int, "steps": int, "micro_batch": int, "checkpoint_activations": bool}


def choose_the_plan(out: Path, settings: dict[str, Any]) -> str:
    """Write `plan.json`: the length of a sample, the steps, and how a step is divided by the estimated memory.

    Raises:
        BaseError: the base can't be tuned.
        MemoryShortError: the memory does not suffice.
    """
    base = open_base(Path(settings["base"]))
    seq_len = min(settings["seq_len"] or LONGEST, base.context)
    samples = _samples(out, base, settings, seq_len, "training")
    import peft  # noqa: F401  # what the process takes is measured with all that training needs
    from transformers import Trainer  # noqa: F401

    from hf_santa.tune.memory import fitting_estimate

    found = fitting_estimate(
        base, seq_len, settings["batch_size"], settings["lora_rank"], most=settings["memory_bytes"]
    )
    steps = settings["steps"] or max(1, round(settings["epochs"] * len(samples) / settings["batch_size"]))
    plan = {
        "family": base.form.name,
        "kind": base.kind,
        "context": base.context,
        "seq_len": seq_len,
        "samples": len(samples),
        "steps": steps,
        "micro_batch": found.micro_batch,
        "checkpoint_activations": found.checkpoint_activations,
    }
    write_json(out / "plan.json", plan)
    write_json(
        out / MEMORY, {"estimated_bytes": found.peak, "parts": asdict(found)}
    )  # differs a little from run to run
    return (
        f"family={base.form.name} kind={base.kind} seq_len={seq_len} samples={len(samples)} steps={steps} "
        f"micro_batch={found.micro_batch} checkpoint_activations={found.checkpoint_activations} "
        f"estimated_memory={found.peak / 1e9:.2f}GB"
    )


def train_the_base(out: Path, settings: dict[str, Any]) -> str:
    """Train by the plan, from the last checkpoint where there is one; write `model/` and `train.json`."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    from hf_santa.tune.memory import peak_memory
    from modeling_santa.modeling_santa import SantaForCausalLM
    from modeling_santa.training.finetune import FinetunePlan, finetune

    logging.disable_progress_bar()
    base, chosen = open_base(Path(settings["base"])), read_json(out / "plan.json", PLAN)
    samples = _samples(out, base, settings, chosen["seq_len"], "training")
    has_held = bool(read_lines(out / "heldout" / "validation.jsonl"))
    held = _samples(out, base, settings, chosen["seq_len"], "validation") if has_held else None
    plan = FinetunePlan(
        steps=chosen["steps"],
        batch_size=settings["batch_size"],
        micro_batch=chosen["micro_batch"],
        checkpoint_activations=chosen["checkpoint_activations"],
        lr=settings["lr"],
        seed=settings["seed"],
        save_every=_steps_a_look(chosen["steps"], settings["looks"]),
        lora_rank=settings["lora_rank"],
    )
    opener = SantaForCausalLM if base.is_santa else AutoModelForCausalLM
    model = opener.from_pretrained(base.folder, dtype=torch.float32)
    adapter = out / "adapter" if settings["lora_rank"] else None
    trained, curve = finetune(model, samples, plan, out / "checkpoints", keep_adapter=adapter, held=held)
    peak = peak_memory()
    _write_model(base, trained, out / "model")
    done = max(int(row["step"]) for row in curve)
    losses = [row["held_loss"] for row in curve if "held_loss" in row]
    about = {"steps": done, "planned_steps": chosen["steps"], "curve": curve}
    write_json(out / "train.json", about)
    estimate = read_json(out / MEMORY, {"estimated_bytes": int})
    write_json(out / MEMORY, {**estimate, "peak_bytes": peak})
    words = f" held_loss={losses[0]:.3f}->{min(losses):.3f}" if losses else ""
    share = peak / estimate["estimated_bytes"]
    return f"steps={done}/{chosen['steps']}{words} peak_memory={peak / 1e9:.2f}GB of_estimate={share:.2f}"


def _steps_a_look(steps: int, looks: int) -> int:
    """Return the steps between checkpoints: a multiple of those between two losses, so that no loss spans a checkpoint."""
    logged = max(1, steps // 50)
    return max(logged, steps // looks // logged * logged)


def _samples(out: Path, base: FimBase, settings: dict[str, Any], seq_len: int, side: str) -> Any:
    from hf_santa.tune.samples import FamilySamples

    texts = [row["content"] for row in read_lines(out / "heldout" / f"{side}.jsonl")]
    rates = {name: settings[name] for name in ("fim_rate", "line_rate")}
    return FamilySamples(texts, base, seq_len=seq_len, seed=settings["seed"], **rates)


def _write_model(base: FimBase, trained: Any, out: Path) -> None:
    """Write the folder whole: canonical for a SantaCoder model, as the base's own class does for any other."""
    from transformers import AutoModelForCausalLM

    if base.is_santa:
        from hf_santa.finetune.run import stage_finetuned
        from modeling_santa.tokenizer.train import load_tokenizer

        stage_finetuned(base.folder, trained, load_tokenizer(base.folder), out)
        return
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    dtype = AutoModelForCausalLM.from_pretrained(base.folder, dtype="auto").dtype
    trained.to(dtype).save_pretrained(partial)
    for name in (*TOKENIZER_FILES, *MORE_TOKENIZER_FILES):
        if (base.folder / name).is_file():
            shutil.copyfile(base.folder / name, partial / name)
    shutil.rmtree(out, ignore_errors=True)
    partial.replace(out)
