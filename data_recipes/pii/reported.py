"""Report finds without their values, as text, JSON or SARIF, and leave out known and allowed ones."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data_recipes.errors import DataError
from data_recipes.pii.finding import Finding
from data_recipes.pii.lines import TextLines

BASELINE_VERSION = 1
_ALLOWED = re.compile(r"hf-santa: ?allow|pragma: ?allowlist secret|gitleaks:allow")
_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a find stands, counted as people count; it never holds the value."""

    path: str
    line: int
    column: int
    length: int
    type: str
    rule: str

    def text(self) -> str:
        """Return the line that is printed for it."""
        return f"{self.path}:{self.line}:{self.column}: {self.type} ({self.rule})"


def shown(text: str) -> str:
    """Return the text as any terminal can print it."""
    return _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text)


def places_of(name: str, text: str, findings: Iterable[Finding]) -> list[Place]:
    """Return the places of the finds of a text."""
    lines, places = TextLines(text), []
    for found in findings:
        line, column = map(int, lines.place(found.start).split(":"))
        places.append(Place(shown(name), line, column, found.end - found.start, found.type, found.rule))
    return places


def not_allowed(text: str, findings: Sequence[Finding], allowed: frozenset[str]) -> list[Finding]:
    """Return the finds whose value is not in the list of allowed ones, and whose line does not allow them.

    A line allows its finds with a comment `hf-santa: allow`.
    """
    if not findings or not (allowed or _ALLOWED.search(text)):
        return list(findings)
    lines = TextLines(text)
    return [
        found
        for found in findings
        if text[found.start : found.end] not in allowed and not _ALLOWED.search(lines.line(lines.number(found.start)))
    ]


def read_values(path: str | None) -> frozenset[str]:
    """Return the lines of a file with values that are no finds."""
    if path is None:
        return frozenset()
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise DataError(f"{path}: not readable ({error}). Pass a text file with a value a line.") from error
    return frozenset(line.strip() for line in lines if line.strip() and not line.startswith("#"))


def read_baseline(path: str | None) -> Counter[tuple[str, str]]:
    """Return how many finds of each path and rule a baseline knows.

    Raises:
        DataError: the file is no baseline of this version.
    """
    if path is None:
        return Counter()
    try:
        table: Any = json.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: not readable as a baseline ({error}). Write one with --write-baseline.") from error
    known = table.get("known") if isinstance(table, dict) else None
    if not isinstance(known, list) or table.get("version") != BASELINE_VERSION:
        raise DataError(f"{path}: no baseline of version {BASELINE_VERSION}. Write it again with --write-baseline.")
    try:
        return Counter({(str(entry["path"]), str(entry["rule"])): int(entry["count"]) for entry in known})
    except (TypeError, KeyError, ValueError) as error:
        raise DataError(f"{path}: an entry lacks path, rule or count. Write it again with --write-baseline.") from error


def baseline_text(places: Iterable[Place]) -> str:
    """Return a baseline that knows these finds: numbers by path and rule, from which no value can be guessed."""
    counts = Counter((place.path, place.rule) for place in places)
    known = [{"path": path, "rule": rule, "count": count} for (path, rule), count in sorted(counts.items())]
    return json.dumps({"version": BASELINE_VERSION, "known": known}, indent=1) + "\n"


def unknown(places: Iterable[Place], known: Counter[tuple[str, str]]) -> list[Place]:
    """Return the places that are more than the baseline knows of their path and rule."""
    left = Counter(known)
    new = []
    for place in places:
        if left[place.path, place.rule] > 0:
            left[place.path, place.rule] -= 1
        else:
            new.append(place)
    return new


def as_json(places: Iterable[Place], failed: Sequence[str]) -> str:
    """Return the finds and the files that can't be read as JSON."""
    return json.dumps({"findings": [asdict(place) for place in places], "unreadable": [*failed]}, indent=1)


def as_sarif(places: Sequence[Place]) -> str:
    """Return the finds in the form that code hosts show (SARIF 2.1.0)."""
    rules = sorted({(place.rule, place.type) for place in places})
    results = [
        {
            "ruleId": place.rule,
            "level": "error",
            "message": {"text": f"{place.type} found by rule {place.rule}"},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": place.path},
                        "region": {"startLine": place.line, "startColumn": place.column},
                    }
                }
            ],
        }
        for place in places
    ]
    driver = {
        "name": "hf-santa",
        "rules": [{"id": rule, "shortDescription": {"text": f"{kind} ({rule})"}} for rule, kind in rules],
    }
    schema = "https://json.schemastore.org/sarif-2.1.0.json"
    return json.dumps(
        {"version": "2.1.0", "$schema": schema, "runs": [{"tool": {"driver": driver}, "results": results}]}, indent=1
    )
