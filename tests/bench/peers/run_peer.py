"""One near-dedup system on one parquet file: `python run_peer.py SYSTEM FILE FOLDER THREADS` prints JSON.

Every system reads `content` from the file and ends with the row numbers that it keeps. Peers get the tokens of
BigCode's script where they let us choose, 5-grams, 256 hashes (250 where they must fill the bands), 25 bands of 10
rows, and documents of fewer than 10 tokens are kept. Seconds begin when everything is imported (and our code compiled).
"""

import contextlib
import json
import os
import re
import resource
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

SPLIT = re.compile("[^A-Za-z_0-9]").split
BANDS, ROWS, MIN_TOKENS, NGRAM = 25, 10, 10, 5


def read(file):
    """The texts of a file."""
    import pyarrow.parquet as pq

    return pq.read_table(file, columns=["content"])["content"].to_pylist()


def grams(text):
    """The set of joined 5-grams, or None for a short text."""
    tokens = SPLIT(text)
    if len(tokens) < MIN_TOKENS:
        return None
    return {" ".join(tokens[i : i + NGRAM]) for i in range(len(tokens) - NGRAM + 1)}


class Components:
    """Union-find over row numbers; the smallest stays."""

    def __init__(self, count):
        self.parents = list(range(count))

    def root(self, row):
        """The smallest row of a component."""
        while self.parents[row] != row:
            self.parents[row] = self.parents[self.parents[row]]
            row = self.parents[row]
        return row

    def join(self, left, right):
        """Make one component of two."""
        low, high = sorted((self.root(left), self.root(right)))
        self.parents[high] = low

    def clusters(self):
        """The root of each row."""
        return [self.root(row) for row in range(len(self.parents))]


def datasketch_hashes(text):
    """A text's MinHash values, computed in a worker."""
    from datasketch import MinHash

    shingles = grams(text)
    if shingles is None:
        return None
    minhash = MinHash(num_perm=256, seed=1, scheme="affine32")
    minhash.update_batch([shingle.encode() for shingle in shingles])
    return minhash.hashvalues


def datasketch(file, _folder, threads):
    """Datasketch 2.0: MinHash in worker processes, MinHashLSH and union-find in one."""
    from datasketch import LeanMinHash, MinHashLSH

    texts = read(file)
    index, found = MinHashLSH(threshold=0.7, num_perm=256), Components(len(texts))
    assert (index.b, index.r) == (BANDS, ROWS)
    with ProcessPoolExecutor(threads) as pool:
        for row, values in enumerate(pool.map(datasketch_hashes, texts, chunksize=64)):
            if values is None:
                continue
            minhash = LeanMinHash(seed=1, hashvalues=values, scheme="affine32")
            for other in index.query(minhash):
                found.join(row, other)
            index.insert(row, minhash)
    return found.clusters()


def rensa_bands(text):
    """A text's R-MinHash digest as the keys of its bands."""
    from rensa import RMinHash

    shingles = grams(text)
    if shingles is None:
        return None
    minhash = RMinHash(num_perm=256, seed=42)
    minhash.update(list(shingles))
    digest = minhash.digest()
    return [tuple(digest[band * ROWS : (band + 1) * ROWS]) for band in range(BANDS)]


def rensa(file, _folder, threads):
    """Rensa's full R-MinHash in worker processes, bands in dictionaries (its own index needs 256 = bands x rows)."""
    texts = read(file)
    found, first = Components(len(texts)), {}
    with ProcessPoolExecutor(threads) as pool:
        for row, keys in enumerate(pool.map(rensa_bands, texts, chunksize=64)):
            for band, key in enumerate(keys or ()):
                found.join(row, first.setdefault((band, key), row))
    return found.clusters()


def gaoya(file, _folder, threads):
    """Gaoya's index in Rust with its own word analyser; it verifies by the estimated Jaccard."""
    os.environ["RAYON_NUM_THREADS"] = str(threads)
    from gaoya.minhash import MinHashStringIndex

    texts = read(file)
    index = MinHashStringIndex(32, 0.7, BANDS, ROWS, None, "word", False, (NGRAM, NGRAM))
    index.par_bulk_insert_docs(list(range(len(texts))), texts)
    found = Components(len(texts))
    for row, others in enumerate(index.par_bulk_query(texts)):
        for other in others:
            found.join(row, other)
    return found.clusters()


class Splitter:
    """BigCode's tokens, where datatrove expects a word tokenizer."""

    def word_tokenize(self, text):
        """The tokens of a text."""
        return SPLIT(text)


def datatrove(file, folder, threads):
    """Datatrove's three stages with BigCode's splitter and no normalisation; kept rows from its `.remove` files."""
    import struct

    import pyarrow.parquet as pq
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupSignature, minhash
    from datatrove.pipeline.readers import ParquetReader
    from datatrove.utils.hashing import HashConfig

    minhash.load_word_tokenizer = lambda _language: Splitter()
    plain = minhash.TextNormConfig(*[False] * 7)
    config = minhash.MinhashConfig(NGRAM, BANDS, ROWS, norm_config=plain, hash_config=HashConfig(precision=32))
    reader = ParquetReader(str(Path(file).parent), glob_pattern=Path(file).name, text_key="content", doc_progress=False)
    stages = [
        ([reader, MinhashDedupSignature(f"{folder}/signatures", config)], 1),
        ([MinhashDedupBuckets(f"{folder}/signatures", f"{folder}/buckets", config=config)], BANDS),
        ([MinhashDedupCluster(f"{folder}/buckets", f"{folder}/removed", config=config, save_cluster_id=True)], 1),
    ]
    for number, (pipeline, tasks) in enumerate(stages):
        LocalPipelineExecutor(pipeline, tasks=tasks, workers=threads, logging_dir=f"{folder}/logs{number}").run()
    clusters = list(range(pq.ParquetFile(file).metadata.num_rows))
    first = {}
    for path in sorted(Path(folder, "removed").glob("*.clusters")):
        for row, cluster in struct.iter_unpack("<II", path.read_bytes()):
            clusters[row] = first.setdefault(cluster, row)
    return clusters


def text_dedup(file, folder, threads):
    """text-dedup's own command, with xxh3; it gives a dataset, whose rows are only counted."""
    command = [
        sys.executable,
        "-m",
        "text_dedup.minhash",
        "--path",
        "parquet",
        "--data_files",
        file,
        "--split",
        "train",
    ]
    command += ["--column", "content", "--output", f"{folder}/kept", "--cache_dir", f"{folder}/cache"]
    command += [
        "--ngram",
        "5",
        "--min_length",
        "10",
        "--num_perm",
        "256",
        "--threshold",
        "0.7",
        "--b",
        "25",
        "--r",
        "10",
    ]
    command += ["--hash_func", "xxh3", "--hash_bits", "32", "--num_proc", str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-800:])
    from datasets import load_from_disk

    return len(load_from_disk(f"{folder}/kept"))


def ours(mode, file, folder, threads):
    """Ours, with the same end; compiled beforehand."""
    from data_recipes.dedup.modes import near_duplicates
    from data_recipes.dedup.on_disk import near_duplicates_of_files

    if file is None:
        near_duplicates(["one two three four five six seven eight nine ten"] * 2, mode.partition("+")[0])
        return None
    mode, _, extra = mode.partition("+")
    found = near_duplicates_of_files(file, mode, threads, folder=Path(folder), is_measured=extra == "jaccard")
    return found["cluster"].to_pylist()


SYSTEMS = {
    "datasketch": datasketch,
    "rensa": rensa,
    "gaoya": gaoya,
    "datatrove": datatrove,
    "text-dedup": text_dedup,
}
MODULES = {
    "datasketch": "datasketch",
    "rensa": "rensa",
    "gaoya": "gaoya.minhash",
    "datatrove": "datatrove.pipeline.dedup",
}


def peak_mb():
    """The most memory that this program held; `ru_maxrss` would count the process that started it, too."""
    with contextlib.suppress(OSError):
        return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def cpu_seconds():
    """What this process and its finished children have computed."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def main():
    """Run one system; JSON with seconds, kept rows, peak memory of this process and of its largest child."""
    system, file, folder, threads = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    Path(folder).mkdir(parents=True, exist_ok=True)
    with contextlib.redirect_stdout(sys.stderr):
        if system in MODULES:
            __import__(MODULES[system])
            __import__("pyarrow.parquet")
        run = SYSTEMS.get(system)
        if run is None:
            mode = system.removeprefix("ours:")
            ours(mode, None, folder, threads)
            run = lambda *arguments: ours(mode, *arguments)  # noqa: E731
        started, cpu = time.perf_counter(), cpu_seconds()
        found = run(file, folder, threads)
        seconds, cpu = time.perf_counter() - started, cpu_seconds() - cpu
    peaks = [peak_mb(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024]
    clusters = found if isinstance(found, list) else None
    kept = found if clusters is None else len(set(clusters))
    Path(folder, "clusters.json").write_text(json.dumps(clusters))
    result = {"system": system, "seconds": seconds, "cpu_s": cpu, "kept": kept}
    print(json.dumps({**result, "peak_mb": peaks[0], "child_mb": peaks[1]}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
