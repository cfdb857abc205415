"""Read labelled files: their contents, or the hexsha of rows, each with what a person or a model said of it."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path
from typing import Any

from data_recipes.disk.packed import unpacked
from data_recipes.errors import DataError
from data_recipes.sources.opening import opened
from data_recipes.sources.parquet import readable
from data_recipes.sources.row import MAX_FILE_BYTES, Row

_LABELS = ("label", "score")
_BATCH_ROWS = 512


@dataclass(frozen=True, slots=True)
class Labelled:
    """A text, what was said of it, and the repository or file that it must not be parted from when some are held out."""

    text: str
    label: Any
    group: str


@dataclass(frozen=True, slots=True)
class LabelColumns:
    """Which columns of a file of labels hold what; `label` None takes `label` or `score`, whichever is there."""

    label: str | None = None
    content: str = "content"
    repo: str = "repo"


def read_labels(
    paths: Sequence[str], source: Sequence[Any] = (), columns: LabelColumns = LabelColumns()
) -> Iterator[Labelled]:
    """Yield the labelled files of parquet files or JSON lines, in their order.

    Each record has a label, and the content or else the `hexsha` of a row of `source`. Files of a `hexsha` come in the
    order of the source.

    Raises:
        DataError: A file can't be read, a record has no label or no text, or the source lacks all that were named.
    """
    named: dict[str, Any] = {}
    for path in paths:
        for number, record in enumerate(_records(Path(path)), start=1):
            label = _label(record, columns, f"{path}: record {number}")
            text, hexsha = record.get(columns.content), record.get("hexsha")
            if isinstance(text, str):
                yield Labelled(text, label, str(record.get(columns.repo) or _digest(text)))
            elif isinstance(hexsha, str):
                named[hexsha] = label
            else:
                found = ", ".join(map(str, record))
                advice = f"Expected text in {columns.content!r}, or a hexsha and --source with those rows."
                raise DataError(f"{path}: record {number} has no text. Columns found: {found}. {advice}")
    if named:
        yield from _of_source(named, source)


def _of_source(named: dict[str, Any], source: Sequence[Any]) -> Iterator[Labelled]:
    """Yield the rows of a source that have a label."""
    if not source:
        raise DataError(f"{len(named):,} labels name files by hexsha. Pass --source with the rows that they are of.")
    found = 0
    with opened(source, limits=None, max_file_bytes=MAX_FILE_BYTES) as rows:
        for row in rows.read():
            if isinstance(row, Row) and row.hexsha in named:
                found += 1
                yield Labelled(row.content, named[row.hexsha], row.repo or row.hexsha)
    if not found:
        raise DataError(f"none of {len(named):,} hexshas is in {', '.join(map(str, source))}. Pass the labelled rows.")


def _records(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        raise DataError(f"{path}: no such file. Pass labels as .parquet or as JSON lines.")
    if path.suffix == ".parquet":
        with readable(path) as table:
            for batch in table.iter_batches(batch_size=_BATCH_ROWS):
                yield from batch.to_pylist()
        return
    with unpacked(path) as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                expected = "Expected .parquet, or an object a line."
                raise DataError(f"{path}: line {number} is no JSON ({error}). {expected}") from error
            if not isinstance(record, dict):
                raise DataError(f"{path}: line {number} holds a {type(record).__name__}. Expected an object.")
            yield record


def _label(record: dict[str, Any], columns: LabelColumns, where: str) -> Any:
    names = (columns.label,) if columns.label else _LABELS
    label = next((record[name] for name in names if record.get(name) is not None), None)
    is_nan = isinstance(label, float) and math.isnan(label)
    if isinstance(label, str | bool | int | float) and not is_nan:
        return label
    found = ", ".join(map(str, record))
    expected = f"Expected a number, a text, true or false in {' or '.join(map(repr, names))}"
    raise DataError(f"{where} has no label ({label!r}). Columns found: {found}. {expected}; --label names the column.")


def _digest(text: str) -> str:
    return sha1(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def good_ones(labels: Sequence[Any], *, at_least: float | None, good: Sequence[str]) -> list[bool]:
    """Return which labels are good: numbers of `at_least` or more, the texts in `good`, or the greater of two values.

    >>> good_ones([0, 1, 1], at_least=None, good=()), good_ones([2, 3, 5], at_least=3, good=())
    ([False, True, True], [False, True, True])

    Raises:
        DataError: It is not clear which are good, or all or none of them are.
    """
    texts = sum(isinstance(label, str) for label in labels)
    if texts not in {0, len(labels)}:
        raise DataError(f"{texts:,} of {len(labels):,} labels are texts, the others numbers. Use one kind.")
    values = sorted(set(labels))
    shown = ", ".join(map(str, values[:8])) + (" …" if len(values) > 8 else "")
    if texts and not good:
        raise DataError(f"the labels are texts ({shown}). Name the good ones with --good.")
    if texts and (unknown := set(good) - set(values)):
        raise DataError(f"--good {min(unknown)}: no label is that. Labels found: {shown}.")
    if not texts and (good or (at_least is None and len(values) > 2)):
        raise DataError(f"the labels are numbers ({shown}). Say from which on they are good with --at-least.")
    found = [label in good for label in labels] if texts else [label >= _least(values, at_least) for label in labels]
    if all(found) or not any(found):
        seen = f"{sum(found):,} of {len(found):,} labels are good ({shown})"
        raise DataError(f"{seen}. Give labels of both kinds, or another bound.")
    return found


def _least(values: Sequence[Any], at_least: float | None) -> Any:
    return values[-1] if at_least is None else at_least
