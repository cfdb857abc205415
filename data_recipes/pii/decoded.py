"""Find what is encoded in a text: base64 of ASCII, and addresses with "@" as `%40` or `&#64;`.

What is found in base64 is reported as the whole run, which can't be changed in part; of the other two the very
characters are reported.
"""

import base64
import binascii
import html
import re
from collections.abc import Callable, Iterator

from data_recipes.pii.finding import Span
from data_recipes.pii.prefilter import BASE64_OF_ASCII

_BASE64 = re.compile(
    rf"(?<![A-Za-z0-9+/=])(?:{BASE64_OF_ASCII}){{8,1024}}[A-Za-z0-9+/]{{0,3}}={{0,2}}(?![A-Za-z0-9+/=])"
)
# An "@" in another form, and what may stand around it.
_PERCENT, _PERCENT_LEFT, _PERCENT_RIGHT = (
    re.compile(r"%40(?=[A-Za-z0-9])"),
    re.compile(r"[A-Za-z0-9._~+%-]*\Z"),
    re.compile(r"[A-Za-z0-9._~%-]{0,256}"),
)
_REFERENCE, _REFERENCE_LEFT, _REFERENCE_RIGHT = (
    re.compile(r"&(?:#(?:64|x40)|commat);"),
    re.compile(r"[^\s<>\"'()\[\]{}]*\Z"),
    re.compile(r"[^\s<>\"'()\[\]{}]{0,256}"),
)
_MAX_LEFT = 128
_PERCENT_PART = re.compile(r"(?P<coded>(?:%[0-9A-Fa-f]{2})+)|.", re.DOTALL)
_REFERENCE_PART = re.compile(r"(?P<coded>&#?\w{1,8};)|.", re.DOTALL)

Find = Callable[[str], list[Span]]


def decoded_spans(text: str, find: Find) -> list[Span]:
    """Return what `find` finds in the decoded runs of a text, at the places of the runs, in order."""
    return sorted([*_in_base64(text, find), *_in_coded(text, find)])


def _in_base64(text: str, find: Find) -> Iterator[Span]:
    for run in _BASE64.finditer(text):
        plain = _plain(run[0])
        if plain and (found := find(plain)):
            yield Span(run.start(), run.end(), f"base64:{found[0].rule}")


def _plain(run: str) -> str | None:
    """Return the text that a run of base64 stands for; None where that is no text."""
    try:
        text = base64.b64decode(run + "=" * (-len(run) % 4), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return text if all(char.isprintable() or char in "\r\n\t" for char in text) else None


def _in_coded(text: str, find: Find) -> Iterator[Span]:
    for sign, left, right, part, decode, rule in (
        (_PERCENT, _PERCENT_LEFT, _PERCENT_RIGHT, _PERCENT_PART, _percent, "percent"),
        (_REFERENCE, _REFERENCE_LEFT, _REFERENCE_RIGHT, _REFERENCE_PART, html.unescape, "reference"),
    ):
        done = 0
        for run in sign.finditer(text):
            if run.start() < done:
                continue
            before, after = (
                left.search(text, max(done, run.start() - _MAX_LEFT), run.start()),
                right.match(text, run.end()),
            )
            begin, done = before.start() if before else run.start(), after.end() if after else run.end()
            chars: list[str] = []
            places: list[tuple[int, int]] = []
            for one in part.finditer(text, begin, done):
                plain = decode(one[0]) if one["coded"] else one[0]
                chars.append(plain)
                is_apart = len(plain) * 3 == len(one[0])  # `%22%3A` is a character for each three
                for at in range(len(plain)):
                    start = one.start() + 3 * at if is_apart else one.start()
                    places.append((start, start + 3 if is_apart else one.end()))
            for span in find("".join(chars)):
                first, last = places[span.start], places[span.end - 1]
                if any(text[start:end] != char for (start, end), char in _pairs(places, chars, span)):
                    yield Span(first[0], last[1], f"{rule}:{span.rule}")


def _pairs(places: list[tuple[int, int]], chars: list[str], span: Span) -> Iterator[tuple[tuple[int, int], str]]:
    plain = "".join(chars)
    yield from zip(places[span.start : span.end], plain[span.start : span.end], strict=True)


def _percent(run: str) -> str:
    return bytes.fromhex(run.replace("%", "")).decode("utf-8", "replace")
