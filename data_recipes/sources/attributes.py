"""What `.gitattributes` says of files for GitHub's linguist: vendored, generated, and of which language.

Source: gitattributes(5) and linguist's documentation of overrides. A later line holds over an earlier one, a deeper file over
one above it. As in git, a pattern of a folder says nothing of the files in it: `docs/**` does.
"""

import fnmatch
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from data_recipes.sources.language_names import language_names, spelled
from data_recipes.sources.left_out import by_path

NAME = ".gitattributes"
MAX_BYTES = 1 << 20
_VENDORED, _GENERATED, _LANGUAGE = "linguist-vendored", "linguist-generated", "linguist-language"


@dataclass(frozen=True, slots=True)
class Said:
    """What is said of a file; None and an empty language where nothing is."""

    vendored: bool | None = None
    generated: bool | None = None
    language: str = ""

    def left_out(self, path: str) -> tuple[str, str] | None:
        """Return why a file is left out by what is said of it, or else by its path: the reason and what was seen."""
        if self.vendored:
            return "vendored", f"by {NAME}"
        if self.generated:
            return "generated", f"by {NAME}"
        found = by_path(path)
        taken_back = {"vendored": self.vendored is False, "generated": self.generated is False}
        return None if found and taken_back.get(found[0]) else found


NOTHING = Said()


class Attributes:
    """The attributes of all files of a repository or tree; files are added from the top down."""

    def __init__(self) -> None:
        self._lines: list[tuple[str, _Pattern, dict[str, str]]] = []

    def add(self, folder: str, data: bytes) -> None:
        """Take the lines of the `.gitattributes` in a folder (empty: the root), of which only linguist's count."""
        prefix = f"{folder}/" if folder else ""
        for line in data[:MAX_BYTES].decode("utf-8", "replace").splitlines():
            pattern, said = _line(line)
            if said and not pattern.startswith("!"):
                self._lines.append((prefix, _compiled(pattern), said))

    def of(self, path: str) -> Said:
        """Return what is said of a file."""
        found: dict[str, str] = {}
        for prefix, pattern, said in self._lines:
            if path.startswith(prefix) and _fits(pattern, path[len(prefix) :].split("/")):
                found |= said
        if not found:
            return NOTHING
        named = found.get(_LANGUAGE, "")
        spellings = (spelled(named), spelled(named.replace("-", " ")))
        language = next((name for name in spellings if name in _known_languages()), "")
        return Said(_flag(found.get(_VENDORED)), _flag(found.get(_GENERATED)), language)


@cache
def _known_languages() -> frozenset[str]:
    return frozenset(language_names())


_Pattern = Sequence[re.Pattern[str] | None]
"""The parts of a pattern between slashes; None is `**`."""


def _compiled(pattern: str) -> _Pattern:
    """Return a pattern's parts. One without a slash, but at its end, fits in every folder; one with a slash at its end fits no file."""
    parts = pattern.removeprefix("/").split("/")
    if "/" not in pattern:
        parts = ["**", *parts]
    return [None if part == "**" else re.compile(fnmatch.translate(part)) for part in parts]


def _fits(pattern: _Pattern, parts: Sequence[str]) -> bool:
    """Return whether a pattern is that of a path, given by its parts; linear in both, whatever the pattern."""
    reached = {0}
    for number, each in enumerate(pattern, start=1):
        if each is None:  # at the end it stands for one part at least
            reached = set(range(min(reached) + (number == len(pattern)), len(parts) + 1))
        else:
            reached = {at + 1 for at in reached if at < len(parts) and each.match(parts[at])}
        if not reached:
            return False
    return len(parts) in reached


def _line(line: str) -> tuple[str, dict[str, str]]:
    """Return the pattern of a line and its attributes of linguist's, as texts."""
    line = line.strip()
    if not line or line.startswith("#"):
        return "", {}
    if line.startswith('"') and '"' in line[1:]:
        pattern, _, rest = line[1:].partition('"')
    else:
        pattern, *words = line.split(maxsplit=1)
        rest = words[0] if words else ""
    return pattern, dict(_said(rest.split()))


def _said(words: list[str]) -> Iterator[tuple[str, str]]:
    for word in words:
        name, is_given, value = word.partition("=")
        bare = name.lstrip("-!")
        if bare in {_VENDORED, _GENERATED}:
            yield (
                bare,
                "" if name.startswith("!") else "false" if name.startswith("-") else value if is_given else "true",
            )
        elif bare == _LANGUAGE:
            yield bare, value if name == bare else ""


def _flag(value: str | None) -> bool | None:
    return None if not value else value.lower() != "false"
