"""Keep a trained classifier in a safetensors file, and score texts with it."""

import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_recipes.disk.files import checksum, replacing
from data_recipes.engine.jit import engine_name
from data_recipes.engine.jit_linear import BINS, BUCKETS, KINDS, SHAPES, score
from data_recipes.errors import DataError

FORMAT = 1
"""Which features the numbers of a file are for; another format is refused."""

_BLOCK_BYTES = 4 << 20
_NAMES = ("words", "shapes", "bias")


@dataclass(frozen=True, slots=True, eq=False)
class Classifier:
    """A linear model over a text's features.

    `words` has a weight for each bucket of hashed tokens and pairs of tokens, `shapes` one for each bin of each shape,
    `bias` one more; `about` says what it was trained from and how well it does on files held out.
    """

    words: NDArray[np.float32]
    shapes: NDArray[np.float32]
    bias: NDArray[np.float32]
    about: Mapping[str, Any]

    def save(self, path: str | os.PathLike[str]) -> str:
        """Write the file, the same bytes for the same numbers; return its SHA-256."""
        from safetensors.numpy import save

        about = json.dumps({"format": FORMAT, **self.about}, sort_keys=True, ensure_ascii=False)
        tensors = {name: np.ascontiguousarray(getattr(self, name)) for name in _NAMES}
        place = Path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        with replacing(place) as draft:
            draft.write_bytes(save(tensors, {"classifier": about}))
        return checksum(place)

    def scores(self, texts: Sequence[str], threads: int = 1) -> NDArray[np.float64]:
        """Return a number from 0 (as the bad ones) to 1 (as the good ones) for each text."""
        encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
        found = np.zeros(len(encoded))
        model = (self.words.astype(np.float64), self.shapes.astype(np.float64), float(self.bias[0]))

        def work(block: tuple[int, int]) -> None:
            low, high = block
            score(*joined(encoded[low:high]), KINDS, *model, found[low:high])

        blocks = _blocks([len(data) for data in encoded])
        if threads > 1 and len(blocks) > 1:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(work, blocks))
        else:
            for block in blocks:
                work(block)
        return found


def joined(encoded: Sequence[bytes]) -> tuple[Any, Any]:
    """Return texts one behind the other and where each begins, as plain Python values where nothing is compiled."""
    offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
    np.cumsum([len(data) for data in encoded], out=offsets[1:])
    data = b"".join(encoded)
    return (np.frombuffer(data, np.uint8), offsets) if engine_name() == "numba" else (data, offsets.tolist())


def _blocks(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Return ranges of texts of some megabytes each."""
    blocks, low, held = [], 0, 0
    for number, size in enumerate(sizes, start=1):
        held += size
        if held >= _BLOCK_BYTES or number == len(sizes):
            blocks.append((low, number))
            low, held = number, 0
    return blocks


def classifier_file(path: str | os.PathLike[str]) -> Path:
    """Return the path of a classifier's file; one that does not exist is an error that says how to make one."""
    place = Path(path)
    if not place.is_file():
        advice = "Train one with `hf-santa data classifier train LABELS OUT.safetensors`."
        raise DataError(f"classifier: {place} does not exist. {advice}")
    return place


def load_classifier(path: str | os.PathLike[str]) -> Classifier:
    """Read a classifier that `save` wrote.

    Raises:
        DataError: There is no such file, it is damaged, or it was written for other features.
    """
    place = classifier_file(path)
    return _load(place, checksum(place))


@cache
def _load(place: Path, _sum: str) -> Classifier:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(place), framework="numpy") as file:
            about = json.loads((file.metadata() or {})["classifier"])
            arrays = {name: file.get_tensor(name) for name in _NAMES}
    except (SafetensorError, KeyError, ValueError) as error:
        raise DataError(f"classifier: {place} is not one ({error}). Train it again.") from error
    shapes = {name: array.shape for name, array in arrays.items()}
    expected = {"words": (BUCKETS,), "shapes": (SHAPES, BINS), "bias": (1,)}
    if not isinstance(about, dict) or about.get("format") != FORMAT or shapes != expected:
        seen = about.get("format") if isinstance(about, dict) else about
        raise DataError(f"classifier: {place} has format {seen!r} and shapes {shapes}, not {FORMAT}. Train it again.")
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise DataError(f"classifier: {place} holds numbers that are not finite. Train it again.")
    return Classifier(**arrays, about=about)
