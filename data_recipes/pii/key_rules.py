"""Read the rules for keys from TOML files, and check each.

A rule describes one documented format. Its expression works on UTF-8 bytes and may use only what Python's `re`, RE2
and Hyperscan read alike, so that every engine gives the same spans.
"""

import re
import tomllib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from data_recipes.errors import DataError
from data_recipes.pii.assignments import PLACES

RULE_TYPES = ("KEY", "PASSWORD", "USERNAME")
"""The types that a rule can find."""

KINDS = ("token", "named", "generic", "password", "block", *PLACES)
"""What a rule relies on: a format of its own, a vendor's name, a telling name, a place, or a header and a
footer; or how a value with a name ends."""

ROLES = ("", "strong", "weak")
"""What the place of a value says of it, where no name does."""

_NAMES = ("structures.toml", "prefixed.toml", "vendors.toml", "generic.toml", "assignments.toml")
_REQUIRED = {"id": str, "about": str, "source": str, "keywords": list, "samples": list}
_OPTIONAL = {
    "type": str,
    "kind": str,
    "regex": str,
    "words": str,
    "value": str,
    "end": str,
    "charset": str,
    "entropy": float,
    "inside": str,
    "role": str,
    "sign": str,
    "non_samples": list,
}
# Lookaround and back-references are no regular language; `$` and `\s` mean other things in other engines.
_NOT_SHARED = re.compile(r"\\.|\[\^?(?:\\.|[^\]\\])*\]|(?P<bad>\(\?(?:[=!>]|<[=!]|P[=<]|\()|\$|[*+?}]\+)", re.DOTALL)
_NOT_SHARED_ESCAPE = re.compile(r"\\[sSBAZzGpPXRhHvVNKCQEuU0-9]")
CHARSETS: Mapping[str, tuple[str, ...]] = {
    "any": (),
    "digits": (),
    "hex": ("[0-9]", "[A-Fa-f]"),
    "base32": ("[2-7]", "[A-Za-z]"),
    "base36": ("[0-9]", "[A-Za-z]"),
    "base62": ("[0-9]", "[a-z]", "[A-Z]"),
    "base64": ("[0-9]", "[a-z]", "[A-Z]"),
}
"""The alphabets of keys, and the classes that a random key of each one has a character of."""

# A vendor's name, the rest of the name, what assigns, and what opens the value.
_NAMED = (
    r"(?i:{words})[A-Za-z0-9_.\-]{{0,40}}(?: [A-Za-z0-9_.\-]{{1,16}}){{0,2}}"
    r"(?:\\?[\"'`]|&quot;)?[\])]?(?: \{{ get;[a-z ]{{0,12}} set; \}})?[ \t]{{0,40}}"
    r"(?:=>|:{{1,3}}=|\?=|\|\||={{1,3}}|:{{1,2}}|,|>|\(|[ \t]|[\"'] value=|</[a-z]{{1,10}}><[a-z]{{1,10}}>)[ \t\r\n]{{0,12}}"
    r"(?:[A-Za-z_.]{{0,24}}\()?(?:[bruBRU@$]{{0,2}}(?:\\{{0,2}}[\"'`]|&quot;)|<!\[CDATA\[|Bearer |Token |Basic )?"
    r"({value})"
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `regex` is over bytes; its first group, or else all of it, is the value; `end` closes a block.

    `role` says what the value of a place without a name is: `strong` is surely a key, `weak` perhaps.
    `sign` is an expression that is quicker to search for and matches wherever `regex` does, up to where that ends.
    """

    id: str
    about: str
    source: str
    type: str
    kind: str
    keywords: tuple[str, ...]
    regex: str
    end: str
    charset: str
    entropy: float
    role: str
    sign: str
    inside: re.Pattern[bytes]
    outside: re.Pattern[bytes]
    samples: tuple[str, ...]
    non_samples: tuple[str, ...]

    def is_unsure(self, role: str) -> bool:
        """Return whether a name of this role may stand in a list of words, where it is no name."""
        return self.needs_name and role in RULE_TYPES

    @property
    def needs_name(self) -> bool:
        """Whether the name of a value tells what it is; else its place does."""
        return not self.role and (self.type == "KEY" or (self.type == "USERNAME" and self.kind != "word"))


class _RuleError(ValueError):
    """What is wrong with a field of a rule."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@cache
def key_rules() -> tuple[Rule, ...]:
    """Return the rules that this package comes with; of two that find the same, the earlier one counts."""
    folder = files("data_recipes.pii") / "rules"
    return tuple(rule for name in _NAMES for rule in _read(folder / name, name, is_checked=False))


def load_rules(path: str | Path) -> tuple[Rule, ...]:
    """Read rules for keys from a TOML file, in the format of `data_recipes/pii/rules`.

    A rule that can't be used is a DataError that names the file, the line, the rule and what is expected.
    """
    return tuple(_read(Path(path), str(path)))


def _read(path: Path | Traversable, name: str, *, is_checked: bool = True) -> Iterator[Rule]:
    try:
        text = path.read_text("utf-8")
        table = tomllib.loads(text)
    except OSError as error:
        raise DataError(f"{name}: not readable ({error.strerror}). Pass a TOML file of rules.") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"{name}: no TOML ({error}). Expected tables [[rule]].") from error
    entries = table.get("rule")
    if not isinstance(entries, list) or not entries or set(table) != {"rule"}:
        raise DataError(f"{name}: tables found: {', '.join(table) or 'none'}. Expected only tables [[rule]].")
    seen: set[str] = set()
    for number, entry in enumerate(entries):
        try:
            rule = _rule(entry, seen, is_checked=is_checked)
        except _RuleError as error:
            at = _line(text, number, error.field)
            raise DataError(f"{name}:{at}: rule {entry.get('id', f'number {number + 1}')!r}: {error}") from error
        seen.add(rule.id)
        yield rule


def _line(text: str, number: int, field: str) -> int:
    """The line of a field of the rule with this number, or else of the rule's head."""
    heads = [at for at, line in enumerate(text.split("\n"), 1) if line.strip().startswith("[[rule]]")]
    first, last = heads[number], [*heads, text.count("\n") + 2][number + 1]
    lines = text.split("\n")
    return next((at for at in range(first, last) if re.match(rf"\s*{field}\s*=", lines[at - 1])), first)


def _rule(entry: Mapping[str, Any], seen: Container[str], *, is_checked: bool) -> Rule:
    fields = _REQUIRED | _OPTIONAL
    for field, value in entry.items():
        if field not in fields:
            raise _RuleError(field, f"field {field!r} is unknown. Fields: {', '.join(fields)}.")
        if not isinstance(value, fields[field]):
            raise _RuleError(field, f"{field} is {value!r}, expected {fields[field].__name__}.")
    if entry.get("id") in seen:
        raise _RuleError("id", "the id stands twice. Give each rule an id of its own.")
    for field in _REQUIRED:
        if not entry.get(field):
            raise _RuleError(field, f"field {field!r} is missing or empty.")
    kind, charset = entry.get("kind", "named" if "words" in entry else "token"), entry.get("charset", "any")
    for field, value, known in (
        ("kind", kind, KINDS),
        ("charset", charset, CHARSETS),
        ("role", entry.get("role", ""), ROLES),
    ):
        if value not in known:
            raise _RuleError(field, f"{field}={value!r} is unknown. Choose one of {', '.join(known)}.")
    inside = entry.get("inside", "A-Za-z0-9_/+-" if "words" in entry else "A-Za-z0-9")
    if (found := entry.get("type", "KEY")) not in RULE_TYPES:
        raise _RuleError("type", f"type={found!r} is unknown. Choose one of {', '.join(RULE_TYPES)}.")
    return Rule(
        id=entry["id"],
        about=entry["about"],
        source=entry["source"],
        type=found,
        kind=kind,
        keywords=_keywords(entry["keywords"]),
        regex=_expression(entry, _checked if is_checked else _as_it_is),
        end=_checked("end", entry.get("end", "")),
        charset=charset,
        entropy=entry.get("entropy", 0.0),
        role=entry.get("role", ""),
        sign=(_checked if is_checked else _as_it_is)("sign", entry.get("sign", "")),
        inside=_set_of(inside),
        outside=_set_of(f"^{inside}"),
        samples=tuple(entry["samples"]),
        non_samples=tuple(entry.get("non_samples", ())),
    )


def _keywords(found: Iterable[Any]) -> tuple[str, ...]:
    """The literals of which one is in whatever the rule finds; one with a capital letter in this very case."""
    words = tuple(found)
    for word in words:
        if not isinstance(word, str) or not word or not word.isascii():
            raise _RuleError("keywords", f"keyword {word!r}: expected ASCII characters.")
    return words


def _as_it_is(_field: str, regex: str) -> str:
    """Return an expression of this package, which its tests have checked: that takes longer than most searches."""
    return regex


def _expression(entry: Mapping[str, Any], checked: Callable[[str, str], str]) -> str:
    has_words = "words" in entry and "value" in entry
    if has_words == ("regex" in entry):
        raise _RuleError("regex", "expected either 'regex', or 'words' and 'value'.")
    if not has_words:
        return checked("regex", entry["regex"])
    words, value = checked("words", entry["words"]), checked("value", entry["value"])
    return checked("words", _NAMED.format(words=words, value=value))


def _checked(field: str, regex: str) -> str:
    """The expression, if all engines read it alike."""
    if not regex.isascii():
        raise _RuleError(field, f"{field} has a character outside ASCII. Rules describe bytes.")
    for found in _NOT_SHARED.finditer(regex):
        if found["bad"] or _NOT_SHARED_ESCAPE.search(found[0]):
            raise _RuleError(
                field,
                f"{field} has {found[0]!r} at {found.start()}, which is not the same in all engines. "
                "Leave out lookaround, back-references, possessive repeats, named groups, `$` and `\\s`.",
            )
    try:
        compiled = re.compile(regex.encode())
    except re.error as error:
        raise _RuleError(field, f"{field} is no regular expression: {error}.") from error
    if compiled.groups > 1:
        raise _RuleError(field, f"{field} has {compiled.groups} groups. Expected at most one, around the value.")
    if regex and compiled.match(b""):
        raise _RuleError(field, f"{field} matches nothing at all. Let it need a character.")
    return regex


@cache
def _set_of(chars: str) -> re.Pattern[bytes]:
    """A pattern of one of the characters that go on with a value, or of one that does not."""
    try:
        return re.compile(f"[{chars}]".encode())
    except re.error as error:
        raise _RuleError("inside", f"inside is no set of characters: {error}.") from error
