"""The first step: a source tree's rows and rejects as parquet, with their counts."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from data_recipes.rows import MAX_FILE_BYTES, PathLike, Reject, Row, read_parquet, rejects_table, tables_of
from data_recipes.source_tree import fingerprint, read_tree
from data_recipes.store import (
    SHARD_BYTES,
    RowWriter,
    checksum,
    code_digest,
    digest,
    finished,
    mark_done,
    remove,
    write_json,
    write_table,
)

_MARKER = ".done.json"


def write_rows(
    roots: PathLike | Iterable[PathLike],
    out: PathLike,
    *,
    limit_bytes_per_language: Mapping[str, int] | None = None,
    max_file_bytes: int = MAX_FILE_BYTES,
    shard_bytes: int = SHARD_BYTES,
    progress: bool | None = None,
    report: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Write `rows-00000.parquet`, …, `rejects.parquet` and `rows.json` (files and bytes per language and reason).

    `roots` are source trees and zip archives, or one parquet file or folder of them (limits do not apply to those).

    Does nothing where `out` already holds the rows of the same files (path, size, modification time) and settings.
    `rows.json` is written last: a folder without it is unfinished. Returns what `rows.json` holds.
    """
    started, folder = time.monotonic(), Path(out)
    given = [roots] if not isinstance(roots, Iterable) or isinstance(roots, str) else list(roots)
    limits = None if limit_bytes_per_language is None else dict(limit_bytes_per_language)
    tables = tables_of(given)
    source_key = [checksum(path) for path in tables] if tables else fingerprint(given)
    key = digest([code_digest(), source_key, limits, max_file_bytes, shard_bytes])
    facts, problem = finished(folder / _MARKER, key)
    if facts is not None:
        report(f"step=rows reused out={sum(entry['files'] for entry in facts['files'].values())}")
        return facts
    if problem:
        report(f"step=rows redone: {problem}")
    for stale in (folder / _MARKER, folder / "rows.json"):
        remove(stale)
    source = (
        read_parquet(given[0], max_file_bytes=max_file_bytes)
        if tables
        else read_tree(given, limit_bytes_per_language=limits, max_file_bytes=max_file_bytes)
    )
    shown = tqdm(source, desc="rows", unit="file", disable=None if progress is None else not progress)
    summary, files = _write(shown, folder, shard_bytes)
    mark_done(folder / _MARKER, key, files, summary)
    out_rows = sum(entry["files"] for entry in summary["files"].values())
    dropped = sum(entry["files"] for entry in summary["rejects"])
    report(
        f"step=rows in={out_rows + dropped} out={out_rows} dropped={100 * dropped / max(out_rows + dropped, 1):.1f}% "
        f"{time.monotonic() - started:.0f}s",
    )
    return summary


def _write(source: Iterable[Row | Reject], folder: Path, shard_bytes: int) -> tuple[dict[str, Any], list[Path]]:
    """Write shards, rejects and rows.json; what rows.json holds, and the files written."""
    writer = RowWriter(folder, shard_bytes)
    rejects: list[Reject] = []
    files: Counter[str] = Counter()
    volume: Counter[str] = Counter()
    for item in source:
        if isinstance(item, Reject):
            rejects.append(item)
            continue
        writer.add(item)
        files[item.lang] += 1
        volume[item.lang] += item.size
    writer.flush()
    for stale in folder.glob("rows-*.parquet"):
        if stale not in writer.files:
            remove(stale)
    write_table(folder / "rejects.parquet", rejects_table(rejects))
    summary = {
        "files": {lang: {"files": files[lang], "bytes": volume[lang]} for lang in sorted(files)},
        "rejects": _reject_counts(rejects),
        "shards": [path.name for path in writer.files],
    }
    write_json(folder / "rows.json", summary)
    return summary, [*writer.files, folder / "rejects.parquet", folder / "rows.json"]


def _reject_counts(rejects: Iterable[Reject]) -> list[dict[str, Any]]:
    files: Counter[tuple[str, str]] = Counter()
    volume: Counter[tuple[str, str]] = Counter()
    for reject in rejects:
        files[reject.lang, reject.reason] += 1
        volume[reject.lang, reject.reason] += reject.size
    return [
        {"lang": lang, "reason": reason, "files": files[lang, reason], "bytes": volume[lang, reason]}
        for lang, reason in sorted(files)
    ]
