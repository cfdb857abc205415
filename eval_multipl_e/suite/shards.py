"""Share a run among machines; write and compare the file that says with which settings it was made."""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval_multipl_e.errors import EvalError
from eval_multipl_e.suite.files import read_settings_file


@dataclass(frozen=True)
class Shard:
    """Number `index` of `count` equal shares, from 0; the whole is 0/1."""

    index: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Return the shard written i/n.

        >>> Shard.parse("2/3")
        Shard(index=2, count=3)
        """
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
        if found is None or not int(found[1]) < int(found[2]):
            raise EvalError(
                f"shard {text!r} is no share. Write i/n with i from 0 to n-1: 0/3, 1/3 and 2/3 make a whole."
            )
        return cls(int(found[1]), int(found[2]))

    def of(self, total: int) -> range:
        """Return the numbers of `total` things that belong to this shard: every n-th, from the i-th."""
        return range(self.index, total, self.count)


def digest(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return a digest of rows, whatever the order of their fields."""
    found = hashlib.sha256()
    for row in rows:
        found.update(json.dumps(row, sort_keys=True).encode() + b"\n")
    return found.hexdigest()


def settings_path(out: Path) -> Path:
    """Return where the settings of a completions file lie.

    >>> settings_path(Path("runs/java.jsonl")).name
    'java.settings.json'
    """
    return out.with_suffix(".settings.json")


def read_settings(completions: Path) -> dict[str, Any] | None:
    """Return the settings beside a completions file, or None where there are none."""
    path = settings_path(completions)
    if not path.exists():
        return None
    return read_settings_file(path)


def write_whole(path: Path, text: str) -> None:
    """Write a file that is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
