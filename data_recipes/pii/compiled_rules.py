"""Keep Hyperscan's compiled database in the user's cache folder: compiling it takes seconds, loading it milliseconds.

The cache is never trusted: a file counts only if it belongs to the user, nobody else can write to it, and its name
and digest fit the expressions, Hyperscan's version and the processor. Anything else is compiled again.
"""

import contextlib
import hashlib
import os
import platform
import stat
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

_MAGIC = b"hf-santa rules 1\n"
_DIGEST_BYTES = 32
_MAX_BYTES = 256 << 20


def cache_folder() -> Path:
    """Return the folder of this package's caches: HF_SANTA_CACHE, or `hf-santa` in the user's cache folder."""
    if named := os.environ.get("HF_SANTA_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hf-santa"


def compiled_database(expressions: Sequence[str], repeated: Collection[int] = ()) -> Any:
    """Return Hyperscan's database of these expressions, from the cache where it holds a sound one.

    It tells the first match of each expression, and all matches of those whose numbers are `repeated`.
    """
    path = _path(expressions, repeated)
    if (kept := _read(path)) is not None and (database := _loaded(kept)) is not None:
        return database
    database = _compiled(expressions, repeated)
    _write(path, database)
    return database


def _path(expressions: Sequence[str], repeated: Collection[int]) -> Path | None:
    """Return where the database of these expressions is kept; None if the user has no home folder."""
    import hyperscan

    about = [
        str(getattr(hyperscan, "__version__", "")),
        platform.machine(),
        _processor(),
        str(sorted(repeated)),
        *expressions,
    ]
    name = hashlib.sha256("\0".join(about).encode()).hexdigest()[:32]
    try:
        return cache_folder() / f"rules-{name}.hs"
    except RuntimeError:  # no home folder
        return None


def _processor() -> str:
    """Return what the processor can do, as the operating system tells it; "" where it does not."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def _read(path: Path | None) -> bytes | None:
    """Return the database that a file holds; None if it is not there, is somebody else's, or is damaged."""
    if path is None:
        return None
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return None
    with os.fdopen(handle, "rb") as file:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode) or about.st_size > _MAX_BYTES or not _is_ours(about):
            return None
        try:
            data = file.read()
        except OSError:
            return None
    body = data[len(_MAGIC) + _DIGEST_BYTES :]
    head = _MAGIC + hashlib.sha256(body).digest()
    return body if data.startswith(head) else None


def _is_ours(about: os.stat_result) -> bool:
    is_owner = not hasattr(os, "getuid") or about.st_uid == os.getuid()
    return is_owner and not about.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _loaded(data: bytes) -> Any:
    import hyperscan

    try:
        database = hyperscan.loadb(data, mode=hyperscan.HS_MODE_BLOCK)
        database.scratch = hyperscan.Scratch(database)
    except hyperscan.error:
        return None
    return database


def _compiled(expressions: Sequence[str], repeated: Collection[int]) -> Any:
    import hyperscan

    flags = hyperscan.HS_FLAG_PREFILTER | hyperscan.HS_FLAG_ALLOWEMPTY | hyperscan.HS_FLAG_DOTALL
    single = flags | hyperscan.HS_FLAG_SINGLEMATCH
    database = hyperscan.Database()
    database.compile(
        [regex.encode() for regex in expressions],
        ids=list(range(len(expressions))),
        flags=[flags if number in repeated else single for number in range(len(expressions))],
    )
    return database


def _write(path: Path | None, database: Any) -> None:
    """Keep the database; a folder that can't be written to costs a compilation the next time, and nothing else."""
    if path is None:
        return
    import hyperscan

    body = hyperscan.dumpb(database)
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0), 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(_MAGIC + hashlib.sha256(body).digest() + body)
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
