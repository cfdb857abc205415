"""Benchmark strings in training files: exact substrings as the report looked for, and runs of 13 words.

What is searched for comes from files; how a text is searched is in `matcher.py`.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from data_recipes.decontamination.matcher import STRING, BenchmarkString, Matcher
from data_recipes.errors import DataError

__all__ = ["BenchmarkString", "Benchmarks", "Hit", "Matcher", "benchmark_strings", "decontaminate", "description"]

MIN_STRING_CHARS = 20
"""Shorter strings are idioms (`return x + y`), which files hold without having seen the benchmark."""

# The one of the four solutions that the report exempts as trivial which is long enough to be searched at all.
_TRIVIAL = frozenset({"return ''.join(strings)"})

_QUOTED = re.compile(r'"""(.*?)"""|\'\'\'(.*?)\'\'\'|/\*+(.*?)\*+/', re.DOTALL)
_MARKER = re.compile(r"\s*(//+|#+|--+|;+|%+)\s?")

Benchmarks = Iterable[str | os.PathLike[str] | Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Hit:
    """One benchmark string found in one text, or 13 words of it; `kind` is "string" or "13-gram"."""

    row: int
    benchmark: str
    problem: str
    string: str
    kind: str = STRING


def decontaminate(
    texts: Sequence[str] | pa.Array | pa.ChunkedArray, benchmarks: Benchmarks, *, threads: int | None = None
) -> list[Hit]:
    r"""Every benchmark string that is in a text, ignoring case; ordered by row, then by benchmark string.

    A text that holds 13 words of a problem in a row, but none of its strings, is a hit with those words: a quotation
    that was wrapped, commented or edited. `benchmarks` are JSONL files or records: either `{"benchmark", "string"}`,
    or problems in MultiPL-E's schema, of which the description in the prompt and the `canonical_solution` are
    searched. See `benchmark_strings`.

    >>> problem = {"benchmark": "demo", "name": "p1", "prompt": "# Count the even numbers.\ndef f():\n"}
    >>> decontaminate(["# COUNT the even numbers."], [problem])[0].problem
    'p1'
    """
    found = Matcher(benchmark_strings(benchmarks)).find_all(texts, threads)
    return [Hit(row, s.benchmark, s.problem, s.string, s.kind) for row, strings in found for s in strings]


def benchmark_strings(benchmarks: Benchmarks) -> list[BenchmarkString]:
    """The distinct strings of at least 20 characters to search for, whitespace-trimmed, in the order given.

    Of a problem these are its canonical solution and its description: the docstring or comment block of the prompt
    as it stands there, and once more without comment markers. `tests` are not searched: they are assertions that
    the benchmark's translators wrote, and no page that quotes a problem holds them.
    """
    if isinstance(benchmarks, str | os.PathLike | Mapping):
        raise DataError("benchmarks is a single path or record. Pass a list of JSONL paths or records.")
    found: dict[tuple[str, str, str], BenchmarkString] = {}
    for item in benchmarks:
        for name, record in _records(item):
            for string in _strings(record, name):
                if len(string) >= MIN_STRING_CHARS and string not in _TRIVIAL:
                    problem = str(record.get("name") or record.get("problem") or "")
                    found.setdefault((name, problem, string.lower()), BenchmarkString(name, problem, string))
    return list(found.values())


def _records(item: str | os.PathLike[str] | Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(item, Mapping):
        yield str(item.get("benchmark") or "benchmark"), item
        return
    path = Path(item)
    if not path.is_file():
        raise DataError(f"{path}: no such benchmark file. Pass an existing JSONL file.")
    for number, line in enumerate(path.read_text("utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{path} line {number}: not JSON ({error.msg}). Write one JSON object a line.") from error
        if not isinstance(record, dict):
            raise DataError(f"{path} line {number}: {type(record).__name__} is not a JSON object. Write one a line.")
        yield str(record.get("benchmark") or path.stem), record


def _strings(record: Mapping[str, Any], benchmark: str) -> list[str]:
    if "string" in record:
        return [str(record["string"]).strip()]
    if "prompt" not in record:
        found = ", ".join(record)
        raise DataError(f"A record of {benchmark!r} has neither 'string' nor 'prompt'. Fields found: {found}.")
    strings = description(str(record["prompt"]))
    strings.append(str(record.get("canonical_solution") or "").strip())
    return strings


def description(prompt: str) -> list[str]:
    r"""The description in a prompt: its docstrings and comment blocks as they stand, and without their markers.

    >>> description("// Add two numbers.\n// Return the sum.\nfunction add(a, b){\n")
    ['Add two numbers.\n// Return the sum.', 'Add two numbers.\nReturn the sum.']
    """
    blocks = [next(part for part in found.groups() if part is not None) for found in _QUOTED.finditer(prompt)]
    comment: list[str] = []
    for line in [*_QUOTED.sub("", prompt).split("\n"), ""]:
        if _MARKER.match(line):
            comment.append(line)
        elif comment:
            blocks.append(_MARKER.sub("", comment[0], count=1) + "".join("\n" + more for more in comment[1:]))
            comment = []
    result: list[str] = []
    for block in blocks:
        plain = "\n".join(_MARKER.sub("", line, count=1).strip() for line in block.split("\n")).strip()
        result.extend(string for string in (block.strip(), plain) if string and string not in result)
    return result
