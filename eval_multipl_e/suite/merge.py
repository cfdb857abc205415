"""Merge shards, after a check that none is missing, given twice or of another run."""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from eval_multipl_e.errors import EvalError
from eval_multipl_e.suite.files import read_results_file
from eval_multipl_e.suite.grade import summed
from eval_multipl_e.suite.problems import read_rows
from eval_multipl_e.suite.shards import Shard, read_settings, settings_path, write_whole


def merge_completions(paths: Sequence[Path], out: Path) -> int:
    """Write the file that an unsharded run would have written, byte for byte; return its number of rows."""
    abouts = []
    for path in paths:
        settings = read_settings(path)
        if settings is None:
            raise EvalError(f"{path} has no {settings_path(path).name} beside it, so its shard is unknown.")
        abouts.append(settings)
    order = _checked(paths, abouts)
    about = abouts[order[0]]
    size, total = int(about["batch_size"]), int(about["problems"] * about["n"])
    starts = range(0, total, size)
    lines: list[str] = [""] * total
    keys: dict[tuple[Any, ...], Path] = {}
    for index, number in enumerate(order):
        path = paths[number]
        places = [at for b in Shard(index, len(order)).of(len(starts)) for at in range(starts[b], starts[b] + size)]
        places = [at for at in places if at < total]
        rows = read_rows(path) if path.stat().st_size else []
        if len(rows) != len(places):
            raise EvalError(
                f"{path} holds {len(rows)} of the {len(places)} rows of shard {index}/{len(order)}. Let its run finish: "
                "the same command goes on where it stopped."
            )
        for at, row in zip(places, rows, strict=True):
            key = (row.get("language"), row.get("name"), row.get("sample"))
            if key in keys:
                raise EvalError(f"{path} and {keys[key]} both hold {key}. Each sample may occur once.")
            keys[key] = path
            lines[at] = json.dumps(row, ensure_ascii=False) + "\n"
    write_whole(settings_path(out), json.dumps({**about, "shard": [0, 1]}, indent=2) + "\n")
    write_whole(out, "".join(lines))
    return total


def merge_results(paths: Sequence[Path]) -> dict[str, Any]:
    """Return the results that an unsharded scoring would have given, times aside."""
    found = [read_results_file(path) for path in paths]
    ours = (
        "task",
        "problems_sha256",
        "completions_sha256",
        "kind",
        "problems",
        "k",
        "seed",
        "mode",
        "sandbox",
        "settings",
        "dataset",
        "unsatisfiable",
    )
    abouts = [{name: row[name] for name in ("shard", *ours) if name in row} for row in found]
    order = _checked(paths, abouts)
    toolchains: dict[str, Any] = {}
    for number in order:
        for code, version in found[number].get("toolchains", {}).items():
            if toolchains.setdefault(code, version) != version:
                raise EvalError(
                    f"{paths[number]} was scored with {version!r} for {code!r}, another shard with {toolchains[code]!r}. "
                    "Score all shards with the same toolchains."
                )
    results = sorted(
        (row for number in order for row in found[number]["results"]),
        key=lambda row: (row["problem"], row["completion"]),
    )
    keys = [(row["problem"], row["completion"]) for row in results]
    double = next((key for key, after in pairwise(keys) if key == after), None)
    if double is not None:
        raise EvalError(f"completion {double[1]} of problem {double[0]} was scored twice. Give each shard once.")
    lacking = sorted(set(range(abouts[0]["problems"])) - {row["problem"] for row in results})
    if lacking:
        raise EvalError(f"{len(lacking)} problems are in no shard, the first is number {lacking[0]}. Score it again.")
    about = {**{name: value for name, value in abouts[order[0]].items() if name != "settings"}, "shard": [0, 1]}
    ran = {"toolchains": toolchains} if toolchains else {}
    missing = [row for number in order for row in found[number].get("missing_toolchains", [])]
    merged = summed(results, {**about, **ran}, {row["language"] for row in missing if row["whole_language"]})
    return {**merged, **({"settings": found[0]["settings"]} if "settings" in found[0] else {})}


def _checked(paths: Sequence[Path], abouts: Sequence[Mapping[str, Any]]) -> list[int]:
    """The files' numbers in the order of their shards, once it is sure that they are all there and of one run."""
    if not paths:
        raise EvalError("merge: no files. Give the files of all shards.")
    first = abouts[0]
    for path, about in zip(paths, abouts, strict=True):
        for name in {**first, **about}:
            if name != "shard" and about.get(name) != first.get(name):
                raise EvalError(
                    f"{path} has {name}={about.get(name)!r}, and {paths[0]} has {first.get(name)!r}. Merge shards of one run."
                )
    counts = {about["shard"][1] for about in abouts}
    if len(counts) > 1:
        raise EvalError(f"the files are of {sorted(counts)} shards. Merge shards of one division.")
    (count,) = counts
    places: dict[int, int] = {}
    for number, about in enumerate(abouts):
        index = about["shard"][0]
        if index in places:
            raise EvalError(
                f"{paths[number]} and {paths[places[index]]} are both shard {index}/{count}. Give each once."
            )
        places[index] = number
    lacking = [index for index in range(count) if index not in places]
    if lacking:
        raise EvalError(f"of {count} shards {len(lacking)} are missing, first {lacking[0]}/{count}. Give all.")
    return [places[index] for index in range(count)]
