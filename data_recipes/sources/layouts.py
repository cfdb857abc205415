"""The columns of The Stack v1, smol, v2 and v3, and which of ours each becomes.

A table is recognised by its columns, so nobody renames any. Sources: the dataset cards; for v3 the parquet schema of
`HuggingFaceCode/stack-v3-train`, where a row is a repository and `files` holds its files.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any

from data_recipes.errors import DataError


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """One layout: the columns that mark it, and the column of each of our fields where the names differ."""

    name: str
    marks: tuple[str, ...]
    columns: Mapping[str, str]
    files: str | None = None  # the column with a repository's files, where a row is a repository
    other_repos: tuple[str, ...] = ()  # columns with further repositories that hold the file

    def column(self, field: str) -> str:
        """Return the column that holds this field, whether the table has it or not."""
        return self.columns.get(field, field)


LAYOUTS = (
    Layout(
        "The Stack v3",
        ("repo_path", "files"),
        {
            "repo": "repo_path",
            "revision": "commit_id",
            "stars": "github_metadata.stars",
            "forks": "github_metadata.forks",
            "path": "files.file_path",
            "content": "files.content",
            "lang": "files.language",
            "size": "files.size_bytes",
            "licenses": "files.detected_licenses",
        },
        files="files",
    ),
    Layout(
        "The Stack v2",
        ("blob_id", "content"),
        {
            "hexsha": "blob_id",
            "repo": "repo_name",
            "revision": "revision_id",
            "stars": "star_events_count",
            "forks": "fork_events_count",
            "licenses": "detected_licenses",
            "lang": "language",
            "size": "length_bytes",
            "date": "revision_date",
            "encoding": "src_encoding",
        },
    ),
    Layout(
        "The Stack v1",
        ("max_stars_repo_path", "content"),
        {
            "path": "max_stars_repo_path",
            "repo": "max_stars_repo_name",
            "revision": "max_stars_repo_head_hexsha",
            "stars": "max_stars_count",
            "forks": "max_forks_count",
            "licenses": "max_stars_repo_licenses",
            "date": "max_stars_repo_stars_event_max_datetime",
        },
        other_repos=("max_issues_repo_name", "max_forks_repo_name"),
    ),
    Layout("The Stack smol", ("repository_name", "content"), {"repo": "repository_name"}),
    Layout("rows", ("content",), {"lang": "lang"}),
)
"""The layouts, the most special first; the last is our own, and any table with `content`."""

FIELDS = (
    *("content", "path", "size", "ext", "lang", "hexsha", "avg_line_length", "max_line_length", "alphanum_fraction"),
    *("repo", "revision", "stars", "forks", "licenses", "date", "encoding", "other_repos"),
)


def layout_of(place: str, names: Sequence[str]) -> Layout:
    """Return the layout of a table with these columns; `place` names it in errors."""
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{place} has more than one column named {repeated}. Give each column its own name.")
    for layout in LAYOUTS:
        if set(layout.marks) <= set(names):
            return layout
    found = ", ".join(names)
    advice = "Pass a table with content and path."
    if "blob_id" in names:
        advice = "The Stack v2 comes without contents: fetch them by blob_id into a column 'content' first."
    raise DataError(f"{place} has no 'content' column. Columns found: {found}. {advice}")


def columns_to_read(layout: Layout, names: Sequence[str]) -> list[str]:
    """Return the columns of the table that hold any of our fields."""
    wanted = {layout.column(name).split(".")[0] for name in FIELDS} | {"language", *layout.other_repos}
    return [name for name in names if name in wanted]


def fields_in(layout: Layout, names: Sequence[str], children: Mapping[str, Sequence[str]]) -> set[str]:
    """Return our fields that a table has; `children` are the names inside its columns that hold structures."""
    found = set()
    for name in FIELDS:
        outer, _, inner = layout.column(name).partition(".")
        if outer in names and (not inner or inner in children.get(outer, ())):
            found.add(name)
    if set(layout.other_repos) & set(names):
        found.add("other_repos")
    return found | ({"lang"} if "language" in names else set())


def records_of(layout: Layout, record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the files of a table's row as records with our names; a repository has several, or none."""
    files = record[layout.files] if layout.files else [record]
    for file in files if isinstance(files, list) else ():
        if not isinstance(file, Mapping):
            continue
        found = {}
        for name, clean, outer, inner in _fields(layout):
            holder = file if outer == layout.files else record.get(outer) if inner else record
            value = None if holder is None else holder.get(inner or outer)
            if value is None and name == "lang":
                value = record.get("language")
            if value is not None and (cleaned := clean(value)) is not None:
                found[name] = cleaned
        if layout.other_repos:
            others = {str(other) for column in layout.other_repos if (other := record.get(column))}
            found["other_repos"] = sorted(others - {found.get("repo")})
        yield found


@cache
def _fields(layout: Layout) -> list[tuple[str, Callable[[Any], Any], str, str]]:
    """For each field its name, what makes a value of it, and the column and the part of it that hold it."""
    parts = ((name, layout.column(name).partition(".")) for name in FIELDS)
    return [(name, _CLEAN.get(name, str), outer, inner) for name, (outer, _, inner) in parts]


def _count(value: Any) -> int | None:
    """A count, None for what is none; some shards of The Stack v1 hold stars as floating point numbers."""
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):  # NaN and infinities among them
        return None


def _number(value: Any) -> float | None:
    """A finite number, None for what is none."""
    try:
        return number if math.isfinite(number := float(value)) else None
    except (TypeError, ValueError):
        return None


def _licenses(value: Any) -> list[str] | None:
    """A list of licence names; some tables wrap it as `{"list": [{"item": …}]}`, others have one name."""
    if isinstance(value, str):
        return [value] if value else []
    if isinstance(value, Mapping):
        value = [item.get("item") for item in value.get("list") or [] if isinstance(item, Mapping)]
    return sorted({str(item) for item in value if item}) if isinstance(value, list) else None


def _date(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime | date) else str(value)


_CLEAN: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("stars", "forks", "size", "max_line_length"), _count),
    **dict.fromkeys(("avg_line_length", "alphanum_fraction"), _number),
    "content": lambda value: value,
    "licenses": _licenses,
    "other_repos": _licenses,
    "date": _date,
}
