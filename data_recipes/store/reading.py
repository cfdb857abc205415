"""Read funnel.json and check every field, so that nobody after it meets a missing one."""

import json
import logging
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any

from data_recipes.errors import StoreError

if TYPE_CHECKING:
    from data_recipes.disk.files import PathLike  # brings pyarrow, which the smallest installation has not

_LOGGER = logging.getLogger("hf_santa.data")
_SECRET = ("random", "key file")
_VOLUME = {"files": int, "bytes": int}
_STAGE = {"name": str, **_VOLUME}
_FUNNEL = {
    "recipe": str,
    "recipes": [str],
    "steps": [str],
    "definitions": {...: {"summary": str, "source": str, "steps": [str], "files": str, "digest": str, "own": dict}},
    "unavailable": {...: str},
    "unmeasured": {...: {...: int}},
    "order": [str],
    "columns": {...: str},
    "thresholds": dict,
    "benchmarks": {...: int},
    "not_searched": [{"benchmark": str, "problem": str, "string": str}],
    "configs": [{"config_name": str, "rows": int}],
    "redactions": {...: int},
    "totals": {"stages": [_STAGE], "recipes": {...: _VOLUME}},
    "funnel": [
        {
            "lang": str,
            "digest": str,
            "stages": [_STAGE],
            "recipes": {...: _VOLUME},
            "rejects": [{"stage": str, "reason": str, **_VOLUME}],
        }
    ],
}
"""The shape of funnel.json: types by key; `...` stands for any key, a list of one entry for any number of such."""


def read_funnel(store: "PathLike") -> dict[str, Any]:
    """Return what the funnel.json of a store holds.

    Raises:
        StoreError: There is no such file, or it is not what this version of `data run` writes.
    """
    path = Path(store) / "funnel.json"
    if not path.is_file():
        raise StoreError(f"{path}: no such file. Pass a folder that `hf-santa data run` wrote.")
    advice = "It was damaged, or written by another version: run `hf-santa data run` again."
    try:
        found = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path}: not readable as JSON ({error}). {advice}") from error
    if is_guessable(found):
        _warn_of_guesses(str(store))
    if isinstance(found, dict) and "steps" not in found and "definitions" in found:
        raise StoreError(
            f"{path}: a store of an older version, whose recipes were filters; here they are files. Run `hf-santa data "
            "run` again with the same arguments: it keeps nothing of the old store but its place."
        )
    if problem := mismatch(found, _FUNNEL):
        raise StoreError(f"{path}: {problem}. {advice}")
    if lacking := sorted({"base", found["recipe"], *found["recipes"]} - found["definitions"].keys()):
        raise StoreError(f"{path}: definitions has no {lacking[0]!r}. {advice}")
    return dict(found)


def is_guessable(funnel: Any) -> bool:
    """Tell whether anyone can test guesses against a store: it was redacted by a public seed, as older versions always did.

    >>> is_guessable({"recipe": "base", "seed": 0}), is_guessable({"recipe": "base", "redaction_key": "random"})
    (True, False)
    """
    return isinstance(funnel, dict) and "recipe" in funnel and funnel.get("redaction_key") not in _SECRET


def warn_if_guessable(store: "PathLike") -> None:
    """Warn once of a folder whose redaction can be undone by guessing; a folder that is no store is passed over."""
    try:
        found = json.loads((Path(store) / "funnel.json").read_text("utf-8"))
    except (OSError, ValueError):
        return
    if is_guessable(found):
        _warn_of_guesses(str(store))


@cache  # a command reads a funnel more than once
def _warn_of_guesses(store: str) -> None:
    _LOGGER.warning(
        "%s: redacted by a public seed, or by a version that had no other way: anyone who has it can test guesses of "
        "what was replaced. Run `hf-santa data run` again from its source, without --seed, before others get it.",
        store,
    )


def mismatch(value: Any, shape: Any, place: str = "it") -> str | None:
    """Return where a JSON value is not of a shape, and what was expected there; None where it is.

    >>> mismatch({"a": [1, "x"]}, {"a": [int]})
    "a[1] is 'x', expected int"
    """
    if isinstance(shape, type | UnionType):
        is_right = isinstance(value, shape) and not (shape is int and isinstance(value, bool))
        return None if is_right else f"{place} is {_short(value)}, expected {getattr(shape, '__name__', shape)}"
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{place} is {_short(value)}, expected a list"
        found = (mismatch(item, shape[0], f"{place}[{number}]") for number, item in enumerate(value))
        return next((problem for problem in found if problem), None)
    return _mismatch_of_fields(value, shape, place)


def _mismatch_of_fields(value: Any, shape: Mapping[Any, Any], place: str) -> str | None:
    if not isinstance(value, dict):
        return f"{place} is {_short(value)}, expected an object"
    fields = dict.fromkeys(value, shape[...]) if ... in shape else shape
    for key, inner in fields.items():
        if key not in value:
            return f"{place} has no {key!r}"
        if problem := mismatch(value[key], inner, key if place == "it" else f"{place}.{key}"):
            return problem
    return None


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
