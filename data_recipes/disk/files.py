"""Write a file under another name and then rename it, so that nobody ever sees half of it."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data_recipes.errors import StoreError

PathLike = str | os.PathLike[str]

SHARD_BYTES = 64 << 20
GROUP_ROWS, GROUP_BYTES = 1000, 32 << 20
"""The most of a row group: readers take one whole, and the Hub's viewer shows a page of a hundred rows from it."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`, moved onto it at the end; nothing half-written is left when that fails."""
    temporary = path.with_name(f".{path.name}.part")
    with reporting_os_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            temporary.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise


@contextlib.contextmanager
def reporting_os_errors(path: Path) -> Iterator[None]:
    """Turn what the system refuses while `path` is written into an error that names it and says what to do."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise StoreError(
            f"{path}: can't be written ({reason}). Expected a writable folder with free space. Free some space or "
            "choose another output folder, then run again: what is finished is kept.",
        ) from error


def moved(path: Path, target: Path) -> Path:
    """Move a finished file to another folder of the same disk and return where it is now."""
    with replacing(target) as temporary:
        path.replace(temporary)
    return target


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
        pq.write_table(table, temporary, compression="zstd", row_group_size=GROUP_ROWS)


def write_groups(path: Path, schema: pa.Schema, groups: Iterable[pa.Table]) -> None:
    """Write a parquet file in one step, each table a row group of its own, with no more than one of them in memory.

    The file has page indexes, by which a reader of a few rows reads little, and pages that end by content, by which
    the Hub stores what two versions of it have in common once.
    """
    with (
        replacing(path) as temporary,
        pq.ParquetWriter(
            temporary, schema, compression="zstd", write_page_index=True, use_content_defined_chunking=True
        ) as writer,
    ):
        for group in groups:
            writer.write_table(group)


def write_text(path: Path, text: str) -> None:
    """Write a text file in one step."""
    with replacing(path) as temporary:
        temporary.write_text(text, "utf-8", newline="")


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file in one step, keys in their given order."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
