"""Make a dataset folder from rows: filter, redact, decontaminate, deduplicate, and write the card.

Order: base filter, redaction, decontamination, near-duplicates. Each input shard is annotated on its own and each
language is written on its own; a marker with checksums tells what is finished, so a run that was killed continues
and gives the same bytes.
"""

import contextlib
import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from data_recipes.annotate import Annotator
from data_recipes.card.card import render_card
from data_recipes.card.pictures import write_pictures
from data_recipes.dedup.modes import MODES
from data_recipes.disk.files import PathLike, checksum, remove, write_json, write_text
from data_recipes.disk.markers import code_digest, digest, finished, mark_done, read_marker
from data_recipes.errors import DataError
from data_recipes.pipeline_language import LanguagePart, LanguageWriter, rejects_of
from data_recipes.progress import Progress, reporter
from data_recipes.recipes import Recipe, chosen_recipes, mode_of, slug, steps_of
from data_recipes.settings import RecipeNames, RunSettings
from data_recipes.sources.available import SourceFields
from data_recipes.sources.git_address import git_address
from data_recipes.sources.opening import needs_rows_first
from data_recipes.sources.parquet import parquet_files
from data_recipes.sources.row import read_rejects, spelling_of
from data_recipes.sources.write_rows import write_rows
from data_recipes.store.annotated import AnnotatedShard, annotated_schema
from data_recipes.store.language import IsLeftOut, LanguageRows
from data_recipes.store.staged import StagedLanguage
from data_recipes.store.summary import store_funnel
from data_recipes.store.tables import unmeasured_lines

__all__ = ["run", "write_rows"]


def run(
    source: Any,
    out: PathLike,
    recipe: RecipeNames | None = None,
    threads: int | None = None,
    *,
    settings: RunSettings | None = None,
    data_dir: str | None = None,
    bars: bool | None = False,
    progress: Progress | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """Make a dataset folder from rows: a parquet file, or a folder of them (what `write_rows` wrote, or The Stack).

    Writes `data/<digits>/<language>-00000-<digest>.parquet`, a digit for each step of the recipes (1: it keeps the rows), `rejects/<language>.parquet`, `funnel.json`, `README.md` and the
    pictures in it, after which `load_dataset(out, recipe)` works. `hexsha`, `size`, line statistics and measures stay
    those of the original bytes.

    Args:
        source: Parquet files; or a git repository (a folder, or `git+https://…@COMMIT`), a source tree, the name of
            a dataset on the Hub, or what `load_dataset` gave, whose rows are kept in `.OUT.rows` beside `out`.
        out: The folder to write.
        recipe: A recipe's name, a `Recipe`, the path of a YAML file with one, several of these, or "all"; the first one
            is the default of `load_dataset(out)`.
        threads: Threads to work with (default: one a core).
        settings: The settings to begin with (default: `RunSettings()`).
        data_dir: The part of a dataset to read, for example "data/python".
        bars: Whether to show progress bars; None shows them on a terminal only.
        progress: Takes one line for each finished step (default: the logger `hf_santa.data`).
        **changes: Any other setting by its name in `RunSettings`, for example `benchmarks=[…]`.

    Returns:
        What `funnel.json` holds.

    Raises:
        DataError: The source is unusable or lacks what a recipe needs, a setting is out of range, or no row is left.
        StoreError: `out` can't be written.
    """
    config = (settings or RunSettings()).changed(recipe=recipe, threads=threads, **changes)
    place, report = Path(out), reporter(progress)
    if data_dir is not None or needs_rows_first(source):
        _refuse_inside(source, place)
        rows = place.with_name(f".{place.name}.rows")
        limit = config.max_file_bytes
        write_rows(source, rows, data_dir=data_dir, max_file_bytes=limit, bars=bars, progress=report)
        source = rows
    return planned(Path(source), place, config, bars=bars, progress=report).make()


def _refuse_inside(source: Any, out: Path) -> None:
    """Raise `DataError` where the output lies in a source that is read whole; a repository's tracked files alone are."""
    if not isinstance(source, str | os.PathLike) or git_address(source):
        return
    if Path(source).is_dir() and out.resolve().is_relative_to(Path(source).resolve()):
        raise DataError(
            f"{out} lies inside the source {source}, and would be read as part of it. Choose another folder."
        )


def planned(
    source: Path,
    out: Path,
    settings: RunSettings,
    *,
    bars: bool | None = False,
    progress: Progress | None = None,
) -> "Run":
    """Return a run over this source, checked: it has what the recipes, the lists and the tokenizer need."""
    _refuse_inside(source, out)
    inputs = finished_inputs(source)
    fields = SourceFields.of(inputs)
    fields.require(settings.permissions.needs())

    def lacking(need: str) -> str | None:
        if need == "tokenizer":
            missing = "recipe '{recipe}' counts tokens. Pass tokenizer=PATH of a tokenizer.json."
            return missing if settings.tokenizer is None else None
        if need == "classifier":
            missing = "recipe '{recipe}' scores files. Pass classifier=PATH of what `data classifier train` wrote."
            return missing if settings.classifier is None else None
        return fields.lacking(need, "recipe '{recipe}'")

    recipes, unavailable = chosen_recipes(settings.chosen(), lacking)
    annotator = Annotator(settings, tuple(steps_of(recipes)), fields.provenance, bars)
    return Run(source, out, tuple(recipes), unavailable, inputs, annotator, settings, reporter(progress))


@dataclass(frozen=True, slots=True)
class Run:
    """One run: the folders it works in and the settings that its steps share."""

    source: Path
    out: Path
    recipes: tuple[Recipe, ...]  # the first is the default of the store
    unavailable: dict[str, str]  # recipes of "all" that the source can't give, with why
    inputs: list[Path]
    annotator: Annotator
    settings: RunSettings
    report: Progress

    @property
    def work(self) -> Path:
        """Where unfinished work is kept; gone when the run is done."""
        return self.out / ".work"

    @property
    def _kept_key(self) -> Path:
        """Where a random redaction key is kept, outside of what is published; gone when the run is done."""
        place = self.out.resolve()
        return place.with_name(f".{place.name}.key")

    def make(self) -> dict[str, Any]:
        """Take all steps; skip them where the output is up to date."""
        started = time.monotonic()
        marker, key = self.out / ".done.json", self.key()
        funnel, problem = finished(marker, key)
        if funnel is not None:
            self.report(f"step=store recipe={self.recipes[0].name} reused")
            self._clean_up()
            return funnel
        if problem:
            self.report(f"step=store redone: {problem}")
        for number in range(self.shard_count):
            self.annotate_shard(number)
        funnel, outputs = self._store([self.make_language(part) for part in self.languages()])
        mark_done(marker, key, outputs, funnel)
        self._clean_up()
        self._report_others(funnel["funnel"])
        for line in unmeasured_lines(funnel):
            self.report(f"step=store {line}")
        kept = sum(entry["stages"][-1]["files"] for entry in funnel["funnel"])
        self.report(f"step=store recipe={self.recipes[0].name} out={kept} {time.monotonic() - started:.0f}s")
        return funnel

    def _left_after(self, entry: dict[str, Any]) -> str:
        """How many files of a language are left after each stage; without benchmarks there is no decontamination."""
        stages = entry["stages"][1:] if self.settings.benchmarks else [entry["stages"][1], *entry["stages"][3:]]
        return "".join(f" {stage['name']}={stage['files']}" for stage in stages)

    def _report_others(self, entries: list[dict[str, Any]]) -> None:
        """One line for all languages of which nothing is in the store."""
        others = [entry for entry in entries if not _is_stored(entry)]
        if others:
            reasons: Counter[str] = Counter()
            for entry in others:
                reasons.update({reject["reason"]: reject["files"] for reject in entry["rejects"]})
            words = " ".join(f"{reason}={count}" for reason, count in reasons.most_common())
            total = sum(reasons.values())
            self.report(f"step=language others={len(others)} in={total} out=0 {words}")

    def _clean_up(self) -> None:
        """Delete what only an unfinished run needs; the annotated shards and their key stay where that is asked for."""
        if not self.settings.keep_work:
            shutil.rmtree(self.work, ignore_errors=True)
            self._kept_key.unlink(missing_ok=True)

    def _settings(self) -> dict[str, Any]:
        return {"code": code_digest(), **self.annotator.settings()}

    def _layout(self) -> list[Any]:
        opt_outs = self.settings.permissions.settings()["opt_outs"]
        return [[[each.name, each.about()] for each in self.recipes], self.settings.shard_bytes, opt_outs]

    def is_done(self) -> bool:
        """Tell whether the output is that of this very run, undamaged."""
        return finished(self.out / ".done.json", self.key())[0] is not None

    def key(self) -> str:
        """Return a digest of all that the output depends on: inputs, code, settings, recipes."""
        sums = [checksum(path) for path in self.inputs]
        return digest([sums, self._settings(), self._layout(), [path.name for path in self.inputs]])

    @property
    def shard_count(self) -> int:
        """The number of input shards, and one more for the rejects of the step that made them, if they are there."""
        return len(self.inputs) + (self.source / "rejects.parquet").exists()

    def annotate_shard(self, number: int) -> None:
        """Write one input shard's rows that pass the filters, redacted, and its rejects, by language; done once."""
        started, is_rejects = time.monotonic(), number == len(self.inputs)
        path = self.source / "rejects.parquet" if is_rejects else self.inputs[number]
        secret = self.settings.redaction_key(self._kept_key)
        key = digest([checksum(path), self._settings(), path.name, secret.fingerprint()])
        facts, problem = finished(self._marker(number), key)
        if facts is not None:
            self.report(f"step=annotate shard={path.name} reused")
            return
        if problem:
            self.report(f"step=annotate shard={path.name} redone: {problem}")
        columns = (self.annotator.provenance, self.annotator.scores, self.annotator.pii_types)
        made = AnnotatedShard(self._shard_folder(number), *columns)
        if is_rejects:
            for reject in read_rejects(path):
                made.reject(reject)
            made.close()
        else:
            self.annotator.annotate(path, secret, made)
        mark_done(self._marker(number), key, made.files, made.facts())
        _line(self.report, f"annotate shard={path.name}", made.rows + made.rejects, made.rows, started)

    def _shard_folder(self, number: int) -> Path:
        return self.work / f"annotated-{number:05d}"

    def _marker(self, number: int) -> Path:
        return self.work / f"annotated-{number:05d}.done.json"

    def languages(self) -> list[LanguagePart]:
        """Return the languages of the annotated shards in the order of their names, each with its files."""
        spellings: dict[str, set[str]] = {}
        files: dict[str, dict[str, str]] = {}
        for number in range(self.shard_count):
            outputs, facts = read_marker(self._marker(number))
            for name, found in facts["languages"].items():
                spellings.setdefault(name, set()).update(found)
                folder = self._shard_folder(number).name
                mine = (f"{folder}/{kind}-{name}.arrow" for kind in ("rows", "rejects"))
                files.setdefault(name, {}).update({path: outputs[path] for path in mine if path in outputs})
        parts = (LanguagePart(spelling_of(spellings[name]), files[name]) for name in spellings)
        return sorted(parts, key=lambda part: part.lang)

    def _store(self, made: list[tuple[dict[str, Any], list[Path]]]) -> tuple[dict[str, Any], list[Path]]:
        """Funnel, card and pictures of the languages that were made."""
        entries = [entry for entry, _ in made]
        outputs = [path for _, written in made for path in written]
        written_now = {str(path) for path in outputs}
        for folder in (self.out / "data", self.out / "rejects"):
            for stale in sorted(folder.rglob("*.parquet")):
                if str(stale) not in written_now:
                    remove(stale)
                    with contextlib.suppress(OSError):  # it holds other files
                        stale.parent.rmdir()
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
        """What funnel.json holds."""
        made, settings = self.annotator, self.settings
        about = {
            "filters": made.filters,
            "compat": settings.compat,
            "permissions": settings.permissions.about(),
            "paths": settings.paths().about(),
            "modes": settings.modes(),
            "classifier": made.classifier_facts(),
            "provenance": list(made.provenance),
            "scores": made.scores,
            "redaction": {"types": list(settings.detector().types), "style": settings.style},
            "redaction_key": settings.redaction_key().origin,
            "benchmarks": made.strings_per_benchmark(),
            "not_searched": [
                {"benchmark": each.benchmark, "problem": each.problem, "string": each.string}
                for each in made.not_searched
            ],
        }
        thresholds = settings.thresholds(made.steps)
        return store_funnel(self.recipes, entries, unavailable=self.unavailable, thresholds=thresholds, about=about)

    def make_language(self, part: LanguagePart) -> tuple[dict[str, Any], list[Path]]:
        """Return a language's funnel and the files written: its data and rejects; done once."""
        started, lang = time.monotonic(), part.lang
        marker = self.work / f"{slug(lang)}.done.json"
        key = self._language_key(part)
        facts, problem = finished(marker, key)
        if facts is not None:
            self.report(f"step=language lang={lang} reused")
            return facts["entry"], [self.out / name for name in facts["outputs"]]
        if problem:
            self.report(f"step=language lang={lang} redone: {problem}")
        staged = self.staged(part)
        with contextlib.closing(self._rows_of(part)) as rows:
            writer = LanguageWriter(self.out, self.work, self.recipes, self.settings)
            entry, outputs = writer.write(lang, rows, self._rejects_of(part), staged)
        names = [str(path.relative_to(self.out)) for path in outputs]
        mark_done(marker, key, outputs, {"entry": entry, "outputs": names})
        if _is_stored(entry):
            counts = [stage["files"] for stage in entry["stages"]]
            _line(self.report, f"language lang={lang}{self._left_after(entry)}", counts[0], counts[-1], started)
        return entry, outputs

    def _language_key(self, part: LanguagePart) -> str:
        return digest([part.lang, part.files, self._settings(), self._layout()])

    def staged(self, part: LanguagePart) -> StagedLanguage:
        """Return where many tasks may share the near-deduplication of a language."""
        modes, key = self.settings.modes(), self._language_key(part)
        steps = [step for step in steps_of(self.recipes) if mode_of(step) == step and modes[step] == MODES[step]]
        return StagedLanguage(self.work / "near-dedup" / f"{slug(part.lang)}-{key[:12]}", key, steps)

    def stage_texts(self, part: LanguagePart, least_rows: int) -> None:
        """Write the texts of a language that many tasks are to deduplicate, if it has so many rows; done once."""
        staged = self.staged(part)
        if staged.steps and not staged.is_written():
            with contextlib.closing(self._rows_of(part)) as rows:
                staged.write(rows, least_rows)

    @property
    def _is_left_out(self) -> IsLeftOut | None:
        permissions = self.settings.permissions
        return permissions.is_opted_out if permissions.has_opt_outs else None

    def _rows_of(self, part: LanguagePart) -> LanguageRows:
        made = self.annotator
        schema = annotated_schema(made.provenance, made.scores, made.pii_types)
        return LanguageRows(part.lang, part.paths(self.work, "rows"), self.work, schema, self._is_left_out)

    def _rejects_of(self, part: LanguagePart) -> pa.Table:
        return rejects_of(part.lang, part.paths(self.work, "rejects"), self._is_left_out)


def finished_inputs(source: Path) -> list[Path]:
    """Return the input shards; a folder of the rows step must be finished."""
    paths = parquet_files(source)
    unfinished = source.is_dir() and not (source / "rows.json").exists()
    if unfinished and any(re.fullmatch(r"rows-\d{5}\.parquet", path.name) for path in paths):
        raise DataError(f"{source} has row shards but no rows.json: step rows did not finish. Run it again.")
    return paths


def _is_stored(entry: Mapping[str, Any]) -> bool:
    """Return whether any file of a language is in the store; of the others there are rejects alone."""
    return bool(entry["stages"][2]["files"])


def _line(report: Progress, step: str, before: int, after: int, started: float) -> None:
    share = 100 * (before - after) / before if before else 0.0
    report(f"step={step} in={before} out={after} dropped={share:.1f}% {time.monotonic() - started:.0f}s")
