"""Tell why a file is in a store or not, and which files of a user are, from the store alone."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data_recipes.disk.files import PathLike
from data_recipes.errors import DataError
from data_recipes.filters.permissions import opt_out_name
from data_recipes.filters.registry import histograms
from data_recipes.store.reading import read_funnel

_MIN_PREFIX = 4
_WHERE = ("repo", "path", "other_repos")


@dataclass(frozen=True, slots=True)
class Explanation:
    """One file: its row without content where it is in the store, its rejects, the recipes it is in, and its copies."""

    hexsha: str
    row: Mapping[str, Any] | None
    rejects: list[dict[str, Any]]
    recipes: list[str]
    copies: list[dict[str, Any]]

    def lines(self, funnel: Mapping[str, Any]) -> Iterator[str]:
        """Return the explanation as lines for people."""
        about = self.row or self.rejects[0]
        yield f"{self.hexsha}  {about['path'] or '(path not kept)'}  {about['lang']}, {about['size']:,} bytes"
        if self.row and self.row.get("repo"):
            yield f"  repository {self.row['repo']}, licences {', '.join(self.row.get('licenses') or ['unknown'])}"
        yield f"  in the store: {_measures(self.row)}" if self.row else "  not in the store"
        if repos := self.row and self.row.get("other_repos"):
            yield f"  also in the repositories {', '.join(repos)}"
        for copy in self.copies:
            yield f"  the same bytes, left out: {copy['path']}" + (f" of {copy['repo']}" if copy.get("repo") else "")
        for name, reasons in self.verdicts(funnel).items():
            yield f"  {name:<20} {'out: ' + '; '.join(reasons) if reasons else 'in'}"

    def facts(self, funnel: Mapping[str, Any]) -> dict[str, Any]:
        """Return the explanation as a JSON value: row, rejects, and for each recipe why the file is not in it."""
        row = None if self.row is None else dict(self.row)
        found = {"hexsha": self.hexsha, "row": row, "rejects": self.rejects, "recipes": self.verdicts(funnel)}
        return {**found, "copies": self.copies}

    def verdicts(self, funnel: Mapping[str, Any]) -> dict[str, list[str]]:
        """Return for each recipe of the store why the file is not in it; nothing where it is."""
        found = {}
        for name, recipe in funnel["definitions"].items():
            own = [reject for reject in self.rejects if reject not in self.copies]
            stopped = [r for r in own if r["stage"] in recipe["steps"] or self.row is None]
            found[name] = [] if name in self.recipes else list(dict.fromkeys(map(reason_text, stopped)))
        return found


def _measures(row: Mapping[str, Any]) -> str:
    """The measures that filters decide by."""
    names = ["max_line_length", *(drawn.column for drawn in histograms() if drawn.column != "size")]
    return ", ".join(f"{name} {row[name]:.4g}" for name in names if row.get(name) is not None)


def reason_text(reject: Mapping[str, Any]) -> str:
    """Return why a file was left out, in words.

    >>> reason_text({"stage": "stars", "reason": "stars", "detail": "3 < 5"})
    'stars: 3 < 5'
    """
    if reject.get("jaccard") is not None:
        return f"near-duplicate of {reject['kept_hexsha']}, Jaccard {reject['jaccard']:.3f}"
    words = reject["reason"] if reject["stage"] == reject["reason"] else f"{reject['stage']}: {reject['reason']}"
    words += f": {reject['detail']}" if reject.get("detail") else ""
    return words + (f", matched {reject['matched'][:80]!r}" if reject.get("matched") else "")


def explain(out: PathLike, hexsha: str) -> list[Explanation]:
    """Return why each file whose hexsha begins with `hexsha` was kept or left out; nothing where there is none."""
    if not re.fullmatch(r"[0-9a-f]{4,64}", hexsha):
        raise DataError(f"{hexsha!r} is no hexsha. Pass its first {_MIN_PREFIX} or more digits, 0-9 and a-f.")
    funnel, folder = read_funnel(out), Path(out)
    within = [("hexsha", ">=", hexsha), ("hexsha", "<=", hexsha + "g")]
    rows: dict[str, dict[str, Any]] = {}
    for file in sorted(folder.glob("data/*/*.parquet")):
        columns = [name for name in pq.ParquetFile(file).schema_arrow.names if name != "content"]
        rows |= {row["hexsha"]: row for row in pq.read_table(file, columns=columns, filters=within).to_pylist()}
    rejects: dict[str, list[dict[str, Any]]] = {}
    copies: dict[str, list[dict[str, Any]]] = {}
    of_the_kept = [("kept_hexsha", *rule[1:]) for rule in within] + [("reason", "==", "exact_duplicate")]
    for file in sorted(folder.glob("rejects/*.parquet")):
        for reject in pq.read_table(file, filters=[within, of_the_kept]).to_pylist():
            if reject["hexsha"].startswith(hexsha):
                rejects.setdefault(reject["hexsha"], []).append(reject)
            if reject["reason"] == "exact_duplicate" and (reject["kept_hexsha"] or "").startswith(hexsha):
                copies.setdefault(reject["kept_hexsha"], []).append(reject)
    found = []
    for name in sorted({*rows, *rejects}):
        own, row = rejects.get(name, []), rows.get(name)
        stopped = {reject["stage"] for reject in own}
        steps = {recipe: set(made["steps"]) for recipe, made in funnel["definitions"].items()}
        kept = [] if row is None else [recipe for recipe, read in steps.items() if not stopped & read]
        found.append(Explanation(name, row, own, kept, [] if row is None else copies.get(name, [])))
    return found


def files_of_user(out: PathLike, user: str) -> dict[str, list[str]]:
    """Return the paths of a user's files in the store, by repository, whichever of a file's repositories is the user's.

    `user` is an owner or `owner/repository` in any case, or its address; a path is that of the file in the store.
    """
    wanted = opt_out_name(user)
    found: dict[str, list[str]] = {}
    for table in _repositories(out):
        others = table["other_repos"].to_pylist() if "other_repos" in table.column_names else [None] * table.num_rows
        for repo, path, more in zip(table["repo"].to_pylist(), table["path"].to_pylist(), others, strict=True):
            for each in (repo, *(more or ())):
                name = (each or "").lower()
                if wanted in {name, name.partition("/")[0]}:
                    found.setdefault(each, []).append(path)
    return {repo: sorted(found[repo]) for repo in sorted(found)}


def _repositories(out: PathLike) -> Iterator[pa.Table]:
    """Yield the columns `repo`, `path` and (if any) `other_repos` of the store: of a folder, or of a dataset on the Hub."""
    folder = Path(out)
    if folder.is_dir():
        read_funnel(folder)
        for file in sorted(folder.glob("data/*/*.parquet")):
            if "repo" not in (names := pq.ParquetFile(file).schema_arrow.names):
                found = ", ".join(names)
                advice = "Its source named no repositories: ask with `data explain` and a file's hexsha."
                raise DataError(f"{file} has no 'repo' column. Columns found: {found}. {advice}")
            yield pq.read_table(file, columns=[name for name in _WHERE if name in names])
        return
    from datasets import load_dataset

    try:
        stream = load_dataset(str(out), "base", split="train", streaming=True)
        stream = stream.select_columns([name for name in _WHERE if name in (stream.features or _WHERE[:2])])
        yield from stream.with_format("arrow").iter(batch_size=10_000)
    except (OSError, ValueError) as error:  # what datasets, huggingface_hub and pyarrow raise
        advice = "Pass a folder that `hf-santa data run` wrote, or the name of such a dataset on the Hub."
        seen = f"{out}: neither a dataset folder nor a dataset that can be read ({type(error).__name__})"
        raise DataError(f"{seen}: {str(error)[:200]}. {advice}") from error


def extensions(paths: list[str]) -> str:
    """Return the file extensions among some paths with their numbers, the commonest first.

    >>> extensions(["a.py", "b.py", "c.js"])
    '2 .py, 1 .js'
    """
    counts = Counter(Path(path).suffix or "no extension" for path in paths)
    return ", ".join(f"{count:,} {ext}" for ext, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])))
