"""What each stage of a run costs a GB and a million files, and what The Stack would cost: the tables of docs/guides/scale.md.

python tests/bench/scaling.py [--mb MB] [FILE.parquet …]

A parquet file has at least `content`, `lang` and `path`. Without one, the Python standard library is read.
"""

import argparse
import statistics
import sysconfig
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from data_recipes import near_duplicates
from data_recipes.annotate import Annotator
from data_recipes.decontamination.benchmarks import BenchmarkString, Matcher
from data_recipes.disk.files import write_table
from data_recipes.pii.redaction import redact
from data_recipes.recipes import NEAR_DEDUP_MODES
from data_recipes.settings import RunSettings
from data_recipes.sources.parquet import read_parquet
from data_recipes.sources.row import Row, rows_table
from data_recipes.sources.write_rows import write_rows

ROUNDS, THREADS, STRINGS = 3, 2, 1000
SETS = {"The Stack v1, 3 languages": 268, "The Stack v2": 67_000}
"""Volumes in GB: of the report's base set, and of The Stack v2 as its card gives it."""


def sample(files: list[Path], megabytes: float) -> pa.Table:
    """Rows of about so many MB, in equal parts from the files."""
    if not files:
        with tempfile.TemporaryDirectory() as folder:
            write_rows(sysconfig.get_path("stdlib"), folder, progress=lambda _line: None)
            found = [item for item in read_parquet(folder) if isinstance(item, Row)]
        files = []
    else:
        found = []
    rows, size = [], 0.0
    for row in found:
        if size < megabytes * 1e6:
            rows.append(row)
            size += row.size
    for file in files:
        size = 0.0
        for item in read_parquet(file):
            if size > megabytes * 1e6 / len(files):
                break
            if isinstance(item, Row):
                rows.append(item)
                size += item.size
    return rows_table(rows)


def stages(table: pa.Table, folder: Path) -> dict[str, tuple[Callable[[], object], int]]:
    """Each stage as a call, and how many threads it uses."""
    texts = table["content"].to_pylist()
    shard = folder / "shard.parquet"
    write_table(shard, table)
    annotator = Annotator(RunSettings(filters=("xml",), threads=THREADS), ("comments",))
    strings = [
        BenchmarkString("b", str(n), f"return the {n * 7919 % 100003} numbers of the list") for n in range(STRINGS)
    ]
    matcher = Matcher(strings)

    def near(mode: str) -> Callable[[], object]:
        return lambda: near_duplicates(table, mode, THREADS)

    return {
        "read, filters, comments": (lambda: list(annotator.filtered(shard, [])), THREADS),
        "redaction": (lambda: [redact(text) for text in texts], 1),
        f"decontamination, {STRINGS:,} strings": (lambda: [matcher.find(text) for text in texts], 1),
        **{mode: (near(mode), THREADS) for mode in NEAR_DEDUP_MODES},
        "write parquet": (lambda: write_table(folder / "out.parquet", table), 1),
    }


def main() -> None:
    """Measure every stage and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="*")
    parser.add_argument("--mb", type=float, default=20, help="MB to measure with (default: 20)")
    arguments = parser.parse_args()
    table = sample(arguments.files, arguments.mb)
    size, count = sum(table["size"].to_pylist()) / 1e9, table.num_rows
    print(f"{count:,} files, {size * 1000:.1f} MB, {ROUNDS} rounds in turn, medians\n")
    print("| stage | MB/s | threads | core seconds a GB | core seconds a million files |\n|---|---|---|---|---|")
    costs: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        made = stages(table, Path(name))
        made["read, filters, comments"][0]()  # compiles
        seconds: dict[str, list[float]] = {stage: [] for stage in made}
        for _ in range(ROUNDS):
            for stage, (call, _) in made.items():
                started = time.perf_counter()
                call()
                seconds[stage].append(time.perf_counter() - started)
    for stage, (_, threads) in made.items():
        took = statistics.median(seconds[stage])
        costs[stage] = took * threads / size
        print(
            f"| {stage} | {size * 1000 / took:.1f} | {threads} | {costs[stage]:.1f} | {took * threads / count * 1e6:.0f} |"
        )
    print("\n| set | GB | core hours, recipe `final` | core hours, all recipes | bottleneck |\n|---|---|---|---|---|")
    shared = sum(cost for stage, cost in costs.items() if stage not in NEAR_DEDUP_MODES)
    bottleneck = max(costs, key=lambda stage: costs[stage])
    for label, volume in SETS.items():
        final = volume * (shared + costs["near_dedup_alt"]) / 3600
        every = volume * (shared + sum(costs[mode] for mode in NEAR_DEDUP_MODES)) / 3600
        share = costs[bottleneck] / sum(costs.values())
        print(f"| {label} | {volume:,} | {final:,.1f} | {every:,.1f} | {bottleneck}: {share:.0%} of all |")


if __name__ == "__main__":
    main()
