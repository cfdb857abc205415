"""A corpus of the real source files of this machine, with edited copies of some of them.

Python from the standard library and the installed packages, Java from every JDK's `src.zip`, JavaScript from every
`node_modules`; or what is below folders that are named. UTF-8, at most 1 MB, no file twice. One file in eight is added
once more with a small share of its names, lines or ends changed: near-duplicates whose original is known.
"""

import hashlib
import os
import random
import re
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SUFFIXES = (".py", ".java", ".js", ".mjs", ".cjs")
MAX_BYTES = 1_000_000
COPIES = 8  # one copy for so many files
SHARES = (0.005, 0.01, 0.02, 0.04, 0.07, 0.12)
_NAME = re.compile(r"[A-Za-z_]\w*")


def found_roots() -> list[Path]:
    """Where this machine keeps sources."""
    roots = [Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib")]
    for base in ("/usr/lib", "/usr/local/lib", "/usr/share", "/opt"):
        for folder, names, files in os.walk(base):
            if "src.zip" in files:
                roots.append(Path(folder, "src.zip"))
            if "node_modules" in names:
                roots.append(Path(folder, "node_modules"))
                names.remove("node_modules")
    return roots


def _files(root: Path) -> Iterator[tuple[str, bytes]]:
    if root.suffix == ".zip":
        if zipfile.is_zipfile(root):
            with zipfile.ZipFile(root) as archive:
                members = [m for m in archive.infolist() if m.filename.endswith(SUFFIXES) and m.file_size <= MAX_BYTES]
                yield from ((member.filename, archive.read(member)) for member in members)
        return
    for folder, names, files in os.walk(root):
        names.sort()
        for name in sorted(files):
            path = Path(folder, name)
            if name.endswith(SUFFIXES) and path.is_file() and path.stat().st_size <= MAX_BYTES:
                yield str(path.relative_to(root)), path.read_bytes()


def edited(text: str, share: float, rng: random.Random) -> str:
    """The text with about this share of it changed in one of three ways."""
    way = rng.randrange(3)
    if way == 0:
        return _NAME.sub(lambda name: f"{name[0]}_{rng.randrange(999)}" if rng.random() < share else name[0], text)
    lines = text.split("\n")
    if way == 1:
        count = max(1, int(len(lines) * share / 2))
        return "\n".join(
            [*(f"// added line {rng.randrange(9999)}" for _ in range(count)), *lines[: len(lines) - count]]
        )
    changed = [f"{line} edit_{rng.randrange(9999)}" if rng.random() < share else line for line in lines]
    return "\n".join(changed)


def build(roots: list[Path], out: Path, *, max_files: int | None = None, seed: int = 7) -> Path:
    """Write the corpus: content, path, hexsha and dup_of, in an order of no meaning."""
    rng, seen = random.Random(seed), set()
    rows: list[tuple[str, str, str, str]] = []
    for root in roots:
        for path, data in _files(root):
            sha = hashlib.sha1(data, usedforsecurity=False).hexdigest()
            if sha in seen:
                continue
            seen.add(sha)
            try:
                rows.append((data.decode("utf-8"), path, sha, ""))
            except UnicodeDecodeError:
                continue
    rng.shuffle(rows)
    rows = rows[:max_files]
    sources = [row for row in rows if 400 < len(row[0]) < 60_000]
    for number in range(len(rows) // COPIES):
        text, path, _, _ = rng.choice(sources)
        copy = edited(text, rng.choice(SHARES), rng)
        sha = hashlib.sha1(copy.encode(), usedforsecurity=False).hexdigest()
        rows.append((copy, f"{path}#copy{number}", sha, path))
    rng.shuffle(rows)
    columns = dict(zip(("content", "path", "hexsha", "dup_of"), map(list, zip(*rows, strict=True)), strict=True))
    pq.write_table(pa.table(columns), out, row_group_size=5000, compression="zstd")
    return out
