"""One record type for every source, and how parquet tables of files become such records."""

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data_recipes.errors import DataError
from data_recipes.sources.layouts import Layout, columns_to_read, fields_in, layout_of, records_of

LANGUAGES: Mapping[str, str] = {
    "py": "Python",
    "pyw": "Python",
    "java": "Java",
    "js": "JavaScript",
    "cjs": "JavaScript",
    "jsx": "JavaScript",
    "mjs": "JavaScript",
}
"""Languages by file extension (without the dot, as The Stack writes it)."""

_SPELLED = {lang.lower(): lang for lang in LANGUAGES.values()}  # some tables write `lang` in lower case

MAX_FILE_BYTES = 1_000_000
ROW_SCHEMA = pa.schema(
    [
        ("content", pa.string()),
        ("path", pa.string()),
        ("size", pa.int64()),
        ("ext", pa.string()),
        ("lang", pa.string()),
        ("hexsha", pa.string()),
        ("avg_line_length", pa.float64()),
        ("max_line_length", pa.int64()),
        ("alphanum_fraction", pa.float64()),
    ],
)
PROVENANCE_SCHEMA = pa.schema(
    [
        ("repo", pa.string()),
        ("revision", pa.string()),
        ("stars", pa.int64()),
        ("forks", pa.int64()),
        ("licenses", pa.list_(pa.string())),
        ("date", pa.string()),
    ],
)
"""Where a file comes from; a table has those of these columns that its source has."""

SCORE_SCHEMA = pa.schema([("comment_share", pa.float64()), ("chars_per_token", pa.float64())])
"""What the recipes measure."""

REJECT_SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("hexsha", pa.string()),
        ("lang", pa.string()),
        ("size", pa.int64()),
        ("stage", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("cluster", pa.string()),
        ("kept_hexsha", pa.string()),
        ("jaccard", pa.float64()),
        ("matched", pa.string()),
    ],
)

_NOT_ALPHANUMERIC = bytes(code for code in range(128) if not chr(code).isalnum())
_ASCII_RUN = re.compile(r"[\x00-\x7f]+")

_STATISTICS = ("avg_line_length", "max_line_length", "alphanum_fraction")
_NOT_SCANNED = {"avg_line_length": 0.0, "max_line_length": -1, "alphanum_fraction": 0.0}  # until the batch is scanned
_PROVENANCE = tuple(PROVENANCE_SCHEMA.names)
_BATCH_ROWS = 512
_BATCH_REPOSITORIES = 8  # a row of The Stack v3 is a whole repository

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Row:
    """One source file: The Stack's columns, where it comes from (None: unknown), and what was measured of it."""

    content: str
    path: str
    size: int
    ext: str
    lang: str
    hexsha: str
    avg_line_length: float
    max_line_length: int
    alphanum_fraction: float
    repo: str | None = None
    revision: str | None = None
    stars: int | None = None
    forks: int | None = None
    licenses: Sequence[str] | None = None
    date: str | None = None
    comment_share: float | None = None
    chars_per_token: float | None = None


@dataclass(frozen=True, slots=True)
class Reject:
    """One file that was left out: at which stage, for which reason. It never holds content."""

    path: str
    lang: str
    size: int
    stage: str
    reason: str
    detail: str = ""
    hexsha: str = ""
    cluster: str | None = None
    kept_hexsha: str | None = None
    jaccard: float | None = None
    matched: str | None = None


def line_statistics(content: str) -> tuple[float, int, float]:
    r"""Average and longest line in characters, and the share of alphanumeric characters, as The Stack counts them.

    Lines end at "\n" and nowhere else (not at CR, form feed or U+2028, where `str.splitlines` would cut); a final
    newline starts no further line, the newline itself is not counted, a CR before it is.

    >>> line_statistics("# aaaaaaaa\n000000\n")  # a row of The Stack v2: 8.0, 10, 0.778
    (8.0, 10, 0.7777777777777778)
    """
    if not content:
        return 0.0, 0, 0.0
    lines = content.removesuffix("\n").split("\n")
    lengths = [len(line) for line in lines]
    ascii_part = content.encode("ascii", "ignore")
    alphanumeric = len(ascii_part.translate(None, _NOT_ALPHANUMERIC))
    if len(ascii_part) != len(content):
        alphanumeric += sum(map(str.isalnum, _ASCII_RUN.sub("", content)))
    return sum(lengths) / len(lengths), max(lengths), alphanumeric / len(content)


def make_row(data: bytes, path: str, *, ext: str, lang: str, given: Mapping[str, Any] | None = None) -> Row | Reject:
    r"""Turn the bytes of a file into a row, or into the reject that says why they are none.

    Values that are `given` (size, hexsha, line statistics, provenance) are taken as they are, the others computed.

    >>> make_row(b"\xff\xfe", "a.py", ext="py", lang="Python").reason
    'not_utf8'
    """
    known = dict(given or {})
    if not known.get("hexsha"):
        known["hexsha"] = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    known.setdefault("size", len(data))

    def reject(reason: str, detail: str) -> Reject:
        return Reject(path, lang, len(data), "read", reason, detail, hexsha=known["hexsha"])

    if not data:
        return reject("empty", "0 bytes")
    if (nul := data.find(b"\0")) >= 0:
        return reject("nul_bytes", f"first at byte {nul}")
    try:
        content = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return reject("not_utf8", f"{error.reason} at byte {error.start}")
    if not known.keys() >= set(_STATISTICS):
        known = dict(zip(_STATISTICS, line_statistics(content), strict=True)) | known
    return Row(content=content, path=path, ext=ext, lang=lang, **known)


def rows_schema(extra: Sequence[str] = ()) -> pa.Schema:
    """The schema of rows with some of the columns of provenance and scores."""
    added = [field for schema in (PROVENANCE_SCHEMA, SCORE_SCHEMA) for field in schema if field.name in extra]
    return pa.schema([*ROW_SCHEMA, *added])


def rows_table(rows: Sequence[Row], extra: Sequence[str] = ()) -> pa.Table:
    """The Arrow table of some rows, with some of the columns of provenance and scores."""
    schema = rows_schema(extra)
    return pa.table({name: [getattr(row, name) for row in rows] for name in schema.names}, schema=schema)


def rejects_table(rejects: Sequence[Reject]) -> pa.Table:
    """The Arrow table of some rejects."""
    columns = {name: [getattr(reject, name) for reject in rejects] for name in REJECT_SCHEMA.names}
    return pa.table(columns, schema=REJECT_SCHEMA)


def first_of_its_bytes(row: Row | Reject, seen: dict[str, str]) -> Row | Reject:
    """The row, or the reject that it is where a row with its hexsha was seen before."""
    if isinstance(row, Reject):
        return row
    kept = seen.setdefault(row.hexsha, row.path)
    if kept is row.path:
        return row
    return Reject(
        row.path,
        row.lang,
        row.size,
        "read",
        "exact_duplicate",
        f"same bytes as {kept}",
        hexsha=row.hexsha,
        kept_hexsha=row.hexsha,
    )


def parquet_files(source: PathLike) -> list[Path]:
    """The parquet files of a source, sorted: the file itself, or all of a folder."""
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
    """The parquet files, if the one source is such a file or a folder with some in it or in its `data/`.

    A source tree is none, even where parquet files lie deeper inside it.
    """
    only = Path(roots[0])
    is_table = only.suffix == ".parquet" or any(only.glob("*.parquet")) or any(only.glob("data/*.parquet"))
    return parquet_files(only) if len(roots) == 1 and is_table else []


def read_parquet(
    source: PathLike,
    *,
    max_file_bytes: int = MAX_FILE_BYTES,
    drop_duplicates: bool = True,
) -> Iterator[Row | Reject]:
    """Rows and rejects of a parquet file or a folder of them, in any of the layouts of `stack_schemas`.

    Columns that can be derived (size, ext, lang, hexsha, line statistics) are computed where they are missing.
    Raises `DataError` for a file that is no parquet and for a table without `content`.
    """
    seen: dict[str, str] = {}
    for file in parquet_files(source):
        with readable(file) as table:
            names = table.schema_arrow.names
            layout = layout_of(str(file), names)
            size = _BATCH_REPOSITORIES if layout.files else _BATCH_ROWS
            number = 0
            for batch in table.iter_batches(batch_size=size, columns=columns_to_read(layout, names)):
                for item in rows_of_batch(layout, batch, f"{file.name}:", number, max_file_bytes):
                    yield first_of_its_bytes(item, seen) if drop_duplicates else item
                number += batch.num_rows


@contextlib.contextmanager
def readable(file: Path) -> Iterator[pq.ParquetFile]:
    """The opened parquet file; one that can't be read is an error that names it."""
    try:
        yield pq.ParquetFile(file)
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        advice = "Delete it and write it again."
        raise DataError(f"{file}: not a readable parquet file ({str(error)[:120]}). {advice}") from error


def rows_of_batch(
    layout: Layout,
    batch: pa.RecordBatch,
    place: str,
    first: int,
    max_file_bytes: int = MAX_FILE_BYTES,
) -> Iterator[Row | Reject]:
    """The rows and rejects of a batch; one without a path is named by `place` and its number, counted from `first`."""
    from data_recipes.engine.line_scan import scan

    made = [
        _from_record(record, f"{place}{number}", max_file_bytes)
        for number, outer in enumerate(batch.to_pylist(), start=first)
        for record in records_of(layout, outer)
    ]
    lacking = [n for n, item in enumerate(made) if isinstance(item, Row) and item.max_line_length < 0]
    scanned = scan([item.content for n in lacking if isinstance(item := made[n], Row)])
    statistics = zip(*(getattr(scanned, name).tolist() for name in _STATISTICS), strict=True)
    for n, values in zip(lacking, statistics, strict=True):
        made[n] = replace(made[n], **dict(zip(_STATISTICS, values, strict=True)))
    yield from made


def provided_fields(file: Path) -> set[str]:
    """Our fields that a parquet file has, in whatever layout."""
    with readable(file) as table:
        return provided_by(str(file), table.schema_arrow)


def provided_by(place: str, schema: pa.Schema) -> set[str]:
    """Our fields that a table with this schema has; `place` names it in errors."""
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
    lang = record.get("lang") or LANGUAGES.get(ext)
    if lang is None:
        detail = "neither 'lang' nor a known extension"
        return Reject(path, "", len(data), "read", "unknown_language", detail)
    if len(data) > max_file_bytes:
        detail = f"{len(data)} bytes exceed max_file_bytes={max_file_bytes}"
        return Reject(path, lang, len(data), "read", "too_large", detail)
    given = {name: record[name] for name in ("size", "hexsha", *_STATISTICS, *_PROVENANCE) if name in record}
    if not given.keys() & set(_STATISTICS):
        given |= _NOT_SCANNED
    return make_row(data, path, ext=ext, lang=_SPELLED.get(lang, lang), given=given)


def _decoded(content: bytes, encoding: str) -> str | bytes:
    """The text of bytes in the encoding that their row names; the bytes themselves where that does not work."""
    try:
        return content.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return content
