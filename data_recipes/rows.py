"""One record type for every source, and how parquet tables of files become such records."""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data_recipes.errors import DataError

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

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Row:
    """One source file; the fields are The Stack's columns."""

    content: str
    path: str
    size: int
    ext: str
    lang: str
    hexsha: str
    avg_line_length: float
    max_line_length: int
    alphanum_fraction: float


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


def make_row(data: bytes, path: str, *, ext: str, lang: str) -> Row | Reject:
    r"""Turn the bytes of a file into a row, or into the reject that says why they are none.

    >>> make_row(b"\xff\xfe", "a.py", ext="py", lang="Python").reason
    'not_utf8'
    """
    sha = hashlib.sha1(data, usedforsecurity=False).hexdigest()

    def reject(reason: str, detail: str) -> Reject:
        return Reject(path=path, lang=lang, size=len(data), stage="read", reason=reason, detail=detail, hexsha=sha)

    if not data:
        return reject("empty", "0 bytes")
    if (nul := data.find(b"\0")) >= 0:
        return reject("nul_bytes", f"first at byte {nul}")
    try:
        content = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return reject("not_utf8", f"{error.reason} at byte {error.start}")
    average, longest, share = line_statistics(content)
    return Row(content, path, len(data), ext, lang, sha, average, longest, share)


def rows_table(rows: Sequence[Row]) -> pa.Table:
    """The Arrow table of some rows."""
    return pa.table({f.name: [getattr(row, f.name) for row in rows] for f in fields(Row)}, schema=ROW_SCHEMA)


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
    """Rows and rejects of a parquet file or a folder of them, shaped like The Stack or with `content` and `path`.

    Columns that can be derived (size, ext, lang, hexsha, line statistics) are computed where they are missing.
    Raises `DataError` for a file that is no parquet and for a table without `content`.
    """
    seen: dict[str, str] = {}
    for file in parquet_files(source):
        try:
            table = pq.ParquetFile(file)
            columns = _columns(file, table.schema_arrow.names)
            for number, batch in enumerate(table.iter_batches(batch_size=512, columns=list(columns.values()))):
                records = batch.rename_columns(list(columns)).to_pylist()
                for i, record in enumerate(records):
                    row = _from_record(record, f"{file.name}:{number * 512 + i}", max_file_bytes)
                    yield first_of_its_bytes(row, seen) if drop_duplicates else row
        except pa.ArrowInvalid as error:
            advice = "Delete it and write it again."
            raise DataError(f"{file}: not a readable parquet file ({str(error)[:120]}). {advice}") from error


def _columns(file: Path, names: Sequence[str]) -> dict[str, str]:
    """Our column names, each with the name it has in this file; `content` must be among them."""
    if "content" not in names:
        found = ", ".join(names)
        raise DataError(f"{file} has no 'content' column. Columns found: {found}. Pass a table with content and path.")
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{file} has more than one column named {repeated}. Give each column its own name.")
    columns = {name: name for name in ROW_SCHEMA.names if name in names}
    for ours, theirs in (("path", "max_stars_repo_path"), ("lang", "language")):
        if ours not in columns and theirs in names:
            columns[ours] = theirs
    return columns


def _from_record(record: dict[str, Any], place: str, max_file_bytes: int) -> Row | Reject:
    content = record["content"]
    path = record.get("path") or place
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content or b""
    ext = (record.get("ext") or Path(path).suffix).lower().removeprefix(".")
    lang = record.get("lang") or LANGUAGES.get(ext)
    if lang is None:
        detail = "neither 'lang' nor a known extension"
        return Reject(path, "", len(data), "read", "unknown_language", detail)
    if len(data) > max_file_bytes:
        detail = f"{len(data)} bytes exceed max_file_bytes={max_file_bytes}"
        return Reject(path, lang, len(data), "read", "too_large", detail)
    made = make_row(data, path, ext=ext, lang=lang)
    if isinstance(made, Reject):
        return made
    return Row(
        made.content,
        path,
        _given(record, "size", made.size),
        ext,
        lang,
        _given(record, "hexsha", made.hexsha),
        float(_given(record, "avg_line_length", made.avg_line_length)),
        int(_given(record, "max_line_length", made.max_line_length)),
        float(_given(record, "alphanum_fraction", made.alphanum_fraction)),
    )


def _given(record: Mapping[str, Any], name: str, computed: Any) -> Any:
    value = record.get(name)
    return computed if value is None else value
