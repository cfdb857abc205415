"""OpenCoder's rules for programming languages: too little text, odd characters, repetition, and lines of one kind.

The thresholds are those of its released configuration. Where we count otherwise: lines are all that are not blank, comments among
them; `pass`, imports and `print` are statements and no words that hold these letters. Left out: what the other filters do
(comments, XML, encoded data, long lines), what needs a parser (shares of functions, of logic, of variables), repeated n-grams of words,
and the shares of strings. Its rules for markup, shells and data are not here.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache

from data_recipes.filters.filter import Drop, Filter, Record, Thresholds
from data_recipes.filters.rules.alphabetic import letter_share
from data_recipes.sources.language_names import languages_of_kind

_DIGITS, _BLANKS = b"0123456789", b" \t\n\r\f\v"
_WORD = re.compile(r"\w+")
_HEX = re.compile(r"\b0[xX][0-9a-fA-F]+\b")
_STATEMENTS = {
    "pass": re.compile(r"\s*pass\s*(?:#.*)?$"),
    "import": re.compile(r"\s*(?:import|from)\s"),
    "print": re.compile(r"\s*print\b"),
}
_NO_REPETITION = frozenset({"},", "", *map(chr, range(128))})
_NO_ASSERTS = frozenset({"Go"})
_NOT_LIKE_OTHERS = frozenset({"Shell", "Batchfile", "PowerShell"})


def keep(record: Record, thresholds: Thresholds) -> Drop | None:
    """Drop a file of a programming language that breaks one of the rules; the first of them is the reason."""
    if record["lang"] not in _ruled():
        return None
    return next(_broken(record["content"], record["lang"], thresholds), None)


@cache
def _ruled() -> frozenset[str]:
    return frozenset(languages_of_kind("programming")) - _NOT_LIKE_OTHERS


def _broken(content: str, lang: str, thresholds: Thresholds) -> Iterator[Drop]:
    count = content.count("\n") + (not content.endswith("\n"))
    mean = len(content) / count
    if count < thresholds["min_code_lines"]:
        yield Drop("few_lines", f"{count} < {thresholds['min_code_lines']}")
    if mean < thresholds["min_mean_line"] or mean > thresholds["max_mean_line"]:
        yield Drop(
            "mean_line", f"{mean:.3g} is not from {thresholds['min_mean_line']} to {thresholds['max_mean_line']}"
        )
    yield from _odd_characters(content, thresholds)
    least = thresholds["min_python_words" if lang == "Python" else "min_words"]
    if (words := len(_WORD.findall(content))) < least:
        yield Drop("few_words", f"{words} < {least}")
    yield from _lines_of_one_kind([line.strip() for line in content.splitlines() if line.strip()], lang, thresholds)


def _odd_characters(content: str, thresholds: Thresholds) -> Iterator[Drop]:
    size, encoded = max(len(content), 1), content.encode("utf-8", "surrogatepass")
    digits, blanks = (len(encoded) - len(encoded.translate(None, some)) for some in (_DIGITS, _BLANKS))
    yield from _too_large("digits", digits / size, thresholds)
    yield from _too_large("blanks", blanks / size, thresholds)
    letters = letter_share(content) * size / max(size - blanks, 1)
    if letters < thresholds["min_letters"]:
        yield Drop("few_letters", f"{letters:.3g} < {thresholds['min_letters']}")
    yield from _too_large("replacements", content.count("\ufffd") / size, thresholds)
    if "0x" in content or "0X" in content:
        yield from _too_large("hex_words", sum(map(len, _HEX.findall(content))) / size, thresholds)


def _lines_of_one_kind(lines: list[str], lang: str, thresholds: Thresholds) -> Iterator[Drop]:
    counted = Counter(lines)
    repeated = sum(times for line, times in counted.items() if times > 1 and line not in _NO_REPETITION)
    yield from _too_large("repeated_lines", repeated / max(len(lines), 1), thresholds)
    if lang not in _NO_ASSERTS:
        yield from _too_large("assert_lines", _share(("assert" in line.lower() for line in lines), lines), thresholds)
    for name, pattern in _STATEMENTS.items() if lang == "Python" else ():
        yield from _too_large(f"{name}_lines", _share(map(pattern.match, lines), lines), thresholds)


def _share(found: Iterable[object], lines: list[str]) -> float:
    return sum(map(bool, found)) / max(len(lines), 1)


def _too_large(name: str, share: float, thresholds: Thresholds) -> Iterator[Drop]:
    if share > (most := thresholds[f"max_{name}"]):
        yield Drop(f"many_{name}", f"{share:.3g} > {most}")


FILTER = Filter(
    name="opencoder",
    summary="Files of programming languages that break a heuristic rule of OpenCoder are left out: too short, odd characters, "
    "repetition, lines of one kind.",
    source="OpenCoder (Huang et al. 2024), heuristic rules for code",
    stage="store",
    position=68,
    keep=keep,
    columns=("content", "lang"),
    thresholds={
        "min_code_lines": 10,
        "min_words": 30,
        "min_python_words": 10,
        "min_mean_line": 5,
        "max_mean_line": 100,
        "min_letters": 0.5,
        "max_digits": 0.2,
        "max_blanks": 0.5,
        "max_replacements": 0.01,
        "max_hex_words": 0.4,
        "max_repeated_lines": 0.7,
        "max_assert_lines": 0.4,
        "max_pass_lines": 0.05,
        "max_import_lines": 0.3,
        "max_print_lines": 0.4,
    },
)
