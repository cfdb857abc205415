"""Run the ablation: corpora, models, scores, differences, and the page that shows them."""

import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hf_santa.ablate.corpora import prepare
from hf_santa.ablate.intervals import (
    LEVEL,
    Interval,
    differences_of,
    estimate,
    is_decided,
    is_within,
    level_of_looks,
    paired,
    seeds_to_see,
    verdict,
)
from hf_santa.ablate.variants import BASELINE, SCALES, VARIANTS, Scale
from hf_santa.errors import HfSantaError
from hf_santa.files import sha256, write_json

PRIMARY = "bits_per_byte"  # what a variant is decided on


def run(
    sources: Sequence[Path],
    out: Path,
    *,
    scale_name: str = "tiny",
    seeds: int = 3,
    matters: float = 0.01,
    until_decided: bool = False,
    variants: Sequence[str] | None = None,
    tokens: int | None = None,
    gaps: int = 200,
    samples: int = 2,
    stars: Path | None = None,
    languages: Sequence[str] = (),
    fim: dict[str, Any] | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Train and measure the variants, write `ablation.json`, `ablation.md` and `index.html`, and return the first.

    Args:
        sources: Source trees, or parquet rows.
        out: Folder for all results.
        scale_name: A key of `SCALES`.
        seeds: Models of each variant; at most so many with `until_decided`.
        matters: The smallest difference that counts, in bits per byte: for `until_decided` and for the seeds it would take.
        until_decided: Train a variant no further once its interval excludes zero, or every difference of `matters`. The
            intervals are then wider, for there is a look after each seed.
        variants: Keys of `VARIANTS`, the baseline among them; None is all.
        tokens: What each model reads; None is the scale's.
        gaps: Held-back lines to infill.
        samples: Completions of each problem; 0 runs no program.
        stars: JSON file of path prefixes and star counts.
        languages: Languages or kinds to take of the sources; none are the programming languages of trees, all of rows.
        fim: Settings of the fill-in-the-middle samples.
        say: Takes each line of progress.

    Raises:
        ValueError: an unknown variant, too little text, or a scale that needs a GPU where there is none.
    """
    import datasets
    import torch
    from transformers.utils import logging

    from hf_santa.ablate.page import write_pages

    datasets.disable_progress_bars()
    logging.disable_progress_bar()
    scale = SCALES[scale_name]
    names = list(variants or VARIANTS)
    if unknown := [name for name in names if name not in VARIANTS]:
        raise HfSantaError(f"--variants: {unknown[0]!r} is unknown. Choose from {', '.join(VARIANTS)}.")
    if BASELINE not in names:
        raise HfSantaError(f"--variants lacks {BASELINE!r}, with which all are compared. Add it.")
    budget = tokens or scale.tokens
    if scale.needs_gpu:
        told = cost(scale, budget, len(names) * seeds)
        if not torch.cuda.is_available():
            raise HfSantaError(f"{told} There is no GPU here: use --scale tiny.")
        say(told)
    volumes, lacking = prepare(sources, out, scale, say, stars=stars, languages=languages)
    level = level_of_looks(seeds) if until_decided else LEVEL
    runs = _runs(
        out,
        scale,
        names,
        seeds,
        budget=budget,
        gaps=gaps,
        samples=samples,
        lacking=lacking,
        fim=fim or {},
        decided=(lambda differences: is_decided(differences, level, matters)) if until_decided else lambda _: False,
        say=say,
    )
    scored = _score(out, runs, say) if samples else {}
    summary = summarise(runs, scored, names, lacking, level=level, matters=matters)
    answer = {
        "scale": scale_name,
        "shape": vars(scale),
        "tokens": budget,
        "seeds": seeds,
        "until_decided": until_decided,
        "level": level,
        "matters": matters,
        "tasks": len(runs[BASELINE][0]["hits"]),
        "programs": samples,
        "volumes": volumes,
        "lacking": {name: lacking[VARIANTS[name].recipe] for name in names if VARIANTS[name].recipe in lacking},
        "variants": summary,
    }
    write_json(out / "ablation.json", answer)
    say(f"page {write_pages(out, answer)}")
    return answer


def cost(scale: Scale, tokens: int, runs: int) -> str:
    """Say what a scale that needs a GPU costs, at 45 % of an H100's 989 TFLOP/s in bfloat16."""
    blocks = scale.n_layer * 10 * scale.n_embd**2  # multi-query: q and out 2, mlp 8; keys and values are few
    parameters = blocks + scale.vocab_size * scale.n_embd
    flops = (6 * parameters + 12 * scale.n_layer * scale.n_embd * scale.seq_len) * tokens
    hours = flops / (0.45 * 989e12) / 3600
    return (
        f"--scale proxy trains {runs} models of {parameters / 1e6:.0f} M parameters on {tokens / 1e9:.1f} B tokens each: "
        f"{flops:.2e} FLOP and {hours:.1f} hours a model on one H100 at 45 % of 989 TFLOP/s, {hours * runs:.0f} in all."
    )


def _runs(
    out: Path,
    scale: Scale,
    names: Sequence[str],
    seeds: int,
    *,
    budget: int,
    gaps: int,
    samples: int,
    lacking: dict[str, str],
    fim: dict[str, Any],
    decided: Callable[[Sequence[float]], bool],
    say: Callable[[str], None],
) -> dict[str, dict[int, Any]]:
    """Train every variant that is not decided with every seed, seed by seed, so that a stopped run has whole sets."""
    from hf_santa.ablate.training import Measurer, train_one

    measure = Measurer(out, scale, tasks=gaps, samples=samples)
    settings = {
        "tokens": budget,
        "tasks": gaps,
        "samples": samples,
        "corpora": sha256(out / "corpora.json"),
        "fim": fim,
    }
    runs: dict[str, dict[int, Any]] = {}
    is_open = {name: name != BASELINE for name in names if VARIANTS[name].recipe not in lacking}
    for seed in range(seeds):
        for name in names:
            if VARIANTS[name].recipe in lacking:
                if seed == 0:
                    say(f"variant={name} not run: {lacking[VARIANTS[name].recipe]}")
                continue
            if seed and not is_open[name] and (name != BASELINE or not any(is_open.values())):
                continue
            started = time.monotonic()
            found = train_one(VARIANTS[name], seed, scale, out, measure=measure, settings=settings)
            runs.setdefault(name, {})[seed] = found
            shutil.rmtree(out / "runs" / f"{name}-seed{seed}" / "checkpoints", ignore_errors=True)
            say(
                f"variant={name} seed={seed} tokens={found['tokens']} epochs={found['epochs']:.2f} loss={found['loss']:.3f} "
                f"bits_per_byte={found['bits_per_byte']:.3f} exact_match={found['exact_match']:.3f} "
                f"{time.monotonic() - started:.0f}s"
            )
        for name in (name for name, still in is_open.items() if still):
            if decided(differences_of(_values(runs[name], PRIMARY), _values(runs[BASELINE], PRIMARY))):
                is_open[name] = False
                say(f"variant={name} decided after {seed + 1} seeds")
    return runs


def _values(by_seed: dict[int, Any], metric: str) -> dict[int, float]:
    return {seed: found[metric] for seed, found in by_seed.items() if found[metric] is not None}


def _score(out: Path, runs: dict[str, dict[int, Any]], say: Callable[[str], None]) -> dict[str, dict[int, float]]:
    """Return pass@1 of each run over the demo's problems whose toolchain is there."""
    import warnings

    from eval_multipl_e.sandbox import available
    from eval_multipl_e.scoring import score
    from eval_multipl_e.suite.problems import read_problems
    from hf_santa.problems import PROBLEMS

    os.environ["HF_ALLOW_CODE_EVAL"] = "1"  # as the demo does: its own problems, in the sandbox
    problems = read_problems(PROBLEMS)
    scored: dict[str, dict[int, float]] = {}
    for name, by_seed in runs.items():
        for seed, found in by_seed.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # a missing toolchain, which no run can help
                answer = score(
                    found["completions"],
                    [problem["tests"] for problem in problems],
                    [problem["language"] for problem in problems],
                    prompts=[problem["prompt"] for problem in problems],
                    k=[1],
                    sandbox="auto" if available() else "none",
                    cache_dir=str(out / ".outcomes"),
                )
            if "pass@1" in answer:
                scored.setdefault(name, {})[seed] = answer["pass@1"]
    values = [value for by_seed in scored.values() for value in by_seed.values()]
    say(f"step=score pass@1 max={max(values, default=0):.3f} runs={len(values)}")
    return scored


def summarise(
    runs: dict[str, dict[int, Any]],
    scored: dict[str, dict[int, float]],
    names: Sequence[str],
    lacking: dict[str, str],
    *,
    level: float,
    matters: float,
) -> dict[str, Any]:
    """Return each variant's estimates, differences to the baseline over paired seeds, and verdicts."""
    series = {
        metric: {name: _values(by_seed, metric) for name, by_seed in runs.items()}
        for metric in (PRIMARY, "loss", "exact_match")
    } | {"pass@1": scored}
    summary: dict[str, Any] = {}
    for name in names:
        if VARIANTS[name].recipe in lacking:
            continue
        first = next(iter(runs[name].values()))
        row: dict[str, Any] = {key: first[key] for key in ("parameters", "tokens", "epochs")}
        for metric, values in series.items():
            if not values.get(name):
                continue
            row[metric] = vars(estimate(list(values[name].values())))
            if name != BASELINE:
                difference = paired(values[name], values[BASELINE], level)
                row[metric]["difference"] = _json(difference)
                row[metric]["verdict"] = verdict(difference)
            if name != BASELINE and metric == PRIMARY:
                if row[metric]["verdict"] == "no evidence" and is_within(difference, matters):
                    row[metric]["verdict"] = f"within {matters:g}"
                row[metric]["seeds_to_see"] = seeds_to_see(
                    differences_of(values[name], values[BASELINE]), level, matters
                )
        summary[name] = row
    return summary


def _json(found: Interval | None) -> dict[str, Any] | None:
    return None if found is None else vars(found)
