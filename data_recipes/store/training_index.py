r"""Write and read an index that tells whether a passage of 50 characters is in the training data.

The Space reads it with code of its own, so the format is fixed here. Text is normalised: every run of white space is
one blank, none at the ends. A passage is 50 characters in a row (code points). Of each file every `stride`-th passage
is kept, unless it has fewer than 12 different characters (rulers, tables of zeros). `stride` is the smallest that fits
the size asked for; a copy of at least 49 + stride characters therefore always holds a kept passage, a shorter one
by luck.

A passage's hash h is, modulo 2**64, the sum of c[i] * M**(49 - i) over its code points, with M = 0x9E3779B97F4A7C15,
then splitmix64's last three lines. Of h, 48 bits count: the first 16 name a bucket, the next 32 are the key.

    bytes 0 to 511      one JSON object in ASCII, filled up with blanks, "\n" at the end: format (1), width, stride,
                        passages, recipe, files, characters
    65,537 uint32       little-endian: where each bucket begins among the keys; the last is the number of keys
    passages uint32     little-endian: the keys, ascending within each bucket

n passages take 262,660 + 4n bytes, and a passage that is not in the data is taken for one of it with
probability n / 2**48: 1.5e-8 for 16 MB.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_recipes.disk.files import PathLike, replacing
from data_recipes.errors import DataError
from data_recipes.sources.parquet import readable
from data_recipes.store.reading import read_funnel

WIDTH = 50
MIN_DIFFERENT = 12
MULTIPLIER = 0x9E3779B97F4A7C15
_HEADER_BYTES, _BUCKETS = 512, 1 << 16
_FIXED_BYTES = _HEADER_BYTES + 4 * (_BUCKETS + 1)
_BATCH_ROWS = 500


def write_seen_index(
    store: PathLike, out: PathLike, *, recipe: str | None = None, max_mb: float = 16
) -> dict[str, Any]:
    """Index the text of a recipe (default: the store's own default) in a file of at most `max_mb` MB.

    Returns its header's facts, the length from which a copy is always found (`always_found_from`) and `bytes`.

    Raises `DataError` for a folder that is no store, a recipe that it lacks, and a size for which fewer than one in 50
    passages could be kept.
    """
    folder = Path(store)
    funnel = read_funnel(folder)
    name = recipe or funnel["recipe"]
    if name not in funnel["recipes"]:
        raise DataError(f"{folder} has no recipe {name!r}. Recipes found: {', '.join(funnel['recipes'])}.")
    if not _FIXED_BYTES / 1e6 < max_mb <= 1000:
        raise DataError(f"--max-mb {max_mb:g}: an index takes 0.3 MB even when empty. Allow 1 to 1,000.")
    room = int((max_mb * 1e6 - _FIXED_BYTES) // 4)
    files = characters = 0
    for text in _texts(folder, name, funnel):
        files, characters = files + 1, characters + len(normalised(text))
    stride = max(1, -(-characters // room))
    if stride > WIDTH:
        raise DataError(
            f"--max-mb {max_mb:g} has room for one in {stride:,} passages of {characters:,} characters; at least one in "
            f"{WIDTH} is needed. Allow {math.ceil((characters / WIDTH * 4 + _FIXED_BYTES) / 1e6):,} MB or choose a smaller recipe."
        )
    found = [passage_hashes(normalised(text), stride) for text in _texts(folder, name, funnel)]
    kept = np.unique(np.concatenate([*found, np.empty(0, np.uint64)]) >> np.uint64(16))
    about = {"format": 1, "width": WIDTH, "stride": stride, "passages": len(kept), "recipe": name, "files": files}
    size = _write(Path(out), {**about, "characters": characters}, kept)
    return {**about, "characters": characters, "always_found_from": WIDTH + stride - 1, "bytes": size}


def normalised(text: str) -> str:
    r"""Return the text with every run of white space as one blank, and none at its ends.

    >>> normalised("\tdef f(x):\r\n    return x\n")
    'def f(x): return x'
    """
    return " ".join(text.split())


def passage_hashes(text: str, stride: int = 1) -> NDArray[np.uint64]:
    """Return the hash of every `stride`-th passage of a normalised text that has at least 12 different characters.

    >>> len(passage_hashes("pack my box with five dozen liquor jugs; " * 2)), len(passage_hashes("-" * 80))
    (33, 0)
    """
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
    if len(codes) < WIDTH:
        return np.empty(0, np.uint64)
    passages = np.lib.stride_tricks.sliding_window_view(codes, WIDTH)[::stride]
    different = 1 + (np.diff(np.sort(passages, axis=1), axis=1) != 0).sum(axis=1)
    passages = passages[different >= MIN_DIFFERENT]
    hashes = np.zeros(len(passages), np.uint64)
    for column in passages.T:
        hashes = hashes * np.uint64(MULTIPLIER) + column
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        hashes = (hashes ^ (hashes >> np.uint64(shift))) * np.uint64(factor)
    return hashes ^ (hashes >> np.uint64(31))


def _texts(folder: Path, recipe: str, funnel: dict[str, Any]) -> Iterator[str]:
    """The contents of a recipe's rows, a few hundred at a time in memory."""
    for file in sorted(folder.glob(funnel["definitions"][recipe]["files"])):
        with readable(file) as table:
            for batch in table.iter_batches(_BATCH_ROWS, columns=["content"]):
                yield from batch.column(0).to_pylist()


def _write(out: Path, about: dict[str, Any], kept: NDArray[np.uint64]) -> int:
    header = json.dumps(about).ljust(_HEADER_BYTES - 1) + "\n"
    starts = np.searchsorted(kept >> np.uint64(32), np.arange(_BUCKETS + 1, dtype=np.uint64))
    with replacing(out) as temporary:
        temporary.write_bytes(header.encode("ascii") + starts.astype("<u4").tobytes() + kept.astype("<u4").tobytes())
    return out.stat().st_size
