"""Ask a presidio `EntityRecognizer`, or anything with its method `analyze`, beside our own rules.

A recognizer is an object, or the name of one: `package.module:NAME` or `path/to/file.py:NAME`, where NAME is an
instance, or a class or function that makes one without arguments. Nothing here imports presidio.
"""

import importlib
import importlib.util
import ipaddress
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from data_recipes.errors import DataError
from data_recipes.pii.finding import Finding
from data_recipes.pii.replacements import is_replacement

_OUR_NAMES: Mapping[str, str] = {
    "EMAIL": "EMAIL_ADDRESS",
    "IP": "IP_ADDRESS",
    "PERSON": "NAME",
    "PER": "NAME",
    "USER": "USERNAME",
    "USER_NAME": "USERNAME",
    "API_KEY": "KEY",
    "SECRET": "KEY",
}
"""Names that recognizers give to the types of this package, StarPII's among them."""


@dataclass(frozen=True, slots=True)
class OtherRecognizer:
    """A checked recognizer: `types` are those it finds, in this package's names where it has one."""

    name: str
    types: tuple[str, ...]
    entities: tuple[str, ...]
    analyze: Callable[..., Any]

    def findings(self, text: str) -> list[Finding]:
        """Return what it finds in a text, without what can only be a replacement.

        Raises:
            DataError: it raises, or returns something else than results with places in the text.
        """
        try:
            results = list(self.analyze(text, list(self.entities), None))
        except Exception as error:
            raise DataError(
                f"recognizer {self.name} raised {type(error).__name__}: {error} (on a text of {len(text):,} "
                "characters). Mend it, or leave it out."
            ) from error
        found = [self._finding(result, len(text)) for result in results]
        return [one for one in found if not _is_nobodys(one.type, text[one.start : one.end])]

    def _finding(self, result: Any, length: int) -> Finding:
        try:
            start, end, kind = result.start, result.end, _type_of(result.entity_type)
        except AttributeError as error:
            raise DataError(
                f"recognizer {self.name} returned {type(result).__name__}, expected RecognizerResult: objects with "
                "entity_type, start and end."
            ) from error
        if not (isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= length):
            raise DataError(
                f"recognizer {self.name} returned {kind} from {start!r} to {end!r} in a text of {length:,} characters. "
                "Expected a place inside the text: 0 <= start < end."
            )
        return Finding(start, end, kind, f"recognizer:{self.name}")


def other_recognizers(given: Iterable[Any]) -> tuple[OtherRecognizer, ...]:
    """Return the recognizers that are given as objects or by their names.

    Raises:
        DataError: one can't be loaded, or is none.
    """
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise DataError(f"recognizers={given!r}: expected a list of recognizers or of their names.")
    return tuple(map(_recognizer, given))


def _recognizer(given: Any) -> OtherRecognizer:
    if isinstance(given, OtherRecognizer):
        return given
    return _named(given) if isinstance(given, str) else _checked(given, type(given).__name__)


def identity_of(given: Any) -> list[str]:
    """Return what a run knows a recognizer by: its name, its code and what it finds, not the state of a model."""
    from data_recipes.disk.files import checksum  # imports pyarrow, which a search does not need

    made = _recognizer(given)
    code = getattr(sys.modules.get(str(getattr(given, "__module__", ""))), "__file__", None)
    if isinstance(given, str):
        place = given.rpartition(":")[0]
        code = place if place.endswith(".py") else getattr(sys.modules.get(place), "__file__", None)
    return [made.name, *made.types, checksum(Path(code)) if code and Path(code).is_file() else ""]


@lru_cache(16)
def _named(name: str) -> OtherRecognizer:
    place, colon, attribute = name.rpartition(":")
    if not colon or not place or not attribute:
        raise DataError(f"recognizer {name!r}: expected MODULE:NAME or FILE.py:NAME.")
    try:
        module = _module(place)
    except Exception as error:
        raise DataError(
            f"recognizer {name!r}: {place} can't be imported ({type(error).__name__}: {error}). "
            "Pass the name of an installed module, of one in this folder, or a .py file."
        ) from error
    made = getattr(module, attribute, None)
    if made is None:
        raise DataError(f"recognizer {name!r}: {place} has no {attribute!r}.")
    if isinstance(made, type) or not hasattr(made, "analyze"):
        if not callable(made):
            raise DataError(f"recognizer {name!r} is {type(made).__name__}. Expected a presidio EntityRecognizer.")
        try:
            made = made()
        except Exception as error:
            raise DataError(
                f"recognizer {name!r} can't be made without arguments ({type(error).__name__}: {error}). "
                "Name an instance, or a function that makes one."
            ) from error
    return _checked(made, name)


def _module(place: str) -> Any:
    """Import a module by its file or by its name; the current folder is looked in, too."""
    if place.endswith(".py"):
        spec = importlib.util.spec_from_file_location(f"recognizer_{Path(place).stem}", place)
        if spec is None or spec.loader is None:
            raise ImportError("no Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return module
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        return importlib.import_module(place)
    finally:
        sys.path.remove(here)


def _checked(made: Any, name: str) -> OtherRecognizer:
    analyze, entities = getattr(made, "analyze", None), getattr(made, "supported_entities", None)
    is_list = isinstance(entities, Sequence) and not isinstance(entities, str) and len(entities) > 0
    if not callable(analyze) or not is_list or not all(isinstance(one, str) and one for one in entities or ()):
        raise DataError(
            f"recognizer {name} has no analyze(text, entities, nlp_artifacts) with supported_entities. "
            "Expected a presidio EntityRecognizer."
        )
    names = tuple(entities or ())
    return OtherRecognizer(name, tuple(dict.fromkeys(map(_type_of, names))), names, analyze)


def _type_of(entity: str) -> str:
    """Return a type as this package writes it: `Phone number` is PHONE_NUMBER, PERSON is NAME."""
    word = "".join(char if char.isascii() and char.isalnum() else "_" for char in str(entity).upper()).strip("_")
    return _OUR_NAMES.get(word, word or "OTHER")


def _is_nobodys(kind: str, value: str) -> bool:
    """Return whether a value is a replacement, or an address that the rules of this package leave alone as well."""
    if kind == "EMAIL_ADDRESS":
        domain = value.rpartition("@")[2].rstrip(">").lower()
        return domain.endswith(("example.com", "example.org", "example.net")) or not set(domain[-2:]) - set("qj")
    if kind == "IP_ADDRESS":
        try:
            return not ipaddress.ip_interface(value).ip.is_global
        except ValueError:
            return False
    return is_replacement(kind, value)
