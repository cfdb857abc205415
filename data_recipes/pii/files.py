"""Redaction of files in place, as a command and as a pre-commit check."""

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_recipes.pii.audit_log import audit_lines
from data_recipes.pii.lines import TextLines, hunks
from data_recipes.pii.redaction import Redacted, redact
from data_recipes.pii.redaction_key import RedactionKey
from data_recipes.pii.report import Report

_BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff")
_DIFF_LINES = 3

_LOG = logging.getLogger("hf_santa.data")


@dataclass(frozen=True, slots=True)
class Options:
    """How files are redacted; `is_check` and `is_diff` change none."""

    key: RedactionKey | None = None
    style: str = "santacoder"
    types: Sequence[str] | None = None
    is_check: bool = False
    is_diff: bool = False
    report: str | None = None
    log: str | None = None


def redact_files(paths: Iterable[str], options: Options) -> int:
    """Redact text files in place and print each find as `path:line:column: type (rule)`, never its value.

    `is_diff` prints the lines that would change, and `report` names an HTML page to write: these two do show the
    values. `log` names a file for the audit log. Files with a NUL byte are skipped with a word on stderr; bytes that
    are not UTF-8 stay as they are. Returns 2 where a file can't be read, else 1 where `is_check` found something,
    else 0.
    """
    found = failed = 0
    report, log = Report(options.style), list[str]()
    for name in paths:
        try:
            text = _read(name)
        except (OSError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            _LOG.error("%s: can't be read (%s). Check the path, or leave this file out.", name, reason)
            failed += 1
            continue
        if text is None:
            _LOG.warning("%s: skipped, a binary file (it holds a NUL byte)", name)
            continue
        result = redact(text, key=options.key, style=options.style, types=options.types)
        found += len(result.findings)
        if options.report:
            report.add(name, text, result)
        if options.log:
            log += audit_lines(text, result.findings, key=options.key, path=name)
        _deliver(name, text, result, options)
    _write_pages(options, report, log)
    if failed:
        return 2
    return 1 if options.is_check and found else 0


def _read(name: str) -> str | None:
    """The text of a file, with other bytes than UTF-8 as lone surrogates; None for a binary file."""
    data = Path(name).read_bytes()
    if data.startswith(_BYTE_ORDER_MARKS):
        raise UnicodeError("it begins as UTF-16 does")
    return None if b"\0" in data else data.decode("utf-8", "surrogateescape")


def _deliver(name: str, text: str, result: Redacted, options: Options) -> None:
    if not result.findings:
        return
    if options.is_diff:
        _print_diff(name, text, result)
        return
    lines = TextLines(text)
    for finding in result.findings:
        print(f"{_shown(name)}:{lines.place(finding.start)}: {finding.type} ({finding.rule})")
    if not options.is_check:
        _overwrite(Path(name), result.text)


def _overwrite(path: Path, text: str) -> None:
    """Replace a file's bytes in one step; a link stays one, permissions stay what they are."""
    from data_recipes.disk.files import replacing

    target = path.resolve()
    with replacing(target) as temporary:
        temporary.write_bytes(text.encode("utf-8", "surrogateescape"))
        temporary.chmod(target.stat().st_mode & 0o7777)


def _write_pages(options: Options, report: Report, log: list[str]) -> None:
    if options.report or options.log:
        from data_recipes.disk.files import write_text

        if options.report:
            write_text(Path(options.report), report.html())
        if options.log:
            write_text(Path(options.log), "".join(f"{line}\n" for line in log))


def _print_diff(name: str, text: str, result: Redacted) -> None:
    """A unified diff. Redaction never adds or removes a line, so no lines need to be matched."""
    before, after = TextLines(text), TextLines(result.text)
    print(f"--- {_shown(name)}\n+++ {_shown(name)}")
    touched = sorted(
        {line for f in result.findings for line in range(before.number(f.start), before.number(f.end - 1) + 1)}
    )
    changed = {number for number in touched if before.line(number) != after.line(number)}
    last = len(before) if before.line(len(before) - 1) else len(before) - 1
    for first, end in hunks(iter(sorted(changed)), _DIFF_LINES, last):
        print(f"@@ -{first + 1},{end - first} +{first + 1},{end - first} @@")
        number = first
        while number < end:
            group = number
            while group < end and group in changed:
                group += 1
            for mark, lines in (("-", before), ("+", after)):
                for line in range(number, group):
                    _print_line(mark, lines, line)
            if group == number:
                _print_line(" ", before, number)
                group += 1
            number = group


def _print_line(mark: str, lines: TextLines, number: int) -> None:
    print(mark + _shown(lines.line(number)))
    if number == len(lines) - 1:
        print("\\ No newline at end of file")


def _shown(text: str) -> str:
    """The text as any terminal can print it."""
    return re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text)
