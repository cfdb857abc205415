"""Find problems that no program can solve, because their tests want two answers of one call."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

# A truth value at the end of a line that expects it, with nothing but closing signs after it.
_EXPECTED = re.compile(r"^(.*(?:==|\)\s*,|expected:)\s*\(*)(true|false|#t|#f)([\s)\]};,]*)$", re.IGNORECASE)
# Languages in which 3 and 3.0 are one argument: numbers are typed by the parameter, or there is one kind of number.
_ONE_NUMBER = frozenset({"cpp", "cs", "d", "go", "java", "js", "pl", "r", "rs", "scala", "swift", "ts"})
_NOISE = re.compile(r"[()\s]")
_WHOLE = re.compile(r"(?<![\w.])(\d+)(?:\.0+)?[lLfFdD]?(?![\w.])")


def contradiction(tests: str, language: str = "rs") -> str | None:
    r"""Return the line that contradicts an earlier one of these tests, or None.

    Lines are compared that are the same but for the truth value at their end; where a language takes 3 and 3.0 for one
    number, so are they. That is MultiPL-E's HumanEval_92: Python tells the two apart, and the tests demand it.

    >>> contradiction("assert(f(3.0, 4.0) == true);\nassert(f(1.0, 2.0) == true);\nassert(f(3.0, 4.0) == false);")
    'assert(f(3.0, 4.0) == false);'
    >>> contradiction("assert(f(true));\nassert(f(false));") is None
    True
    """
    seen: dict[tuple[str, str], str] = {}
    for line in map(str.strip, tests.split("\n")):
        match = _EXPECTED.match(line)
        if match is None:
            continue
        value, call = match[2].lower(), match[1]
        if language in _ONE_NUMBER and '"' not in call and "'" not in call:
            call = _NOISE.sub("", _WHOLE.sub(r"\1", call.replace("(float)", "")))
        if seen.setdefault((call, match[3]), value) != value:
            return line
    return None


def unsatisfiable(problems: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of the problems that no program can solve."""
    return [row["name"] for row in problems if contradiction(row.get("tests", ""), row["language"]) is not None]
