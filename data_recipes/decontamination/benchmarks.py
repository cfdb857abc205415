"""Find benchmark problems in texts: whole strings, as in the report, and 13 words in a row.

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
from data_recipes.disk.packed import text_of
from data_recipes.errors import DataError

__all__ = ["BenchmarkString", "Benchmarks", "Hit", "Matcher", "benchmark_strings", "decontaminate", "description"]

MIN_STRING_CHARS = 20
"""Shorter strings are idioms (`return x + y`), which files hold without having seen the benchmark."""

# The one of the four solutions that the report exempts as trivial which is long enough to be searched at all.
_TRIVIAL = frozenset({"return ''.join(strings)"})

_NAMES = ("name", "problem", "task_id")
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
    r"""Return every benchmark string that is in a text, ignoring case; ordered by row, then by benchmark string.

    A text that holds 13 words of a problem in a row, but none of its strings, is a hit with those words: a quotation
    that was wrapped, commented or edited. `benchmarks` are JSONL files or records: either `{"benchmark", "string"}`,
    or problems in MultiPL-E's schema, of which the description in the prompt and the `canonical_solution` are
    searched; HumanEval's and MBPP's own files are read as they are. See `benchmark_strings`.

    >>> problem = {"benchmark": "demo", "name": "p1", "prompt": "# Count the even numbers.\ndef f():\n"}
    >>> decontaminate(["# COUNT the even numbers."], [problem])[0].problem
    'p1'
    """
    found = Matcher(benchmark_strings(benchmarks)).find_all(texts, threads)
    return [Hit(row, s.benchmark, s.problem, s.string, s.kind) for row, strings in found for s in strings]


def benchmark_strings(benchmarks: Benchmarks) -> list[BenchmarkString]:
    """Return the distinct strings of at least 20 characters to search for, whitespace-trimmed, in the order given.

    Of a problem these are its solution and its description: the docstring or comment block of the prompt as it stands
    there, and once more without comment markers; of MBPP the text. `tests` are not searched: they are assertions that
    the benchmark's translators wrote, and no page that quotes a problem holds them.
    """
    return searched_and_not(benchmarks)[0]


def searched_and_not(benchmarks: Benchmarks) -> tuple[list[BenchmarkString], list[BenchmarkString]]:
    """Return the strings to search for, and those that are not searched because every program has them."""
    if isinstance(benchmarks, str | os.PathLike | Mapping):
        raise DataError("benchmarks is a single path or record. Pass a list of JSONL paths or records.")
    found: dict[tuple[str, str, str], BenchmarkString] = {}
    for item in benchmarks:
        for name, place, record in _records(item):
            problem = next((str(record[key]) for key in _NAMES if record.get(key) is not None), "")
            for string in _strings(record, name, place):
                if string:
                    found.setdefault((name, problem, string.lower()), BenchmarkString(name, problem, string))
    searched: list[BenchmarkString] = []
    not_searched: list[BenchmarkString] = []
    for made in found.values():
        is_common = len(made.string) < MIN_STRING_CHARS or made.string in _TRIVIAL
        (not_searched if is_common else searched).append(made)
    return searched, not_searched


def _records(item: str | os.PathLike[str] | Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield the benchmark's name, where the record stands, and the record; a file may be packed with gzip or zstd."""
    if isinstance(item, Mapping):
        yield str(item.get("benchmark") or "benchmark"), "A record", item
        return
    path = Path(item)
    if not path.is_file():
        raise DataError(f"{path}: no such benchmark file. Pass an existing JSONL file.")
    stem = path.name.partition(".")[0] or path.stem
    for number, line in enumerate(text_of(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path} line {number}: not JSON ({error}). Write one JSON object a line.") from error
        if not isinstance(record, dict):
            raise DataError(f"{path} line {number}: {type(record).__name__} is not a JSON object. Write one a line.")
        yield str(record.get("benchmark") or stem), f"{path} line {number}", record


def _strings(record: Mapping[str, Any], benchmark: str, place: str) -> list[str]:
    """Return the strings of a record: ready ones, MultiPL-E's or HumanEval's problem, or MBPP's."""
    if "string" in record:
        return [str(record["string"]).strip()]
    is_sentence = "code" in record  # MBPP describes a problem in a sentence, the others in the comment of a prompt
    described = str(record.get("prompt") or (record.get("text") if is_sentence else "") or "").replace("\r\n", "\n")
    solved = str(record.get("canonical_solution") or record.get("code") or "").replace("\r\n", "\n")
    if not described:
        found = ", ".join(map(str, record))
        wanted = "'string', 'prompt' (HumanEval, MultiPL-E) or 'text' with 'code' (MBPP)"
        raise DataError(f"{place} of benchmark {benchmark!r} has none of {wanted}. Fields found: {found}.")
    return [*([described.strip()] if is_sentence else description(described)), solved.strip()]


def description(prompt: str) -> list[str]:
    r"""Return the description in a prompt: its docstrings and comment blocks as they stand, and without their markers.

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
