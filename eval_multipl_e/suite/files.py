"""The one reader of results and of settings: what it gives has been checked, so that nobody after it meets a missing field."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any

from eval_multipl_e.errors import EvalError
from eval_multipl_e.suite.infilling import MATCH_MODES

Types = Mapping[str, type | UnionType]
_NUMBER = int | float
_ABOUT: Types = {"problems": int, "problems_sha256": str, "shard": list}
_SETTINGS: Types = {**_ABOUT, "n": int, "batch_size": int}
_RESULTS: Types = {**_ABOUT, "k": list, "seed": int, "intervals": dict, "results": list}
_ROW: Types = {"problem": int, "completion": int, "language": str}
_MISSING: Types = {"language": str, "whole_language": bool}
_OPTIONAL: Types = {
    "task": str | None,
    "dataset": str | None,
    "dataset_revision": str | None,
    "temperature": _NUMBER | None,
    "top_p": _NUMBER | None,
    "n": int,
    "mode": str | None,
    "settings": dict,
    "toolchains": dict,
    "missing_toolchains": list,
    "status": str,
    "exit_code": int | None,
    "reason": str,
    "kind": str,
    "bleu": _NUMBER,
    **{f"exact_match/{mode}": _NUMBER for mode in MATCH_MODES},
}


def read_settings_file(path: Path) -> dict[str, Any]:
    """Return what `hf-santa eval complete` wrote beside its completions.

    Raises:
        EvalError: The file is damaged, or was not written by it.
    """
    try:
        found = _object(path, _SETTINGS)
        _check(found["n"] > 0 and found["batch_size"] > 0, "n and batch_size have to be 1 or more")
    except _Damage as error:
        raise EvalError(f"{path} is no settings file of `hf-santa eval complete`: {error}.") from error
    return found


def read_results_file(path: Path) -> dict[str, Any]:
    """Return what `hf-santa eval score` or `merge` wrote.

    Raises:
        EvalError: The file is damaged, or was not written by them.
    """
    try:
        found = _object(path, _RESULTS)
        for number, row in enumerate(found["results"]):
            _check_fields(row, _ROW, f"results[{number}]")
            _check(0 <= row["problem"] < found["problems"], f"results[{number}] is of problem {row['problem']}")
            lacking = sorted(_marks(found["results"][0]) ^ _marks(row))
            _check(not lacking, f"results[0] and results[{number}] have not both {', '.join(lacking)}")
        for number, row in enumerate(found.get("missing_toolchains", [])):
            _check_fields(row, _MISSING, f"missing_toolchains[{number}]")
        _check_fields(found.get("settings", {}), {}, "settings")
        for name, pair in found["intervals"].items():
            _check(isinstance(pair, list) and len(pair) == 2, f"the interval of {name!r} is no pair")
            _check(all(_is(value, _NUMBER) for value in [*pair, found.get(name)]), f"{name!r} is no number")
        _check(all(_is(k, int) and k > 0 for k in found["k"]), "k holds what is no whole number above 0")
    except _Damage as error:
        raise EvalError(f"{path} is no results file of `hf-santa eval score`: {error}.") from error
    return found


class _Damage(Exception):  # noqa: N818  # one message for all that is wrong
    """What is wrong with a file."""


def _object(path: Path, wanted: Types) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise _Damage(str(error)) from error
    _check_fields(found, wanted, "it")
    pair = found["shard"]
    _check(len(pair) == 2 and all(_is(value, int) for value in pair), "'shard' is no pair of numbers")
    _check(0 <= pair[0] < pair[1], f"'shard' is {pair}")
    return dict(found)


def _check_fields(value: Any, wanted: Types, place: str) -> None:
    if not isinstance(value, dict):
        raise _Damage(f"{place} is a {type(value).__name__}, expected an object")
    for name, kind in {**{name: kind for name, kind in _OPTIONAL.items() if name in value}, **wanted}.items():
        seen = repr(value[name])[:60] if name in value else "missing"
        _check(name in value and _is(value[name], kind), f"{name!r} of {place} is {seen}")


def _marks(row: Mapping[str, Any]) -> set[str]:
    """Return what a row was marked with: all rows of a file with the same."""
    return {
        name for name in row if name in ("status", "exit_code", "reason", "bleu") or name.startswith("exact_match/")
    }


def _check(is_right: bool, message: str) -> None:
    if not is_right:
        raise _Damage(message)


def _is(value: Any, kind: type | UnionType) -> bool:
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
