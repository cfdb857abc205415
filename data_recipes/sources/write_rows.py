"""Write rows and rejects of a source to parquet: what `hf-santa data rows` does."""

import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from data_recipes.disk.files import SHARD_BYTES, PathLike, remove, write_json, write_table
from data_recipes.disk.markers import code_digest, digest, finished, mark_done
from data_recipes.errors import DataError
from data_recipes.progress import Progress, reporter
from data_recipes.sources.opening import opened
from data_recipes.sources.parquet import tables_of
from data_recipes.sources.row import MAX_FILE_BYTES, Reject, Row, rejects_table, rows_table

_MARKER = ".done.json"


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


def write_rows(
    roots: Any,
    out: PathLike,
    *,
    limit_bytes_per_language: Mapping[str, int] | None = None,
    max_file_bytes: int = MAX_FILE_BYTES,
    shard_bytes: int = SHARD_BYTES,
    data_dir: str | None = None,
    bars: bool | None = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write `rows-00000.parquet`, …, `rejects.parquet` and `rows.json` (files and bytes per language and reason).

    `roots` are any of these, read one after the other: source trees and zip archives; git repositories, by folder or as
    `git+https://…@COMMIT`; parquet files or folders of them; datasets of the Hub, of which `data_dir` names a part:
    `write_rows("bigcode/the-stack", out, data_dir="data/python")`. A dataset is read as a stream. Limits apply to
    source trees and repositories only.

    Does nothing where `out` already holds the rows of the same files (path, size, modification time) and settings.
    `rows.json` is written last: a folder without it is unfinished. Returns what `rows.json` holds.
    """
    started, folder, report = time.monotonic(), Path(out), reporter(progress)
    is_one = isinstance(roots, str | os.PathLike) or hasattr(roots, "with_format")
    given = [roots] if is_one else list(roots)
    limits = None if limit_bytes_per_language is None else dict(limit_bytes_per_language)
    _refuse_inside(folder, given)
    with opened(given, limits=limits, max_file_bytes=max_file_bytes, data_dir=data_dir) as source:
        key = digest([code_digest(), source.key, limits, max_file_bytes, shard_bytes])
        facts, problem = finished(folder / _MARKER, key)
        if facts is not None and source.key is not None:
            report(f"step=rows reused out={sum(entry['files'] for entry in facts['files'].values())}")
            return facts
        if problem:
            report(f"step=rows redone: {problem}")
        for stale in (folder / _MARKER, folder / "rows.json"):
            remove(stale)
        shown = tqdm(source.read(), desc="rows", unit="file", disable=None if bars is None else not bars)
        summary, files = _write(shown, RowWriter(folder, shard_bytes, source.provenance), folder)
    mark_done(folder / _MARKER, key, files, summary)
    out_rows = sum(entry["files"] for entry in summary["files"].values())
    dropped = sum(entry["files"] for entry in summary["rejects"])
    report(
        f"step=rows in={out_rows + dropped} out={out_rows} dropped={100 * dropped / max(out_rows + dropped, 1):.1f}% "
        f"{time.monotonic() - started:.0f}s",
    )
    return summary


def _refuse_inside(folder: Path, roots: Sequence[Any]) -> None:
    """Raise `DataError` where the output would be read as a part of a source of parquet files."""
    for root in roots:
        if not isinstance(root, str | os.PathLike) or not Path(root).is_dir():
            continue
        if folder.resolve().is_relative_to(Path(root).resolve()) and tables_of([root]):
            raise DataError(
                f"{folder} lies inside the source {root}, and would be read as part of it. Choose another folder."
            )


def _write(source: Iterable[Row | Reject], writer: RowWriter, folder: Path) -> tuple[dict[str, Any], list[Path]]:
    """Write shards, rejects and rows.json; what rows.json holds, and the files written."""
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
