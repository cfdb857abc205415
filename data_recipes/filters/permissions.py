"""Who may be in the dataset at all: the opt-out list and the licence list. Their rejects never reach the store."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from data_recipes.errors import DataError
from data_recipes.filters.filter import Drop
from data_recipes.sources.row import Row

Names = str | os.PathLike[str] | Iterable[str]


@dataclass(frozen=True, slots=True)
class Permissions:
    """The opt-outs and the licences of a run.

    `opt_outs` are owners (`octocat`) and repositories (`octocat/hello`), `licenses` the licences that a file may
    have; None takes any. Either is a list of names or a text file with one a line; `#` begins a comment. Where the
    source gives licences, a file without one is dropped unless `keep_unlicensed` is set.

    >>> Permissions(opt_outs=["octocat"]).drop(Row("x", "a.py", 1, "py", "Python", "0", 1, 1, 1, repo="OctoCat/a"))
    Drop(reason='opt_out', detail='')
    """

    opt_outs: Names = ()
    licenses: Names | None = None
    keep_unlicensed: bool = False
    _left: frozenset[str] = field(init=False, repr=False)
    _allowed: frozenset[str] | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_left", names_of(self.opt_outs, "opt_outs"))
        allowed = None if self.licenses is None else names_of(self.licenses, "licenses")
        object.__setattr__(self, "_allowed", allowed)

    def needs(self) -> Mapping[str, str]:
        """The fields that a source must have, each with what needs it."""
        needs = {"repo": "the opt-out list"} if self._left else {}
        return needs | ({"licenses": "the licence list"} if self._allowed is not None else {})

    def settings(self) -> dict[str, object]:
        """All that the decisions depend on, as JSON values."""
        allowed = None if self._allowed is None else sorted(self._allowed)
        return {"opt_outs": sorted(self._left), "licenses": allowed, "keep_unlicensed": self.keep_unlicensed}

    def about(self) -> dict[str, object]:
        """What the card says of it: how many opt-outs there are, never whose."""
        return {**self.settings(), "opt_outs": len(self._left)}

    def drop(self, row: Row) -> Drop | None:
        """Why the row may not be published, if so. An opt-out is dropped without saying whose it was."""
        if self._left and row.repo is not None:
            repo = row.repo.lower()
            if repo in self._left or repo.partition("/")[0] in self._left:
                return Drop("opt_out", "")
        return self._license(row.licenses)

    def _license(self, licenses: Sequence[str] | None) -> Drop | None:
        if licenses is None:
            return Drop("unlicensed", "unknown licence") if self._allowed is not None else None
        # Differs from the report: its source held licensed files only; here a file without a licence is dropped.
        if not licenses:
            return None if self.keep_unlicensed else Drop("unlicensed", "the source names no licence")
        if self._allowed is not None and (others := [x for x in licenses if x.lower() not in self._allowed]):
            return Drop("license", f"{', '.join(others)} not on the licence list")
        return None


def names_of(given: Names, what: str) -> frozenset[str]:
    """The names of a list, or of a text file with one a line, in lower case."""
    if isinstance(given, str | os.PathLike):
        path = Path(given)
        if not path.is_file():
            raise DataError(f"{what}: {path} is no file. Pass a text file with one name a line, or a list of names.")
        given = [line.partition("#")[0] for line in path.read_text("utf-8").splitlines()]
    return frozenset(name.strip().strip("/").lower() for name in given if name.strip())
