"""Find or replace personal data in files, as a command, in CI and before a commit."""

import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from data_recipes.engine.processors import usable_processors
from data_recipes.pii.audit_log import audit_lines
from data_recipes.pii.detector import Detector
from data_recipes.pii.diff import diff_lines
from data_recipes.pii.finding import Finding
from data_recipes.pii.redaction import Redacted, redact_with
from data_recipes.pii.redaction_key import RedactionKey, process_key
from data_recipes.pii.report import FindsPage
from data_recipes.pii.reported import (
    Place,
    as_json,
    as_sarif,
    baseline_text,
    not_allowed,
    places_of,
    read_baseline,
    read_values,
    shown,
    unknown,
)
from data_recipes.pii.sources import TextSource, encoded, file_names, read_file, since, staged

_LOG = logging.getLogger("hf_santa.data")
_MANY = 200
"""From so many files on, all cores are used unless a number of processes is given."""


@dataclass(frozen=True, slots=True)
class Options:
    """How files are looked at; `is_check` and `is_diff` change none."""

    key: RedactionKey | None = None
    style: str = "santacoder"
    types: Sequence[str] | None = None
    is_check: bool = False
    is_diff: bool = False
    report: str | None = None
    log: str | None = None
    rules: str | None = None
    allow: str | None = None
    baseline: str | None = None
    write_baseline: str | None = None
    is_json: bool = False
    sarif: str | None = None
    jobs: int | None = None
    recognizers: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class _Examined:
    """What was found in one source, or why it can't be looked at."""

    source: TextSource
    text: str = ""
    encoding: str = "utf-8"
    result: Redacted | None = None
    failure: str = ""


def redact_files(paths: Iterable[str], options: Options) -> int:
    """Redact text files in place and print each find as `path:line:column: type (rule)`, never its value.

    Folders are looked through, in a Git repository without what Git ignores; `-` is standard input, whose redacted text
    goes to standard output. `is_diff` prints the lines that would change, and `report` names an HTML page to write:
    these two do show the values. Files with a NUL byte are skipped with a word on stderr; bytes that are not UTF-8 stay
    as they are, and UTF-16 stays UTF-16. Returns 2 where a file can't be read, else 1 where `is_check` found something
    that the baseline does not know, else 0.
    """
    names = list(file_names(list(paths)))
    return _run(_map(partial(_look_at, options=options), names, options.jobs), options)


def check_git(folder: str, commit: str | None, options: Options) -> int:
    """Look at what is staged in a repository or, with `commit`, at what the commits after it brought; change nothing."""
    sources = staged(Path(folder)) if commit is None else since(Path(folder), commit)
    return _run((_seen(source, options) for source in sources), replace(options, is_check=True))


def _run(seen: Iterable[_Examined], options: Options) -> int:
    _finder.cache_clear()  # the files of rules and values may be others than in an earlier call
    _find_of(options)
    known = read_baseline(options.baseline)
    report, log, places, failed = FindsPage(options.style), list[str](), list[Place](), list[str]()
    for one in seen:
        if one.failure:
            advice = "Check the path, or leave this file out."
            _LOG.error("%s: can't be read (%s). %s", shown(one.source.name), one.failure, advice)
            failed.append(shown(one.source.name))
        elif one.result is None:
            _LOG.warning("%s: skipped, a binary file (it holds a NUL byte)", shown(one.source.name))
        else:
            new = unknown(places_of(one.source.name, one.text, one.result.findings), known)
            known.subtract(
                (place.path, place.rule) for place in places_of(one.source.name, one.text, one.result.findings)
            )
            places += new
            if options.report:
                report.add(one.source.name, one.text, one.result)
            if options.log:
                log += audit_lines(one.text, one.result.findings, key=options.key, path=one.source.name)
            _deliver(one, one.result, new, options)
    if options.is_json:
        print(as_json(places, failed))
    _write_pages(options, report, log, places)
    if failed:
        return 2
    return 1 if options.is_check and places and not options.write_baseline else 0


def _look_at(name: str, options: Options) -> _Examined:
    try:
        source = read_file(name)
    except OSError as error:
        return _Examined(TextSource(name, b""), failure=error.strerror or str(error))
    return _seen(source, options)


def _seen(source: TextSource, options: Options) -> _Examined:
    if source.is_binary:
        return _Examined(source)
    try:
        text, encoding = source.decoded()
    except UnicodeError:
        return _Examined(source, failure="it is not UTF-16 text")
    find = _find_of(options)
    result = redact_with(find, text, key=options.key or process_key(), style=options.style)
    return _Examined(source, text, encoding, result)


def _find_of(options: Options) -> Callable[[str], list[Finding]]:
    types = None if options.types is None else tuple(options.types)
    return _finder(options.rules, options.allow, types, options.recognizers)


@cache
def _finder(
    rules: str | None, allow: str | None, types: tuple[str, ...] | None, recognizers: tuple[Any, ...]
) -> Callable[[str], list[Finding]]:
    """Return what finds in a text with the rules of a file besides those of this package, without what is allowed."""
    detect, allowed = Detector(types, rules, recognizers), read_values(allow)

    def find(text: str) -> list[Finding]:
        return not_allowed(text, detect(text), allowed)

    return find


def _map(look: Callable[[str], _Examined], names: list[str], jobs: int | None) -> Iterator[_Examined]:
    """Yield what is seen in each file, in their order, with several processes where that pays."""
    count = jobs if jobs is not None else usable_processors() if len(names) >= _MANY else 1
    if count <= 1 or len(names) < 2:
        yield from map(look, names)
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(min(count, len(names)), mp_context=get_context("spawn")) as pool:
        yield from pool.map(look, names, chunksize=max(1, min(64, len(names) // (4 * count))))


def _deliver(one: _Examined, result: Redacted, new: Sequence[Place], options: Options) -> None:
    is_stdin = one.source.path is None and not options.is_check and not options.is_diff
    if is_stdin and not options.is_json:
        sys.stdout.flush()
        sys.stdout.buffer.write(encoded(result.text, one.encoding))
        return
    if not result.findings:
        return
    if options.is_diff:
        print("\n".join(diff_lines(one.source.name, one.text, result)))
        return
    if not options.is_json:
        for place in new:
            print(place.text())
    if not options.is_check and one.source.path is not None:
        _overwrite(one.source.path, encoded(result.text, one.encoding))


def _overwrite(path: Path, data: bytes) -> None:
    """Replace a file's bytes in one step; a link stays one, permissions stay what they are."""
    from data_recipes.disk.files import replacing

    target = path.resolve()
    with replacing(target) as temporary:
        temporary.write_bytes(data)
        temporary.chmod(target.stat().st_mode & 0o7777)


def _write_pages(options: Options, report: FindsPage, log: list[str], places: Sequence[Place]) -> None:
    pages = (
        (options.report, report.html),
        (options.log, lambda: "".join(f"{line}\n" for line in log)),
        (options.sarif, lambda: as_sarif(places)),
        (options.write_baseline, lambda: baseline_text(places)),
    )
    for name, text in pages:
        if name:
            from data_recipes.disk.files import write_text

            write_text(Path(name), text())
