"""Find e-mail addresses that are spelt out to hide them: `bob at corp dot io`, `bob [at] corp.io`."""

import re
from collections.abc import Callable, Iterator

from data_recipes.pii.finding import Span
from data_recipes.pii.prefilter import GATES

_AT = r"(?:[ ]?[\[({<][ ]?(?:at|AT|@)[ ]?[\])}>][ ]?|[ ](?:at|AT)[ ])"
_DOT = r"(?:[ ]?[\[({<][ ]?(?:dot|DOT|\.)[ ]?[\])}>][ ]?|[ ](?:dot|DOT)[ ])"
_SIGN = re.compile(GATES["SPELT_OUT"])
_SPELT = re.compile(r"[\[({<] ?(?:at|AT) ?[\])}>]|[ \])}>](?:dot|DOT)[ \[({<]|[\[({<] ?(?:dot|DOT) ?[\])}>]")
_ADDRESS = re.compile(
    rf"(?<![\w.+-])[A-Za-z0-9][\w.+-]{{0,63}}?(?:{_DOT}[\w+-]{{1,30}}){{0,3}}(?P<at>{_AT})(?P<domain>[A-Za-z0-9][\w-]*(?:(?:{_DOT}|\.)[A-Za-z0-9][\w-]*){{1,4}})"
)
PARTS = re.compile(rf"{_AT}|{_DOT}|[.@+_-]")
"""What stands between the words of an address, spelt out or not."""

_BEFORE = 110
_NOBODY = re.compile(
    r"(?:the|is|are|was|look|be|available|only|not|and|or|user|name|you|me|here|see|found)\Z", re.IGNORECASE
)


def is_spelt_out(value: str) -> bool:
    """Return whether an address has its "at" or a "dot" as a word."""
    return _SPELT.search(f" {value} ") is not None


def spelt_out_spans(text: str, is_top_level: Callable[[str], bool]) -> Iterator[Span]:
    """Yield the addresses that are spelt out, in order; `is_top_level` tells a domain's last label from a word."""
    done = 0
    for sign in _SIGN.finditer(text):
        if sign.start() < done:
            continue
        for found in _ADDRESS.finditer(text, max(done, sign.start() - _BEFORE), min(len(text), sign.end() + _BEFORE)):
            is_plain_at = found["at"].strip() in {"at", "AT"}
            labels = re.split(rf"{_DOT}|\.", found["domain"])
            is_host = is_top_level(labels[-1].lower()) and labels[-1].lower() not in {"dot", "at"}
            is_said = not is_plain_at or is_spelt_out(found["domain"])
            word = text[found.start() : found.start("at")]
            if is_host and is_said and labels[-2].lower() != "example" and not (is_plain_at and _NOBODY.match(word)):
                yield Span(found.start(), found.end(), "email-spelt-out")
                done = found.end()
