"""Say which columns a source has, and refuse a recipe that needs others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from data_recipes.errors import DataError
from data_recipes.sources.layouts import LAYOUTS, layout_of
from data_recipes.sources.parquet import provided_fields
from data_recipes.sources.row import PROVENANCE_SCHEMA

_ANOTHER = "Use another recipe or source."
_ADVICE = {
    "stars": "Use recipe 'base' or a Stack v1.1+ export.",
    "repo": "Leave out the opt-out list or use a source with repository names.",
    "licenses": "Leave out the licence list or use a source with licences.",
}


@dataclass(frozen=True, slots=True)
class SourceFields:
    """The input files, each with our fields that it has."""

    fields: Mapping[Path, set[str]]

    @classmethod
    def of(cls, files: Sequence[Path]) -> "SourceFields":
        """Return the fields of these parquet files; only their footers are read."""
        return cls({file: provided_fields(file) for file in files})

    @property
    def provenance(self) -> tuple[str, ...]:
        """The columns of provenance that any file has, in their order."""
        found = set().union(*self.fields.values())
        return tuple(name for name in PROVENANCE_SCHEMA.names if name in found)

    def lacking(self, field: str, needed_by: str) -> str | None:
        """Say why a field can't be used: the first file without it, its columns, what to do; None where all have it."""
        for file, fields in self.fields.items():
            if field not in fields:
                names = pq.ParquetFile(file).schema_arrow.names
                layout = layout_of(str(file), names)
                column = layout.column(field)
                others = [other for each in LAYOUTS if (other := each.column(field)) in names]
                advice = f"Rename {others[0]!r} to {column!r}." if others else _ADVICE.get(field, _ANOTHER)
                seen = f"{file}, read as {layout.name!r}, has no {column!r} column, needed by {needed_by}"
                return f"{seen}. Columns found: {', '.join(names)}. {advice}"
        return None

    def require(self, needs: Mapping[str, str]) -> None:
        """Raise `DataError` where a field is lacking; `needs` gives for each field what needs it."""
        for field, needed_by in needs.items():
            if reason := self.lacking(field, needed_by):
                raise DataError(reason)
