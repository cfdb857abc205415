"""Keep outcomes on disk, so that a program that was run by the same toolchain is not run again.

A folder of JSON lines, a file for each language and each process that wrote there: many processes, on many machines,
may write into one folder. The key covers the program, the language, its commands, its toolchain's version, the mode
and the time limit. What depends on nothing but these is what is kept: no missing tool, no program that the machine
starved. A line that was cut off is no line.
"""

import hashlib
import json
import os
import secrets
import threading
from dataclasses import asdict, fields
from pathlib import Path
from typing import TextIO

from .errors import EvalError
from .execution import Outcome
from .languages_row import Language
from .toolchains import find_tool, missing_tool, toolchain_version

_FORMAT = 3
_KEPT_CHARS = 4000
_NAMES = {field.name for field in fields(Outcome)}


class KeptOutcomes:
    """The outcomes of one folder; without a folder, nothing is kept."""

    def __init__(self, folder: str | Path | None, mode: str) -> None:
        self._folder = None if folder is None else Path(folder)
        self._mode = mode
        self._known: dict[str, dict[str, dict[str, object]]] = {}
        self._versions: dict[str, str | None] = {}
        self._digests: dict[tuple[str, float], hashlib._Hash] = {}
        self._files: dict[str, TextIO] = {}
        self._lock = threading.Lock()
        if self._folder is not None:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise EvalError(
                    f"eval_multipl_e: cache_dir={str(folder)!r} is no folder that can be written: {error}. Give another."
                ) from error

    def key(self, language: Language, program: str, timeout_s: float) -> str:
        """Return what an outcome depends on, as one word."""
        if (language.code, timeout_s) not in self._digests:
            parts = (_FORMAT, repr(language), self.version(language), self._mode, timeout_s)
            self._digests[language.code, timeout_s] = hashlib.sha256(json.dumps(parts).encode())
        digest = self._digests[language.code, timeout_s].copy()
        digest.update(program.encode(errors="surrogatepass"))
        return digest.hexdigest()

    def version(self, language: Language) -> str | None:
        """Return the toolchain's version; it is asked only if its files have changed since it was last kept."""
        if language.code not in self._versions:
            self._versions[language.code] = self._read_version(language)
        return self._versions[language.code]

    def _read_version(self, language: Language) -> str | None:
        if self._folder is None or missing_tool(language):
            return toolchain_version(language.code)
        found = [path for tool in language.tools if (path := find_tool(tool))]
        seen = [(path, (stat := os.stat(path)).st_mtime_ns, stat.st_size) for path in found]  # noqa: PTH116  # three words of one look
        key = hashlib.sha256(json.dumps(["version", seen]).encode()).hexdigest()
        with self._lock:
            known = self._load("toolchains")
            if key not in known:
                self._append("toolchains", {"key": key, "version": toolchain_version(language.code)})
            version = known[key]["version"]
        return None if version is None else str(version)

    def get(self, language: Language, key: str) -> Outcome | None:
        """Return the kept outcome, or None."""
        if self._folder is None:
            return None
        with self._lock:
            row = self._load(language.code).get(key)
        return Outcome(**{name: value for name, value in row.items() if name in _NAMES}) if row else None  # type: ignore[arg-type]  # as written

    def put(self, language: Language, key: str, outcome: Outcome) -> None:
        """Keep an outcome, unless it says more about the machine than about the program."""
        if self._folder is None or outcome.status == "ToolMissing" or outcome.is_starved:
            return
        row = asdict(outcome)
        for stream in ("stdout", "stderr"):
            row[stream] = row[stream][:_KEPT_CHARS]
        with self._lock:
            self._append(language.code, {"key": key, **row})

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()
        self._files.clear()

    def _load(self, name: str) -> dict[str, dict[str, object]]:
        if name not in self._known:
            assert self._folder is not None
            rows: dict[str, dict[str, object]] = {}
            for path in sorted(self._folder.glob(f"{name}-*.jsonl")):
                for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
                    row = _parsed(line)
                    if row is not None:
                        rows[str(row["key"])] = row
            self._known[name] = rows
        return self._known[name]

    def _append(self, name: str, row: dict[str, object]) -> None:
        self._load(name)[str(row["key"])] = row
        if name not in self._files:
            assert self._folder is not None
            path = self._folder / f"{name}-{secrets.token_hex(8)}.jsonl"
            self._files[name] = path.open("w", encoding="utf-8")
        self._files[name].write(json.dumps(row) + "\n")
        self._files[name].flush()


def _parsed(line: str) -> dict[str, object] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and isinstance(row.get("key"), str) else None
