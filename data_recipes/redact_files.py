"""Redaction of files in place, as a command and as a pre-commit check."""

import difflib
import sys
from collections.abc import Iterable
from pathlib import Path

from data_recipes.findings import Finding
from data_recipes.redact import redact
from data_recipes.store import replacing


def redact_files(paths: Iterable[str], *, seed: int = 0, is_check: bool = False, is_diff: bool = False) -> int:
    """Redact UTF-8 files in place and print each find as `path:line:column: type (rule)`, never its value.

    With `is_check` or `is_diff` nothing is changed; `is_diff` prints the lines that would change, which do hold the
    values. Returns 2 where a file can't be read, else 1 where `is_check` found something, else 0.
    """
    found = failed = 0
    for name in paths:
        try:
            text = Path(name).read_bytes().decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            print(f"error: {name}: not readable as UTF-8 text ({error}). Pass UTF-8 text files.", file=sys.stderr)
            failed += 1
            continue
        result = redact(text, seed=seed)
        found += len(result.findings)
        if is_diff:
            _print_diff(name, text, result.text)
        for finding in () if is_diff else result.findings:
            print(f"{name}:{_place(text, finding)}: {finding.type} ({finding.rule})")
        if result.findings and not is_check and not is_diff:
            _overwrite(Path(name), result.text)
    if failed:
        return 2
    return 1 if is_check and found else 0


def _overwrite(path: Path, text: str) -> None:
    """Replace a file's bytes in one step; a link stays one, permissions stay what they are."""
    target = path.resolve()
    with replacing(target) as temporary:
        temporary.write_bytes(text.encode("utf-8"))
        temporary.chmod(target.stat().st_mode & 0o7777)


def _place(text: str, finding: Finding) -> str:
    line_start = text.rfind("\n", 0, finding.start) + 1
    return f"{text.count(chr(10), 0, finding.start) + 1}:{finding.start - line_start + 1}"


def _print_diff(name: str, before: str, after: str) -> None:
    lines = difflib.unified_diff(before.splitlines(keepends=True), after.splitlines(keepends=True), name, name)
    for line in lines:
        print(line, end="" if line.endswith("\n") else "\n")
