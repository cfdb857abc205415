"""Mark finished work with a digest of all it depends on and the checksums of what it wrote.

A step whose marker has the same key and whose outputs have the same checksums is not done again.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from data_recipes.disk.files import checksum, write_text
from data_recipes.errors import StoreError


def digest(value: Any) -> str:
    """Return a short digest of a JSON value, for markers."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]


@cache
def code_digest() -> str:
    """Return a digest of this package's source files: other code may give other bytes, so its work is not reused."""
    folder = Path(__file__).parents[1]
    sources = sorted(path for path in folder.rglob("*") if path.suffix in {".py", ".toml", ".md", ".json"})
    return digest([[path.relative_to(folder).as_posix(), checksum(path)] for path in sources])


def mark_done(marker: Path, key: str, outputs: Sequence[Path], facts: Mapping[str, Any]) -> None:
    """Record that a step with this key is finished, the checksums of its outputs and what else it found."""
    sums = {os.path.relpath(path, marker.parent): checksum(path) for path in outputs}
    write_text(marker, json.dumps({"key": key, "outputs": sums, "facts": facts}, ensure_ascii=False) + "\n")


def read_marker(marker: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the checksums of a finished step's outputs by name, and its facts.

    Raises:
        StoreError: The step did not finish, or its marker is damaged.
    """
    try:
        record = json.loads(marker.read_text("utf-8"))
        return dict(record["outputs"]), dict(record["facts"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError(f"{marker}: no readable marker of a finished step. Run again.") from error


def finished(marker: Path, key: str) -> tuple[dict[str, Any] | None, str]:
    """Return the facts of a finished step, or None and why it has to be done (an empty reason: it was never begun)."""
    if not marker.exists():
        return None, ""
    try:
        record = json.loads(marker.read_text("utf-8"))
        done_key, sums, facts = record["key"], dict(record["outputs"]), dict(record["facts"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None, f"{marker.name} is unreadable"
    if done_key != key:
        return None, "the input or the settings have changed"
    for name, expected in sums.items():
        path = marker.parent / name
        if not path.exists():
            return None, f"{path.name} is missing"
        if checksum(path) != expected:
            return None, f"{path.name} is damaged (its checksum differs)"
    return dict(facts), ""
