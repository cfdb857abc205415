"""One shard at a time: permissions, filters, scores, redaction and decontamination of each row."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from data_recipes.decontamination.benchmarks import BenchmarkString, Matcher
from data_recipes.decontamination.matcher import GRAM, STRING
from data_recipes.disk.files import checksum
from data_recipes.errors import DataError
from data_recipes.filters.comments import COMMENT_LANGUAGES, comment_shares
from data_recipes.filters.comments_oracle import comment_share_reference
from data_recipes.filters.fertility import chars_per_token, tokenizer_file
from data_recipes.filters.permissions import Permissions
from data_recipes.filters.rules import MIN_CHARS_PER_TOKEN, Drop, filters_for
from data_recipes.pii.redaction import redact
from data_recipes.pii.redaction_key import RedactionKey
from data_recipes.pii.replacements import POLICY_VERSION
from data_recipes.pii.rows import PII_COLUMNS
from data_recipes.sources.parquet import read_parquet
from data_recipes.sources.row import SCORE_SCHEMA, Reject, Row, rejects_table, rows_table

_BATCH_ROWS = 512
STORE_FILTERS = ("xml", "html")
"""The filters that may be added to the base filter: what they drop is not in the store."""

_REASONS = {STRING: "benchmark_string", GRAM: "benchmark_ngram"}


class Annotator:
    """Turns the rows of a shard into rows of the store and rejects.

    `scores` are the columns to measure (`comment_share`, `chars_per_token`), `provenance` those to keep of the source.
    """

    def __init__(
        self,
        strings: Sequence[BenchmarkString],
        key: RedactionKey,
        max_file_bytes: int,
        progress: bool | None = None,
        *,
        filters: Sequence[str] = (),
        permissions: Permissions | None = None,
        tokenizer: str | os.PathLike[str] | None = None,
        compat: str = "report",
        threads: int | None = None,
    ) -> None:
        if unknown := [name for name in filters if name not in STORE_FILTERS]:
            raise DataError(f"filters={list(filters)} names {unknown}. Choose of {', '.join(STORE_FILTERS)}.")
        self.key, self.compat = key, compat
        self.scores: tuple[str, ...] = ()
        self.provenance: tuple[str, ...] = ()
        self.tokenizer = tokenizer
        self.permissions = permissions or Permissions()
        self._filters = {name: filters_for(compat)[name] for name in ("base", *filters)}
        self._strings, self._matcher = strings, Matcher(strings)
        self._max_file_bytes, self._progress = max_file_bytes, progress
        self._threads = threads or os.cpu_count() or 1

    @property
    def filters(self) -> list[str]:
        """The names of the filters that decide what is in the store."""
        return list(self._filters)

    def settings(self) -> dict[str, Any]:
        """All that the result depends on besides the shard, as JSON values."""
        strings = [[s.benchmark, s.problem, s.string] for s in self._strings]
        counted = "chars_per_token" in self.scores and self.tokenizer is not None
        return {
            "filters": self.filters,
            "compat": self.compat,
            "scores": self.scores,
            "provenance": self.provenance,
            "permissions": self.permissions.settings(),
            "tokenizer": checksum(tokenizer_file(self.tokenizer)) if counted and self.tokenizer else None,
            "redaction_key": self.key.check(),
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
        for row in self.filtered(shard, rejects):
            redacted = redact(row.content, key=self.key)
            published = replace(row, content=redacted.text) if redacted.findings else row
            if reject := self._contaminated(published):
                rejects.append(reject)
                continue
            rows.append(published)
            counts.append(Counter(finding.type for finding in redacted.findings))
        table = rows_table(rows, (*self.provenance, *self.scores))
        for kind, column in PII_COLUMNS.items():
            table = table.append_column(column, pa.array([found[kind] for found in counts], pa.int32()))
        return table, rejects_table(rejects)

    def filtered(self, shard: Path, rejects: list[Reject]) -> Iterator[Row]:
        """The shard's rows that may be published and pass the filters, with their scores; the others go to the rejects."""
        source = read_parquet(shard, max_file_bytes=self._max_file_bytes, drop_duplicates=False)
        hidden = None if self._progress is None else not self._progress
        shown = tqdm(source, desc=shard.name, total=_row_count(shard), unit="file", disable=hidden)
        return self._scored(self._passing(shown, rejects))

    def _passing(self, source: Iterable[Row | Reject], rejects: list[Reject]) -> Iterator[Row]:
        """The rows that may be published and pass the filters; the others go to the rejects."""
        for item in source:
            if isinstance(item, Reject):
                rejects.append(item)
            elif drop := self.permissions.drop(item) or self._filtered(item):
                path = "" if drop.reason == "opt_out" else item.path
                rejects.append(Reject(path, item.lang, item.size, "base", drop.reason, drop.detail, hexsha=item.hexsha))
            else:
                yield item

    def _filtered(self, row: Row) -> Drop | None:
        return next((drop for keep_or_drop in self._filters.values() if (drop := keep_or_drop(row))), None)

    def _scored(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The rows with their scores, which are those of the original contents."""
        if not self.scores:
            yield from rows
            return
        for batch in _batches(rows):
            measured: dict[str, Any] = {name: self._measured(name, batch) for name in self.scores}
            for number, row in enumerate(batch):
                yield replace(row, **{name: values[number] for name, values in measured.items()})

    def _measured(self, score: str, rows: Sequence[Row]) -> Sequence[float | None]:
        """One score of each row; None where its language has none."""
        if score == "comment_share":
            if self.compat == "bigcode":
                return [
                    comment_share_reference(row.content, row.lang) if row.lang in COMMENT_LANGUAGES else None
                    for row in rows
                ]
            shares = comment_shares([row.content for row in rows], [row.lang for row in rows], self._threads)
            return [None if np.isnan(share) else share for share in shares.tolist()]
        if self.tokenizer is None:
            raise DataError("recipe 'fertility' counts tokens. Pass tokenizer=PATH of a tokenizer.json.")
        counted = [row.content for row in rows if row.lang in MIN_CHARS_PER_TOKEN]
        ratios = iter(chars_per_token(counted, self.tokenizer))
        return [next(ratios) if row.lang in MIN_CHARS_PER_TOKEN else None for row in rows]

    def _contaminated(self, row: Row) -> Reject | None:
        found = self._matcher.find(row.content)
        if not found:
            return None
        detail = f"{found[0].benchmark}: {found[0].problem}" + (f" and {len(found) - 1} more" if found[1:] else "")
        reason, matched = _REASONS[found[0].kind], found[0].string
        return Reject(
            row.path, row.lang, row.size, "decontaminated", reason, detail, hexsha=row.hexsha, matched=matched
        )


def scores_of(steps: Iterable[str]) -> tuple[str, ...]:
    """The scores that these steps of recipes read.

    >>> scores_of(["near_dedup", "comments"])
    ('comment_share',)
    """
    read = {"comments": "comment_share", "fertility": "chars_per_token"}
    wanted = {read[step] for step in steps if step in read}
    return tuple(name for name in SCORE_SCHEMA.names if name in wanted)


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


def _row_count(shard: Path) -> int | None:
    """The number of rows for the progress bar; a file that is no parquet is reported by whoever reads it."""
    try:
        return int(pq.ParquetFile(shard).metadata.num_rows)
    except pa.ArrowInvalid:
        return None
