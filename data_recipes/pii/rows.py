"""Redact rows of a dataset: for `datasets.map(batched=True)`, or as a stream."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from data_recipes.errors import DataError
from data_recipes.pii.audit_log import audit_lines
from data_recipes.pii.detector import Detector
from data_recipes.pii.finding import Finding
from data_recipes.pii.redaction import redact_with
from data_recipes.pii.redaction_key import RedactionKey, chosen_key
from data_recipes.pii.replacements import STYLES

PII_COLUMNS: Mapping[str, str] = {"EMAIL_ADDRESS": "pii_emails", "IP_ADDRESS": "pii_ip_addresses", "KEY": "pii_keys"}
"""The column with the number of redactions of each type that is found by default."""

OTHER_COLUMNS: Mapping[str, str] = {"PASSWORD": "pii_passwords", "USERNAME": "pii_usernames", "NAME": "pii_names"}
"""The columns of the types that are found only where they are asked for."""


def column_of(kind: str) -> str:
    """Return the column with the number of redactions of a type.

    >>> column_of("KEY"), column_of("PHONE_NUMBER")
    ('pii_keys', 'pii_phone_number')
    """
    return {**PII_COLUMNS, **OTHER_COLUMNS}.get(kind, f"pii_{kind.lower()}")


def counted_types(columns: Iterable[str]) -> dict[str, str]:
    """Return the types whose redactions are counted in these columns of a table, each with its column."""
    known = {column: kind for kind, column in (*PII_COLUMNS.items(), *OTHER_COLUMNS.items())}
    return {
        known.get(name, name[4:].upper()): name for name in columns if name.startswith("pii_") and name != LOG_COLUMN
    }


LOG_COLUMN = "pii_log"
"""The column of the audit log's lines, where they are asked for."""


@dataclass(frozen=True, slots=True)
class Redactor:
    """Redacts a column of batches of rows and counts the redactions of each type in columns of their own.

    It keeps nothing between rows, so batch size, order and number of processes change nothing, and it can be
    pickled. A row whose text is None stays as it is. With `is_logged`, the column `pii_log` holds the lines of
    `audit_lines`. Without `key` and `seed` the key is drawn at random once and goes along to other processes; a
    `datasets.map` with it is never taken from the cache. `types`, `rules` (a TOML file) and `recognizers` are those of
    `data redact`; each type beyond the default ones has a column, too.

    >>> Redactor()({"content": ["# bob@corp.io", None]})["pii_emails"]
    [1, 0]
    """

    seed: int | None = None
    style: str = "santacoder"
    types: tuple[str, ...] | None = None
    column: str = "content"
    is_logged: bool = False
    key: RedactionKey | None = field(default=None, repr=False)
    rules: str | None = None
    recognizers: tuple[Any, ...] = ()
    _find: Detector = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.style not in STYLES:
            raise DataError(f"Redactor: style={self.style!r} is not available. Styles: {', '.join(STYLES)}.")
        object.__setattr__(self, "_find", Detector(self.types, self.rules, self.recognizers))
        object.__setattr__(self, "key", chosen_key(self.key, self.seed))
        object.__setattr__(self, "seed", None)

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """The redacted column and the columns of counts for a batch; a `datasets.map` keeps the other columns."""
        if self.column not in batch:
            found = ", ".join(batch)
            raise DataError(f"Redactor: no column {self.column!r}. Columns found: {found}. Pass column=… to Redactor.")
        rows = [self._row(text) for text in batch[self.column]]
        return {name: [row[name] for row in rows] for name in (self.column, *self._added())}

    def stream(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield the rows one by one, each with the redacted column and the columns of counts; one row is held at a time.

        >>> next(Redactor(style="starcoder").stream([{"path": "a.py", "content": "# bob@corp.io"}]))["content"]
        '# <EMAIL>'
        """
        for row in rows:
            yield {**row, **{name: values[0] for name, values in self({self.column: [row[self.column]]}).items()}}

    def _added(self) -> list[str]:
        other = [column_of(kind) for kind in self._find.types if kind not in PII_COLUMNS]
        return [*PII_COLUMNS.values(), *other, *([LOG_COLUMN] if self.is_logged else [])]

    def _row(self, text: str | None) -> dict[str, Any]:
        findings: list[Finding] = []
        if text is not None:
            result = redact_with(self._find, text, key=self.key, style=self.style)
            findings = result.findings
        counts = Counter(finding.type for finding in findings)
        row: dict[str, Any] = {self.column: text if text is None else result.text}
        row |= {column_of(kind): counts[kind] for kind in (*PII_COLUMNS, *self._find.types)}
        return row | {LOG_COLUMN: list(audit_lines(text or "", findings, key=self.key))}
