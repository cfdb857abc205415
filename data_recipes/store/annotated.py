"""Keep the judged rows of an input file in a file for each language, so that a language reads only its own.

The files are Arrow's own format, which costs a tenth of parquet's fixed price: there may be hundreds of small ones.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from data_recipes.disk.files import remove, reporting_os_errors
from data_recipes.errors import StoreError
from data_recipes.pii.rows import PII_COLUMNS, column_of
from data_recipes.recipes import slug
from data_recipes.sources.row import ANNOTATED_REJECT_SCHEMA, Reject, Row, rejects_table, rows_schema, rows_table

CONTENT_SHA1 = "content_sha1"
"""The SHA-1 of a row's original content, by which exact duplicates are found; no column of the store."""

_GROUP_BYTES, _GROUP_ROWS = 4 << 20, 1000
_HELD_BYTES = 32 << 20
_PACKED = pa.ipc.IpcWriteOptions(compression="zstd")


def annotated_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield the batches of an annotated file, some MB each.

    Raises:
        StoreError: It is damaged.
    """
    try:
        with pa.OSFile(str(path)) as file, pa.ipc.open_file(file) as reader:
            for number in range(reader.num_record_batches):
                yield reader.get_batch(number)
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"{path}: not readable ({str(error)[:120]}). Delete its folder and run again.") from error


def annotated_schema(
    provenance: Sequence[str] = (), scores: Sequence[str] = (), pii_types: Sequence[str] = tuple(PII_COLUMNS)
) -> pa.Schema:
    """Return the schema of annotated rows."""
    counts = [(column_of(kind), pa.int32()) for kind in pii_types]
    return pa.schema([*rows_schema(provenance, scores), *counts, (CONTENT_SHA1, pa.string())])


class _Part:
    """The rows of one language that are not written yet, and the file that they go to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.writer: pa.ipc.RecordBatchFileWriter | None = None
        self.rows: list[Row] = []
        self.counts: list[Counter[str]] = []
        self.sums: list[str] = []
        self.bytes = 0


class AnnotatedShard:
    """Writes `rows-LANGUAGE.arrow` and `rejects-LANGUAGE.arrow` of a shard into a folder, as rows come.

    Memory holds some MB of rows, however large the shard is. Spellings of one language share a file.
    """

    def __init__(
        self,
        folder: Path,
        provenance: Sequence[str] = (),
        scores: Sequence[str] = (),
        pii_types: Sequence[str] = tuple(PII_COLUMNS),
    ) -> None:
        self._folder, self._provenance, self._scores = folder, tuple(provenance), tuple(scores)
        self._pii_types = tuple(pii_types)
        self._parts: dict[str, _Part] = {}
        self._rejects: dict[str, list[Reject]] = {}
        self._held = 0
        self.spellings: dict[str, set[str]] = {}
        self.rows = self.rejects = 0
        self.files: list[Path] = []
        for stale in sorted(folder.glob("*.arrow")):
            remove(stale)

    def add(self, row: Row, counts: Counter[str], content_sha1: str) -> None:
        """Take a row with its numbers of redactions and the SHA-1 of its original content."""
        name = self._name(row.lang)
        part = self._parts.setdefault(name, _Part(self._folder / f"rows-{name}.arrow"))
        part.rows.append(row)
        part.counts.append(counts)
        part.sums.append(content_sha1)
        part.bytes += row.size
        self._held += row.size
        self.rows += 1
        if part.bytes >= _GROUP_BYTES or len(part.rows) >= _GROUP_ROWS:
            self._flush(part)
        elif self._held >= _HELD_BYTES:
            self._flush(max(self._parts.values(), key=lambda other: other.bytes))

    def reject(self, reject: Reject) -> None:
        """Take a reject."""
        self._rejects.setdefault(self._name(reject.lang), []).append(reject)
        self.rejects += 1

    def close(self) -> None:
        """Write what is held. The files are complete after this."""
        for part in self._parts.values():
            self._flush(part)
            if part.writer is not None:
                with reporting_os_errors(part.path):
                    part.writer.close()
            self.files.append(part.path)
        for name, rejects in self._rejects.items():
            path = self._folder / f"rejects-{name}.arrow"
            with reporting_os_errors(path):
                self._folder.mkdir(parents=True, exist_ok=True)
                with pa.ipc.new_file(str(path), ANNOTATED_REJECT_SCHEMA, options=_PACKED) as writer:
                    writer.write_table(rejects_table(rejects, is_annotated=True))
            self.files.append(path)

    def _name(self, lang: str) -> str:
        name = slug(lang)
        self.spellings.setdefault(name, set()).add(lang)
        return name

    def _flush(self, part: _Part) -> None:
        if not part.rows:
            return
        table = rows_table(part.rows, self._provenance, self._scores)
        for kind in self._pii_types:
            counts = pa.array([found[kind] for found in part.counts], pa.int32())
            table = table.append_column(column_of(kind), counts)
        table = table.append_column(CONTENT_SHA1, pa.array(part.sums, pa.string()))
        with reporting_os_errors(part.path):
            if part.writer is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                part.writer = pa.ipc.new_file(str(part.path), table.schema, options=_PACKED)
            part.writer.write_table(table)
        self._held -= part.bytes
        part.rows, part.counts, part.sums, part.bytes = [], [], [], 0

    def facts(self) -> dict[str, Any]:
        """Return what the marker of the shard says of it: its languages, each with its spellings."""
        return {"languages": {name: sorted(found) for name, found in sorted(self.spellings.items())}}
