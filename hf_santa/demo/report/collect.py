"""Gather what the steps wrote into the report page `OUT/index.html`."""

import json
import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from data_recipes.engine.processors import usable_processors
from hf_santa.demo.report.render import render
from hf_santa.files import write_json
from hf_santa.problems import PROBLEMS

LIBRARIES = (
    "hf-santa",
    "torch",
    "transformers",
    "tokenizers",
    "datasets",
    "evaluate",
    "huggingface_hub",
    "presidio-analyzer",
    "datasketch",
    "gradio",
)
PARITY = "Both ran in a process that cannot import this package, offline and with empty caches."
LANGUAGE_NAMES = {"py": "Python", "js": "JavaScript", "java": "Java"}


def write_the_page(out: Path, settings: Mapping[str, Any], steps: Mapping[str, Mapping[str, Any]]) -> Path:
    """Write `report.json` and `index.html` from the steps' results; return the page's path."""
    report = gather(out, settings, steps)
    write_json(out / "report.json", report)
    partial = out / ".index.html.partial"
    partial.write_text(render(report), encoding="utf-8")
    page = out / "index.html"
    partial.replace(page)
    return page


def gather(out: Path, settings: Mapping[str, Any], steps: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the report's data; the format is hf_santa.demo.report.schema.DemoReport."""
    rows, funnel, measures, results, parity = (
        json.loads((out / name).read_text())
        for name in ("rows/rows.json", "dataset/funnel.json", "trained/measures.json", "results.json", "parity.json")
    )
    return {
        "title": "hf-santa demo",
        "versions": {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
        "machine": this_machine(),
        "steps": [{"name": name, **step} for name, step in steps.items()],
        "corpus": {
            "roots": settings["corpus_roots"],
            "files": sum(entry["files"] for entry in rows["files"].values()),
            "bytes": sum(entry["bytes"] for entry in rows["files"].values()),
        },
        "funnel": funnel["funnel"],
        "redactions": funnel["redactions"],
        "training": training_data(measures, steps["train"]["seconds"]),
        "parity": {**parity, "report": PARITY},
        "samples": sample_data(out, results),
        "scores": score_data(results),
        "infill": [
            {"label": LANGUAGE_NAMES[code], "exact_match": found["value"], **_bounds(found), "tasks": found["tasks"]}
            for code, found in results["infill_exact_match"].items()
            if code != "all"
        ],
        "missing_toolchains": results["completions"]["missing_toolchains"],
        "sandbox": results["completions"]["sandbox"],
        "used_by": json.loads((out / "used_by.json").read_text()),
    }


def this_machine() -> dict[str, Any]:
    """Return cores, memory, platform, and whether the CPU multiplies bfloat16 in hardware."""
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return {
        "cores": usable_processors(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "platform": f"{platform.system()} {platform.machine()}",
        "bf16": "avx512_bf16" in flags or "amx_bf16" in flags,
    }


def training_data(measures: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Return the training section: the curve, the held-out points and the two numbers that matter."""
    log = measures["log"]
    names = ("parameters", "tokens", "steps", "seq_len", "fim_rate", "bits_per_byte", "unigram_bits_per_byte")
    return {
        **{name: measures[name] for name in (*names, "heldout_files", "heldout_bytes")},
        "seconds": seconds,
        "stopped_by_time": measures["is_timed_out"],
        "curve": [{"step": record["step"], "loss": record["loss"]} for record in log],
        "heldout": [
            {"step": record["step"], "bits_per_byte": record["heldout_bits_per_byte"]}
            for record in log
            if "heldout_bits_per_byte" in record
        ],
        "guessers": guessers(measures),
    }


def guessers(measures: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what the model, in both orders, and the baselines are worth on the files held back."""
    exact, bars = measures["exact_match"], measures["baselines"]
    gram, line = bars["five_gram"], bars["most_frequent_line"]
    return [
        _guesser("model, prefix first", exact.get("psm"), measures["bits_per_byte"]),
        _guesser("model, suffix first", exact.get("spm")),
        _guesser("5-gram table", gram["exact_match"], gram["bits_per_byte"]),
        _guesser(f"most frequent line: {line['line']}", line["exact_match"]),
        _guesser("unigram table", None, measures["unigram_bits_per_byte"]),
    ]


def _guesser(name: str, found: Mapping[str, Any] | None, *bits: float) -> dict[str, Any]:
    lines = [{"label": name, "exact_match": found["value"], **_bounds(found), "tasks": found["tasks"]}] if found else []
    return {"name": name, "bits_per_byte": list(bits), "lines": lines}


def sample_data(out: Path, results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return each problem's first completion and its infill beside the truth, taking turns by language."""
    problems, completions = _lines(PROBLEMS), _lines(out / "completions" / "completions.jsonl")
    infills = _lines(out / "completions" / "infills.jsonl")
    first = {row["problem"]: row["status"] for row in results["completions"]["results"] if row["completion"] == 0}
    filled = {row["problem"]: row["status"] for row in results["infills"]["results"]}
    completed = [
        {
            "name": problem["name"],
            "language": problem["language"],
            "kind": "complete",
            "prompt": problem["prompt"],
            "suffix": "",
            "truth": problem["canonical_solution"],
            "generated": written["completions"][0],
            "status": first[at],
            "truncated": False,
        }
        for at, (problem, written) in enumerate(zip(problems, completions, strict=True))
    ]
    infilled = [
        {
            "name": task["name"],
            "language": task["language"],
            "kind": "infill",
            "prompt": task["prefix"],
            "suffix": task["suffix"],
            "truth": task["middle"],
            "generated": task["generated"],
            "status": "exact match" if task["generated"].strip() == task["middle"].strip() else filled[at],
            "truncated": task["is_truncated"],
        }
        for at, task in enumerate(infills)
    ]
    return [sample for pair in zip(infilled, completed, strict=True) for sample in pair]


def score_data(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return pass@1 of each language with its interval, beside that of our own solutions."""
    found, control = results["completions"], results["control"]
    answer = []
    for code, label in LANGUAGE_NAMES.items():
        if (key := f"pass@1/{code}") in found:
            low, high = found["intervals"][key]
            answer.append(
                {
                    "label": label,
                    "metric": "pass@1",
                    "value": found[key],
                    "low": low,
                    "high": high,
                    "programs": found["counts"][code]["programs"],
                    "reference_value": control[key],
                }
            )
    return answer


def _bounds(found: Mapping[str, float]) -> dict[str, float]:
    return {"low": found["low"], "high": found["high"]}


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().split("\n") if line]
