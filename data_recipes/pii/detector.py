"""Say what is searched for: types, rules for keys and recognizers, checked once, for all processes."""

from collections.abc import Sequence
from typing import Any

from data_recipes.errors import DataError
from data_recipes.pii.find import asked_types, find_pii
from data_recipes.pii.finding import Finding
from data_recipes.pii.key_engine import KeyEngine
from data_recipes.pii.key_rules import key_rules, load_rules
from data_recipes.pii.recognizers import other_recognizers


class Detector:
    """Finds personal data in a text. It can be pickled if its recognizers can; names of recognizers always can.

    Args:
        types: Types to find, of this package's and the recognizers'; None: the default ones and all of the recognizers'.
        rules: A TOML file of rules for keys besides those of this package.
        recognizers: presidio recognizers or their names, `module:NAME`.

    Raises:
        DataError: a type, the file or a recognizer can't be used.

    >>> Detector(("NAME",))("Author: Ann Lee <ann@corp.io>")
    [Finding(start=8, end=15, type='NAME', rule='name-of-address')]
    """

    def __init__(
        self, types: Sequence[str] | None = None, rules: str | None = None, recognizers: Sequence[Any] = ()
    ) -> None:
        self._given = (None if types is None else tuple(types), rules, recognizers)
        self._others = other_recognizers(recognizers)
        self.types = asked_types(types, self._others)
        if not self.types:
            raise DataError("find_pii: no type is given. Name at least one, or leave types out.")
        self._engine = None if rules is None else KeyEngine((*load_rules(rules), *key_rules()))

    def __reduce__(self) -> tuple[Any, ...]:
        return Detector, self._given

    def __call__(self, text: str) -> list[Finding]:
        """Return the finds in order and without overlap; of those that overlap the first counts, then the longest."""
        return find_pii(text, self.types, engine=self._engine, recognizers=self._others)
