"""Choose which files a run takes, by language and by path."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from data_recipes.errors import DataError
from data_recipes.filters.filter import Drop
from data_recipes.sources.language_names import KINDS, languages_of_kind, spelled
from data_recipes.sources.row import Row


@dataclass(frozen=True, slots=True)
class PathChoice:
    """Files of some languages whose paths match: every file that is left out has a reason.

    `languages` are names in any case, or kinds of languages (`programming`, `markup`, `data`, `prose`); none take all. `include` and `exclude` are patterns as in a `.gitignore`
    (`src/`, `*.sql`, `**/migrations/**`, `!keep.py`), matched against the row's path. A file must match `include`, where
    there is any, and must not match `exclude`.

    >>> choice = PathChoice(languages=["python"], exclude=["tests/"])
    >>> choice.reason("Java", "a.java"), choice.reason("Python", "tests/a.py"), choice.reason("Python", "a.py")
    (Drop(reason='other_language', detail='Java'), Drop(reason='excluded', detail='tests/'), None)
    """

    languages: Sequence[str] = ()
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    _wanted: frozenset[str] = field(init=False, repr=False)
    _include: Any = field(init=False, repr=False)
    _exclude: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_wanted", frozenset(_wanted(self.languages)))
        object.__setattr__(self, "_include", _patterns("include", self.include))
        object.__setattr__(self, "_exclude", _patterns("exclude", self.exclude))

    def about(self) -> dict[str, list[str]]:
        """Return the choice as JSON values."""
        return {"languages": list(self.languages), "include": list(self.include), "exclude": list(self.exclude)}

    def drop(self, row: Row) -> Drop | None:
        """Return why a row is left out, or None."""
        return self.reason(row.lang, row.path)

    def reason(self, lang: str, path: str) -> Drop | None:
        """Return why a file of this language and path is left out, or None."""
        if self._wanted and lang.lower() not in self._wanted:
            return Drop("other_language", lang)
        if self._include is not None and not self._include.match_file(path):
            return Drop("not_included", f"matches none of {', '.join(self.include)}")
        if self._exclude is not None and (found := self._exclude.check_file(path)).include:
            return Drop("excluded", self.exclude[found.index])
        return None


def _wanted(languages: Sequence[str]) -> Iterator[str]:
    """Yield the languages in lower case, those of a kind in place of its name."""
    for name in languages:
        if name.lower() in KINDS:
            yield from map(str.lower, languages_of_kind(name.lower()))
        else:
            yield spelled(name).lower()


def _patterns(name: str, given: Sequence[str]) -> Any:
    """Return the compiled patterns, None for none."""
    if not given:
        return None
    from pathspec import GitIgnoreSpec

    for pattern in given:
        try:
            GitIgnoreSpec.from_lines([pattern])
        except (ValueError, TypeError) as error:
            expected = "Expected a pattern as in a .gitignore, for example **/tests/**."
            raise DataError(f"{name}: {pattern!r} is no pattern: {error}. {expected}") from error
    return GitIgnoreSpec.from_lines(given)
