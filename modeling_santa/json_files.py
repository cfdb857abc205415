"""Read JSON that an earlier step wrote; what is not as expected is one sentence that names the file."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any

from modeling_santa.errors_santa import ModelError

Fields = Mapping[str, type | UnionType]


def read_object(path: Path, fields: Fields, advice: str) -> dict[str, Any]:
    """Return the object of a JSON file, after a look at the fields that are needed.

    Args:
        path: The file.
        fields: The fields that must be there, and of which type each is.
        advice: What to do where the file is damaged, a sentence.

    Raises:
        ModelError: There is no such file, it is not JSON, or a field is missing or of another type.
    """
    return _checked(path, _text(path, advice), fields, advice)


def read_objects(path: Path, fields: Fields, advice: str) -> list[dict[str, Any]]:
    """Return the objects of a file with one in each line, checked as `read_object` does."""
    # A line ends at a line feed alone: JSON's texts may hold the other ends of lines that `splitlines` knows.
    lines = _text(path, advice).removesuffix("\n").split("\n")
    lines = [] if lines == [""] else lines
    return [_checked(path, line, fields, advice, f", line {number}") for number, line in enumerate(lines, 1)]


def _text(path: Path, advice: str) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ModelError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start}). {advice}") from error
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror}. {advice}") from error


def _checked(path: Path, text: str, fields: Fields, advice: str, where: str = "") -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}{where} is not JSON ({error}). {advice}") from error
    if not isinstance(found, dict):
        raise ModelError(f"{path}{where} holds a {type(found).__name__}, expected an object. {advice}")
    check_fields(path, found, fields, advice, where)
    return found


def check_fields(path: Path, found: Mapping[str, Any], fields: Fields, advice: str, where: str = "") -> None:
    """Raise ModelError if an object of a file lacks a field, or one is of another type."""
    for name, kind in fields.items():
        value = found.get(name)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            expected = kind.__name__ if isinstance(kind, type) else str(kind)
            seen = f"is {repr(value)[:60]}" if name in found else "is missing"
            raise ModelError(f"{path}{where}: {name!r} {seen}, expected {expected}. {advice}")
