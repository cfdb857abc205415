"""Define a row, what every source gives, and a reject, which says why a file is no row."""

import hashlib
import io
import tokenize
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data_recipes.engine.line_scan import line_statistics
from data_recipes.errors import DataError
from data_recipes.sources.language_names import spelled

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
        ("other_repos", pa.list_(pa.string())),
    ],
)
"""Where a file comes from; a table has those of these columns that its source has."""

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
        ("repo", pa.string()),
    ],
)

ANNOTATED_REJECT_SCHEMA = REJECT_SCHEMA.append(pa.field("other_repos", pa.list_(pa.string())))

STATISTICS = ("avg_line_length", "max_line_length", "alphanum_fraction")


@dataclass(frozen=True, slots=True)
class Row:
    """One source file: The Stack's columns, where it comes from (None: unknown), and what filters measured of it."""

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
    other_repos: Sequence[str] | None = None
    scores: Mapping[str, float | None] = field(default_factory=dict)


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
    repo: str | None = None
    other_repos: Sequence[str] = ()


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
        declared = _as_declared(data) if lang == "Python" else None
        if declared is None:
            return reject("not_utf8", f"{error.reason} at byte {error.start}")
        content = declared
    if not known.keys() >= set(STATISTICS):
        known = dict(zip(STATISTICS, line_statistics(content), strict=True)) | known
    return Row(content=content, path=path, ext=ext, lang=lang, **known)


def reject_of(row: Row, stage: str, reason: str, detail: str = "") -> Reject:
    """Return the reject that a row becomes at a stage."""
    others = tuple(row.other_repos or ())
    return Reject(
        row.path, row.lang, row.size, stage, reason, detail, hexsha=row.hexsha, repo=row.repo, other_repos=others
    )


def _as_declared(data: bytes) -> str | None:
    """Return the text of Python source whose first lines declare another encoding (PEP 263); None where it is not that."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return None if encoding == "utf-8" else data.decode(encoding)
    except (SyntaxError, UnicodeDecodeError, LookupError):
        return None


def rows_schema(provenance: Sequence[str] = (), scores: Sequence[str] = ()) -> pa.Schema:
    """Return the schema of rows with some of the columns of provenance and with measured columns."""
    known = [column for column in PROVENANCE_SCHEMA if column.name in provenance]
    return pa.schema([*ROW_SCHEMA, *known, *((name, pa.float64()) for name in scores)])


def rows_table(rows: Sequence[Row], provenance: Sequence[str] = (), scores: Sequence[str] = ()) -> pa.Table:
    """Return the Arrow table of some rows, with some of the columns of provenance and with measured columns."""
    schema = rows_schema(provenance, scores)
    columns = {name: [getattr(row, name) for row in rows] for name in schema.names if name not in scores}
    columns |= {name: [row.scores.get(name) for row in rows] for name in scores}
    return pa.table(columns, schema=schema)


def rejects_table(rejects: Sequence[Reject], *, is_annotated: bool = False) -> pa.Table:
    """Return the Arrow table of some rejects; annotated ones still name every repository that had the file."""
    schema = ANNOTATED_REJECT_SCHEMA if is_annotated else REJECT_SCHEMA
    columns = {name: [getattr(reject, name) for reject in rejects] for name in schema.names}
    return pa.table(columns, schema=schema)


def read_rejects(path: Path) -> Iterator[Reject]:
    """Yield the rejects that a parquet file holds.

    Raises:
        DataError: The file is no table of rejects.
    """
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path}: not a readable parquet file ({str(error)[:120]}). Write the rows again.") from error
    if lacking := [name for name in ("path", "lang", "size", "stage", "reason") if name not in table.column_names]:
        found = ", ".join(table.column_names)
        raise DataError(f"{path} is no table of rejects: no {lacking[0]!r} column. Columns found: {found}.")
    names = [name for name in ANNOTATED_REJECT_SCHEMA.names if name in table.column_names]
    for record in table.select(names).to_pylist():
        yield Reject(**{**record, "other_repos": tuple(record.get("other_repos") or ())})


def spelling_of(spellings: Iterable[str]) -> str:
    """Return the one name for a language that tables spell in several ways: the known one, or the first.

    >>> spelling_of({"python", "PYTHON"}), spelling_of({"klingon", "Klingon"})
    ('Python', 'Klingon')
    """
    names = sorted(spellings)
    return next((known for name in names if (known := spelled(name)) != name), names[0])


def first_of_its_bytes(row: Row | Reject, seen: dict[str, str]) -> Row | Reject:
    """Return the row, or the reject that it is where a row with its hexsha was seen before."""
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
        repo=row.repo,
    )
