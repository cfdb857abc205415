"""Runs the code blocks of a page as a reader does, and looks for JSON fields that no page explains."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from data_recipes import RECIPES
from data_recipes.recipes import mode_of
from data_recipes.sources.language_names import language_names
from eval_multipl_e import LANGUAGES
from hf_santa.demo.steps import STEP_NAMES

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r'^```(sh|python)(?: title="([^"]*)")?\n(.*?)^```', re.MULTILINE | re.DOTALL)
_START_S = 180

# Formats of others, and pages that only our own programs read.
_NOT_OURS = {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "adapter_config.json"}
_INTERNAL = {"report.json", "progress.json", "manifest.json", "settings.json"}
_STATUSES = {"OK", "AssertionError", "Exception", "SyntaxError", "ReferenceError", "Timeout", "ToolMissing"}
_DATA = {
    *RECIPES,
    *LANGUAGES,
    *language_names(),
    *STEP_NAMES,
    *_STATUSES,
    "all",
    "dataset",
    "metric",
    "model",
    "space",
}


def environment(home, **more):
    """A reader's environment: this interpreter first, no network, caches of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HF_SANTA_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PATH": path, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "GRADIO_ANALYTICS_ENABLED": "0", **more}


def run(command, folder, env):
    """Run a command in a folder; it must succeed. Return its output."""
    done = subprocess.run(
        list(map(str, command)), cwd=folder, env=env, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"{command[-1]}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
    return done.stdout


def run_page(name, folder, env):
    """Run every block of a get-started page in order; return their outputs. A block with a title stays open meanwhile."""
    page = (ROOT / "docs" / "get-started" / f"{name}.md").read_text()
    outputs, servers = [], []
    try:
        for language, title, code in _BLOCK.findall(page):
            if title:
                server = subprocess.Popen(
                    ["bash", "-ec", code], cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )  # fmt: skip
                servers.append(server)
                wait_for_port(int(re.search(r"--port (\d+)", code).group(1)), server)
            elif language == "sh":
                outputs.append(run(["bash", "-euo", "pipefail", "-c", code], folder, env))
            else:
                outputs.append(run([sys.executable, "-c", code], folder, env))
    finally:
        for server in servers:
            os.killpg(server.pid, 15)
            server.wait(30)
    return outputs


def wait_for_port(port, server):
    """Wait until something listens; the process that should must still run."""
    end = time.monotonic() + _START_S
    while time.monotonic() < end:
        assert server.poll() is None, "the server ended"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise AssertionError(f"nothing listens on port {port} after {_START_S} s")


@contextmanager
def checkout(folder):
    """A folder that looks like a checkout with its environment, in which `make` only says what it would do."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (folder / name).symlink_to(ROOT / name)
    (folder / ".venv").symlink_to(sys.prefix)
    yield folder


def fields_of(value):
    """Every name of a field in a JSON value, at any depth."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from () if name == "licenses" else fields_of(inner)  # below it stand names of licences
    elif isinstance(value, list):
        for inner in value[:50]:
            yield from fields_of(inner)


def unexplained_fields(folder):
    """The fields of JSON files below a folder that docs/reference/file-formats.md does not name, with their file."""
    page = (ROOT / "docs" / "reference" / "file-formats.md").read_text()
    explained = set(re.findall(r"`([^`\s]+)`", page))
    found = {}
    for path in sorted(Path(folder).rglob("*.json")):
        parts = path.relative_to(folder).parts
        if path.name in _NOT_OURS | _INTERNAL or any(part.startswith(".") or part == "checkpoints" for part in parts):
            continue
        for name in fields_of(json.loads(path.read_text())):
            is_data = name in _DATA or "/" in name or "." in name or mode_of(name.rpartition("_")[0])
            if name not in explained and not is_data:
                found.setdefault("/".join(parts), set()).add(name)
    return found
