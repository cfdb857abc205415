"""Decide about the rows of one language, and write its data and rejects: the part of a run that many processes share."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_recipes.dedup.on_disk import near_duplicates_of_texts
from data_recipes.disk.files import checksum, moved, write_groups, write_table
from data_recipes.disk.markers import digest
from data_recipes.engine.threads import ranges
from data_recipes.recipes import CONTENT_DIGITS, Recipe, mode_of, slug, steps_of, stored_steps
from data_recipes.settings import RunSettings
from data_recipes.sources.row import ANNOTATED_REJECT_SCHEMA, REJECT_SCHEMA
from data_recipes.store.annotated import annotated_batches
from data_recipes.store.funnel import language_entry
from data_recipes.store.language import IsLeftOut, LanguageRows, left_out, opt_out_rejects
from data_recipes.store.staged import StagedLanguage
from data_recipes.store.views import combinations, row_filter, steps_mask


@dataclass(frozen=True, slots=True)
class LanguagePart:
    """A language and the annotated files that hold its rows and rejects, each with its checksum."""

    lang: str
    files: Mapping[str, str]

    def paths(self, work: Path, kind: str) -> list[Path]:
        """Return its files of a kind, `rows` or `rejects`."""
        return [work / path for path in self.files if f"/{kind}-" in path]


@dataclass(frozen=True, slots=True)
class LanguageWriter:
    """Takes the decisions of a run's steps about one language, and writes what they leave into the run's folder."""

    out: Path
    work: Path
    recipes: tuple[Recipe, ...]
    settings: RunSettings

    def write(
        self, lang: str, rows: LanguageRows, rejects: pa.Table, staged: StagedLanguage
    ) -> tuple[dict[str, Any], list[Path]]:
        """Take the decisions of all steps about one language's rows, then write its data and rejects."""
        dropped, masks = [rejects, rows.opted_out, rows.repeated], dict[str, Any]()
        for step in steps_of(self.recipes):
            if mode_of(step):
                before = next(recipe.before(step) for recipe in self.recipes if step in recipe.steps)
                left_out = self._near_dedup(rows, step, steps_mask(before, masks, rows.table.num_rows), staged)
                masks[step] = pc.fill_null(rows.table[f"{step}_keep"].combine_chunks(), False)
            else:
                masks[step], left_out = row_filter(rows.table, step, self.settings.every_threshold())
            dropped.append(left_out)
        rejected = pa.concat_tables(dropped).sort_by(
            [("stage", "ascending"), ("path", "ascending"), ("hexsha", "ascending")]
        )
        outputs = [self.out / "rejects" / f"{slug(lang)}.parquet"]
        write_table(outputs[0], rejected)
        content, shards = self._write_shards(lang, rows, masks)
        entry = language_entry(
            self.recipes,
            rows.table,
            rejected,
            masks,
            thresholds=self.settings.every_threshold(),
            contents=rows.contents,
        )
        return {"lang": lang, "digest": content, **entry}, [*outputs, *shards]

    def _write_shards(self, lang: str, rows: LanguageRows, masks: Mapping[str, Any]) -> tuple[str, list[Path]]:
        """Write the rows of a language; return a digest of the files' bytes, which their names bear, and the files.

        Rows that the same steps keep share a folder, so that a recipe is whole files.
        datasets names the cache of a local folder by its name and its card, whatever lies in the files. With the digest
        in the names that the card gives, other rows are another cache.
        """
        written = []
        for digits, kept in combinations(stored_steps(self.recipes), masks, rows.table.num_rows):
            for number, (low, high) in enumerate(ranges(rows.texts.sizes[kept], self.settings.shard_bytes)):
                written.append(self.work / "data" / digits / f"{slug(lang)}-{number:05d}.parquet")
                write_groups(written[-1], rows.schema, rows.groups(kept[low:high]))
        content = digest([checksum(path) for path in written])[:CONTENT_DIGITS]
        places = [path.relative_to(self.work).with_name(f"{path.stem}-{content}.parquet") for path in written]
        return content, [moved(path, self.out / place) for path, place in zip(written, places, strict=True)]

    def _near_dedup(self, rows: LanguageRows, step: str, among: Any, staged: StagedLanguage) -> pa.Table:
        """The rejects of the rows that a mode leaves out `among` some; its two columns are added to the table.

        Both are null for the other rows.
        """
        looked_at = np.flatnonzero(np.asarray(among))
        table, texts = rows.table.take(looked_at), rows.texts.take(looked_at)
        name = mode_of(step) or step
        found = staged.decisions(step, len(looked_at)) if step in staged.steps else None
        if found is None:
            found = near_duplicates_of_texts(
                texts, table, name, self.settings.threads, folder=self.work, changed=self.settings.modes()[name]
            )
        is_kept, kept_row = found["is_kept"], found["kept_row"]
        kept_sha = table["hexsha"].take(kept_row)
        in_cluster = pc.is_in(kept_row, value_set=pc.unique(kept_row.filter(pc.invert(is_kept))))
        cluster = pc.if_else(in_cluster, kept_sha, pa.scalar(None, pa.string()))
        removed = table.select(["path", "hexsha", "lang", "size"]).append_column("jaccard", found["jaccard"])
        removed = removed.append_column("kept_hexsha", kept_sha).filter(pc.invert(is_kept))
        records = [
            {**record, "stage": step, "reason": mode_of(step), "detail": "", "cluster": record["kept_hexsha"]}
            for record in removed.to_pylist()
        ]
        place = np.full(rows.table.num_rows, -1)
        place[looked_at] = np.arange(len(looked_at))
        at = pa.array(place, mask=place < 0)
        for column, values in ((f"{step}_keep", is_kept), (f"{step}_cluster", cluster)):
            rows.table = rows.table.append_column(column, values.take(at))
        return pa.Table.from_pylist(records, schema=REJECT_SCHEMA)


def rejects_of(lang: str, paths: list[Path], is_left_out: IsLeftOut | None) -> pa.Table:
    """Return the rejects of a language; of those that were opted out, neither path nor repository is left."""
    batches = [batch for path in paths for batch in annotated_batches(path)]
    table = pa.Table.from_batches(batches, schema=ANNOTATED_REJECT_SCHEMA)
    table = table.set_column(table.column_names.index("lang"), "lang", pa.array([lang] * table.num_rows, pa.string()))
    public = table.select(REJECT_SCHEMA.names)
    if is_left_out is None:
        return public
    opted_out = pa.array(left_out(table, is_left_out))
    return pa.concat_tables([public.filter(pc.invert(opted_out)), opt_out_rejects(table.filter(opted_out))])
