"""Hold the rows of one language: their columns in memory, their texts on disk."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data_recipes.dedup.on_disk import PRIORITY, with_priority
from data_recipes.disk.files import GROUP_BYTES, GROUP_ROWS
from data_recipes.disk.spill import Spill
from data_recipes.engine.texts import FileTexts, texts_of
from data_recipes.engine.threads import ranges
from data_recipes.sources.row import REJECT_SCHEMA
from data_recipes.store.annotated import CONTENT_SHA1, annotated_batches

_PIECE_BYTES = 1 << 29  # of an Arrow string array, whose offsets end at 2 GiB

IsLeftOut = Callable[[str | None, Sequence[str]], bool]


class LanguageRows:
    """The rows of one language of some annotated shards, in hexsha order, each content once.

    Of exact duplicates that one stays which has a licence, more stars, more forks, a later date, then the smaller
    hexsha, path and repository: never the one that happens to be read first. Where files of different content have one
    hexsha (a column that is no digest of the content), each gets the SHA-1 of its own.

    Attributes:
        table: All columns but `content`; may get more.
        opted_out: The rejects of the files that `is_left_out` names.
        repeated: The rejects of exact duplicates.
        texts: The contents of the table's rows, in a nameless file in `folder`.
    """

    def __init__(
        self,
        lang: str,
        paths: Sequence[Path],
        folder: Path,
        schema: pa.Schema,
        is_left_out: IsLeftOut | None = None,
    ) -> None:
        self._lang, self._spill = lang, Spill(folder)
        try:
            self._read(paths, schema, is_left_out)
        except BaseException:
            self.close()
            raise

    def _read(self, paths: Sequence[Path], schema: pa.Schema, is_left_out: IsLeftOut | None) -> None:
        tables = [schema.remove(schema.get_field_index("content")).empty_table()]
        places, sizes = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
        for path in paths:
            for batch in annotated_batches(path):
                texts = texts_of(batch["content"])
                places.append(texts.add_to(self._spill))
                sizes.append(texts.sizes)
                tables.append(pa.Table.from_batches([batch.drop_columns("content")]))
        table = pa.concat_tables(tables)
        language = pa.array([self._lang], pa.string()).take(pa.array(np.zeros(table.num_rows, dtype=np.int64)))
        table = table.set_column(table.column_names.index("lang"), "lang", language)
        stays = np.ones(table.num_rows, dtype=np.bool_)
        if is_left_out is not None:
            stays = ~left_out(table, is_left_out)
        self.opted_out = opt_out_rejects(table.filter(pa.array(~stays)))
        order = _in_order_of_content(table)
        order = order[stays[order]]
        is_first = _is_first(table[CONTENT_SHA1].take(order))
        kept_of = order[np.maximum.accumulate(np.where(is_first, np.arange(len(order)), 0))]
        self.repeated = _repeated(table.take(order[~is_first]), table.take(kept_of[~is_first]))
        kept = order[is_first]
        table = _with_own_hexsha(table.take(kept))
        by_name = np.asarray(pc.sort_indices(table, sort_keys=[("hexsha", "ascending")]))
        self.table = table.take(by_name).drop_columns(CONTENT_SHA1)
        kept = kept[by_name].astype(np.int64)
        self.texts = FileTexts(self._spill, *(np.concatenate(parts)[kept] for parts in (places, sizes)))

    def close(self) -> None:
        """Give the disk space back."""
        self._spill.close()

    def contents(self, rows: Any) -> pa.ChunkedArray:
        """Return the contents of some rows as a column."""
        rows = np.asarray(rows, dtype=np.int64)
        pieces = [self._piece(rows[low:high]) for low, high in ranges(self.texts.sizes[rows], _PIECE_BYTES)]
        return pa.chunked_array(pieces, pa.string())

    def _piece(self, rows: Any) -> pa.Array:
        found = self.texts.view(rows)
        (buffer,) = found.owners
        offsets = np.zeros(len(rows) + 1, dtype=np.int32)
        np.cumsum(found.sizes, out=offsets[1:])
        return pa.StringArray.from_buffers(len(rows), pa.py_buffer(offsets), pa.py_buffer(buffer))

    @property
    def schema(self) -> pa.Schema:
        """The schema of the rows with their contents, `content` first."""
        return self.table.schema.insert(0, pa.field("content", pa.string()))

    def groups(self, rows: NDArray[np.int64]) -> Iterator[pa.Table]:
        """Yield some rows with all columns, `content` first, in tables that fit into a row group of a parquet file."""
        for low, high in ranges(self.texts.sizes[rows], GROUP_BYTES):
            for start in range(low, high, GROUP_ROWS):
                some = rows[start : min(start + GROUP_ROWS, high)]
                yield self.table.take(pa.array(some)).add_column(0, "content", self.contents(some))


def left_out(table: pa.Table, is_left_out: IsLeftOut) -> Any:
    """Return which rows of a table with `repo` and `other_repos`, as far as it has them, are left out."""
    columns = [
        table[name].to_pylist() if name in table.column_names else [None] * table.num_rows
        for name in ("repo", "other_repos")
    ]
    found = [is_left_out(repo, others or ()) for repo, others in zip(*columns, strict=True)]
    return np.array(found, dtype=np.bool_)


def opt_out_rejects(table: pa.Table) -> pa.Table:
    """Return the rejects of opted-out rows or rejects, which name neither path nor repository."""
    records = [
        {**record, "path": "", "stage": "base", "reason": "opt_out", "detail": ""}
        for record in table.select(["hexsha", "lang", "size"]).to_pylist()
    ]
    return pa.Table.from_pylist(records, schema=REJECT_SCHEMA)


def _in_order_of_content(table: pa.Table) -> Any:
    """Return the row numbers with equal contents beside each other, of these the one to keep first."""
    chosen = with_priority(table)
    keys = [(CONTENT_SHA1, "ascending"), *((name, "descending") for name in ("is_licensed", *PRIORITY))]
    keys += [(name, "ascending") for name in ("hexsha", "path", "repo", "revision")]
    return np.asarray(pc.sort_indices(chosen, sort_keys=[key for key in keys if key[0] in chosen.column_names]))


def _is_first(names: pa.ChunkedArray) -> Any:
    """Which of some sorted names differ from the one before."""
    first = np.ones(len(names), dtype=np.bool_)
    if len(names) > 1:
        first[1:] = np.asarray(pc.not_equal(names.slice(1), names.slice(0, len(names) - 1)))
    return first


def _repeated(table: pa.Table, kept: pa.Table) -> pa.Table:
    """Return the rejects of rows whose content has another row, given in `kept`."""
    names = [name for name in ("path", "hexsha", "lang", "size", "repo") if name in table.column_names]
    records = [
        {
            **record,
            "stage": "base",
            "reason": "exact_duplicate",
            "detail": f"same bytes as {other['path']}" + (f" of {other['repo']}" if other.get("repo") else ""),
            "kept_hexsha": other["hexsha"],
        }
        for record, other in zip(table.select(names).to_pylist(), kept.select(names).to_pylist(), strict=True)
    ]
    return pa.Table.from_pylist(records, schema=REJECT_SCHEMA)


def _with_own_hexsha(table: pa.Table) -> pa.Table:
    """Return the rows, which differ in content, with the SHA-1 of the content for those whose hexsha others have, too."""
    counts = pc.value_counts(table["hexsha"].combine_chunks())
    shared = pc.struct_field(counts, "values").filter(pc.greater(pc.struct_field(counts, "counts"), 1))
    if not len(shared):
        return table
    own = pc.if_else(pc.is_in(table["hexsha"], value_set=shared), table[CONTENT_SHA1], table["hexsha"])
    return table.set_column(table.column_names.index("hexsha"), "hexsha", own)
