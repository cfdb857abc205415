"""Measure characters per token: how well a tokenizer compresses a file."""

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from data_recipes.disk.files import checksum
from data_recipes.errors import DataError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_BATCH = 128


def tokenizer_file(path: str | os.PathLike[str]) -> Path:
    """Return the `tokenizer.json` of a tokenizer: the file itself, or the one in a folder."""
    given = Path(path)
    file = given / "tokenizer.json" if given.is_dir() else given
    if not file.is_file():
        advice = "Pass a tokenizer.json or a folder that holds one."
        raise DataError(f"tokenizer: {file} does not exist, but recipe 'fertility' counts tokens. {advice}")
    return file


@cache
def _load(file: Path, _sum: str) -> "Tokenizer":
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # tokenizers raises bare Exception
        raise DataError(f"tokenizer: {file} is not a tokenizer.json ({error}). Save it again.") from error


def chars_per_token(contents: Sequence[str], tokenizer: str | os.PathLike[str]) -> list[float]:
    """Return the characters per token of each text, tokenized whole, without special tokens; 0 for no tokens."""
    file = tokenizer_file(tokenizer)
    model = _load(file, checksum(file))
    ratios: list[float] = []
    for start in range(0, len(contents), _BATCH):
        chunk = list(contents[start : start + _BATCH])
        for text, encoding in zip(chunk, model.encode_batch_fast(chunk, add_special_tokens=False), strict=True):
            ratios.append(len(text) / len(encoding) if len(encoding) else 0.0)
    return ratios
