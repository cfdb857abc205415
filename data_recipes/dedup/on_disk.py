"""Find near-duplicates among texts on disk, of parquet files or of a temporary file, in bounded memory.

Texts, band keys and sketches are appended to a `Spill`; texts are read from it again for exact comparisons alone. What
stays in memory is under a hundred bytes a document, and a sketch of 256 more where the mode is verified.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from data_recipes.dedup.modes import content_hashes, decide, find_mode, near_duplicates, preference
from data_recipes.dedup.signatures import Mode, Signatures, SpilledSignatures, scratches, sign_alone
from data_recipes.disk.files import PathLike
from data_recipes.disk.spill import Spill
from data_recipes.engine.texts import FileTexts, texts_of
from data_recipes.engine.threads import ranges, workers
from data_recipes.errors import DataError
from data_recipes.sources.parquet import parquet_files

PRIORITY = ("stars", "forks", "date")
"""Which file of a cluster is kept: one with a licence, with more stars, more forks, a later date, a smaller hexsha."""

_BATCH_ROWS = 1024
_SIGNED_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class _Piece:
    """One batch of rows: what stays in memory, and where in the spill its texts are."""

    preference: pa.Table
    places: NDArray[np.int64]
    sizes: NDArray[np.int64]
    signatures: SpilledSignatures


def near_duplicates_of_files(
    source: PathLike | Sequence[PathLike],
    mode: str = "near_dedup_verified",
    threads: int | None = None,
    *,
    priority: Sequence[str] = (),
    folder: Path | None = None,
    is_measured: bool = True,
) -> pa.Table:
    """Return the table of `near_duplicates` for the rows of parquet files, numbered through in the order of the paths.

    `source` is a file, a folder or several of them. `folder` takes the temporary file (default: the system's), which
    is as large as all texts and 600 bytes a row; an unverified mode that is not `is_measured` needs no texts in it, and
    gives no similarity of what it removes. Raises `DataError` for a file that is no parquet or has no
    `content`, and `StoreError` where the temporary file can't be written.
    """
    chosen = find_mode(mode)
    needs_texts = chosen.is_verified or is_measured
    sources = [source] if isinstance(source, str | os.PathLike) else source
    paths = [path for item in sources for path in parquet_files(item)]
    jobs = [(path, number) for path in paths for number in range(len(row_groups(path, priority)))]
    found: list[list[_Piece]] = [[] for _ in jobs]
    with contextlib.closing(Spill(folder)) as spill, workers(threads) as crew:

        def work(number: int, path: Path, group: int, scratch: Any) -> None:
            for batch in batches_with_content(path, [group], priority):
                found[number].append(_signed_piece(batch, chosen, spill, scratch, needs_texts=needs_texts))

        crew.each(work, ((number, *job) for number, job in enumerate(jobs)), scratches(crew.count))
        pieces = [piece for batches in found for piece in batches]
        if not pieces:
            return near_duplicates([], mode)
        places, sizes = (np.concatenate([getattr(p, name) for p in pieces]) for name in ("places", "sizes"))
        texts = FileTexts(spill, places, sizes)
        order = preference(pa.concat_tables([piece.preference for piece in pieces]), priority)
        signatures: list[Signatures] = [piece.signatures for piece in pieces]
        found.clear()
        pieces.clear()
        return decide(texts, signatures, order, chosen, crew, is_measured=needs_texts)


def near_duplicates_of_texts(
    texts: FileTexts,
    table: pa.Table,
    mode: str,
    threads: int | None = None,
    *,
    folder: Path | None = None,
    changed: Mode | None = None,
) -> pa.Table:
    """Return the table of `near_duplicates` for texts on disk; `table` has their hexsha and what may be of `PRIORITY`.

    Signatures go to a temporary file in `folder`, so that memory is needed for some tens of bytes a row, and for a
    sketch of 256 more where the mode is verified. `changed` is the mode with other numbers.
    """
    chosen, jobs = changed or find_mode(mode), list(enumerate(ranges(texts.sizes, _SIGNED_BYTES)))
    made: list[Signatures | None] = [None] * len(jobs)
    with contextlib.closing(Spill(folder)) as spill, workers(threads) as crew:

        def work(number: int, which: tuple[int, int], scratch: Any) -> None:
            signed = sign_alone(texts.view(np.arange(*which)), chosen, scratch)
            made[number] = SpilledSignatures.of(signed, spill)

        crew.each(work, jobs, scratches(crew.count))
        order = preference(*kept_first(table, mode))
        return decide(texts, [part for part in made if part is not None], order, chosen, crew)


def kept_first(table: pa.Table, mode: str) -> tuple[pa.Table, list[str]]:
    """Return the columns that say which row of a cluster is kept, and the names of those of which more is better.

    Only our own mode has a choice beyond the hexsha.
    """
    if mode != "near_dedup_verified":
        return table.select(["hexsha"]), []
    chosen = table if "is_licensed" in table.column_names else with_priority(table)
    names = [name for name in ("is_licensed", *PRIORITY) if name in chosen.column_names]
    return chosen.select(["hexsha", *names]), names


def with_priority(table: pa.Table) -> pa.Table:
    """Return the table with a column `is_licensed` (1 or 0), if it has licences."""
    if "licenses" not in table.column_names:
        return table
    is_licensed = pc.greater(pc.fill_null(pc.list_value_length(table["licenses"]), 0), 0)
    return table.append_column("is_licensed", is_licensed.cast(pa.int8()))


def row_groups(path: Path, priority: Sequence[str]) -> list[tuple[int, int]]:
    """Return rows and unpacked bytes of each row group of a file.

    Raises:
        DataError: The file is no parquet, or lacks `content` or a column of `priority`.
    """
    with _readable(path) as file:
        names = file.schema_arrow.names
        for name in ("content", *priority):
            if names.count(name) != 1:
                seen = "no" if name not in names else "more than one"
                raise DataError(f"{path} has {seen} {name!r} column, needed here. Columns found: {', '.join(names)}.")
        groups = (file.metadata.row_group(number) for number in range(file.num_row_groups))
        return [(group.num_rows, group.total_byte_size) for group in groups]


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(
            f"{path}: not a readable parquet file ({str(error)[:120]}). Delete it and write it again.",
        ) from error


def batches_with_content(path: Path, groups: Sequence[int], priority: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield some row groups of a file in batches, with `content`, `hexsha` where it is there, and `priority`.

    Raises:
        DataError: The file is damaged, or a row has no content.
    """
    with _readable(path) as file:
        names = [name for name in file.schema_arrow.names if name in {"content", "hexsha", *priority}]
        for batch in file.iter_batches(_BATCH_ROWS, row_groups=list(groups), columns=names, use_threads=False):
            if batch["content"].null_count:
                row = batch["content"].is_null().index(True).as_py()
                raise DataError(
                    f"{path}: row {row} of a batch in row group {', '.join(map(str, groups))} has no content. Drop such rows."
                )
            yield batch


def _signed_piece(batch: pa.RecordBatch, mode: Mode, spill: Spill, scratch: Any, *, needs_texts: bool) -> _Piece:
    texts = texts_of(batch["content"])
    signed = sign_alone(texts, mode, scratch)
    columns = pa.Table.from_batches([batch.drop_columns("content")])
    if "hexsha" not in batch.schema.names:
        columns = columns.append_column("hexsha", content_hashes(texts))
    places = texts.add_to(spill) if needs_texts else np.zeros(len(texts), dtype=np.int64)
    return _Piece(columns, places, texts.sizes, SpilledSignatures.of(signed, spill))
