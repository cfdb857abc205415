"""Make the negative control: the same program with one expected value changed, which a right one fails.

A program that passes its tests although they now ask for something else has shown that they decide nothing about it.
MultiPL-E writes its tests in one form for each language, and only these forms are changed. The value is that of the last
test whose call no example of the prompt gives away, and it is replaced by the value of another test of the same
problem where that is safe, so that nothing about the program tells which of the two it is.
"""

import hashlib
import random
import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

_OPENING, _CLOSING = "([{", ")]}"
# Languages in which a single quote begins a text; in the others it is a character, a lifetime or part of a name.
_SINGLE_QUOTED = frozenset({"py", "js", "ts", "lua", "php", "pl", "r", "rb", "elixir", "sh", "pas"})
_OPPOSITES = MappingProxyType(
    {"True": "False", "False": "True", "true": "false", "false": "true", "TRUE": "FALSE", "FALSE": "TRUE"}
    | {"#t": "#f", "#f": "#t"}
)
_LISP_OPPOSITES = MappingProxyType({"t": "nil", "nil": "t"})
# A text, a number that belongs to no name, or a truth value.
_LITERAL = r"|(?<![\w.#$@])\d+(?!\w*::)|(?<![\w$@])(?<!Valid => )(?:True|False|true|false|TRUE|FALSE|#[tf])(?!\w)"
_DOUBLE = r'"(?:[^"\\]|\\.)*"'
_SINGLE = r"|'(?:[^'\\]|\\.)*'"
# Values that can take each other's place: whole numbers, truth values, plain texts.
_ALIKE = tuple(
    re.compile(rf"[\s(]*{core}[\s)]*")
    for core in (r"\d+[lL]?", r"(?:True|False|true|false|TRUE|FALSE|#[tf])", r'"[A-Za-z ]+"', r"'[A-Za-z ]+'")
)
_MOST_DIGITS = 8  # a longer number gets shorter, for one digit more might not fit its type
# The tests stand at the end of a program, and each on a line or a few: a hostile text is not searched for hours.
_MOST_TESTS, _MOST_LETTERS = 400, 20_000


@dataclass(frozen=True)
class TestForm:
    """How a language's tests name the expected value: `opens` ends where the parts begin, `part` is the value's."""

    __test__ = False  # no test of pytest's

    opens: str
    separator: str  # what stands between the parts; a space for lists of Lisp's kind, nothing for one part only
    part: int = -1
    ends: str = ""  # a word that ends the last part, where no bracket does


_ASSERT_EQUAL = TestForm(r"\bassert ?\(", " == ")
_LANGUAGE_FORMS: Mapping[str, tuple[TestForm, ...]] = MappingProxyType(
    {
        "py": (
            TestForm(r"^[ \t]*assert[ \t]+(?=[^\n]*\()", " == ", 1, ends=","),
            TestForm(r"^[ \t]*assert[ \t]+(?:math\.f)?abs\((?=[^\n]*\()", " - "),
            TestForm(r"^[ \t]*results = (?=\[)", ""),
        ),
        # HumanEvalPack's forms, the second here and Java's third, name no value of one test, but what no test may be.
        "js": (TestForm(r"\bassert\.deepEqual\(", ","), TestForm(r"\bBoolean\(is_so\) === ", "")),
        "ts": (TestForm(r"\bassert\.deepEqual\(", ","),),
        "java": (
            _ASSERT_EQUAL,
            TestForm(r"\bassert ?\(", ".equals"),
            TestForm(r"\bif \(correct\.contains\(", ""),
        ),
        "scala": (_ASSERT_EQUAL, TestForm(r"\bassert ?\(", ".equals")),
        "cs": (
            TestForm(r"\bDebug\.Assert\(", " == "),
            TestForm(r"\bDebug\.Assert\(", ".Equals"),
            TestForm(r"\bDebug\.Assert\(", ".SequenceEqual"),
        ),
        "cpp": (_ASSERT_EQUAL,),
        "d": (_ASSERT_EQUAL,),
        "swift": (_ASSERT_EQUAL,),
        "ml": (TestForm(r"\bassert ?\(", " = "),),
        "ada": (TestForm(r"\bpragma Assert ?\(", " = "),),
        "go": (TestForm(r"\bexpected: ", ""),),
        "rs": (TestForm(r"\bassert_eq!\(", ","),),
        "sh": (TestForm(r"\[\[ ", " = "),),
        "lua": (TestForm(r"\blu\.assertEquals\(", ","),),
        "pl": (TestForm(r"\beq_deeply\(", ","),),
        "php": (TestForm(r"\bif \((?=candidate\()", " !== "),),
        "r": (TestForm(r"\ball\.equal\(", ","),),
        "rb": (TestForm(r"\bassert_equal\(", ",", 0),),
        "rkt": (TestForm(r"\(check-within ", " ", 1),),
        "clj": (TestForm(r"\(is \(= ", " ", 1),),
        "jl": (TestForm(r"@test\(", " == "),),
        "elixir": (TestForm(r"^[ \t]*assert[ \t]+", " == "),),
        "tcl": (TestForm(r"^assert_equal (?=\[)", " ", 1),),
        "scm": (TestForm(r"\(test-equal ", " ", 1),),
        "el": (TestForm(r"\(should \(equal ", " ", 1),),
        "pas": (TestForm(r"\bAssert\(", " = "), TestForm(r"\bAssert\(Equal\w+\(", ",")),
        "hs": (TestForm(r"^[ \t]*if[ \t]+", " == ", ends=" then"), TestForm(r"\((?=candidate\b)", " == ")),
    }
)


@dataclass(frozen=True)
class _Expected:
    """One test's expected value: where it stands, and what is on the other side."""

    start: int  # of the whole test
    begin: int
    end: int
    call: str


def changed_program(code: str, program: str) -> str | None:
    r"""Return the program with one expected value of its tests changed; None where none can be changed safely.

    >>> changed_program("js", "assert.deepEqual(f(1),true);\nassert.deepEqual(f(2),false);\n")
    'assert.deepEqual(f(1),true);\nassert.deepEqual(f(2),true);\n'
    >>> changed_program("js", "f(1)") is None
    True
    """
    if code not in _LANGUAGE_FORMS:
        return None
    found = sorted(_expected(code, program), key=lambda each: each.begin)
    draw = random.Random(hashlib.sha256(program.encode(errors="surrogatepass")).digest())  # no secret
    if found:
        head = program[: found[0].start]
        # Those that an example of the prompt gives away come last, the others from the end of the program.
        for each in sorted(found, key=lambda each: (each.call in head, -each.begin)):
            old = program[each.begin : each.end]
            new = _changed(code, old, [program[one.begin : one.end] for one in found], draw)
            if new is not None:
                return program[: each.begin] + new + program[each.end :]
    return _inverted(program) if code == "py" else None


def _expected(code: str, program: str) -> Iterator[_Expected]:
    quotes = "\"'" if code in _SINGLE_QUOTED else '"'
    for form in _LANGUAGE_FORMS[code]:
        for match in deque(re.finditer(form.opens, program, re.MULTILINE), _MOST_TESTS):
            parts = _parts(program, match.end(), form, quotes)
            least = 1 if not form.separator else 2
            if len(parts) < least:
                continue
            at = form.part % len(parts)
            if form.separator in (" == ", " = ") and len(parts) == 2:
                # Some versions of MultiPL-E write the value first.
                calls = ["candidate" in program[begin:end].lower() for begin, end in parts]
                at = calls.index(False) if calls.count(True) == 1 else at
            begin, end = parts[at]
            other = program[parts[0][0] : parts[-1][1]] if len(parts) == 1 else program[slice(*parts[at - 1])]
            if at == 0 and len(parts) > 1:
                other = program[slice(*parts[1])]
            if begin < end:
                yield _Expected(match.start(), begin, end, _arguments(other))


def _arguments(call: str) -> str:
    """The arguments of a call, as an example of the prompt would show them."""
    return re.sub(r"^[\s(\\$]*[\w.!?-]*?\w+(?:->|\.)?(?=\W|$)", "", call, count=1) or call


def _parts(program: str, start: int, form: TestForm, quotes: str) -> list[tuple[int, int]]:
    """The parts between a place and the bracket, or the end of the line, that closes what is open there."""
    depth, at, begin = 0, start, start
    found: list[tuple[int, int]] = []
    while at < min(len(program), start + _MOST_LETTERS):
        letter = program[at]
        if letter in quotes:
            at = _after_text(program, at)
            continue
        is_end = (letter in _CLOSING and depth == 0) or (letter == "\n" and depth == 0)
        if is_end or (depth == 0 and form.ends and program.startswith(form.ends, at)):
            break
        if depth == 0 and not form.separator and letter == ",":
            break
        if letter in _OPENING:
            depth += 1
        elif letter in _CLOSING:
            depth -= 1
        elif depth == 0 and form.separator and program.startswith(form.separator, at):
            found.append((begin, at))
            begin = at + len(form.separator)
            at = begin
            continue
        at += 1
    found.append((begin, at))
    trimmed = [_trimmed(program, *part) for part in found]
    return [part for part in trimmed if part[0] < part[1]]


def _after_text(program: str, at: int) -> int:
    quote = program[at]
    last = min(len(program), at + _MOST_LETTERS)
    at += 1
    while at < last and program[at] != quote:
        at += 2 if program[at] == "\\" else 1
    return at + 1


def _trimmed(program: str, begin: int, end: int) -> tuple[int, int]:
    text = program[begin:end]
    return begin + len(text) - len(text.lstrip()), begin + len(text.rstrip())


def _changed(code: str, value: str, others: list[str], draw: random.Random) -> str | None:
    """Another value of the same kind, or None where the value has nothing that can be changed."""
    for kind in _ALIKE:
        if kind.fullmatch(value):
            alike = sorted({each for each in others if kind.fullmatch(each) and _bare(each) != _bare(value)})
            if alike:
                return draw.choice(alike)
    if code == "el" and value in _LISP_OPPOSITES:
        return _LISP_OPPOSITES[value]
    pattern = _DOUBLE + (_SINGLE if code in _SINGLE_QUOTED else "") + _LITERAL
    literals = list(re.finditer(pattern, value))
    if not literals:
        return None
    # A text that is a name in a table would do as well, but a number or a truth value can't be one.
    literal = next((each for each in literals if each[0][0] not in "\"'"), literals[0])
    return value[: literal.start()] + _other_literal(literal[0], draw) + value[literal.end() :]


def _bare(value: str) -> str:
    return value.strip(" \t\n()").rstrip("lL").lower()


def _other_literal(literal: str, draw: random.Random) -> str:
    if literal in _OPPOSITES:
        return _OPPOSITES[literal]
    if literal[0] in "\"'":
        return literal[0] + draw.choice("abcdefghijklmnopqrstuvwxyz") + literal[1:]
    return draw.choice("123456789") + literal if len(literal) <= _MOST_DIGITS else literal[:-1]


def _inverted(program: str) -> str | None:
    """A Python program whose last test of a call asks for the opposite, where it names no value."""
    tests = list(re.finditer(r"^([ \t]*assert[ \t]+)([^\n,#]*\([^\n#]*)$", program, re.MULTILINE))
    for test in reversed(tests):
        if not test[2].startswith("not ") and test[2].count("(") == test[2].count(")"):
            return f"{program[: test.start()]}{test[1]}not ({test[2]}){program[test.end() :]}"
    return None
