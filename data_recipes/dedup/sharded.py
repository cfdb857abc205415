"""Find near-duplicates with many processes that share a folder; the results are those of one process.

1. `sign`: for each piece of the input the texts, band keys and sketches.
2. `order`: the rank of every document, and the blocks of the star pass.
3. `band`: for each band and range of keys the groups of documents that share a key.
4. `components`: the groups' forests merged; whole components are dealt out to parts.
5. `route`: for each band and range the groups in the order of the parts.
6. `resolve`: for each part the very passes of the single process over its documents. A document is compared only with
   those that it shares a bucket with, all of its own component, and blocks are those of all documents: so the
   decisions are the same.
7. `collect`: for each piece the decisions about its rows.

Each item of a stage is done once, as its marker says, and none needs more in memory than a piece, a range, a part, or
some bytes a document (`order` and `components`).
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from data_recipes.dedup.clusters import (
    Comparison,
    IntArray,
    block_starts,
    groups_in_range,
    kept_similarity,
    key_ranges,
    roots_of,
    star_pass,
    stars_from,
)
from data_recipes.dedup.modes import content_hashes, find_mode, preference
from data_recipes.dedup.on_disk import batches_with_content, row_groups
from data_recipes.dedup.shared_texts import SharedTexts, TextWriter
from data_recipes.dedup.signatures import MIN_TOKENS, NUM_PERM, Mode, scratches, sign_alone
from data_recipes.disk.files import replacing, write_table
from data_recipes.disk.markers import code_digest, digest, finished, mark_done
from data_recipes.engine.texts import FileTexts, texts_of
from data_recipes.engine.threads import workers
from data_recipes.errors import DataError
from data_recipes.sources.parquet import parquet_files

STAGES = ("sign", "order", "band", "components", "route", "resolve", "collect")
"""The stages in their order."""

_PIECE_BYTES, _PIECE_ROWS = 256 << 20, 1 << 17
_DOCUMENTS = 1 << 32


@dataclass(frozen=True, slots=True)
class Piece:
    """Some row groups of a file, in memory together at most as signatures."""

    path: Path
    groups: tuple[int, ...]
    rows: int


@dataclass(frozen=True)
class ShardedNearDedup:
    """One near-deduplication in stages; every process makes the same one from the same values.

    Attributes:
        sources: Parquet files or folders of them.
        out: Where the decisions go: `near-dedup-00000.parquet` and so on, one for each piece.
        mode: A mode of `near_duplicates`.
        parts: In how many parts whole components are resolved.
        priority: Columns of which larger values are kept first.
        ranges: In how many ranges the keys of a band are sorted (default: by the number of documents).
        threads: Threads of one process.
    """

    sources: tuple[Path, ...]
    out: Path
    mode: str = "near_dedup_verified"
    parts: int = 16
    priority: tuple[str, ...] = ()
    ranges: int | None = None
    threads: int = 1

    def __post_init__(self) -> None:
        find_mode(self.mode)
        for name in ("parts", "ranges", "threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise DataError(f"near-dedup: {name}={value} is less than 1. Choose 1 or more.")

    @cached_property
    def pieces(self) -> list[Piece]:
        """The pieces of the input, in the order of its rows.

        Raises:
            DataError: A file is not readable, or there are too many rows.
        """
        found: list[Piece] = []
        for path in (path for source in self.sources for path in parquet_files(source)):
            groups: list[int] = []
            rows = size = 0
            for number, (more_rows, more) in enumerate(row_groups(path, self.priority)):
                if groups and (rows + more_rows > _PIECE_ROWS or size + more > _PIECE_BYTES):
                    found.append(Piece(path, tuple(groups), rows))
                    groups, rows, size = [], 0, 0
                groups.append(number)
                rows, size = rows + more_rows, size + more
            found.append(Piece(path, tuple(groups), rows))
        if (total := sum(piece.rows for piece in found)) >= _DOCUMENTS:
            raise DataError(f"near-dedup: {total:,} rows, at most {_DOCUMENTS - 1:,} are possible. Split by language.")
        return found

    @cached_property
    def bases(self) -> IntArray:
        """The number of the first row of each piece, and of all rows."""
        return np.concatenate([[0], np.cumsum([piece.rows for piece in self.pieces], dtype=np.int64)]).astype(np.int64)

    @cached_property
    def key(self) -> str:
        """A digest of all that the decisions and the files between stages depend on."""
        status = [(str(piece.path), piece.path.stat(), piece.groups) for piece in self.pieces]
        files = [[path, stat.st_size, stat.st_mtime_ns, list(groups)] for path, stat, groups in status]
        return digest([code_digest(), files, self.mode, self.parts, self.priority, self.key_ranges])

    @property
    def work(self) -> Path:
        """Where the stages meet."""
        return self.out / ".work"

    @property
    def key_ranges(self) -> int:
        """In how many ranges the keys of a band are sorted."""
        return self.ranges or max(1, key_ranges(int(self.bases[-1])))

    @property
    def _mode(self) -> Mode:
        return find_mode(self.mode)

    def items(self, stage: str) -> int:
        """Return in how many items, which may run at once, a stage's work is."""
        joins = self._mode.layout()[0] * self.key_ranges
        counts = {"sign": len(self.pieces), "band": joins, "resolve": self.parts, "collect": len(self.pieces)}
        return counts.get(stage, 1) if stage != "route" else joins if self._mode.is_verified else 0

    def do(self, stage: str, item: int) -> None:
        """Do one item of a stage, if it is not done."""
        marker = self.work / f"{stage}-{item:05d}.done.json"
        if finished(marker, self.key)[0] is not None:
            return
        work: Callable[[int], list[Path]] = getattr(self, f"_{stage}")
        mark_done(marker, self.key, work(item), {})

    def all(self) -> list[Path]:
        """Do everything in this process; return the files of decisions."""
        for stage in STAGES:
            for item in range(self.items(stage)):
                self.do(stage, item)
        return self.outputs

    @property
    def outputs(self) -> list[Path]:
        """The files of decisions, in the order of the rows."""
        return [self.out / f"near-dedup-{number:05d}.parquet" for number in range(len(self.pieces))]

    def _path(self, name: str, item: int = 0, ending: str = ".npy") -> Path:
        return self.work / f"{name}-{item:05d}{ending}"

    def _save(self, name: str, item: int, array: Any) -> Path:
        path = self._path(name, item)
        with replacing(path) as temporary, temporary.open("wb") as stream:
            np.save(stream, array)
        return path

    def _load(self, name: str, item: int = 0) -> Any:
        return np.load(self._path(name, item), mmap_mode="r")

    def _sign(self, item: int) -> list[Path]:
        piece, mode, scratch = self.pieces[item], self._mode, scratches(1)[0]
        parts, metas, places, sizes = [], [], [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        names = ("hexsha", *self.priority)
        with TextWriter(self._path("texts", item, ".bin")) as writer:
            for batch in batches_with_content(piece.path, piece.groups, self.priority):
                texts = texts_of(batch["content"])
                parts.append(sign_alone(texts, mode, scratch))
                places.append(writer.add(texts))
                sizes.append(texts.sizes)
                meta = pa.Table.from_batches([batch.drop_columns("content")])
                if "hexsha" not in meta.column_names:
                    meta = meta.append_column("hexsha", content_hashes(texts))
                metas.append(meta.select(names))
        bands = mode.layout()[0]
        keys = [np.zeros((bands, 0), np.uint64), *(part.keys for part in parts)]
        made = [
            self._path("texts", item, ".bin"),
            self._save("places", item, np.concatenate(places)),
            self._save("sizes", item, np.concatenate(sizes)),
            self._save("tokens", item, np.concatenate([np.zeros(0, np.uint32), *(part.tokens for part in parts)])),
            self._save("keys", item, np.concatenate(keys, axis=1)),
            self._path("meta", item, ".parquet"),
        ]
        empty = pa.table({name: pa.array([], pa.string()) for name in names})
        write_table(made[-1], pa.concat_tables(metas) if metas else empty)
        if mode.is_verified:
            sketches = [np.zeros((0, NUM_PERM), np.uint8), *(part.sketches for part in parts)]
            made.append(self._save("sketches", item, np.concatenate(sketches)))
        return made

    def _order(self, item: int) -> list[Path]:
        numbers = range(len(self.pieces))
        metas = [pq.read_table(self._path("meta", number, ".parquet")) for number in numbers]
        filled = [meta for meta in metas if meta.num_rows] or metas[:1]
        order = preference(pa.concat_tables(filled, promote_options="permissive"), self.priority)
        del metas, filled
        count = len(order)
        ranks = np.empty(count, dtype=np.uint32)
        ranks[order] = np.arange(count, dtype=np.uint32)
        sizes = np.empty(count, dtype=np.int64)
        for number, base in zip(numbers, self.bases.tolist(), strict=False):
            own = ranks[base : base + self.pieces[number].rows]
            sizes[own] = self._load("sizes", number)
            own[self._load("tokens", number) < MIN_TOKENS] = count  # it takes no part
        return [
            self._save("order", item, order.astype(np.uint32)),
            self._save("ranks", item, ranks),
            self._save("blocks", item, block_starts(sizes)),
        ]

    def _band(self, item: int) -> list[Path]:
        band, part = divmod(item, self.key_ranges)
        keys = (np.asarray(self._load("keys", number)[band]) for number in range(len(self.pieces)))
        members, starts = groups_in_range(keys, self._load("ranks"), part, self.key_ranges)
        return [self._save("members", item, members), self._save("starts", item, starts)]

    def _joins(self) -> Iterator[tuple[NDArray[np.uint32], IntArray]]:
        for item in range(self.items("band")):
            yield np.asarray(self._load("members", item)), np.asarray(self._load("starts", item))

    def _components(self, item: int) -> list[Path]:
        roots = roots_of(self._joins(), int(self.bases[-1]))
        sizes = np.bincount(roots, minlength=len(roots))
        shared = np.flatnonzero(sizes > 1)
        before = np.cumsum(sizes[shared]) - sizes[shared]
        part_of_root = np.full(len(roots), -1, dtype=np.int32)
        part_of_root[shared] = before * self.parts // max(1, int(sizes[shared].sum()))
        part = part_of_root[roots]
        clustered = np.flatnonzero(part >= 0)
        clustered = clustered[np.argsort(part[clustered], kind="stable")]
        ends = np.searchsorted(part[clustered], np.arange(self.parts + 1))
        return [
            self._save("roots", item, roots.astype(np.uint32)),
            self._save("part", item, part),
            self._save("clustered", item, clustered.astype(np.uint32)),
            self._save("ends", item, ends),
        ]

    def _route(self, item: int) -> list[Path]:
        members, starts = np.asarray(self._load("members", item)), np.asarray(self._load("starts", item))
        lengths = np.diff(starts, append=len(members))
        part = self._load("part")[members[starts]]
        order = np.argsort(part, kind="stable")
        by_part = np.repeat(part, lengths)
        bounds = np.arange(self.parts + 1)
        ends = np.stack([np.searchsorted(part[order], bounds), np.searchsorted(np.sort(by_part), bounds)])
        return [
            self._save("routed", item, members[np.argsort(by_part, kind="stable")]),
            self._save("lengths", item, lengths[order]),
            self._save("routed-ends", item, ends),
        ]

    def _resolve(self, item: int) -> list[Path]:
        ends = self._load("ends")
        ranks = np.asarray(self._load("clustered")[ends[item] : ends[item + 1]]).astype(np.int64)
        order = self._load("order")
        rows = np.asarray(order[ranks]).astype(np.int64)
        with contextlib.ExitStack() as stack:
            texts = stack.enter_context(contextlib.closing(self._texts()))
            crew = stack.enter_context(workers(self.threads))
            data = self._comparison(rows, texts)
            if self._mode.is_verified:
                block = np.searchsorted(self._load("blocks"), ranks, side="right")
                begins = np.flatnonzero(np.diff(block, prepend=-1))
                kept, similar = star_pass(data, self._stars(item, ranks), crew, begins)
            else:
                kept = np.searchsorted(ranks, self._load("roots")[ranks])
                similar = kept_similarity(data, kept, crew)
        by_row = np.argsort(rows)
        return [
            self._save("decided", item, rows[by_row]),
            self._save("kept", item, rows[kept][by_row]),
            self._save("similar", item, similar[by_row]),
        ]

    def _texts(self) -> SharedTexts:
        return SharedTexts([self._path("texts", number, ".bin") for number in range(len(self.pieces))])

    def _comparison(self, rows: IntArray, texts: SharedTexts) -> Comparison:
        """What comparisons of some documents read, in the order of their ranks."""
        places, sizes = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
        tokens = np.empty(len(rows), np.uint32)
        sketches = np.empty((len(rows) if self._mode.is_verified else 0, NUM_PERM), np.uint8)
        pieces = np.searchsorted(self.bases, rows, side="right") - 1
        for number in np.unique(pieces).tolist():
            mine = np.flatnonzero(pieces == number)
            own = rows[mine] - self.bases[number]
            places[mine] = texts.place(number) + self._load("places", number)[own]
            sizes[mine], tokens[mine] = self._load("sizes", number)[own], self._load("tokens", number)[own]
            if len(sketches):
                sketches[mine] = self._load("sketches", number)[own]
        return Comparison(FileTexts(texts, places, sizes), tokens, sketches, self._mode)

    def _stars(self, item: int, ranks: IntArray) -> Any:
        members, sizes = [], []
        for join in range(self.items("route")):
            (first, last), (low, high) = self._load("routed-ends", join)[:, item : item + 2]
            own = np.asarray(self._load("routed", join)[low:high])
            members.append(np.searchsorted(ranks, own).astype(np.uint32))
            sizes.append(np.asarray(self._load("lengths", join)[first:last]))
        return stars_from(members, sizes, len(ranks))

    def _collect(self, item: int) -> list[Path]:
        row = np.arange(self.bases[item], self.bases[item + 1], dtype=np.int64)
        kept_row, similar = row.copy(), np.ones(len(row))
        for part in range(self.parts):
            decided = self._load("decided", part)
            low, high = np.searchsorted(decided, self.bases[item : item + 2])
            own = decided[low:high] - self.bases[item]
            kept_row[own], similar[own] = self._load("kept", part)[low:high], self._load("similar", part)[low:high]
        columns = {
            "row": row,
            "cluster": kept_row,
            "kept_row": kept_row,
            "jaccard": similar,
            "is_kept": kept_row == row,
        }
        write_table(self.outputs[item], pa.table(columns))
        return [self.outputs[item]]


def near_duplicates_in_stages(sources: Sequence[Path], out: Path, mode: str, **settings: Any) -> pa.Table:
    """Return the table of `near_duplicates_of_files`, made stage by stage in one process; what is done stays in `out`."""
    return pa.concat_tables(map(pq.read_table, ShardedNearDedup(tuple(sources), out, mode, **settings).all()))
