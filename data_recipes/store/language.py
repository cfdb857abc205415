"""One language's rows with their contents on disk: the columns fit into memory where the texts do not."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_recipes.disk.files import SHARD_BYTES
from data_recipes.disk.spill import Spill
from data_recipes.engine.texts import FileTexts, texts_of
from data_recipes.engine.threads import ranges
from data_recipes.sources.row import REJECT_SCHEMA

_BATCH_ROWS = 1000
_PIECE_BYTES = 1 << 29  # of an Arrow string array, whose offsets end at 2 GiB


class LanguageRows:
    """The rows of one language of some parquet files, in hexsha order, each hexsha once.

    `table` holds all columns but `content`, and may get more; `repeated` the rejects of exact duplicates, of which
    the smallest path stays; `texts` the contents of the table's rows, in a nameless file in `folder`.
    """

    def __init__(self, lang: str, paths: Sequence[Path], folder: Path) -> None:
        self._spill = Spill(folder)
        try:
            self._read(lang, paths)
        except BaseException:
            self.close()
            raise

    def _read(self, lang: str, paths: Sequence[Path]) -> None:
        tables, places, sizes = [], [], []
        for path in paths:
            for batch in _batches_of(lang, path):
                texts = texts_of(batch["content"])
                places.append(texts.add_to(self._spill))
                sizes.append(texts.sizes)
                tables.append(pa.Table.from_batches([batch.drop_columns("content")]))
        table = pa.concat_tables(tables)
        order = np.asarray(pc.sort_indices(table, sort_keys=[("hexsha", "ascending"), ("path", "ascending")]))
        is_first = _is_first(table["hexsha"].take(order))
        self.repeated = _repeated(table.take(order[~is_first]))
        self.table = table.take(order[is_first])
        kept = order[is_first].astype(np.int64)
        place, size = (np.concatenate([np.zeros(0, dtype=np.int64), *parts])[kept] for parts in (places, sizes))
        self.texts = FileTexts(self._spill, place, size)

    def close(self) -> None:
        """Give the disk space back."""
        self._spill.close()

    def contents(self, rows: Any) -> pa.ChunkedArray:
        """The contents of some rows as a column."""
        rows = np.asarray(rows, dtype=np.int64)
        pieces = [self._piece(rows[low:high]) for low, high in ranges(self.texts.sizes[rows], _PIECE_BYTES)]
        return pa.chunked_array(pieces, pa.string())

    def _piece(self, rows: Any) -> pa.Array:
        found = self.texts.view(rows)
        (buffer,) = found.owners
        offsets = np.zeros(len(rows) + 1, dtype=np.int32)
        np.cumsum(found.sizes, out=offsets[1:])
        return pa.StringArray.from_buffers(len(rows), pa.py_buffer(offsets), pa.py_buffer(buffer))

    def shards(self, shard_bytes: int) -> Iterator[pa.Table]:
        """The rows with all columns, `content` first, in tables of about so many bytes of content each."""
        start = 0
        for part in shards(self.table, shard_bytes) if self.table.num_rows else ():
            yield part.add_column(0, "content", self.contents(np.arange(start, start + part.num_rows)))
            start += part.num_rows


def _batches_of(lang: str, path: Path) -> Iterator[pa.RecordBatch]:
    """A file's rows of one language; at least one batch, even without a row."""
    with pq.ParquetFile(path) as file:
        yield pa.RecordBatch.from_pylist([], schema=file.schema_arrow)
        for batch in file.iter_batches(_BATCH_ROWS):
            chosen = batch.filter(pc.equal(batch["lang"], lang))
            if chosen.num_rows:
                yield chosen


def _is_first(names: pa.ChunkedArray) -> Any:
    """Which of some sorted names differ from the one before."""
    first = np.ones(len(names), dtype=np.bool_)
    if len(names) > 1:
        first[1:] = np.asarray(pc.not_equal(names.slice(1), names.slice(0, len(names) - 1)))
    return first


def _repeated(table: pa.Table) -> pa.Table:
    records = [
        {**record, "stage": "base", "reason": "exact_duplicate", "detail": "", "kept_hexsha": record["hexsha"]}
        for record in table.select(["path", "hexsha", "lang", "size"]).to_pylist()
    ]
    return pa.Table.from_pylist(records, schema=REJECT_SCHEMA)


def shards(table: pa.Table, shard_bytes: int = SHARD_BYTES) -> Iterator[pa.Table]:
    """Slices of a table of about `shard_bytes` of content each; at least one, even of an empty table."""
    start = filled = 0
    for row, size in enumerate(table["size"].to_pylist()):
        if filled and filled + size > shard_bytes:
            yield table.slice(start, row - start)
            start, filled = row, 0
        filled += size
    yield table.slice(start)
