"""The funnel: how many files and bytes are left after each stage, and why the others are not."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from data_recipes.redactor import PII_COLUMNS


def language_entry(lang: str, stages: Sequence[str], store: pa.Table, rejects: pa.Table) -> dict[str, Any]:
    """The funnel of one language: files and bytes after each stage, rejects by stage and reason, redactions.

    `stages` begins with "read"; a reject's stage is the one it did not pass. What is in `store` and not among the
    rejects passed all stages. Bytes are those of the original files.
    """
    files: Counter[tuple[str, str]] = Counter()
    volume: Counter[tuple[str, str]] = Counter()
    for record in rejects.select(["stage", "reason", "size"]).to_pylist():
        files[record["stage"], record["reason"]] += 1
        volume[record["stage"], record["reason"]] += record["size"]
    thinned = [key for key in files if key[0] in stages[3:]]  # near-duplicates stay in the store, marked
    left_files = store.num_rows + sum(files[k] for k in files if k[0] in stages[1:] and k not in thinned)
    left_bytes = _total(store, "size") + sum(volume[k] for k in files if k[0] in stages[1:] and k not in thinned)
    entries = []
    for stage in stages:
        if stage != "read":
            left_files -= sum(count for key, count in files.items() if key[0] == stage)
            left_bytes -= sum(count for key, count in volume.items() if key[0] == stage)
        entries.append({"name": stage, "files": left_files, "bytes": left_bytes})
    order = {stage: number for number, stage in enumerate(stages)}
    reasons = [
        {"stage": stage, "reason": reason, "files": files[stage, reason], "bytes": volume[stage, reason]}
        for stage, reason in sorted(files, key=lambda key: (order[key[0]], key[1]))
    ]
    return {"lang": lang, "stages": entries, "rejects": reasons, "redactions": redactions(store)}


def redactions(store: pa.Table) -> dict[str, int]:
    """Redactions by type in the rows of a store, and in how many files there are any."""
    counts = {kind: _total(store, column) for kind, column in PII_COLUMNS.items()}
    redacted = [any(record.values()) for record in store.select(list(PII_COLUMNS.values())).to_pylist()]
    return {**counts, "files": sum(redacted)}


def _total(table: pa.Table, column: str) -> int:
    return int(pc.sum(table[column]).as_py() or 0)


def funnel_rows(funnel: Mapping[str, Any]) -> list[list[str]]:
    """The funnel as a table like the report's Table 3: a header, a row per language, a row of totals.

    Each cell after the first stage gives the volume and its change from the stage before.
    """
    names = [stage["name"] for stage in funnel["funnel"][0]["stages"]]
    totals = [
        {
            "bytes": sum(e["stages"][i]["bytes"] for e in funnel["funnel"]),
            "files": sum(e["stages"][i]["files"] for e in funnel["funnel"]),
        }
        for i in range(len(names))
    ]
    rows = [["", "files", *names, "files left"]]
    for label, stages in [*((e["lang"], e["stages"]) for e in funnel["funnel"]), ("total", totals)]:
        cells = [_volume(stages[0]["bytes"])]
        for before, after in pairwise(stages):
            removed = 100 * (1 - after["bytes"] / before["bytes"]) if before["bytes"] else 0.0
            cells.append(f"{_volume(after['bytes'])} ({f'-{removed:.1f}' if removed >= 0.05 else '0.0'} %)")
        rows.append([label, f"{stages[0]['files']:,}", *cells, f"{stages[-1]['files']:,}"])
    return rows


def _volume(size: int) -> str:
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if size >= factor:
            return f"{size / factor:.2f} {unit}"
    return f"{size / 1e3:.1f} kB"
