"""What is searched for: types, further rules for keys and other recognizers, checked once and carried to other processes."""

from collections.abc import Sequence
from typing import Any

from data_recipes.errors import DataError
from data_recipes.pii.find import find_pii
from data_recipes.pii.finding import DEFAULT_TYPES, TYPES, Finding
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
        known = tuple(dict.fromkeys([*TYPES, *(kind for other in self._others for kind in other.types)]))
        asked = (*DEFAULT_TYPES, *(kind for other in self._others for kind in other.types)) if types is None else types
        if isinstance(asked, str) or not asked or set(asked) - set(known):
            wrong = asked if isinstance(asked, str) else next((one for one in asked if one not in known), "none")
            raise DataError(f"find_pii: type {wrong!r} is not available. Types: {', '.join(known)}.")
        self.types = tuple(kind for kind in known if kind in asked)
        self._engine = None if rules is None else KeyEngine((*load_rules(rules), *key_rules()))

    def __reduce__(self) -> tuple[Any, ...]:
        return Detector, self._given

    def __call__(self, text: str) -> list[Finding]:
        """Return the finds in order and without overlap; of those that overlap the first counts, then the longest."""
        own = find_pii(text, [kind for kind in self.types if kind in TYPES], engine=self._engine)
        if not self._others:
            return own
        more = [find for other in self._others for find in other.findings(text) if find.type in self.types]
        kept: list[Finding] = []
        for find in sorted([*own, *more], key=lambda one: (one.start, -one.end, one.rule.startswith("recognizer:"))):
            if not kept or find.start >= kept[-1].end:
                kept.append(find)
        return kept
