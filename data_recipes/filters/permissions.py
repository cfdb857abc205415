"""Leave out what may not be in a dataset: opted-out repositories, and licences that are not allowed."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from data_recipes.errors import DataError
from data_recipes.filters.filter import Drop
from data_recipes.sources.row import Row

_BULLET = re.compile(r"^(?:[-*+•]\s+|\d+[.)]\s+)")
_ADDRESS = re.compile(r"(?:[a-z+]+://)?(?:[^@/\s]+@)?(?:[a-z0-9-]+\.)+(?:com|org|net|io|dev)[:/]+(.*)", re.IGNORECASE)
_NAME = re.compile(r"[\w.-]+")

Names = str | os.PathLike[str] | Iterable[str]


@dataclass(frozen=True, slots=True)
class Permissions:
    """The opt-outs and the licences of a run.

    `opt_outs` are owners (`octocat`) and repositories (`octocat/hello`), also as addresses, with `@`, `/*`, `.git` or
    a bullet; `licenses` are the licences that a file may have; None takes any. Either is a list of names or a text file
    with one a line; `#` begins a comment. Where the source gives licences, a file without one is dropped unless
    `keep_unlicensed` is set.

    >>> Permissions(opt_outs=["octocat"]).drop(Row("x", "a.py", 1, "py", "Python", "0", 1, 1, 1, repo="OctoCat/a"))
    Drop(reason='opt_out', detail='')
    """

    opt_outs: Names = ()
    licenses: Names | None = None
    keep_unlicensed: bool = False
    _left: frozenset[str] = field(init=False, repr=False)
    _allowed: frozenset[str] | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        given = lines_of(self.opt_outs, "opt_outs")
        object.__setattr__(self, "_left", frozenset(name for line in given if (name := opt_out_name(line))))
        allowed = None if self.licenses is None else names_of(self.licenses, "licenses")
        object.__setattr__(self, "_allowed", allowed)

    def needs(self) -> Mapping[str, str]:
        """Return the fields that a source must have, each with what needs it."""
        needs = {"repo": "the opt-out list"} if self._left else {}
        return needs | ({"licenses": "the licence list"} if self._allowed is not None else {})

    def settings(self) -> dict[str, object]:
        """Return all that the decisions depend on, as JSON values."""
        return {"opt_outs": sorted(self._left), **self.license_settings()}

    def license_settings(self) -> dict[str, object]:
        """Return what the decisions about licences depend on."""
        allowed = None if self._allowed is None else sorted(self._allowed)
        return {"licenses": allowed, "keep_unlicensed": self.keep_unlicensed}

    def about(self) -> dict[str, object]:
        """Return what the card says of it: how many opt-outs there are, never whose."""
        return {**self.settings(), "opt_outs": len(self._left)}

    def drop(self, row: Row) -> Drop | None:
        """Return why the row may not be published, or None. An opt-out is dropped without saying whose it was."""
        if self.is_opted_out(row.repo, row.other_repos or ()):
            return Drop("opt_out", "")
        return self.license_drop(row.licenses)

    @property
    def has_opt_outs(self) -> bool:
        """Whether anybody is on the opt-out list."""
        return bool(self._left)

    def is_opted_out(self, repo: str | None, other_repos: Iterable[str] = ()) -> bool:
        """Return whether the list has one of the repositories that a file is in, or the owner of one."""
        if not self._left:
            return False
        names = [name.lower() for name in (repo, *other_repos) if name]
        return any(name in self._left or name.partition("/")[0] in self._left for name in names)

    def license_drop(self, licenses: Sequence[str] | None) -> Drop | None:
        """Return why a file with these licences (None: unknown) may not be published, or None."""
        if licenses is None:
            return Drop("unlicensed", "unknown licence") if self._allowed is not None else None
        # Differs from the report: its source held licensed files only; here a file without a licence is dropped.
        if not licenses:
            return None if self.keep_unlicensed else Drop("unlicensed", "the source names no licence")
        if self._allowed is not None and (others := [x for x in licenses if x.lower() not in self._allowed]):
            return Drop("license", f"{', '.join(others)} not on the licence list")
        return None


def lines_of(given: Names, what: str) -> list[str]:
    """Return the entries of a list, or of a text file with one a line, without comments and blank ones."""
    if isinstance(given, str | os.PathLike):
        path = Path(given)
        if not path.is_file():
            raise DataError(f"{what}: {path} is no file. Pass a text file with one name a line, or a list of names.")
        try:
            given = path.read_text("utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise DataError(f"{what}: {path} is not UTF-8 at byte {error.start}. Write it as UTF-8 text.") from error
    return [name for line in given if (name := line.partition("#")[0].strip())]


def names_of(given: Names, what: str) -> frozenset[str]:
    """Return the names of a list, or of a text file with one a line, in lower case."""
    return frozenset(name.strip("/").lower() for name in lines_of(given, what))


def opt_out_name(entry: str) -> str:
    """Return the owner or `owner/repository` that an entry of an opt-out list means, in lower case.

    >>> [opt_out_name(x) for x in ("https://github.com/Ada/Code.git", "- ada/code/", "@Ada", "ada/*", "git@github.com:ada/x")]
    ['ada/code', 'ada/code', 'ada', 'ada', 'ada/x']

    Raises:
        DataError: The entry has neither of the two forms.
    """
    text = _BULLET.sub("", entry.strip()).strip("`'\"<>,; \t")
    address = _ADDRESS.fullmatch(text)
    parts = (address[1] if address else text).partition("?")[0].removeprefix("@").strip("/").split("/")
    if address:
        del parts[2:]  # a place in the repository: tree/main/src
    owner, repository = parts[0], parts[1].removesuffix(".git") if len(parts) > 1 else "*"
    if len(parts) > 2 or not _NAME.fullmatch(owner) or not (repository == "*" or _NAME.fullmatch(repository)):
        raise DataError(f"{entry!r} is neither OWNER nor OWNER/REPOSITORY. Write one of these, or an address.")
    return owner.lower() if repository == "*" else f"{owner}/{repository}".lower()
