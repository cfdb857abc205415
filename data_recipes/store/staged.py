"""The near-deduplication of one language of a run by many tasks: its texts as a table, and the decisions about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from data_recipes.dedup.on_disk import kept_first
from data_recipes.dedup.sharded import ShardedNearDedup
from data_recipes.disk.files import write_groups
from data_recipes.disk.markers import finished, mark_done, read_marker
from data_recipes.store.language import LanguageRows


@dataclass(frozen=True, slots=True)
class StagedLanguage:
    """A language's folder in the work of a run, whose name bears the key of all that the rows depend on.

    `steps` are those that may be staged: modes that look at all rows, with their own numbers.
    """

    folder: Path
    key: str
    steps: Sequence[str]

    @property
    def _marker(self) -> Path:
        return self.folder / "texts.done.json"

    @property
    def _texts(self) -> Path:
        return self.folder / "texts.parquet"

    def is_written(self) -> bool:
        """Return whether the texts are there, or it is known that there are too few for tasks of their own."""
        return finished(self._marker, self.key)[0] is not None

    def write(self, rows: LanguageRows, least_rows: int) -> None:
        """Write the texts of a language's rows in their order, with the columns that decide what is kept; not of few."""
        count = rows.table.num_rows
        if count >= least_rows:
            columns = {name: column for step in self.steps for name, column in _deciding(rows.table, step).items()}
            rows.table = pa.table(columns)
            write_groups(self._texts, rows.schema, rows.groups(pa.array(range(count)).to_numpy()))
        mark_done(self._marker, self.key, [self._texts] if count >= least_rows else [], {"rows": count})

    def plans(self, parts: int, threads: int) -> list[ShardedNearDedup]:
        """Return the near-deduplications that tasks share; none of a language with few rows, or that is not written."""
        if not self.is_written() or not read_marker(self._marker)[0]:
            return []
        found = []
        for step in self.steps:
            empty = pq.read_schema(self._texts).empty_table()
            names = tuple(kept_first(empty, step)[1])
            found.append(ShardedNearDedup((self._texts,), self.folder / step, step, parts, names, threads=threads))
        return found

    def decisions(self, step: str, rows: int) -> pa.Table | None:
        """Return what the tasks decided about so many rows; None where they did not, or are not done."""
        files = sorted((self.folder / step).glob("near-dedup-*.parquet"))
        if not files or sum(pq.read_metadata(path).num_rows for path in files) != rows:
            return None
        return pa.concat_tables(pq.read_table(path) for path in files).combine_chunks()


def _deciding(table: pa.Table, step: str) -> dict[str, pa.ChunkedArray]:
    chosen, names = kept_first(table, step)
    return {name: chosen[name] for name in ("hexsha", *names)}
