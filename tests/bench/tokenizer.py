"""Compares the compiled encoder with `tokenizers` and, where installed, tiktoken: same files, same merges, in turn.

    .venv/bin/python tests/bench/tokenizer.py [--files 50000] [--max-bytes 8000] [--rounds 3] [--train-mb 0] [FOLDER …]

Reads source files below the folders given, or below this interpreter's and /usr's. Compares the ids of every file, then
times a sample of 12 MB. `--train-mb` trains a tokenizer of 49,152 tokens on so much text and prints time and peak memory.
"""

import argparse
import os
import resource
import statistics
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import numpy as np

from modeling_santa.corpus.fim_samples import FimDataset, read_tokens
from modeling_santa.corpus.shards import pack
from modeling_santa.tokenizer.encoder import Encoder
from modeling_santa.tokenizer.train import byte_level_alphabet, train_tokenizer

ENDINGS = tuple(
    f".{end}"
    for end in [
        "py",
        "js",
        "mjs",
        "ts",
        "java",
        "go",
        "rs",
        "rb",
        "lua",
        "pl",
        "pm",
        "php",
        "c",
        "h",
        "hpp",
        "cc",
        "cpp",
        "md",
        "txt",
        "html",
        "css",
        "ml",
    ]
)
PATTERN = (
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?=\p{N})|\s+(?!\S)|\s+"  # what ours and theirs do
)
SAMPLE_BYTES = 12_000_000


def read(folders: list[Path], files: int, max_bytes: int) -> list[str]:
    """Return the first different source files in the order of their paths' hashes."""
    paths = [
        Path(folder) / name
        for root in folders
        for folder, _, names in os.walk(root)
        for name in names
        if name.endswith(ENDINGS)
    ]
    np.random.default_rng(0).shuffle(paths)
    texts: dict[str, None] = {}
    for path in paths:
        if path.is_file() and 0 < path.stat().st_size <= max_bytes:
            try:
                texts[path.read_text("utf-8")] = None
            except UnicodeDecodeError:
                continue
            if len(texts) == files:
                break
    return list(texts)


def sample_of(texts: list[str]) -> list[str]:
    """Return the first 12 MB."""
    sizes = np.cumsum([len(text.encode()) for text in texts])
    return texts[: int(np.searchsorted(sizes, SAMPLE_BYTES)) + 1]


def tiktoken_of(tokenizer):
    """Return tiktoken's encoder with the same merges, or None."""
    try:
        import tiktoken
    except ImportError:
        return None
    alphabet = byte_level_alphabet()
    size = tokenizer.get_vocab_size(with_added_tokens=False)
    ranks = {bytes(alphabet[c] for c in token): at for token, at in tokenizer.get_vocab(False).items() if at < size}
    return tiktoken.Encoding("santa", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={})


def compare(texts: list[str], tokenizer) -> int:
    """Return the number of files whose ids differ."""
    encoder, wrong = Encoder(tokenizer), 0
    print(f"encoder: {encoder.reason or 'compiled'}")
    for start in range(0, len(texts), 2000):
        part = texts[start : start + 2000]
        ours = encoder.encode(part)
        theirs = tokenizer.encode_batch_fast(part, add_special_tokens=False)
        pieces = np.split(ours.ids, np.cumsum(ours.counts)[:-1])
        wrong += sum(a.tolist() != b.ids for a, b in zip(pieces, theirs, strict=True))
    return wrong


def race(texts: list[str], tokenizer, rounds: int) -> None:
    """Print MB/s of each, medians of interleaved rounds, as ratios to `tokenizers` on all cores."""
    cores, peer = os.cpu_count() or 1, tiktoken_of(tokenizer)
    encoders = {count: Encoder(tokenizer, threads=count) for count in (cores, 1)}
    ways = {
        f"tokenizers, {cores} cores": lambda: tokenizer.encode_batch_fast(texts, add_special_tokens=False),
        f"ours, {cores} cores": lambda: encoders[cores].encode(texts),
        "ours, 1 core": lambda: encoders[1].encode(texts),
    }
    if peer:
        ways[f"tiktoken, {cores} cores"] = lambda: peer.encode_ordinary_batch(texts, num_threads=cores)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for encoder in encoders.values():
        encoder.encode(texts[:20])  # compiles; the caches of words stay all but empty
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - started)
    size = sum(len(text.encode()) for text in texts) / 1e6
    first = statistics.median(next(iter(seconds.values())))
    for name, times in seconds.items():
        median = statistics.median(times)
        print(f"{name:<24}{size / median:>8.1f} MB/s  x{first / median:.2f}")


def load(texts: list[str], tokenizer) -> None:
    """Print the FIM loader's tokens a second, alone, at 2,048 tokens a sample."""
    with tempfile.TemporaryDirectory() as folder:
        pack(texts, tokenizer, Path(folder))
        for mode in ("whole", "megatron"):
            dataset = FimDataset(read_tokens(Path(folder)), tokenizer, seq_len=2048, mode=mode)
            dataset.sample(0, 0)
            count, started = min(len(dataset), 400), time.perf_counter()
            for index in range(count):
                dataset.sample(0, index)
            print(f"FIM loader, {mode:<10} one core {count * 2048 / (time.perf_counter() - started):>10,.0f} tokens/s")


def main() -> int:
    """Print all of it; the exit code is 1 if any id differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument("--max-bytes", type=int, default=8_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--train-mb", type=float, default=0.0)
    parser.add_argument("--no-compare", action="store_true", help="only time")
    given = parser.parse_args()
    folders = given.folders or [Path(sysconfig.get_path("stdlib")), Path(sysconfig.get_path("purelib")), Path("/usr")]
    texts = read(folders, given.files, given.max_bytes)
    size = sum(len(text.encode()) for text in texts)
    print(f"{len(texts)} different files, {size / 1e6:.0f} MB")
    limit = given.train_mb * 1e6 or 20e6
    sizes = np.cumsum([len(text.encode()) for text in texts])
    chosen = texts[: int(np.searchsorted(sizes, limit)) + 1]
    started = time.perf_counter()
    tokenizer = train_tokenizer(iter(chosen), vocab_size=49152)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"trained on {min(limit, size) / 1e6:.0f} MB in {time.perf_counter() - started:.1f} s, peak {peak:.2f} GB "
        "with all the texts in memory"
    )
    wrong = 0
    if not given.no_compare:
        wrong = compare(texts, tokenizer)
        print(f"files with other ids than tokenizers': {wrong} of {len(texts)}")
    race(sample_of(texts), tokenizer, given.rounds)
    load(sample_of(texts), tokenizer)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
