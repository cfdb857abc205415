"""Near-dedup beside every installable peer: throughput, memory, floor of the hardware, growth, and exact quality.

Builds a corpus from the sources of this machine (or takes `--source FOLDER…` or `--corpus FILE`), installs the peers
into environments of their own below `--work`, and runs each system as a process of its own, one after the other, in
rounds. Peers run on a sample of the corpus; ours runs on the same sample, by which ratios are formed, and on all of it.
"""

import argparse
import hashlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from peers.corpus import build, found_roots
from peers.run_peer import MIN_TOKENS, Components
from peers.truth import Truth

HERE = Path(__file__).parent

PEERS = {
    "datasketch": ("peers", ["datasketch==2.0.0", "pyarrow"]),
    "rensa": ("peers", ["rensa", "pyarrow"]),
    "gaoya": ("peers", ["gaoya", "pyarrow"]),
    "datatrove": ("peers", ["datatrove==0.10.1", "xxhash<4", "regex", "tokenizers", "orjson", "pyarrow"]),
    "text-dedup": ("peers-text-dedup", ["text-dedup==0.4.0", "pyarrow"]),
}
OURS = ("ours:near_dedup_alt", "ours:near_dedup_alt+jaccard", "ours:near_dedup_verified")
THREADS = 2


def environment(work, name, packages):
    """The interpreter of a peer's environment, or why it can't be installed."""
    folder = work / name
    if not (folder / "bin" / "python").exists():
        venv.create(folder, with_pip=True)
    command = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (folder / "bin" / "python", "") if done.returncode == 0 else (None, done.stderr.strip()[-200:])


def run(python, system, file, folder):
    """One run of one system; None with the error where it fails."""
    shutil.rmtree(folder, ignore_errors=True)  # some would go on where an earlier run ended
    command = [python, HERE / "peers" / "run_peer.py", system, file, folder, str(THREADS)]
    variables = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
    if done.returncode:
        return None, done.stderr.strip()[-300:]
    return json.loads(done.stdout), ""


def megabytes(file):
    """The bytes of all texts of a file."""
    table = pq.read_table(file, columns=["content"])
    return sum(chunk.get_total_buffer_size() for chunk in table["content"].chunks) / 1e6


def first_rows(file, count, out):
    """A file of the first rows of another."""
    if not out.exists():
        pq.write_table(
            pq.read_table(file).slice(0, count), out, row_group_size=max(500, count // 8), compression="zstd"
        )
    return out


def ten_copies(file, out):
    """Ten times a file, each time in another Caesar cipher: ten times the duplicates, and none across the copies."""
    if out.exists():
        return out
    small, big = (bytes(range(first, first + 26)) for first in (97, 65))
    texts = [text.encode() for text in pq.read_table(file, columns=["content"])["content"].to_pylist()]
    with pq.ParquetWriter(
        out, pa.schema([("content", pa.string()), ("hexsha", pa.string())]), compression="zstd"
    ) as writer:
        for shift in range(10):
            shifted = b"".join(letters[shift:] + letters[:shift] for letters in (small, big))
            table = bytes.maketrans(small + big, shifted)
            part = [text.translate(table).decode() for text in texts]
            hexshas = [hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest() for text in part]
            writer.write_table(pa.table({"content": part, "hexsha": hexshas}), row_group_size=5000)
    return out


def floor(file):
    """Seconds of two threads, and of CPU, for decoding, for the scan into 5-grams, and for the permutations, alone."""
    from numba import njit

    from data_recipes.dedup.modes import MODES
    from data_recipes.dedup.signatures import scratches, sign_alone
    from data_recipes.engine import jit_tokens
    from data_recipes.engine.texts import texts_of

    @njit(nogil=True)
    def scanned(addresses, sizes, scratch):
        total = 0
        for row in range(len(sizes)):
            jit_tokens.begin(scratch)
            made = 0
            while made >= 0:
                total += made
                made = jit_tokens.next_shingles(addresses[row], sizes[row], 5, scratch)
        return total

    mode, groups = MODES["near_dedup_alt"], range(pq.ParquetFile(file).metadata.num_row_groups)
    seconds = dict.fromkeys(("decode", "scan", "sign", "decode CPU", "scan CPU", "sign CPU"), 0.0)

    def decode(group):
        with pq.ParquetFile(file) as opened:
            return sum(
                b.num_rows
                for b in opened.iter_batches(1024, row_groups=[group], columns=["content"], use_threads=False)
            )

    def timed(name, work, jobs):
        started, cpu = time.perf_counter(), time.process_time()
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(work, jobs))
        seconds[name] += time.perf_counter() - started
        seconds[f"{name} CPU"] += time.process_time() - cpu

    timed("decode", decode, groups)
    for group in groups:  # one row group in memory at a time
        column = pq.ParquetFile(file).read_row_group(group, columns=["content"])["content"].combine_chunks()
        half = len(column) // 2
        parts = [texts_of(column.slice(0, half)), texts_of(column.slice(half))]
        own = scratches(2)
        scanned(parts[0].addresses[:1], parts[0].sizes[:1], own[0])
        timed("scan", lambda i: scanned(parts[i].addresses, parts[i].sizes, own[i]), range(2))  # noqa: B023
        timed("sign", lambda i: sign_alone(parts[i], mode, own[i]), range(2))  # noqa: B023
    seconds |= {f"permute{unit}": seconds[f"sign{unit}"] - seconds[f"scan{unit}"] for unit in ("", " CPU")}
    return seconds


def quality(truth, partners, clusters, label):
    """Print what a clustering is worth by exact similarities of sampled rows."""
    clusters = np.array(clusters)
    representative = {}
    for row, cluster in enumerate(clusters.tolist()):
        representative.setdefault(cluster, cluster if clusters[cluster] == cluster else row)
    kept = np.array([representative[cluster] == row for row, cluster in enumerate(clusters.tolist())])
    rows, cells = list(partners), []
    for least in (0.7, 0.85):
        pairs = [(row, other) for row, found in partners.items() for other, j in found if j >= least]
        same = [clusters[a] == clusters[b] for a, b in pairs]
        docs = {a: False for a, _ in pairs}
        for (a, _), is_same in zip(pairs, same, strict=True):
            docs[a] |= bool(is_same)
        cells.append(f"J>={least}: {np.mean(same):.4f} of pairs, {np.mean(list(docs.values())):.4f} of files")
    removed = [row for row in rows if not kept[row]]
    near = [truth.similarity(row, representative[clusters[row]]) >= truth.threshold for row in removed]
    residual = [any(kept[other] for other, _ in partners[row]) for row in rows if kept[row]]
    print(f"{label:<26} recall {'; '.join(cells)}")
    print(
        f"{'':<26} removed with J>=.7 to the kept {np.mean(near):.4f}, residual among the kept {np.mean(residual):.4f}"
    )


def same_as_datasketch(texts, clusters):
    """Print whether our clusters are the components that datasketch's index gives for the same signatures."""
    from datasketch import LeanMinHash, MinHashLSH

    from data_recipes.dedup.signatures import signature
    from data_recipes.engine.shingles import ngram_set

    index, found = MinHashLSH(threshold=0.7, num_perm=256), Components(len(texts))
    for row, text in enumerate(texts):
        grams, tokens = ngram_set(text)
        if tokens >= MIN_TOKENS:
            minhash = LeanMinHash(seed=1, hashvalues=signature(grams), scheme="affine32")
            for other in index.query(minhash):
                found.join(row, other)
            index.insert(row, minhash)
    theirs = found.clusters()
    pairs = set(zip(theirs, clusters, strict=True))
    is_same = len(pairs) == len(set(theirs)) == len(set(clusters))
    print(
        f"near_dedup_alt against MinHashLSH(0.7, 256): {len(set(theirs)):,} clusters, {'identical' if is_same else 'NOT'}"
    )


def small_documents(file, count, out):
    """Many short documents: runs of lines of the corpus, each with a line of its own."""
    if not out.exists():
        texts, lines = [], []
        for text in pq.read_table(file, columns=["content"])["content"].slice(0, 6000).to_pylist():
            lines += text.split("\n")[:400]
        for number in range(count):
            start = (number * 7) % (len(lines) - 8)
            texts.append(
                "\n".join(line[:60] for line in lines[start : start + 4])
                + f"\ndocument {number} of many {number % 977}"
            )
        pq.write_table(pa.table({"content": texts}), out, row_group_size=20_000, compression="zstd")
    return out


def compared(work, corpus, sample, rounds, systems):
    """Run every system in turn on the sample; the medians."""
    pythons = dict.fromkeys(OURS, (sys.executable, ""))
    for name in systems:
        folder, packages = PEERS[name]
        pythons[name] = environment(work, folder, packages)
    results = {}
    for number in range(rounds):
        for name, (python, problem) in pythons.items():
            if python is None:
                print(f"{name}: not installable here: {problem}")
                continue
            if number and results.get(name) and results[name][0]["seconds"] > 15:
                continue  # one round of the slowest is enough
            found, error = run(python, name, sample, work / "runs" / name.replace(":", "-"))
            if found is None:
                print(f"{name}: failed: {error}")
                continue
            results.setdefault(name, []).append(found)
            print(f"round {number + 1}: {name} {found['seconds']:.2f} s, {found['cpu_s']:.2f} CPU s", flush=True)
    size, rows = megabytes(sample), pq.ParquetFile(sample).metadata.num_rows
    ours = {what: statistics.median(r[what] for r in results[OURS[0]]) for what in ("seconds", "cpu_s")}
    print(f"\nsample: {rows:,} files, {size:.0f} MB; {THREADS} threads or processes; medians of {rounds} rounds")
    print(
        f"{'system':<28}{'s':>8}{'MB/s':>8}{'files/s':>9}{'ratio':>8}{'CPU s':>8}{'ratio':>8}{'peak MB':>9}{'child MB':>9}{'kept':>8}"
    )
    for name, found in results.items():
        seconds, cpu = (statistics.median(r[what] for r in found) for what in ("seconds", "cpu_s"))
        print(
            f"{name:<28}{seconds:>8.2f}{size / seconds:>8.1f}{rows / seconds:>9.0f}{seconds / ours['seconds']:>8.1f}"
            f"{cpu:>8.2f}{cpu / ours['cpu_s']:>8.1f}{found[0]['peak_mb']:>9.0f}{found[0]['child_mb']:>9.0f}{found[0]['kept']:>8}"
        )
    return results


def whole(work, corpus, rounds):
    """Ours on all of the corpus beside the hardware's floor, then on a tenth of it and on ten copies of that."""
    rows = pq.ParquetFile(corpus).metadata.num_rows
    tenth = first_rows(corpus, rows // 10, work / f"tenth-{rows // 10}.parquet")
    tenfold = ten_copies(tenth, work / f"tenfold-{rows // 10}.parquet")
    size, floors = megabytes(corpus), []
    found = {(name, file): [] for name in OURS for file in (corpus, tenth, tenfold)}
    for _ in range(rounds):
        floors.append(floor(corpus))
        for name, file in list(found):
            result, problem = run(sys.executable, name, file, work / "runs" / "whole")
            if result is None:
                raise RuntimeError(problem)
            found[name, file].append(result)
    least = {name: statistics.median(f[name] for f in floors) for name in floors[0]}
    print(f"\nall: {rows:,} files, {size:.0f} MB; floor: " + ", ".join(f"{k} {v:.2f} s" for k, v in least.items()))

    def median(name, file, what="seconds"):
        return statistics.median(r[what] for r in found[name, file])

    for name in OURS:
        seconds, cpu = median(name, corpus), median(name, corpus, "cpu_s")
        print(
            f"{name:<28}{seconds:>6.2f} s, {size / seconds:.0f} MB/s, {(least['decode'] + least['sign']) / seconds:.0%} of the "
            f"floor's speed; CPU {cpu:.2f} s, {(least['decode CPU'] + least['sign CPU']) / cpu:.0%}; "
            f"peak {max(r['peak_mb'] for r in found[name, corpus]):.0f} MB"
        )
        small, large = ((median(name, file), median(name, file, "cpu_s")) for file in (tenth, tenfold))
        print(
            f"{'':<28}a tenth {small[0]:.2f} s, ten times that {large[0]:.2f} s: {large[0] / small[0]:.1f} x time, "
            f"{large[1] / small[1]:.1f} x CPU; kept {found[name, tenth][0]['kept']} and {found[name, tenfold][0]['kept']}"
        )


def growth(work, corpus):
    """Bytes that each further document costs."""
    for name in OURS:
        peaks = []
        for count in (200_000, 2_000_000):
            file = small_documents(corpus, count, work / f"small-{count}.parquet")
            result, problem = run(sys.executable, name, file, work / "runs" / "growth")
            if result is None:
                raise RuntimeError(problem)
            peaks.append(result["peak_mb"])
            print(f"{name}: {count:,} short documents: {result['seconds']:.1f} s, peak {result['peak_mb']:.0f} MB")
        print(f"{name}: {(peaks[1] - peaks[0]) * 2**20 / 1_800_000:.0f} bytes a document")


def main():
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, nargs="+", help="folders or src.zip files in place of this machine's")
    parser.add_argument("--corpus", type=Path, help="a parquet file with column content, in place of a new one")
    parser.add_argument("--work", type=Path, default=HERE.parents[1] / "out" / "bench", help="what is made goes here")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sample", type=int, default=4000, help="files for the comparison with peers")
    parser.add_argument("--judged", type=int, default=16_000, help="files for the exact quality (8 KB of memory a KB)")
    parser.add_argument("--systems", nargs="*", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--only", nargs="+", default=["peers", "whole", "quality", "growth"])
    args = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)
    args.work.mkdir(parents=True, exist_ok=True)
    corpus = args.corpus or args.work / "corpus.parquet"
    if not corpus.exists():
        build(args.source or found_roots(), corpus)
    if "peers" in args.only:
        sample = first_rows(corpus, args.sample, args.work / f"sample-{args.sample}.parquet")
        compared(args.work, corpus, sample, args.rounds, args.systems)
    if "whole" in args.only:
        whole(args.work, corpus, args.rounds)
    if "quality" in args.only:
        judged = first_rows(corpus, args.judged, args.work / f"judged-{args.judged}.parquet")
        texts = [text.encode() for text in pq.read_table(judged, columns=["content"])["content"].to_pylist()]
        truth = Truth(texts, 0.7)
        rows = np.random.default_rng(0).choice(len(texts), min(3000, len(texts)), replace=False).tolist()
        partners = {row: list(truth.partners(row)) for row in rows}
        print(f"\nquality by exact Jaccard: {len(rows):,} of {len(truth.sets):,} files against all of them")
        for name in (*OURS[1:], *(name for name in args.systems if name in ("datasketch", "gaoya"))):
            folder = args.work / "runs" / "judged"
            python = sys.executable if name in OURS else environment(args.work, *PEERS[name])[0]
            if python and run(python, name, judged, folder)[0]:
                clusters = json.loads((folder / "clusters.json").read_text())
                quality(truth, partners, clusters, name)
                if name == OURS[1]:
                    same_as_datasketch(texts, clusters)
    if "growth" in args.only:
        growth(args.work, corpus)
    print(f"\nlargest process of this bench itself: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
