"""One shard at a time: base filter, redaction and decontamination of each row."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from data_recipes.decontaminate import BenchmarkString, Matcher
from data_recipes.filters import FILTERS
from data_recipes.matcher import GRAM, STRING
from data_recipes.recipes import find_recipe
from data_recipes.redact import redact
from data_recipes.redactor import PII_COLUMNS
from data_recipes.replacements import POLICY_VERSION
from data_recipes.rows import Reject, Row, read_parquet, rejects_table, rows_table

_REASONS = {STRING: "benchmark_string", GRAM: "benchmark_ngram"}


class Annotator:
    """Turns the rows of a shard into rows of the store and rejects."""

    def __init__(
        self,
        recipe: str,
        strings: Sequence[BenchmarkString],
        seed: int,
        max_file_bytes: int,
        progress: bool | None = None,
    ) -> None:
        self.seed = seed
        self._filters = find_recipe(recipe).filters
        self._strings, self._matcher = strings, Matcher(strings)
        self._max_file_bytes, self._progress = max_file_bytes, progress

    def settings(self) -> dict[str, Any]:
        """All that the result depends on besides the shard, as JSON values."""
        strings = [[s.benchmark, s.problem, s.string] for s in self._strings]
        return {
            "filters": self._filters,
            "seed": self.seed,
            "max_file_bytes": self._max_file_bytes,
            "strings": strings,
            "redaction": POLICY_VERSION,
        }

    def strings_per_benchmark(self) -> dict[str, int]:
        """How many strings of each benchmark are searched for."""
        return dict(Counter(s.benchmark for s in self._strings))

    def annotate(self, shard: Path) -> tuple[pa.Table, pa.Table]:
        """The shard's rows that pass, redacted and with their numbers of redactions, and the rejects."""
        rows: list[Row] = []
        rejects: list[Reject] = []
        counts: list[Counter[str]] = []
        source = read_parquet(shard, max_file_bytes=self._max_file_bytes, drop_duplicates=False)
        hidden = None if self._progress is None else not self._progress
        for item in tqdm(source, desc=shard.name, total=_row_count(shard), unit="file", disable=hidden):
            if isinstance(item, Reject):
                rejects.append(item)
                continue
            if reject := self._filtered(item):
                rejects.append(reject)
                continue
            redacted = redact(item.content, seed=self.seed)
            row = replace(item, content=redacted.text) if redacted.findings else item
            if reject := self._contaminated(row):
                rejects.append(reject)
                continue
            rows.append(row)
            counts.append(Counter(finding.type for finding in redacted.findings))
        table = rows_table(rows)
        for kind, column in PII_COLUMNS.items():
            table = table.append_column(column, pa.array([found[kind] for found in counts], pa.int32()))
        return table, rejects_table(rejects)

    def _filtered(self, row: Row) -> Reject | None:
        for name in self._filters:
            if drop := FILTERS[name](row):
                return Reject(row.path, row.lang, row.size, "base", drop.reason, drop.detail, hexsha=row.hexsha)
        return None

    def _contaminated(self, row: Row) -> Reject | None:
        found = self._matcher.find(row.content)
        if not found:
            return None
        detail = f"{found[0].benchmark}: {found[0].problem}" + (f" and {len(found) - 1} more" if found[1:] else "")
        reason, matched = _REASONS[found[0].kind], found[0].string
        return Reject(
            row.path, row.lang, row.size, "decontaminated", reason, detail, hexsha=row.hexsha, matched=matched
        )


def _row_count(shard: Path) -> int | None:
    """The number of rows for the progress bar; a file that is no parquet is reported by whoever reads it."""
    try:
        return int(pq.ParquetFile(shard).metadata.num_rows)
    except pa.ArrowInvalid:
        return None
