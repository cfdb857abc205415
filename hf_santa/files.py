"""Write JSON whole, list the files of a folder, and take their digests."""

import hashlib
import json
from pathlib import Path
from typing import Any

from data_recipes.store.reading import mismatch
from hf_santa.errors import HfSantaError


def json_text(value: Any) -> str:
    """Return JSON as every file of ours has it: indented, with a last newline."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def write_json(path: Path, value: Any) -> None:
    """Write JSON under a temporary name and move it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json_text(value), encoding="utf-8")
    partial.replace(path)


ANEW = "Remove it, or give another --out."


def read_json(path: Path, shape: Any, advice: str = ANEW) -> Any:
    """Return what a JSON file holds, after a look at what is needed of it.

    Args:
        path: The file.
        shape: Types by key, as `data_recipes.store.reading.mismatch` takes them.
        advice: What to do where the file is damaged, a sentence.

    Raises:
        HfSantaError: There is no such file, it is not JSON, or it is not of the shape.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise HfSantaError(f"{path} can't be read: {error.strerror}. {advice}") from error
    except (ValueError, RecursionError) as error:
        raise HfSantaError(f"{path} is not JSON ({error}). {advice}") from error
    if problem := mismatch(found, shape):
        raise HfSantaError(f"{path}: {problem}. {advice}")
    return found


def files_below(place: Path) -> list[Path]:
    """Return the files of a folder, sorted, or the file itself; nothing if it does not exist."""
    if place.is_file():
        return [place]
    return sorted(path for path in place.rglob("*") if path.is_file() and not path.is_symlink())


def sha256(path: Path) -> str:
    """Return the file's SHA-256 in hexadecimal."""
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
