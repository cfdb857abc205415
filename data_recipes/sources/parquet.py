"""Read parquet tables of files, in any of The Stack's layouts, as rows and rejects."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data_recipes.disk.files import PathLike
from data_recipes.engine.line_scan import scan_lines
from data_recipes.errors import DataError
from data_recipes.sources.language_names import is_program, language_of, spelled
from data_recipes.sources.layouts import Layout, columns_to_read, fields_in, layout_of, records_of
from data_recipes.sources.row import MAX_FILE_BYTES, PROVENANCE_SCHEMA, STATISTICS, Reject, Row, make_row

_NOT_SCANNED = {"avg_line_length": 0.0, "max_line_length": -1, "alphanum_fraction": 0.0}  # until the batch is scanned
_PROVENANCE = tuple(PROVENANCE_SCHEMA.names)
_BATCH_ROWS, _BATCH_BYTES = 512, 16 << 20
_BATCH_REPOSITORIES = 8  # a row of The Stack v3 is a whole repository


def parquet_files(source: PathLike) -> list[Path]:
    """Return the parquet files of a source, sorted: the file itself, or all of a folder."""
    path = Path(source)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(f"{path}: no such file or folder. Pass a parquet file or a folder of parquet files.")
    found = sorted(p for p in path.rglob("*.parquet") if p.name != "rejects.parquet" and not p.name.startswith("."))
    if not found:
        raise DataError(f"{path}: no .parquet file found. Write rows first (`hf-santa data rows TREE OUT`).")
    return found


def tables_of(roots: Sequence[PathLike]) -> list[Path]:
    """Return the parquet files, if the one source is such a file or a folder of them.

    A folder with such files deeper inside, as in `data/`, and with files of a programming language is a source tree.
    """
    only = Path(roots[0])
    is_table = only.suffix == ".parquet" or any(only.glob("*.parquet"))
    if not is_table and only.is_dir() and next(only.rglob("*.parquet"), None):
        is_table = not holds_programs(only)
    return parquet_files(only) if len(roots) == 1 and is_table else []


def holds_programs(folder: Path) -> bool:
    """Return whether a folder has a file of a programming language anywhere inside."""
    return any(is_program(path.name) for path in folder.rglob("*") if not path.name.startswith("."))


def read_parquet(
    source: PathLike,
    *,
    max_file_bytes: int = MAX_FILE_BYTES,
) -> Iterator[Row | Reject]:
    """Yield the rows and rejects of a parquet file or a folder of them, in any of the layouts of `layouts.py`.

    Columns that can be derived (size, ext, lang, hexsha, line statistics) are computed where they are missing. Exact
    duplicates stay: which of them is to be kept, only a reader of all files can tell.

    Raises:
        DataError: A file is no parquet, or a table has no `content`.
    """
    for file in parquet_files(source):
        with readable(file) as table:
            names = table.schema_arrow.names
            layout = layout_of(str(file), names)
            size = _batch_rows(table, _BATCH_REPOSITORIES if layout.files else _BATCH_ROWS)
            number = 0
            for batch in table.iter_batches(batch_size=size, columns=columns_to_read(layout, names)):
                yield from rows_of_batch(layout, batch, f"{file.name}:", number, max_file_bytes)
                number += batch.num_rows


def _batch_rows(table: pq.ParquetFile, most: int) -> int:
    """Return how many rows to read at once, so that a batch of the group with the longest rows has some MB."""
    groups = (table.metadata.row_group(number) for number in range(table.num_row_groups))
    longest = max((group.total_byte_size / max(group.num_rows, 1) for group in groups), default=0)
    return max(1, min(most, int(_BATCH_BYTES / max(longest, 1))))


@contextlib.contextmanager
def readable(file: Path) -> Iterator[pq.ParquetFile]:
    """Yield the opened parquet file; one that can't be read is an error that names it."""
    try:
        yield pq.ParquetFile(file)
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        advice = "Delete it and write it again."
        if file.suffix != ".parquet":
            advice = "Pass a .parquet file, or .jsonl (also .gz, .zst) for JSON lines."
        raise DataError(f"{file}: not a readable parquet file ({str(error)[:120]}). {advice}") from error


def rows_of_batch(
    layout: Layout,
    batch: pa.RecordBatch,
    place: str,
    first: int,
    max_file_bytes: int = MAX_FILE_BYTES,
) -> Iterator[Row | Reject]:
    """Return rows and rejects of a batch; one without a path is named by `place` and its number, from `first` on."""
    yield from rows_of_records(layout, batch.to_pylist(), place, first, max_file_bytes)


def rows_of_records(
    layout: Layout,
    records: Sequence[Mapping[str, Any]],
    place: str,
    first: int,
    max_file_bytes: int = MAX_FILE_BYTES,
) -> Iterator[Row | Reject]:
    """Return rows and rejects of records; one without a path is named by `place` and its number, from `first` on."""
    made = [
        _from_record(record, f"{place}{number}", max_file_bytes)
        for number, outer in enumerate(records, start=first)
        for record in records_of(layout, outer)
    ]
    lacking = [n for n, item in enumerate(made) if isinstance(item, Row) and item.max_line_length < 0]
    scanned = scan_lines([item.content for n in lacking if isinstance(item := made[n], Row)])
    statistics = zip(*(getattr(scanned, name).tolist() for name in STATISTICS), strict=True)
    for n, values in zip(lacking, statistics, strict=True):
        made[n] = replace(made[n], **dict(zip(STATISTICS, values, strict=True)))
    yield from made


def provided_fields(file: Path) -> set[str]:
    """Return our fields that a parquet file has, in whatever layout."""
    with readable(file) as table:
        return provided_by(str(file), table.schema_arrow)


def provided_by(place: str, schema: pa.Schema) -> set[str]:
    """Return our fields that a table with this schema has; `place` names it in errors."""
    layout = layout_of(place, schema.names)
    return fields_in(layout, schema.names, {field.name: _children(field.type) for field in schema})


def _children(kind: pa.DataType) -> list[str]:
    """The names inside a structure or a list of structures."""
    inner = kind.value_type if pa.types.is_list(kind) or pa.types.is_large_list(kind) else kind
    return [inner.field(i).name for i in range(inner.num_fields)] if pa.types.is_struct(inner) else []


def _from_record(record: dict[str, Any], place: str, max_file_bytes: int) -> Row | Reject:
    content = record.get("content")
    path = record.get("path") or place
    if isinstance(content, bytes) and record.get("encoding"):
        content = _decoded(content, record["encoding"])
    if content is not None and not isinstance(content, str | bytes):
        raise DataError(
            f"{place}: its content is {type(content).__name__}, expected text or bytes. Choose another column."
        )
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content or b""
    ext = (record.get("ext") or Path(path).suffix).lower().removeprefix(".")
    named = path if record.get("path") or not ext else f"{path}.{ext}"
    lang = spelled(record["lang"]) if record.get("lang") else language_of(named, data)
    if not lang:
        detail = "neither 'lang' nor a known extension"
        return Reject(path, "", len(data), "read", "unknown_language", detail)
    if len(data) > max_file_bytes:
        detail = f"{len(data)} bytes exceed max_file_bytes={max_file_bytes}"
        return Reject(path, lang, len(data), "read", "too_large", detail)
    given = {name: record[name] for name in ("size", "hexsha", *STATISTICS, *_PROVENANCE) if name in record}
    if not given.keys() & set(STATISTICS):
        given |= _NOT_SCANNED
    return make_row(data, path, ext=ext, lang=lang, given=given)


def _decoded(content: bytes, encoding: str) -> str | bytes:
    """The text of bytes in the encoding that their row names; the bytes themselves where that does not work."""
    try:
        return content.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return content
