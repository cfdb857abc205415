"""Decontamination beside the report's loop over strings and two Aho-Corasick automata, on the same real files.

The strings are those of `--benchmark` files, or as many as the report had (1,148), cut from the corpus, nine in ten of
them changed so that they are nowhere. Systems take turns, each in a process of its own; medians of `--rounds`.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
from near_dedup import HERE, environment, first_rows
from peers.corpus import build, found_roots

from data_recipes.decontamination.benchmarks import benchmark_strings

COUNT = 1148
SYSTEMS = ("ours", "loop", "polars", "pyahocorasick")


def cut(corpus):
    """Strings of some lines of the corpus."""
    rng, strings = random.Random(0), []
    texts = pq.read_table(corpus, columns=["content"])["content"].slice(0, 4000).to_pylist()
    while len(strings) < COUNT:
        text = rng.choice(texts).lower()
        start = rng.randrange(max(1, len(text) - 300))
        string = text[start : start + 200].strip()
        if len(string) > 40:
            strings.append(string if len(strings) % 10 == 0 else f"{string} no.{len(strings)}")
    return strings


def main():
    """Print the speeds and check that all systems find the same rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--benchmark", type=Path, nargs="+", default=[], help="JSONL files to take the strings from")
    parser.add_argument("--work", type=Path, default=HERE.parents[1] / "out" / "bench", help="what is made goes here")
    parser.add_argument("--files", type=int, default=6000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    corpus = args.work / "corpus.parquet"
    if not corpus.exists():
        build(found_roots(), corpus)
    sample = first_rows(corpus, args.files, args.work / f"sample-{args.files}.parquet")
    found = [string.string.lower() for string in benchmark_strings(args.benchmark)]
    strings = args.work / "strings.json"
    strings.write_text(json.dumps(found or cut(corpus)))
    peer, problem = environment(args.work, "peers", ["pyarrow", "polars", "pyahocorasick"])
    if peer is None:
        print(f"peers: not installable here: {problem}")
    speeds, rows = {}, {}
    for _ in range(args.rounds):
        for system in SYSTEMS:
            python = sys.executable if system == "ours" else peer
            if python is None:
                continue
            command = [python, HERE / "peers" / "run_strings.py", system, sample, strings]
            result = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            speeds.setdefault(system, []).append((result["mb_per_s"], result["mb_per_cpu_s"]))
            rows[system] = result
    middles = {
        system: [statistics.median(column) for column in zip(*runs, strict=True)] for system, runs in speeds.items()
    }
    print(f"{len(json.loads(strings.read_text())):,} strings, {args.files:,} files")
    print(f"{'system':<16}{'MB/s':>8}{'ours is':>9}{'MB/CPU s':>10}{'ours is':>9}")
    for system, (speed, cpu) in middles.items():
        among = [row for row in rows["ours"]["rows"] if row < rows[system]["of"]]
        same = (
            f"{len(among)} rows, as ours"
            if rows[system]["rows"] == among
            else f"{len(rows[system]['rows'])} rows, NOT ours"
        )
        ratios = [f"x{ours / theirs:.1f}" for ours, theirs in zip(middles["ours"], (speed, cpu), strict=True)]
        print(f"{system:<16}{speed:>8.1f}{ratios[0]:>9}{cpu:>10.1f}{ratios[1]:>9}  {same}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
