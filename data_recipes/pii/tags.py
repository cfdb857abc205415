"""Write the tags of style `starcoder` so that the file around them still parses: escaped in markup, quoted in a shell."""

import re
from collections.abc import Mapping

TAGS: Mapping[str, str] = {
    "EMAIL_ADDRESS": "<EMAIL>",
    "KEY": "<KEY>",
    "PASSWORD": "<PASSWORD>",
    "USERNAME": "<NAME>",
    "NAME": "<NAME>",
}
"""The tags of style `starcoder`; IP addresses have none."""

_MARKUP = re.compile(r"\ufeff?\s*(?:<\?xml|<!DOCTYPE|<!--|<[A-Za-z][\w:.-]*[\s>/])", re.IGNORECASE)
_SHELL = re.compile(r"#![^\n]*sh\b")
_ELEMENT_BEFORE = re.compile(r"</?[A-Za-z][^<>\n]*>[^<>{}]*\Z")
_TAG_AFTER = re.compile(r"[^<>{}]{0,200}</?[A-Za-z>]")
_COMMAND = re.compile(r"\s*(?:[$>] )?(?:export|sudo|curl|ssh|scp|wget|git|docker|mysql|psql|env)\s")
_CONTEXT = 300


def escaped(tag: str) -> str:
    """Return a tag as markup writes it.

    >>> escaped("<KEY>")
    '&lt;KEY&gt;'
    """
    return f"&lt;{tag[1:-1]}&gt;"


TAG_FORMS = frozenset(form for tag in TAGS.values() for form in (tag, escaped(tag)))
"""All ways in which a tag is written."""


def tag_of(kind: str) -> str:
    """Return the tag of a type; one of another recognizer has its own name in brackets.

    >>> tag_of("NAME"), tag_of("PHONE_NUMBER")
    ('<NAME>', '<PHONE_NUMBER>')
    """
    return TAGS.get(kind, f"<{kind}>")


def is_tag(kind: str, value: str) -> bool:
    """Return whether a value is a tag that stands for a value of this type."""
    return value in TAG_FORMS or value in {f"<{kind}>", f"&lt;{kind}&gt;"}


class TagWriter:
    """Chooses how a tag is written at a place of one text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._is_markup, self._is_shell = _MARKUP.match(text) is not None, _SHELL.match(text) is not None

    def written(self, tag: str, start: int, end: int) -> str:
        """Return the tag as it must be written in place of the characters from `start` to `end`."""
        if self._is_markup or self._is_in_element(start, end):
            return escaped(tag)
        line = self._text[self._text.rfind("\n", 0, start) + 1 : start]
        is_command = self._is_shell or _COMMAND.match(line) is not None
        return f"'{tag}'" if is_command and not _is_quoted(line) else tag

    def _is_in_element(self, start: int, end: int) -> bool:
        """Whether a place is the text of an element, as in JSX."""
        before = self._text[max(0, start - _CONTEXT) : start]
        return _ELEMENT_BEFORE.search(before) is not None and _TAG_AFTER.match(self._text, end) is not None


def _is_quoted(line: str) -> bool:
    """Return whether a quote or a comment is open at the end of the beginning of a line."""
    open_quote = ""
    for at, char in enumerate(line):
        if open_quote:
            open_quote = "" if char == open_quote else open_quote
        elif char in "\"'`":
            open_quote = char
        elif char == "#" and (not at or line[at - 1].isspace()):
            return True
    return open_quote != ""
