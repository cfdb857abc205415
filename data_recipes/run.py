"""The run: rows in; filtered, redacted, decontaminated, deduplicated rows out, with funnel, rejects and card.

Order: base filter, redaction, decontamination, near-duplicates. Each input shard is annotated on its own and each
language is written on its own; a marker with checksums tells what is finished, so a run that was killed continues
and gives the same bytes.
"""

import re
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_recipes import filters, near_dedup
from data_recipes.annotate import Annotator
from data_recipes.card import render_card
from data_recipes.decontaminate import Benchmarks, benchmark_strings
from data_recipes.errors import DataError
from data_recipes.funnel import language_entry
from data_recipes.recipes import Recipe, configs, find_recipe, slug
from data_recipes.rows import MAX_FILE_BYTES, REJECT_SCHEMA, PathLike, parquet_files
from data_recipes.rows_step import write_rows
from data_recipes.signatures import MIN_TOKENS
from data_recipes.store import (
    SHARD_BYTES,
    checksum,
    code_digest,
    digest,
    finished,
    mark_done,
    remove,
    shards,
    write_json,
    write_table,
    write_text,
)

__all__ = ["run", "write_rows"]

_STAGES = ("read", "base", "decontaminated")


def run(
    source: PathLike,
    out: PathLike,
    recipe: str = "near_dedup",
    threads: int | None = None,
    *,
    benchmarks: Benchmarks = (),
    seed: int = 0,
    max_file_bytes: int = MAX_FILE_BYTES,
    shard_bytes: int = SHARD_BYTES,
    progress: bool | None = None,
    report: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Make a dataset folder from rows: a parquet file, or a folder of them (what `write_rows` wrote, or The Stack).

    Writes `data/<language>-00000.parquet`, `rejects/<language>.parquet`, `funnel.json` and `README.md`, after which
    `load_dataset(out, recipe)` works. `hexsha`, `size` and line statistics stay those of the original bytes.
    `benchmarks` are JSONL files or records, see `decontaminate`. `progress` shows bars; None shows them on a
    terminal only. `report` gets one line per finished step. Returns what `funnel.json` holds.

    Raises `DataError` for an unusable source and where no row is left, `StoreError` where `out` can't be written.
    """
    return _Run(Path(source), Path(out), find_recipe(recipe), threads, shard_bytes, report).make(
        Annotator(recipe, benchmark_strings(benchmarks), seed, max_file_bytes, progress),
    )


@dataclass(frozen=True, slots=True)
class _Run:
    """One run: the folders it works in and the settings that its steps share."""

    source: Path
    out: Path
    recipe: Recipe
    threads: int | None
    shard_bytes: int
    report: Callable[[str], None]

    @property
    def work(self) -> Path:
        """Where unfinished work is kept; gone when the run is done."""
        return self.out / ".work"

    @property
    def stages(self) -> list[str]:
        """The names of the funnel's stages."""
        return [*_STAGES, self.recipe.near_dedup] if self.recipe.near_dedup else list(_STAGES)

    def make(self, annotator: Annotator) -> dict[str, Any]:
        """All steps; skipped where the output is up to date."""
        started = time.monotonic()
        inputs = _finished_inputs(self.source)
        sums = [checksum(path) for path in inputs]
        settings = {"code": code_digest(), **annotator.settings()}
        layout = [self.recipe.name, self.shard_bytes]
        key = digest([sums, settings, layout, [path.name for path in inputs]])
        marker = self.out / ".done.json"
        funnel, problem = finished(marker, key)
        if funnel is not None:
            self.report(f"step=store recipe={self.recipe.name} reused")
            shutil.rmtree(self.work, ignore_errors=True)
            return funnel
        if problem:
            self.report(f"step=store redone: {problem}")
        annotated = [
            self._annotated(annotator, number, path, digest([total, settings, path.name]))
            for number, (path, total) in enumerate(zip(inputs, sums, strict=True))
        ]
        rejects = [self.work / f"rejects-{number:05d}.parquet" for number in range(len(inputs))]
        if (read_rejects := self.source / "rejects.parquet").exists():
            rejects.append(read_rejects)
        step_key = digest([[checksum(path) for path in [*annotated, *rejects]], settings, layout])
        funnel, outputs = self._store(annotator, annotated, rejects, step_key)
        mark_done(marker, key, outputs, funnel)
        shutil.rmtree(self.work)
        kept = sum(entry["stages"][-1]["files"] for entry in funnel["funnel"])
        self.report(f"step=store recipe={self.recipe.name} out={kept} {time.monotonic() - started:.0f}s")
        return funnel

    def _annotated(self, annotator: Annotator, number: int, path: Path, key: str) -> Path:
        """One input shard's rows that pass the filters, redacted; done once."""
        started = time.monotonic()
        output, marker = self.work / f"annotated-{number:05d}.parquet", self.work / f"annotated-{number:05d}.done.json"
        facts, problem = finished(marker, key)
        if facts is not None:
            self.report(f"step=annotate shard={path.name} reused")
            return output
        if problem:
            self.report(f"step=annotate shard={path.name} redone: {problem}")
        rejected = self.work / f"rejects-{number:05d}.parquet"
        kept, dropped = annotator.annotate(path)
        write_table(output, kept)
        write_table(rejected, dropped)
        mark_done(marker, key, [output, rejected], {})
        _line(self.report, f"annotate shard={path.name}", kept.num_rows + dropped.num_rows, kept.num_rows, started)
        return output

    def _store(
        self,
        annotator: Annotator,
        annotated: list[Path],
        rejects: list[Path],
        key: str,
    ) -> tuple[dict[str, Any], list[Path]]:
        """Data and rejects of every language, then funnel and card."""
        entries, outputs, owners = [], [], dict[str, str]()
        for lang in _languages([*annotated, *rejects]):
            if (other := owners.setdefault(slug(lang), lang)) != lang:
                raise DataError(
                    f"Languages {other!r} and {lang!r} would share the file name {slug(lang)!r}. Rename one."
                )
            entry, written = self._language(lang, annotated, rejects, key)
            entries.append(entry)
            outputs += written
        for folder in (self.out / "data", self.out / "rejects"):
            for stale in sorted(folder.glob("*.parquet")):
                if stale not in outputs:
                    remove(stale)
        if not any(entry["stages"][2]["files"] for entry in entries):
            dropped = sum(reject["files"] for entry in entries for reject in entry["rejects"])
            raise DataError(
                f"{self.source}: none of {dropped} files is left. Expected source code; {self.out / 'rejects'} gives "
                "the reason for each file.",
            )
        funnel = self._funnel(annotator, entries)
        write_json(self.out / "funnel.json", funnel)
        write_text(self.out / "README.md", render_card(funnel, repository=self.out.resolve().name))
        return funnel, [*outputs, self.out / "funnel.json", self.out / "README.md"]

    def _funnel(self, annotator: Annotator, entries: list[dict[str, Any]]) -> dict[str, Any]:
        redactions: Counter[str] = Counter()
        for entry in entries:
            redactions.update(entry["redactions"])
        mode = self.recipe.near_dedup
        thresholds: dict[str, float] = {
            "max_line_length": filters.MAX_LINE_LENGTH,
            "avg_line_length": filters.MAX_AVG_LINE_LENGTH,
            "alphanum_fraction": filters.MIN_ALPHANUM_FRACTION,
        }
        if mode:
            thresholds |= {f"{mode}_jaccard": near_dedup.MODES[mode].threshold, "min_tokens": MIN_TOKENS}
        present = [entry["lang"] for entry in entries if entry["stages"][2]["files"]]
        return {
            "recipe": self.recipe.name,
            "order": ["base filter", "redaction", "decontamination", *([mode] if mode else [])],
            "thresholds": thresholds,
            "seed": annotator.seed,
            "benchmarks": annotator.strings_per_benchmark(),
            "configs": [entry["config_name"] for entry in configs(self.recipe, present)],
            "redactions": dict(redactions),
            "funnel": entries,
        }

    def _language(
        self,
        lang: str,
        annotated: list[Path],
        rejects: list[Path],
        key: str,
    ) -> tuple[dict[str, Any], list[Path]]:
        """One language's data and rejects; done once."""
        started, marker = time.monotonic(), self.work / f"{slug(lang)}.done.json"
        facts, problem = finished(marker, key)
        if facts is not None:
            self.report(f"step=language lang={lang} reused")
            return facts["entry"], [self.out / name for name in facts["outputs"]]
        if problem:
            self.report(f"step=language lang={lang} redone: {problem}")
        table, repeated = _without_exact_duplicates(_rows_of(lang, annotated))
        dropped = [_rows_of(lang, rejects), repeated]
        if self.recipe.near_dedup:
            table, near = self._near_dedup(table, self.recipe.near_dedup)
            dropped.append(near)
        rejected = pa.concat_tables(dropped).sort_by(
            [("stage", "ascending"), ("path", "ascending"), ("hexsha", "ascending")]
        )
        outputs = [self.out / "rejects" / f"{slug(lang)}.parquet"]
        write_table(outputs[0], rejected)
        for number, shard in enumerate(shards(table, self.shard_bytes) if table.num_rows else ()):
            outputs.append(self.out / "data" / f"{slug(lang)}-{number:05d}.parquet")
            write_table(outputs[-1], shard)
        entry = language_entry(lang, self.stages, table, rejected)
        names = [str(path.relative_to(self.out)) for path in outputs]
        mark_done(marker, key, outputs, {"entry": entry, "outputs": names})
        for before, after in pairwise(entry["stages"]):
            _line(self.report, f"{after['name']} lang={lang}", before["files"], after["files"], started)
        return entry, outputs

    def _near_dedup(self, table: pa.Table, mode: str) -> tuple[pa.Table, pa.Table]:
        """The table with the mode's two columns, and the rejects of the rows that the mode leaves out."""
        found = near_dedup.near_duplicates(table, mode, self.threads)
        is_kept, kept_row = found["is_kept"], found["kept_row"]
        kept_sha = table["hexsha"].take(kept_row)
        in_cluster = pc.is_in(kept_row, value_set=pc.unique(kept_row.filter(pc.invert(is_kept))))
        cluster = pc.if_else(in_cluster, kept_sha, pa.scalar(None, pa.string()))
        removed = table.select(["path", "hexsha", "lang", "size"]).append_column("jaccard", found["jaccard"])
        removed = removed.append_column("kept_hexsha", kept_sha).filter(pc.invert(is_kept))
        records = [
            {**record, "stage": mode, "reason": mode, "detail": "", "cluster": record["kept_hexsha"]}
            for record in removed.to_pylist()
        ]
        marked = table.append_column(f"{mode}_keep", is_kept).append_column(f"{mode}_cluster", cluster)
        return marked, pa.Table.from_pylist(records, schema=REJECT_SCHEMA)


def _finished_inputs(source: Path) -> list[Path]:
    """The input shards; a folder of the rows step must be finished."""
    paths = parquet_files(source)
    unfinished = source.is_dir() and not (source / "rows.json").exists()
    if unfinished and any(re.fullmatch(r"rows-\d{5}\.parquet", path.name) for path in paths):
        raise DataError(f"{source} has row shards but no rows.json: step rows did not finish. Run it again.")
    return paths


def _languages(paths: list[Path]) -> list[str]:
    found: set[str] = set()
    for path in paths:
        found.update(pq.read_table(path, columns=["lang"])["lang"].to_pylist())
    return sorted(found)


def _rows_of(lang: str, paths: list[Path]) -> pa.Table:
    return pa.concat_tables([pq.read_table(path, filters=[("lang", "==", lang)]) for path in paths])


def _without_exact_duplicates(table: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The rows in hexsha order, each hexsha once (the smallest path stays), and rejects for the others."""
    table = table.sort_by([("hexsha", "ascending"), ("path", "ascending")])
    names = table["hexsha"].to_pylist()
    first = [number == 0 or names[number - 1] != name for number, name in enumerate(names)]
    repeated = table.select(["path", "hexsha", "lang", "size"]).filter(pa.array([not x for x in first], pa.bool_()))
    records = [
        {**record, "stage": "base", "reason": "exact_duplicate", "detail": "", "kept_hexsha": record["hexsha"]}
        for record in repeated.to_pylist()
    ]
    return table.filter(pa.array(first, pa.bool_())), pa.Table.from_pylist(records, schema=REJECT_SCHEMA)


def _line(report: Callable[[str], None], step: str, before: int, after: int, started: float) -> None:
    share = 100 * (before - after) / before if before else 0.0
    report(f"step={step} in={before} out={after} dropped={share:.1f}% {time.monotonic() - started:.0f}s")
