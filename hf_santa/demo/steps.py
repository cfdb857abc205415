"""List the demo's steps, and tell which are finished.

A step is up to date when its stamp in `OUT/.steps/` names the same settings, code and inputs, and every file it
wrote still has the recorded SHA-256. Nothing else is trusted: a half-written or altered file means another run.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_santa.errors import HfSantaError
from hf_santa.files import files_below, sha256, write_json

PACKAGES = Path(__file__).resolve().parents[2]


class DemoError(HfSantaError, RuntimeError):
    """A demo run cannot go on; the message says what was seen and what to do."""


@dataclass(frozen=True)
class DemoStep:
    """One stage of the demo: what it needs, what it writes, and what decides its bytes."""

    name: str
    about: str
    needs: tuple[str, ...]
    outputs: tuple[str, ...]  # files or folders below OUT
    code: tuple[str, ...]  # files or folders beside hf_santa
    settings: tuple[str, ...] = ()


STEPS = (
    DemoStep(
        "rows",
        "source files to rows",
        (),
        ("rows",),
        ("data_recipes/sources", "data_recipes/engine", "data_recipes/disk", "hf_santa/demo/steps_data.py"),
        ("corpus_fingerprint", "is_default_corpus"),
    ),
    DemoStep(
        "recipe",
        "filter, redact, decontaminate, remove near-duplicates",
        ("rows",),
        ("dataset",),
        ("data_recipes", "hf_santa/demo/steps_data.py", "hf_santa/problems.jsonl"),
        ("seed", "languages"),
    ),
    DemoStep(
        "tokenizer",
        "train the byte-level BPE",
        ("recipe",),
        ("tokenizer",),
        ("modeling_santa/tokenizer", "modeling_santa/corpus/texts.py", "hf_santa/demo/steps_training.py"),
        ("shape",),
    ),
    DemoStep(
        "corpus",
        "encode and pack, hold files back",
        ("recipe", "tokenizer"),
        ("corpus",),
        ("modeling_santa/corpus", "modeling_santa/tokenizer", "hf_santa/demo/steps_training.py"),
    ),
    DemoStep(
        "train",
        "train the model on the CPU",
        ("corpus",),
        ("trained",),
        ("modeling_santa", "hf_santa/measures.py", "hf_santa/baselines.py", "hf_santa/demo/steps_training.py"),
        ("seed", "shape", "train_tokens", "max_minutes", "fim"),
    ),
    DemoStep(
        "model",
        "stage the model repository and open it in a clean process",
        ("train", "tokenizer"),
        ("model", "parity.json"),
        (
            "modeling_santa",
            "hf_santa/repositories/write.py",
            "hf_santa/repositories/clean_process.py",
            "hf_santa/repositories/clean_load.py",
            "hf_santa/demo/steps_release.py",
        ),
    ),
    DemoStep(
        "complete",
        "write completions and infills",
        ("model",),
        ("completions",),
        ("eval_multipl_e", "hf_santa/demo/steps_scoring.py", "hf_santa/problems.jsonl"),
        ("seed", "samples"),
    ),
    DemoStep(
        "score",
        "run them through the metric",
        ("complete",),
        ("eval_multipl_e", "results.json"),
        ("eval_multipl_e", "hf_santa/demo/steps_scoring.py", "hf_santa/repositories/write.py"),
        ("seed", "toolchains"),
    ),
    DemoStep(
        "card",
        "write the model card from the results",
        ("recipe", "train", "model", "score"),
        ("model/README.md",),
        ("modeling_santa/card.md", "hf_santa/demo/steps_release.py", "hf_santa/repositories/model_card.py"),
    ),
    DemoStep(
        "space",
        "start the Space, ask it, stop it",
        ("model",),
        ("space", "space.json"),
        (
            "spaces/santa_demo",
            "hf_santa/demo/steps_release.py",
            "hf_santa/demo/used_by.py",
            "hf_santa/repositories/write.py",
            "hf_santa/repositories/clean_process.py",
        ),
    ),
    DemoStep(
        "used-by",
        "run the four examples of the README",
        ("recipe", "card", "score", "space"),
        ("used_by.json",),
        ("hf_santa/demo/used_by.py",),
    ),
)
STEP_NAMES = tuple(step.name for step in STEPS)


def with_needs(names: Iterable[str]) -> list[DemoStep]:
    """Return the named steps and all they need, in running order.

    Raises:
        DemoError: a name is unknown.
    """
    by_name = {step.name: step for step in STEPS}
    wanted: set[str] = set()
    queue = list(names)
    while queue:
        name = queue.pop()
        if name not in by_name:
            raise DemoError(f"--only: {name!r} is not a step. Choose from {', '.join(STEP_NAMES)}.")
        if name not in wanted:
            wanted.add(name)
            queue += by_name[name].needs
    return [step for step in STEPS if step.name in wanted]


def stamp_path(out: Path, step: DemoStep) -> Path:
    """Return where the step's stamp lies."""
    return out / ".steps" / f"{step.name}.json"


def step_fingerprint(out: Path, step: DemoStep, settings: Mapping[str, Any]) -> str:
    """Return a digest of all that decides the step's bytes: settings, code, and the digests of its inputs."""
    inputs = {name: json.loads((out / ".steps" / f"{name}.json").read_text())["files"] for name in step.needs}
    chosen = {name: settings[name] for name in step.settings}
    about = json.dumps([chosen, code_digest(step.code), inputs], sort_keys=True)
    return hashlib.sha256(about.encode()).hexdigest()


def code_digest(places: Iterable[str]) -> str:
    """Return a digest over the source files of the given places; caches are left out."""
    digest = hashlib.sha256()
    for place in places:
        for path in files_below(PACKAGES / place):
            if "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(PACKAGES)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def why_stale(out: Path, step: DemoStep, settings: Mapping[str, Any]) -> str | None:
    """Return why the step has to run, or None if all it wrote is there and up to date."""
    path = stamp_path(out, step)
    if not path.is_file():
        return "not done yet"
    try:
        stamp = json.loads(path.read_text())
        if stamp["fingerprint"] != step_fingerprint(out, step, settings):
            return "settings, code or inputs changed"
        return _damage(out, stamp["files"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "its stamp cannot be read"
    except FileNotFoundError:
        return "a step it needs is not done"


def _damage(out: Path, files: Mapping[str, str]) -> str | None:
    """Return which recorded file is missing or altered, or None."""
    for name, expected in files.items():
        if not (out / name).is_file():
            return f"{name} is missing"
        if sha256(out / name) != expected:
            return f"{name} is not what was written"
    return None


def write_stamp(out: Path, step: DemoStep, settings: Mapping[str, Any], summary: str) -> None:
    """Record the finished step: its fingerprint, its summary line and the SHA-256 of every file it wrote."""
    paths = [path for output in step.outputs for path in files_below(out / output)]
    stamp = {
        "fingerprint": step_fingerprint(out, step, settings),
        "summary": summary,
        "files": {path.relative_to(out).as_posix(): sha256(path) for path in paths},
    }
    write_json(stamp_path(out, step), stamp)


def manifest(out: Path, steps: Iterable[DemoStep]) -> dict[str, str]:
    """Return the SHA-256 of every file that the finished steps wrote, by path below OUT."""
    files: dict[str, str] = {}
    for step in steps:
        files |= json.loads(stamp_path(out, step).read_text())["files"]
    return dict(sorted(files.items()))
