"""Files of a store: written under another name and moved into place, and checked by checksum before reuse."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import data_recipes
from data_recipes.errors import StoreError
from data_recipes.sources.row import Row, rows_table

SHARD_BYTES = 64 << 20
_GROUP_ROWS = 1000


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`, moved onto it at the end; nothing half-written is left when that fails."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        reason = error.strerror or str(error)
        raise StoreError(
            f"{path}: can't be written ({reason}). Expected a writable folder with free space. Free some space or "
            "choose another output folder, then run again: what is finished is kept.",
        ) from error


def remove(path: Path) -> None:
    """Delete a file that may be there."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        advice = "Expected a writable folder. Choose another output folder."
        raise StoreError(f"{path}: can't be deleted ({error.strerror}). {advice}") from error


def write_table(path: Path, table: pa.Table) -> None:
    """Write a parquet file in one step."""
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", row_group_size=_GROUP_ROWS)


def write_text(path: Path, text: str) -> None:
    """Write a text file in one step."""
    with replacing(path) as temporary:
        temporary.write_text(text, "utf-8", newline="")


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file in one step, keys in their given order."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def checksum(path: Path) -> str:
    """The SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest(value: Any) -> str:
    """A short digest of a JSON value, for markers."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]


@cache
def code_digest() -> str:
    """A digest of this package's source files: other code may give other bytes, so work of old code is not reused."""
    folder = Path(data_recipes.__file__).parent
    sources = sorted(path for path in folder.rglob("*") if path.suffix in {".py", ".toml", ".md"})
    return digest([[path.relative_to(folder).as_posix(), checksum(path)] for path in sources])


def mark_done(marker: Path, key: str, outputs: Sequence[Path], facts: Mapping[str, Any]) -> None:
    """Record that a step with this key is finished, the checksums of its outputs and what else it found."""
    sums = {os.path.relpath(path, marker.parent): checksum(path) for path in outputs}
    write_json(marker, {"key": key, "outputs": sums, "facts": facts})


def finished(marker: Path, key: str) -> tuple[dict[str, Any] | None, str]:
    """The facts of a finished step, or None and why it has to be done (an empty reason: it was never begun)."""
    if not marker.exists():
        return None, ""
    try:
        record = json.loads(marker.read_text("utf-8"))
        done_key, sums, facts = record["key"], record["outputs"], record["facts"]
    except (ValueError, KeyError, TypeError):
        return None, f"{marker.name} is unreadable"
    if done_key != key:
        return None, "the input or the settings have changed"
    for name, expected in sums.items():
        path = marker.parent / name
        if not path.exists():
            return None, f"{path.name} is missing"
        if checksum(path) != expected:
            return None, f"{path.name} is damaged (its checksum differs)"
    return dict(facts), ""


def shards(table: pa.Table, shard_bytes: int = SHARD_BYTES) -> Iterator[pa.Table]:
    """Slices of a table of about `shard_bytes` of content each; at least one, even of an empty table."""
    start = filled = 0
    for row, size in enumerate(table["size"].to_pylist()):
        if filled and filled + size > shard_bytes:
            yield table.slice(start, row - start)
            start, filled = row, 0
        filled += size
    yield table.slice(start)


class RowWriter:
    """Writes rows in the order given into `rows-00000.parquet`, …; each shard appears when it is complete."""

    def __init__(self, folder: Path, shard_bytes: int = SHARD_BYTES, provenance: Sequence[str] = ()) -> None:
        self._folder, self._shard_bytes = folder, shard_bytes
        self._provenance = tuple(provenance)
        self._rows: list[Row] = []
        self._bytes = 0
        self.files: list[Path] = []

    def add(self, row: Row) -> None:
        """Take one more row; writes a shard when it is full."""
        if self._rows and self._bytes + row.size > self._shard_bytes:
            self.flush()
        self._rows.append(row)
        self._bytes += row.size

    def flush(self) -> None:
        """Write what is held; an empty source still gives one empty shard."""
        if not self._rows and self.files:
            return
        path = self._folder / f"rows-{len(self.files):05d}.parquet"
        write_table(path, rows_table(self._rows, self._provenance))
        self.files.append(path)
        self._rows, self._bytes = [], 0
