"""The run: rows in; filtered, redacted, decontaminated, deduplicated rows out, with funnel, rejects and card.

Order: base filter, redaction, decontamination, near-duplicates. Each input shard is annotated on its own and each
language is written on its own; a marker with checksums tells what is finished, so a run that was killed continues
and gives the same bytes.
"""

import contextlib
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_recipes.annotate import Annotator, scores_of
from data_recipes.card.card import render_card
from data_recipes.card.pictures import write_pictures
from data_recipes.decontamination.benchmarks import Benchmarks, benchmark_strings
from data_recipes.dedup.modes import MODES
from data_recipes.dedup.on_disk import near_duplicates_of_texts
from data_recipes.dedup.signatures import MIN_TOKENS
from data_recipes.disk.files import SHARD_BYTES, PathLike, checksum, remove, write_json, write_table, write_text
from data_recipes.disk.markers import code_digest, digest, finished, mark_done
from data_recipes.errors import DataError
from data_recipes.filters.permissions import Permissions
from data_recipes.filters.rules import thresholds_for
from data_recipes.pii.redaction_key import key_of_run
from data_recipes.recipes import ROW_FILTERS, Recipe, chosen_recipes, configs, slug, steps_of
from data_recipes.sources.available import SourceFields
from data_recipes.sources.hub import is_hub_name
from data_recipes.sources.parquet import parquet_files
from data_recipes.sources.row import MAX_FILE_BYTES, REJECT_SCHEMA
from data_recipes.sources.write_rows import write_rows
from data_recipes.store.funnel import language_entry
from data_recipes.store.language import LanguageRows
from data_recipes.store.tables import config_rows
from data_recipes.store.views import row_filter

__all__ = ["run", "write_rows"]


def run(
    source: Any,
    out: PathLike,
    recipe: str | Sequence[str] = "near_dedup",
    threads: int | None = None,
    *,
    benchmarks: Benchmarks = (),
    filters: Sequence[str] = (),
    permissions: Permissions | None = None,
    tokenizer: PathLike | None = None,
    compat: str = "report",
    data_dir: str | None = None,
    seed: int | None = None,
    key_file: PathLike | None = None,
    max_file_bytes: int = MAX_FILE_BYTES,
    shard_bytes: int = SHARD_BYTES,
    progress: bool | None = None,
    report: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Make a dataset folder from rows: a parquet file, or a folder of them (what `write_rows` wrote, or The Stack).

    Writes `data/<language>-00000.parquet`, `rejects/<language>.parquet`, `funnel.json`, `README.md` and the pictures in
    it, after which `load_dataset(out, recipe)` works. `hexsha`, `size`, line statistics and scores stay those of the
    original bytes. Also takes the name of a dataset on the Hub, or what `load_dataset` gave; their rows are kept in
    `.OUT.rows` beside `out`.

    - `recipe`: one name, several, or "all" for every recipe for which the source has what it needs; the first one is
      the default of `load_dataset(out)`. `base` is always among them.
    - `benchmarks`: JSONL files or records, see `decontaminate`.
    - `filters`: "xml", "html" drop further files from the store; `permissions`: opt-outs and licences.
    - `tokenizer`: a tokenizer.json, for recipe "fertility"; `compat="bigcode"`: the report's code where it differs
      from the report.
    - Replacements of personal data are drawn with a random key that ends with the run, or with that of `key_file`.
      A `seed` gives the same bytes to everyone, who then can test guesses: it is for tests and demonstrations.
    - `progress` shows bars; None shows them on a terminal only. `report` gets one line per finished step.

    Returns what `funnel.json` holds. Raises `DataError` for an unusable source, a recipe whose columns the source
    lacks, and where no row is left; `StoreError` where `out` can't be written.
    """
    place = Path(out)
    if is_hub_name(source) or data_dir is not None or hasattr(source, "with_format"):
        rows = place.with_name(f".{place.name}.rows")
        write_rows(source, rows, data_dir=data_dir, max_file_bytes=max_file_bytes, progress=progress, report=report)
        source = rows
    annotator = Annotator(
        benchmark_strings(benchmarks),
        key_of_run(seed, key_file),
        max_file_bytes,
        progress,
        filters=filters,
        permissions=permissions,
        tokenizer=tokenizer,
        compat=compat,
        threads=threads,
    )
    made = planned(Path(source), place, recipe, annotator, threads=threads, shard_bytes=shard_bytes, report=report)
    return made.make()


def planned(
    source: Path,
    out: Path,
    recipe: str | Sequence[str],
    annotator: Annotator,
    *,
    threads: int | None = None,
    shard_bytes: int = SHARD_BYTES,
    report: Callable[[str], None] = print,
) -> "Run":
    """A run over this source, checked: it has what the recipes, the lists and the tokenizer need."""
    inputs = finished_inputs(source)
    fields = SourceFields.of(inputs)
    fields.require(annotator.permissions.needs())

    def lacking(need: str) -> str | None:
        if need == "tokenizer":
            missing = "recipe '{recipe}' counts tokens. Pass tokenizer=PATH of a tokenizer.json."
            return missing if annotator.tokenizer is None else None
        return fields.lacking(need, "recipe '{recipe}'")

    recipes, unavailable = chosen_recipes(recipe, lacking)
    annotator.provenance = fields.provenance
    annotator.scores = scores_of(steps_of(recipes))
    return Run(source, out, tuple(recipes), unavailable, inputs, annotator, threads, shard_bytes, report)


@dataclass(frozen=True, slots=True)
class Run:
    """One run: the folders it works in and the settings that its steps share."""

    source: Path
    out: Path
    recipes: tuple[Recipe, ...]  # the first is the default of the store
    unavailable: dict[str, str]  # recipes of "all" that the source can't give, with why
    inputs: list[Path]
    annotator: Annotator
    threads: int | None
    shard_bytes: int
    report: Callable[[str], None]

    @property
    def work(self) -> Path:
        """Where unfinished work is kept; gone when the run is done."""
        return self.out / ".work"

    def make(self) -> dict[str, Any]:
        """All steps; skipped where the output is up to date."""
        started = time.monotonic()
        marker, key = self.out / ".done.json", self.key()
        funnel, problem = finished(marker, key)
        if funnel is not None:
            self.report(f"step=store recipe={self.recipes[0].name} reused")
            shutil.rmtree(self.work, ignore_errors=True)
            return funnel
        if problem:
            self.report(f"step=store redone: {problem}")
        for number in range(len(self.inputs)):
            self.annotate_shard(number)
        funnel, outputs = self._store([self.make_language(lang) for lang in self.languages()])
        mark_done(marker, key, outputs, funnel)
        shutil.rmtree(self.work)
        kept = sum(entry["stages"][-1]["files"] for entry in funnel["funnel"])
        self.report(f"step=store recipe={self.recipes[0].name} out={kept} {time.monotonic() - started:.0f}s")
        return funnel

    def _settings(self) -> dict[str, Any]:
        return {"code": code_digest(), **self.annotator.settings()}

    def _layout(self) -> list[Any]:
        return [[recipe.name for recipe in self.recipes], self.shard_bytes]

    def is_done(self) -> bool:
        """Whether the output is that of this very run, undamaged."""
        return finished(self.out / ".done.json", self.key())[0] is not None

    def key(self) -> str:
        """A digest of all that the output depends on: inputs, code, settings, recipes."""
        sums = [checksum(path) for path in self.inputs]
        return digest([sums, self._settings(), self._layout(), [path.name for path in self.inputs]])

    def annotate_shard(self, number: int) -> None:
        """One input shard's rows that pass the filters, redacted, and its rejects; done once."""
        started, path = time.monotonic(), self.inputs[number]
        key = digest([checksum(path), self._settings(), path.name])
        facts, problem = finished(self._marker(number), key)
        if facts is not None:
            self.report(f"step=annotate shard={path.name} reused")
            return
        if problem:
            self.report(f"step=annotate shard={path.name} redone: {problem}")
        kept, dropped = self.annotator.annotate(path)
        write_table(self._annotated()[number], kept)
        write_table(self._rejects()[number], dropped)
        mark_done(self._marker(number), key, [self._annotated()[number], self._rejects()[number]], {})
        _line(self.report, f"annotate shard={path.name}", kept.num_rows + dropped.num_rows, kept.num_rows, started)

    def _marker(self, number: int) -> Path:
        return self.work / f"annotated-{number:05d}.done.json"

    def _annotated(self) -> list[Path]:
        return [self.work / f"annotated-{number:05d}.parquet" for number in range(len(self.inputs))]

    def _rejects(self) -> list[Path]:
        """The rejects of every shard, then those of the step that made the shards, if it is there."""
        made = [self.work / f"rejects-{number:05d}.parquet" for number in range(len(self.inputs))]
        read = self.source / "rejects.parquet"
        return [*made, *([read] if read.exists() else [])]

    def languages(self) -> list[str]:
        """The languages of the annotated shards and rejects. Raises `DataError` where two would share a file name."""
        owners: dict[str, str] = {}
        found: set[str] = set()
        for path in [*self._annotated(), *self._rejects()]:
            found.update(pq.read_table(path, columns=["lang"])["lang"].to_pylist())
        for lang in sorted(found):
            if (other := owners.setdefault(slug(lang), lang)) != lang:
                raise DataError(
                    f"Languages {other!r} and {lang!r} would share the file name {slug(lang)!r}. Rename one."
                )
        return sorted(found)

    def _store(self, made: list[tuple[dict[str, Any], list[Path]]]) -> tuple[dict[str, Any], list[Path]]:
        """Funnel, card and pictures of the languages that were made."""
        entries = [entry for entry, _ in made]
        outputs = [path for _, written in made for path in written]
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
        funnel = self._funnel(entries)
        write_json(self.out / "funnel.json", funnel)
        pictures = write_pictures(self.out, funnel)
        write_text(self.out / "README.md", render_card(funnel, repository=self.out.resolve().name))
        return funnel, [*outputs, *pictures, self.out / "funnel.json", self.out / "README.md"]

    def _funnel(self, entries: list[dict[str, Any]]) -> dict[str, Any]:
        redactions: Counter[str] = Counter()
        for entry in entries:
            redactions.update(entry["redactions"])
        modes = [step for step in steps_of(self.recipes) if step not in ROW_FILTERS]
        thresholds = thresholds_for(self.annotator.compat)
        thresholds |= {f"{mode}_jaccard": MODES[mode].threshold for mode in modes}
        if modes:
            thresholds["min_tokens"] = MIN_TOKENS
        present = [entry["lang"] for entry in entries if entry["stages"][2]["files"]]
        funnel: dict[str, Any] = {
            "recipe": self.recipes[0].name,
            "recipes": [recipe.name for recipe in self.recipes],
            "unavailable": self.unavailable,
            "order": ["base filter", "redaction", "decontamination", *self.recipes[0].steps],
            "filters": self.annotator.filters,
            "compat": self.annotator.compat,
            "permissions": self.annotator.permissions.about(),
            "provenance": list(self.annotator.provenance),
            "scores": list(self.annotator.scores),
            "thresholds": thresholds,
            "redaction_key": self.annotator.key.origin,
            "benchmarks": self.annotator.strings_per_benchmark(),
            "configs": [],
            "redactions": dict(redactions),
            "funnel": entries,
        }
        views = configs(self.recipes, present, thresholds, config_rows(funnel))
        funnel["configs"] = [entry["config_name"] for entry in views]
        return funnel

    def make_language(self, lang: str) -> tuple[dict[str, Any], list[Path]]:
        """One language's data and rejects, its funnel and the files written; done once."""
        started, marker = time.monotonic(), self.work / f"{slug(lang)}.done.json"
        # A shard's marker holds the checksums of what was made of it.
        shards_made = [self._marker(number).read_text("utf-8") for number in range(len(self.inputs))]
        rejects = self._rejects()
        others = [checksum(path) for path in rejects[len(self.inputs) :]]
        key = digest([shards_made, others, self._settings(), self._layout()])
        facts, problem = finished(marker, key)
        if facts is not None:
            self.report(f"step=language lang={lang} reused")
            return facts["entry"], [self.out / name for name in facts["outputs"]]
        if problem:
            self.report(f"step=language lang={lang} redone: {problem}")
        with contextlib.closing(LanguageRows(lang, self._annotated(), self.work)) as rows:
            entry, outputs = self._write_language(lang, rows, _rows_of(lang, rejects))
        names = [str(path.relative_to(self.out)) for path in outputs]
        mark_done(marker, key, outputs, {"entry": entry, "outputs": names})
        for before, after in pairwise(entry["stages"]):
            _line(self.report, f"{after['name']} lang={lang}", before["files"], after["files"], started)
        return entry, outputs

    def _write_language(self, lang: str, rows: LanguageRows, rejects: pa.Table) -> tuple[dict[str, Any], list[Path]]:
        """The decisions of all steps about one language's rows, then its data and rejects."""
        dropped, masks = [rejects, rows.repeated], dict[str, Any]()
        for step in steps_of(self.recipes):
            if step in ROW_FILTERS:
                masks[step], left_out = row_filter(rows.table, step, self.annotator.compat)
            else:
                left_out = self._near_dedup(rows, step)
                masks[step] = rows.table[f"{step}_keep"]
            dropped.append(left_out)
        rejected = pa.concat_tables(dropped).sort_by(
            [("stage", "ascending"), ("path", "ascending"), ("hexsha", "ascending")]
        )
        outputs = [self.out / "rejects" / f"{slug(lang)}.parquet"]
        write_table(outputs[0], rejected)
        for number, shard in enumerate(rows.shards(self.shard_bytes)):
            outputs.append(self.out / "data" / f"{slug(lang)}-{number:05d}.parquet")
            write_table(outputs[-1], shard)
        return language_entry(lang, self.recipes, rows.table, rejected, masks, contents=rows.contents), outputs

    def _near_dedup(self, rows: LanguageRows, mode: str) -> pa.Table:
        """The rejects of the rows that the mode leaves out; the mode's two columns are added to the table."""
        table = rows.table
        found = near_duplicates_of_texts(rows.texts, table, mode, self.threads, folder=self.work)
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
        rows.table = table.append_column(f"{mode}_keep", is_kept).append_column(f"{mode}_cluster", cluster)
        return pa.Table.from_pylist(records, schema=REJECT_SCHEMA)


def finished_inputs(source: Path) -> list[Path]:
    """The input shards; a folder of the rows step must be finished."""
    paths = parquet_files(source)
    unfinished = source.is_dir() and not (source / "rows.json").exists()
    if unfinished and any(re.fullmatch(r"rows-\d{5}\.parquet", path.name) for path in paths):
        raise DataError(f"{source} has row shards but no rows.json: step rows did not finish. Run it again.")
    return paths


def _rows_of(lang: str, paths: list[Path]) -> pa.Table:
    return pa.concat_tables([pq.read_table(path, filters=[("lang", "==", lang)]) for path in paths])


def _line(report: Callable[[str], None], step: str, before: int, after: int, started: float) -> None:
    share = 100 * (before - after) / before if before else 0.0
    report(f"step={step} in={before} out={after} dropped={share:.1f}% {time.monotonic() - started:.0f}s")
