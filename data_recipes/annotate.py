"""Judge the rows of one input file: permissions, filters, measures, redaction, decontamination."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from data_recipes.decontamination.benchmarks import BenchmarkString, Matcher, searched_and_not
from data_recipes.decontamination.matcher import GRAM, STRING
from data_recipes.disk.files import checksum
from data_recipes.filters.fertility import tokenizer_file
from data_recipes.filters.filter import Drop, Filter
from data_recipes.filters.registry import filters, measuring_filters
from data_recipes.pii.detector import Detector
from data_recipes.pii.redaction import redact_with
from data_recipes.pii.redaction_key import RedactionKey
from data_recipes.pii.rows import PII_COLUMNS
from data_recipes.settings import RunSettings
from data_recipes.sources.parquet import read_parquet
from data_recipes.sources.row import Reject, Row, reject_of
from data_recipes.store.annotated import AnnotatedShard

_BATCH_ROWS, _BATCH_BYTES = 512, 8 << 20
_REASONS = {STRING: "benchmark_string", GRAM: "benchmark_ngram"}


@dataclass(frozen=True, slots=True)
class Annotator:
    """Turns the rows of a shard into rows of the store and rejects.

    `steps` are those of the recipes, whose measures are taken; `provenance` the columns of the source to keep;
    `bars` shows progress bars (None: on a terminal only).
    """

    config: RunSettings
    steps: tuple[str, ...] = ()
    provenance: tuple[str, ...] = ()
    bars: bool | None = False
    not_searched: list[BenchmarkString] = field(init=False, repr=False)
    _strings: list[BenchmarkString] = field(init=False, repr=False)
    _matcher: Matcher = field(init=False, repr=False)
    _store_filters: tuple[Filter, ...] = field(init=False, repr=False)
    _detector: Detector = field(init=False, repr=False)

    def __post_init__(self) -> None:
        strings, not_searched = searched_and_not(self.config.benchmarks)
        object.__setattr__(self, "_detector", self.config.detector())
        object.__setattr__(self, "_strings", strings)
        object.__setattr__(self, "not_searched", not_searched)
        object.__setattr__(self, "_matcher", Matcher(strings))
        chosen = {**filters("base"), **filters("store")}
        object.__setattr__(self, "_store_filters", tuple(chosen[name] for name in self.filters))

    @property
    def filters(self) -> list[str]:
        """The names of the filters that decide what is in the store."""
        return [*filters("base"), *self.config.filters]

    @property
    def measures(self) -> list[Filter]:
        """The filters whose measures the steps read."""
        return measuring_filters(list(self.steps))

    @property
    def scores(self) -> list[str]:
        """The measured columns."""
        return [made.measures for made in self.measures if made.measures]

    def settings(self) -> dict[str, Any]:
        """Return all that the result depends on besides the shard, as JSON values."""
        config = self.config
        is_counted = config.tokenizer is not None and "chars_per_token" in self.scores
        return {
            "filters": self.filters,
            "thresholds": config.thresholds(self.steps),
            "compat": config.compat,
            "paths": config.paths().about(),
            "filter_modules": config.filter_module_sums(),
            "scores": self.scores,
            "provenance": self.provenance,
            "licenses": config.permissions.license_settings(),
            "tokenizer": checksum(tokenizer_file(config.tokenizer)) if is_counted and config.tokenizer else None,
            "classifier": self.classifier_sum(),
            "redaction_key": self.config.redaction_key().check(),
            "max_file_bytes": config.max_file_bytes,
            "strings": [[s.benchmark, s.problem, s.string] for s in self._strings],
            "redaction": self.config.redaction(),
        }

    def classifier_sum(self) -> str | None:
        """Return the checksum of the classifier; None where no step asks it."""
        if self.config.classifier is None or "quality_score" not in self.scores:
            return None
        from data_recipes.classifier.model import classifier_file

        return checksum(classifier_file(self.config.classifier))

    def classifier_facts(self) -> dict[str, Any] | None:
        """Return what the classifier learned from and how well, with its digest; None where no step asks it."""
        if (digest := self.classifier_sum()) is None or self.config.classifier is None:
            return None
        from data_recipes.classifier.model import load_classifier

        return {"sha256": digest, **load_classifier(self.config.classifier).about}

    def strings_per_benchmark(self) -> dict[str, int]:
        """Return how many strings of each benchmark are searched for."""
        return dict(Counter(s.benchmark for s in self._strings))

    @property
    def pii_types(self) -> tuple[str, ...]:
        """The types of personal data that the store has a column for: the usual ones, and those of the detector."""
        return tuple(dict.fromkeys((*PII_COLUMNS, *self._detector.types)))

    def annotate(self, shard: Path, key: RedactionKey, out: AnnotatedShard) -> None:
        """Write the shard's rows that pass, redacted and with their numbers of redactions, and the rejects."""
        for row in self.filtered(shard, out.reject):
            redacted = redact_with(self._detector, row.content, key=key, style=self.config.style)
            published = replace(row, content=redacted.text) if redacted.findings else row
            if reject := self._contaminated(published):
                out.reject(reject)
                continue
            original = hashlib.sha1(row.content.encode(), usedforsecurity=False).hexdigest()
            out.add(published, Counter(finding.type for finding in redacted.findings), original)
        out.close()

    def filtered(self, shard: Path, reject: Callable[[Reject], None]) -> Iterator[Row]:
        """Yield the shard's rows that pass, with their measures; `reject` takes the others."""
        source = read_parquet(shard, max_file_bytes=self.config.max_file_bytes)
        hidden = None if self.bars is None else not self.bars
        shown = tqdm(source, desc=shard.name, total=_row_count(shard), unit="file", disable=hidden)
        return self._scored(self._passing(shown, reject))

    def _passing(self, source: Iterable[Row | Reject], reject: Callable[[Reject], None]) -> Iterator[Row]:
        """Yield the rows that have the licences and pass the filters. Opt-outs are a matter of the languages' stage."""
        paths, thresholds = self.config.paths(), self.config.every_threshold()
        deciders = [paths.drop, *(_decider(made, thresholds) for made in self._store_filters)]
        for item in source:
            if isinstance(item, Reject):
                reject(item)
                continue
            drop = self.config.permissions.license_drop(item.licenses)
            drop = drop or next((found for decide in deciders if (found := decide(item))), None)
            if drop is None:
                yield item
                continue
            reject(reject_of(item, "base", drop.reason, drop.detail))

    def _scored(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Yield the rows with their measures, which are those of the original contents."""
        measures, use = self.measures, self.config.measuring()
        if not measures:
            yield from rows
            return
        for batch in _batches(rows):
            texts, langs = [row.content for row in batch], [row.lang for row in batch]
            measured = {
                made.measures: made.measure(texts, langs, use) for made in measures if made.measures and made.measure
            }
            for number, row in enumerate(batch):
                scores: Mapping[str, float | None] = {name: values[number] for name, values in measured.items()}
                yield replace(row, scores=scores)

    def _contaminated(self, row: Row) -> Reject | None:
        found = self._matcher.find(row.content)
        if not found:
            return None
        detail = f"{found[0].benchmark}: {found[0].problem}" + (f" and {len(found) - 1} more" if found[1:] else "")
        reason, matched = _REASONS[found[0].kind], found[0].string
        return replace(reject_of(row, "decontaminated", reason, detail), matched=matched)


def _decider(made: Filter, thresholds: Mapping[str, Any]) -> Callable[[Row], Drop | None]:
    """Return a function that says why a filter drops a row, or None."""
    names = made.columns
    read = attrgetter(*names)

    def decide(row: Row) -> Drop | None:
        values = read(row)
        return made.keep(dict(zip(names, values, strict=True)) if len(names) > 1 else {names[0]: values}, thresholds)

    return decide


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    held = 0
    for row in rows:
        batch.append(row)
        held += row.size
        if len(batch) == _BATCH_ROWS or held >= _BATCH_BYTES:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def _row_count(shard: Path) -> int | None:
    """Return the number of rows for the progress bar; a file that is no parquet is reported by whoever reads it."""
    try:
        return int(pq.ParquetFile(shard).metadata.num_rows)
    except pa.ArrowInvalid:
        return None
