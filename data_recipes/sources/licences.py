"""Find a file's licence: its SPDX header, or the licence files of the nearest folder above it."""

import re
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import PurePosixPath

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from data_recipes.progress import LOGGER

HEADER_BYTES = 4096
"""So much of a file is looked at for its SPDX header."""

_NAME = re.compile(r"(?:.*[-_.])?(?:licen[sc]e|copying|unlicense)(?:[-_.][\w.-]*)?", re.IGNORECASE)
_TEXTS = frozenset({"", ".txt", ".md", ".rst", ".lesser"})
_HEADER = re.compile(rb"SPDX-License-Identifier:[ \t]*([^\r\n]{1,200})")
_END = re.compile(r"\s*(?:\*/|-->|\"\"\"|'''|#\}|\*\)).*|[\s\"'*#]+$")
_WORDS = re.compile(r"[^\s()]+")


def is_licence_file(name: str) -> bool:
    """Return whether a file's name says that it holds the text of a licence.

    >>> [name for name in ("LICENSE", "COPYING.LESSER", "LICENSE-MIT", "license.py", "licence.md") if is_licence_file(name)]
    ['LICENSE', 'COPYING.LESSER', 'LICENSE-MIT', 'licence.md']
    """
    ending = PurePosixPath(name).suffix.lower()
    return bool(_NAME.fullmatch(name)) and (ending in _TEXTS or "-" in ending or ending[1:].isnumeric())


def spdx_header(data: bytes) -> list[str] | None:
    """Return the licences that a file's SPDX header names; None where it has none, or one that is no expression.

    >>> spdx_header(b"# SPDX-License-Identifier: MIT OR Apache-2.0")
    ['Apache-2.0', 'MIT']
    """
    found = _HEADER.search(data[:HEADER_BYTES])
    return names_in(_END.sub("", found[1].decode("utf-8", "replace"))) if found else None


def names_in(expression: str) -> list[str] | None:
    """Return the licences of an SPDX expression, without exceptions; None for what is no expression."""
    try:
        words = _WORDS.findall(canonicalize_license_expression(expression.strip()))
    except InvalidLicenseExpression:
        return None
    pairs = zip(words, ["", *words], strict=False)
    return sorted({word for word, before in pairs if word not in {"AND", "OR", "WITH"} and before != "WITH"})


def licence_of_text(text: bytes) -> str | None:
    """Return the SPDX name of a licence's text, which may differ from it by 5 % at most; None where it is unknown.

    An SPDX header inside the text counts first. The texts are those of choosealicense.com, compared by `identify`;
    without that package only headers are seen.
    """
    if (named := spdx_header(text)) and len(named) == 1:
        return named[0]
    if (license_id := _detector()) is None:
        return None
    with tempfile.NamedTemporaryFile(suffix=".txt") as file:
        file.write(text.decode("utf-8", "replace").encode())
        file.flush()
        found: str | None = license_id(file.name)
        return found


@cache
def _detector() -> Callable[[str], str | None] | None:
    try:
        import ukkonen
        from identify.identify import license_id
    except ImportError:
        LOGGER.warning("The texts of licence files are not compared: pip install 'identify[license]'.")
        return None
    del ukkonen  # identify imports it when it is used
    found: Callable[[str], str | None] = license_id
    return found


class LicencesByFolder:
    """The licences of a repository's or archive's folders, from the texts of its licence files.

    A file has the licences of its own header, else those of the nearest folder above it that has a licence file, else
    `default`; None where that says nothing that is known.
    """

    def __init__(self, texts: Iterable[tuple[str, bytes]], default: Sequence[str] | None = None) -> None:
        found: dict[str, set[str | None]] = {}
        for path, text in texts:
            found.setdefault(path.rpartition("/")[0], set()).add(licence_of_text(text))
        # A folder with one text that is unknown: what its files may be used for is not known.
        self._folders: Mapping[str, list[str] | None] = {
            folder: None if None in names else sorted(name for name in names if name) for folder, names in found.items()
        }
        self._default = None if default is None else list(default)

    def of(self, path: str, data: bytes) -> list[str] | None:
        """Return the licences of a file."""
        if (named := spdx_header(data)) is not None:
            return named
        while path:
            path = path.rpartition("/")[0]
            if path in self._folders:
                return self._folders[path] or self._default if path == "" else self._folders[path]
        return self._default
