"""Steps `complete` and `score`: let the model solve the demo's problems, and score what it wrote."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hf_santa.problems import PROBLEMS

LINE_TOKENS = 32  # longest infilled line
BODY_TOKENS = 96  # longest completed body
TEMPERATURE, TOP_P = 0.2, 0.95  # report: pass@1 at temperature 0.2, top-p 0.95


def complete_the_problems(out: Path, settings: dict[str, Any]) -> str:
    """Let the staged model complete and infill; write `completions/completions.jsonl` and `infills.jsonl`."""
    import torch
    from tqdm import tqdm
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from eval_multipl_e.suite.infilling import single_line_tasks
    from eval_multipl_e.suite.problems import complete, read_problems

    folder = str(out / "model")
    model = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder, truncation_side="left")
    problems = read_problems(PROBLEMS)
    torch.manual_seed(settings["seed"])
    sample = _sampler(model, tokenizer)
    completions = []
    for problem in tqdm(problems, desc="complete", unit="problem", disable=None):
        completions += complete([problem], sample, n=settings["samples"])
    tasks = single_line_tasks(problems, per_problem=1, seed=settings["seed"])
    infills = [{**task, **_infill(model, tokenizer, task)} for task in tqdm(tasks, desc="infill", disable=None)]
    (out / "completions").mkdir(exist_ok=True)
    _write_lines(out / "completions" / "completions.jsonl", completions)
    _write_lines(out / "completions" / "infills.jsonl", infills)
    return f"problems={len(problems)} completions={len(problems) * settings['samples']} infills={len(infills)}"


def _sampler(model: Any, tokenizer: Any) -> Callable[[list[str], int], list[list[str]]]:
    """Return a function that continues prompts n times each, as `complete` wants it."""
    import torch

    def generate(prompts: list[str], n: int) -> list[list[str]]:
        longest = model.config.n_positions - BODY_TOKENS
        inputs = tokenizer(prompts, return_tensors="pt", padding=True, truncation=True, max_length=longest)
        length = inputs["input_ids"].shape[1]
        with torch.no_grad():
            ids = model.generate(
                **inputs,
                do_sample=True,
                temperature=TEMPERATURE,
                top_p=TOP_P,
                num_return_sequences=n,
                max_new_tokens=BODY_TOKENS,
            )
        texts = tokenizer.batch_decode(ids[:, length:], skip_special_tokens=True)
        return [texts[at : at + n] for at in range(0, len(texts), n)]

    return generate


def _infill(model: Any, tokenizer: Any, task: dict[str, str]) -> dict[str, Any]:
    """Return the model's greedy middle for one masked line, and whether it was cut off."""
    middle = model.infill(tokenizer, task["prefix"], task["suffix"], max_new_tokens=LINE_TOKENS, allow_truncated=True)
    return {"generated": str(middle), "is_truncated": middle.is_truncated}


def score_the_completions(out: Path, settings: dict[str, Any]) -> str:
    """Run completions, infills and our own solutions through the metric; write `results.json`.

    The metric is loaded as a user would, from the staged folder `eval_multipl_e/`. Our own solutions are the control:
    they show that a zero is the model's and not the metric's.
    """
    import evaluate
    from tqdm import tqdm

    from eval_multipl_e.sandbox import available
    from eval_multipl_e.suite.problems import read_completions, read_problems
    from hf_santa.files import write_json
    from hf_santa.repositories.write import stage_metric

    os.environ["HF_ALLOW_CODE_EVAL"] = "1"
    stage_metric(out / "eval_multipl_e")
    metric = evaluate.load(str(out / "eval_multipl_e"))
    sandbox = "auto" if available() else "none"
    if sandbox == "none":
        print("score: no sandbox works here; the programs run with resource limits only (sandbox=none).")
    problems = read_problems(PROBLEMS)
    infills = [json.loads(line) for line in (out / "completions" / "infills.jsonl").read_text().split("\n") if line]

    bar = tqdm(
        total=len(problems) * (settings["samples"] + 1) + len(infills), desc="score", unit="program", disable=None
    )

    def scored(texts: list[list[str]], rows: list[dict[str, Any]], prompts: list[str]) -> dict[str, Any]:
        found = metric.compute(
            predictions=texts,
            references=[row["tests"] for row in rows],
            languages=[row["language"] for row in rows],
            prompts=prompts,
            sandbox=sandbox,
            seed=settings["seed"],
        )
        bar.update(len(found["results"]))
        return _without_times(found)

    prompts = [problem["prompt"] for problem in problems]
    completions = read_completions(out / "completions" / "completions.jsonl")
    results = {
        "completions": scored([row["completions"] for row in completions], problems, prompts),
        "infills": scored(
            [[row["generated"] + row["suffix"]] for row in infills], infills, [r["prefix"] for r in infills]
        ),
        "control": scored([[problem["canonical_solution"]] for problem in problems], problems, prompts),
        "infill_exact_match": _exact_matches(infills, settings["seed"]),
    }
    bar.close()
    write_json(out / "results.json", results)
    missing = "".join(f" missing={row['language']}" for row in results["completions"]["missing_toolchains"])
    return (
        f"pass@1={results['completions'].get('pass@1', 0):.3f} control={results['control'].get('pass@1', 0):.3f} "
        f"exact_match={results['infill_exact_match']['all']['value']:.3f} sandbox={results['completions']['sandbox']}{missing}"
    )


def _exact_matches(infills: list[dict[str, Any]], seed: int) -> dict[str, Any]:
    """Return single-line exact match over all tasks and by language, with intervals."""
    from eval_multipl_e.scoring_estimator import bootstrap_interval
    from eval_multipl_e.suite.infilling import exact_match

    answer = {}
    for code in ("all", *dict.fromkeys(row["language"] for row in infills)):
        rows = [row for row in infills if code in ("all", row["language"])]
        hits = [exact_match([row["generated"]], [row["middle"]]) for row in rows]
        low, high = bootstrap_interval(hits, seed=seed)
        answer[code] = {"value": sum(hits) / len(hits), "low": low, "high": high, "tasks": len(hits)}
    return answer


def _without_times(found: dict[str, Any]) -> dict[str, Any]:
    """Return the metric's answer without what differs between two runs: seconds, and output with its addresses."""
    kept = ("problem", "completion", "language", "status", "exit_code")
    return {**found, "results": [{name: row[name] for name in kept} for row in found["results"]]}


def _write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
