"""Stages complete repository folders: what is published, byte for byte, and nothing else.

Each kind has an allow-list; a file that is not on it never gets into a staged folder.
"""

import ast
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

PACKAGES = Path(__file__).resolve().parents[1]
MODEL_CODE = tuple(sorted(path.name for path in (PACKAGES / "modeling_santa").glob("*_santa.py")))
METRIC_LEFT_OUT = ("__init__.py", "cli.py")
HUB_IMPORTS = {"torch", "transformers"}


class StageError(RuntimeError):
    """A repository folder cannot be staged or does not pass its check; the message says why."""


def stage_model(trained: Path, tokenizer: Path, out: Path) -> None:
    """Write a model repository: weights, config, remote code, tokenizer and generation settings.

    `trained` is what SantaForCausalLM.save_pretrained wrote, `tokenizer` what save_tokenizer wrote.

    Raises:
        StageError: a needed file is missing, or a code file imports what the Hub does not have.
    """
    partial = _fresh(out)
    for name in ("config.json", "model.safetensors"):
        _copy(trained / name, partial / name)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        _copy(tokenizer / name, partial / name)
    for name in MODEL_CODE:
        _copy(PACKAGES / "modeling_santa" / name, partial / name)
        check_hub_imports(partial / name)
    config = json.loads((partial / "config.json").read_text())
    generation = {
        "bos_token_id": config["bos_token_id"],
        "eos_token_id": config["eos_token_id"],
        "pad_token_id": config["pad_token_id"],
        "do_sample": True,
        "temperature": 0.2,
        "top_p": 0.95,
    }
    (partial / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")
    _finish(partial, out)


def stage_metric(out: Path) -> None:
    """Write the metric Space: the folder `eval_multipl_e` without its command line and package file."""
    partial = _fresh(out)
    for source in sorted((PACKAGES / "eval_multipl_e").iterdir()):
        if source.is_file() and source.name not in METRIC_LEFT_OUT:
            _copy(source, partial / source.name)
    _finish(partial, out)


def stage_space(out: Path) -> None:
    """Write the demo Space."""
    partial = _fresh(out)
    for source in sorted(space_source().iterdir()):
        if source.is_file():
            _copy(source, partial / source.name)
    _finish(partial, out)


def space_source() -> Path:
    """Return where the Space's files lie: in the repository, or where an installed wheel put its data."""
    installed = Path(sysconfig.get_path("data")) / "share" / "hf-santa"
    for root in (PACKAGES, installed):
        place = root / "spaces" / "santa_demo"
        if (place / "app.py").is_file():
            return place
    raise StageError(f"stage: no spaces/santa_demo/app.py in {PACKAGES} or {installed}. Reinstall hf-santa.")


def check_hub_imports(path: Path) -> None:
    """Check that a code file imports only what a machine without this project has.

    Raises:
        StageError: names the file, the module and the line.
    """
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = ["." * node.level + (node.module or "")]
        else:
            continue
        for module in modules:
            root = module.split(".", maxsplit=1)[0]
            is_sibling = module.startswith(".") and module[1:].endswith("_santa") and "." not in module[1:]
            if not (is_sibling or root in HUB_IMPORTS or root in sys.stdlib_module_names):
                raise StageError(
                    f"stage: {path.name} imports {module!r} (line {node.lineno}). Files uploaded to the Hub may "
                    "import only stdlib, torch, transformers and ./*_santa.py."
                )


def open_in_clean_process(model: Path) -> dict[str, Any]:
    """Open a staged model in a process without this project, offline and with empty caches; return what it saw.

    Raises:
        StageError: the folder does not open; the message has the end of the process's output.
    """
    script = Path(__file__).with_name("clean_load.py")
    with tempfile.TemporaryDirectory() as empty:
        done = subprocess.run(
            [sys.executable, "-I", script, model.resolve()],
            cwd=empty,
            env=clean_environment(Path(empty)),
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise StageError(f"stage: {model} does not open in a clean process:\n{done.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def clean_environment(home: Path) -> dict[str, str]:
    """Return this process's environment with Hugging Face's caches in `home`, offline, without tokens."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("HF_") and name != "PYTHONPATH"}
    return {
        **ours,
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "GRADIO_ANALYTICS_ENABLED": "0",
    }


def _fresh(out: Path) -> Path:
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    return partial


def _copy(source: Path, target: Path) -> None:
    if not source.is_file():
        raise StageError(f"stage: {source} does not exist, but {target.name} is part of the repository. Make it first.")
    shutil.copyfile(source, target)


def _finish(partial: Path, out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    partial.replace(out)
