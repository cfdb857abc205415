"""Load a user's filters: from installed packages (entry points) and from Python files named for a run."""

import importlib.util
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from data_recipes.disk.files import checksum
from data_recipes.errors import DataError
from data_recipes.filters.filter import Drop, Filter, Measuring, Record, Thresholds
from data_recipes.filters.registry import add

GROUP = "hf_santa.filters"
"""The group of entry points whose objects are filters."""

_loaded: dict[Path, str] = {}


@cache
def load_installed() -> dict[str, str]:
    """Register the filters of installed packages; return the version of the package of each by name.

    Raises:
        DataError: An entry point can't be imported, or is no filter.
    """
    versions = {}
    for point in entry_points(group=GROUP):
        owner = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
        try:
            found = point.load()
        except Exception as error:
            advice = "Repair or uninstall the package."
            raise DataError(f"{owner}: filter {point.name!r} ({point.value}) is broken: {error!r}. {advice}") from error
        _take(found, f"{owner}, {point.value}")
        versions[found.name] = owner
    return versions


def load_file(path: str) -> str:
    """Register every filter that a Python file defines; return the file's checksum. The file is run.

    Raises:
        DataError: There is no such file, it fails, or it defines no filter.
    """
    place = Path(path).resolve()
    if not place.is_file() or place.suffix != ".py":
        raise DataError(f"{path}: no such Python file. Pass the path of a .py file that defines a Filter.")
    digest = checksum(place)
    if _loaded.get(place) == digest:
        return digest
    spec = importlib.util.spec_from_file_location(f"hf_santa_filters_{digest[:12]}", place)
    if spec is None or spec.loader is None:
        raise DataError(f"{path}: not importable. Pass a .py file that defines a Filter.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise DataError(f"{path} is broken: {type(error).__name__}: {error}. Repair it.") from error
    found = {id(value): value for value in vars(module).values() if isinstance(value, Filter)}
    if not found:
        expected = "`FILTER = Filter(name=…, summary=…, source=…, keep=…, columns=(…))`"
        raise DataError(f"{path} defines no filter. Expected {expected} of data_recipes.filters.")
    for made in found.values():
        _take(made, path)
    _loaded[place] = digest
    return digest


def load_files(paths: Iterable[str]) -> dict[str, str]:
    """Register the filters of some files; return their checksums by name."""
    return {Path(path).name: load_file(path) for path in paths}


def _take(made: Any, where: str) -> None:
    """Register a filter so that its faults are told as its own."""
    if not isinstance(made, Filter):
        raise DataError(f"{where} is {type(made).__name__}, no Filter. Expected one of data_recipes.filters.")
    measure = None if made.measure is None else _guarded_measure(made.name, made.measure)
    add(replace(made, keep=_guarded_keep(made.name, made.keep), measure=measure), where)


def _guarded_keep(
    name: str, keep: Callable[[Record, Thresholds], Drop | None]
) -> Callable[[Record, Thresholds], Drop | None]:
    def guarded(record: Record, thresholds: Thresholds) -> Drop | None:
        try:
            found = keep(record, thresholds)
        except Exception as error:
            raise DataError(f"filter {name!r}: keep() failed: {type(error).__name__}: {error}.") from error
        if found is not None and not isinstance(found, Drop):
            raise DataError(f"filter {name!r}: keep() returned {found!r:.80}. Expected None or Drop(reason, detail).")
        return found

    return guarded


def _guarded_measure(name: str, measure: Any) -> Any:
    def guarded(texts: Sequence[str], langs: Sequence[str], use: Measuring) -> Sequence[float | None]:
        try:
            found = [None if value is None else float(value) for value in measure(texts, langs, use)]
        except DataError:
            raise
        except Exception as error:
            raise DataError(f"filter {name!r}: measure() failed: {type(error).__name__}: {error}.") from error
        if len(found) != len(texts):
            raise DataError(f"filter {name!r}: measure() gave {len(found)} numbers for {len(texts)} texts.")
        return found

    return guarded
