"""Read JSON lines as rows: a source file's record a line, with the columns of any Stack layout."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from data_recipes.disk.packed import unpacked
from data_recipes.errors import DataError
from data_recipes.sources.layouts import fields_in, layout_of
from data_recipes.sources.parquet import holds_programs, rows_of_records
from data_recipes.sources.row import MAX_FILE_BYTES, PROVENANCE_SCHEMA, Reject, Row

_NAMES = (".jsonl", ".ndjson", ".jsonlines")
_PACKED = (".gz", ".zst")
_LINE_BYTES = 256 << 20
_BATCH_ROWS, _BATCH_BYTES = 512, 16 << 20


def is_json_lines(path: Path) -> bool:
    """Return whether a file's name says that it holds JSON lines, perhaps packed."""
    name = path.name.lower()
    for packed in _PACKED:
        name = name.removesuffix(packed)
    return path.is_file() and name.endswith(_NAMES)


def json_lines_in(folder: Path) -> list[Path]:
    """Return the files of JSON lines in a folder or its `data/`, sorted; none where it is a source tree.

    A source tree holds a file of a programming language; its JSON lines are files of it, in the language JSON.
    """
    if not folder.is_dir():
        return []
    found = sorted(path for inside in (folder, folder / "data") for path in inside.glob("*") if is_json_lines(path))
    return [] if not found or holds_programs(folder) else found


class JsonLines:
    """A file of JSON lines. Its columns are those of the first lines, up to 16 MB."""

    def __init__(self, path: Path) -> None:
        self._path = path
        first = next(self._batches(), None)
        names = sorted({name for record in first[1] for name in record}) if first else ["content"]
        children = {
            name: sorted({key for value in _values(first[1] if first else [], name) for key in value}) for name in names
        }
        self._layout = layout_of(str(path), names)
        found = fields_in(self._layout, names, children)
        self.provenance = tuple(name for name in PROVENANCE_SCHEMA.names if name in found)

    def rows(self, max_file_bytes: int = MAX_FILE_BYTES) -> Iterator[Row | Reject]:
        """Yield the rows and rejects of all lines.

        Raises:
            DataError: A line is no JSON object, or the file is damaged.
        """
        for number, records in self._batches():
            yield from rows_of_records(self._layout, records, f"{self._path.name}:", number, max_file_bytes)

    def _batches(self) -> Iterator[tuple[int, list[dict[str, Any]]]]:
        """Yield some lines' records at once, and the number of the first, counted from 1."""
        records: list[dict[str, Any]] = []
        held = 0
        with unpacked(self._path) as stream:
            number = 0
            for number, line in enumerate(_lines(stream), start=1):
                if line.strip():
                    records.append(self._record(line, number))
                    held += len(line)
                if records and (len(records) == _BATCH_ROWS or held >= _BATCH_BYTES):
                    yield number - len(records) + 1, records
                    records, held = [], 0
            if records:
                yield number - len(records) + 1, records

    def _record(self, line: bytes, number: int) -> dict[str, Any]:
        if len(line) > _LINE_BYTES:
            raise DataError(f"{self._path}: line {number} is longer than {_LINE_BYTES:,} bytes. Write a file a line.")
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:  # UnicodeDecodeError among them
            raise DataError(f"{self._path}: line {number} is no JSON ({error}). Write one object a line.") from error
        if not isinstance(record, dict):
            seen = type(record).__name__
            raise DataError(f"{self._path}: line {number} holds a {seen}, expected an object with 'content'.")
        return record


def _lines(stream: IO[bytes]) -> Iterator[bytes]:
    while line := stream.readline(_LINE_BYTES + 1):
        yield line


def _values(records: list[dict[str, Any]], name: str) -> Iterator[Mapping[str, Any]]:
    """Yield the structures that a column holds, itself or in lists."""
    for record in records:
        value = record.get(name)
        for item in value[:1] if isinstance(value, list) else [value]:
            if isinstance(item, Mapping):
                yield item
