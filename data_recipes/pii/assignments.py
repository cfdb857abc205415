"""Find names with their values in source code, settings files and commands.

A rule of `rules/assignments.toml` says where a value begins and how it ends; here its name and its exact place are read.
What the value is, `named_values.py` decides.
"""

import re
from dataclasses import dataclass
from string import ascii_letters, digits

PLACES = ("quoted", "line", "word", "element", "dsn")
"""How a value ends: at its quote, with its line, with its word, at the next tag, or at an "@"."""

_MAX_VALUE = 700
_NAME_BEFORE = re.compile(rb"[A-Za-z0-9_.$-]*\Z")
_NAME = re.compile(rb"[A-Za-z0-9_.$-]*")
_OPENER = re.compile(rb"(?:\"\"\"|\\{0,2}[\"'`]|&quot;)\Z")
_QUOTE = re.compile(rb"[\"'`]")
_LINE = re.compile(rb"[^\r\n]*")
_COMMENT = re.compile(rb"[ \t]+(?:#|//|--|;).*")
_WORD = re.compile(rb"[^\s\"'`<>|\\,;&]+")
_DSN = re.compile(rb"[^\s:@/\"'`]+")
_ELEMENT = re.compile(rb"[^<\r\n\]]*")
_SEPARATED = re.compile(rb",[ \t]*[\r\n][ \t\r\n]*[bruBRU]?[\"'`]\Z")
_LISTED = re.compile(rb"[\"'`][\])]?[ \t]*,[ \t\r\n]*[bruBRU]?[\"'`]\Z")
_GOES_ON = re.compile(rb"[\"'`],[ \t]*\r?\n[ \t]*[^\r\n\])}]")
_NUMBERED = re.compile(rb"[\"'`],[ \t]*[0-9]")  # a table: ("password", "73616c74", 20, 1)
_BLOCK = re.compile(rb"\)\s*\{|\{\s*\n|\s\{[\"'`]\Z")  # `if (password) { log("`, unlike `token{"`
_SETS = re.compile(
    rb"(?i:cpy|set[a-z_]*|put[a-z_]*|assign)[ ]?\([A-Za-z0-9_.>&* -]*\Z|[ (]:[a-z_]*\Z"
)  # strcpy(password, "…")
_BARE_NAME = re.compile(rb"[A-Za-z0-9_.-]*[ \t]*,")
_IS_NAME = re.compile(rb"[\"'`][ \t]*:(?!:)")
_OF_CALL = re.compile(rb"[A-Za-z0-9_.-]*\)+[ \t]*[=!:]")  # hash(key) == "..."
_PROSE = re.compile(rb"[A-Za-z] `\Z")
_INDEX = re.compile(rb"(?i:key)[ \t]+\\{0,2}`\Z")  # of a table: KEY `IDX_…`
_BEFORE_NAME = b" \t\r\n\"'`" + (ascii_letters + digits + "_.-$").encode()
_PAIR = re.compile(
    rb"(?:name|key)[\"']?[ \t]*[:=][ \t]*[\"']?(?P<name>[A-Za-z0-9_.-]+)[\"']?[ \t]*,?\s+[\"']?value", re.IGNORECASE
)
_LAST_NAME = re.compile(rb"[A-Za-z0-9_.$-]*[A-Za-z0-9_]")
_MAX_NAME = 64


@dataclass(frozen=True, slots=True)
class Assignment:
    """A value that has a name: its offsets in bytes, and how it is written; `is_separated`: on a line after a comma."""

    value: str
    start: int
    end: int
    is_quoted: bool
    is_call: bool
    is_listed: bool
    is_separated: bool


def read_assignment(place: str, data: bytes, begin: int, start: int) -> Assignment | None:
    """Return the value that begins at `start`, in the match of a rule from `begin` on; None if it is none of one line."""
    matched = data[begin:start]
    opened = _OPENER.search(matched) if place == "quoted" else None
    if place == "quoted":
        stop = _quoted_end(data, start, opened[0]) if opened else None
    else:
        stop = _END_OF[place](data, start)
    if stop is None or not start < stop <= start + _MAX_VALUE or (place == "element" and _is_closing(data, begin)):
        return None
    if opened and (
        _OF_CALL.match(matched)
        or _BLOCK.search(matched)
        or _INDEX.match(matched)
        or _is_argument(data, begin, matched, stop)
    ):
        return None
    # `("name", "value")` is a name with its value; in `"a", "name", "value"` nobody knows.
    is_listed = _LISTED.search(matched) is not None and not data[max(0, begin - 80) : begin].rstrip(
        _BEFORE_NAME
    ).endswith(b"(")
    is_listed = is_listed or _PROSE.search(matched) is not None  # a sentence: pass `name`
    is_separated = _SEPARATED.search(matched) is not None
    is_listed = is_listed or (_GOES_ON if is_separated else _NUMBERED).match(data, stop) is not None
    return Assignment(
        data[start:stop].decode("utf-8", "replace"),
        start,
        stop,
        opened is not None,
        b"(" in matched,
        is_listed,
        is_separated,
    )


def _is_argument(data: bytes, begin: int, matched: bytes, stop: int) -> bool:
    """Return whether a literal behind a comma is another argument (`f(key, "x")`) or the next name (`key, "x": 1`)."""
    if b"," not in matched:
        return False
    is_bare = _BARE_NAME.match(matched) is not None and not name_at(data, begin, begin + len(matched)).isupper()
    if is_bare and _SETS.search(data, max(0, begin - _MAX_NAME), begin):  # or a symbol: `set :secret, "…"`
        return False
    return is_bare or _IS_NAME.match(data, stop) is not None


def _is_closing(data: bytes, begin: int) -> bool:
    """Return whether the name at `begin` is that of a closing tag."""
    left = _NAME_BEFORE.search(data, max(0, begin - _MAX_NAME), begin)
    at = left.start() if left else begin
    return data[at - 1 : at] == b"/"


def name_at(data: bytes, begin: int, start: int) -> str:
    """Return the whole name of a match: what it begins with, and what goes on to the left of it."""
    matched = data[begin:start]
    if pair := _PAIR.match(matched):
        return pair["name"].decode()
    before = _NAME_BEFORE.search(data, max(0, begin - _MAX_NAME), begin)
    left = before[0] if before else b""
    first = _NAME.match(matched)
    if first and first[0]:
        return (left + first[0]).decode("ascii", "replace")
    names = _LAST_NAME.findall(matched)  # a line begins with marks and white space
    return names[-1].decode("ascii", "replace") if names else ""


def _quoted_end(data: bytes, start: int, opener: bytes) -> int | None:
    """Return where a literal that is opened by these bytes ends, before its closing quote; None where it does not."""
    limit = start + _MAX_VALUE + len(opener)
    line = data.find(b"\n", start, limit)
    limit = line if line >= 0 else limit
    at = start
    while (close := data.find(opener, at, limit)) >= 0:
        escapes = 0
        while close - escapes > start and data[close - escapes - 1] == 0x5C:
            escapes += 1
        if escapes % 2 == 0:
            return close
        at = close + 1
    return None


def _line_end(data: bytes, start: int) -> int | None:
    """Return where the value that goes to the end of a line ends; None if the line says more than a value."""
    found = _LINE.match(data, start, start + _MAX_VALUE + 1)
    line = found[0] if found else b""
    if comment := _COMMENT.search(line):
        line = line[: comment.start()]
    line = line.rstrip()
    return None if not line or b" " in line or _QUOTE.search(line) or line[-1:] in b",;({[" else start + len(line)


def _word_end(data: bytes, start: int) -> int | None:
    found = _WORD.match(data, start, start + _MAX_VALUE + 1)
    return found.end() if found else None


def _element_end(data: bytes, start: int) -> int | None:
    """Return where the content of an element ends; None if anything but a tag follows."""
    found = _ELEMENT.match(data, start, start + _MAX_VALUE + 1)
    if found is None:
        return None
    end = start + len(found[0].rstrip())
    after = data[found.end() : found.end() + 80].lstrip()
    return end if after.startswith((b"</", b"]]>")) else None


def _dsn_end(data: bytes, start: int) -> int | None:
    found = _DSN.match(data, start, start + _MAX_VALUE + 1)
    return found.end() if found else None


_END_OF = {"dsn": _dsn_end, "line": _line_end, "word": _word_end, "element": _element_end}
