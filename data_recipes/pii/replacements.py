"""Draw what stands in for a value, in each style; a replacement is recognised and never replaced again."""

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Callable
from string import ascii_lowercase, digits

from data_recipes.errors import DataError
from data_recipes.pii.emails_spelt_out import is_spelt_out
from data_recipes.pii.finding import TYPES
from data_recipes.pii.key_blocks import is_block, is_replaced_block, replaced_block, tagged_block
from data_recipes.pii.redaction_key import RedactionKey
from data_recipes.pii.replacements_same_length import (
    has_shape,
    is_same_shape_key,
    same_shape_address,
    same_shape_email,
    same_shape_key,
)
from data_recipes.pii.tags import is_tag, tag_of

POLICY_VERSION = 4
"""Raised whenever the same text and key give another redacted text; part of every log line."""

STYLES = ("santacoder", "starcoder", "preserve")
_DRAW_VERSION = 3  # raised only where the same value and key give another replacement
_KEY_CHARS, _KEY_LENGTH, _MARK_LENGTH = ascii_lowercase + digits, 32, 6
_USER, _USER_LENGTH, _NAME_LENGTH = "user", 14, 12
_WIDEST_IPV4 = 12
_PRIVATE_IPV4 = ipaddress.IPv4Network("172.16.0.0/12")
_PRIVATE_IPV6 = ipaddress.IPv6Network("fd00::/8")
_MAX_DRAWS = 64


class Replacements:
    """The replacements of one text: the same value gets the same one, another value another one.

    Each is drawn by HMAC-SHA256 under the key, so without the key it can't be looked up in a table of hashed values. Tags are the same for all values, and `preserve` repeats itself where a short value's shape has
    no room left.
    """

    def __init__(self, key: RedactionKey, style: str) -> None:
        if style not in STYLES:
            raise DataError(f"redact: style={style!r} is not available. Styles of this version: {', '.join(STYLES)}.")
        self._key, self._style = key.secret, style
        self._drawn: dict[tuple[str, str], str] = {}
        self._levels: dict[tuple[str, str], int] = {}
        self._taken: set[str] = set()
        self._full: set[str] = set()

    def of(self, kind: str, value: str) -> str:
        """Return the replacement of a value of this type; an address keeps its mask."""
        if kind == "IP_ADDRESS" and "/" in value:
            address, _, mask = value.partition("/")
            return with_mask(self.of(kind, address), address, int(mask))
        if (kind, value) not in self._drawn:
            self._drawn[kind, value] = self._draw(kind, value)
        return self._drawn[kind, value]

    def redraws(self, kind: str, value: str) -> int:
        """Return how often the replacement of a value was drawn again."""
        return self._levels.get(_without_mask(kind, value), 0)

    def redraw(self, kind: str, value: str) -> None:
        """Draw again, plainer each time, because the detector took the replacement for another find."""
        drawn = _without_mask(kind, value)
        self._levels[drawn] = self._levels.get(drawn, 0) + 1
        self._drawn.pop(drawn, None)

    def _draw(self, kind: str, value: str) -> str:
        make, level = _maker(self._style, kind, value), self._levels.get((kind, value), 0)
        shape = re.sub(r"[a-z]", "a", re.sub(r"[0-9]", "0", value)) if self._style == "preserve" else ""
        drawn = ""
        for attempt in range(1 if shape in self._full else _MAX_DRAWS):
            message = f"{_DRAW_VERSION}\0{kind}\0{level}\0{attempt}\0{value}".encode("utf-8", "surrogatepass")
            block = hmac.digest(self._key, message, hashlib.sha256)
            drawn = make(value, hashlib.shake_256(block).digest(len(value) + 64), level)
            if drawn not in self._taken or is_tag(kind, drawn):
                break
        else:
            self._full.add(shape)
        self._taken.add(drawn)
        return drawn


def is_replacement(kind: str, value: str) -> bool:
    """Tell whether a value can only be the replacement of a key, password or user name, in any style.

    Addresses need no such test: their replacements are none for the detector. The last six characters of a key of
    style `santacoder` follow from the others, which is so for one random key in two thousand million.
    """
    if kind in {"EMAIL_ADDRESS", "IP_ADDRESS"}:
        return False
    if kind == "NAME":
        return is_tag(kind, value) or is_same_shape_key(value) or _is_person(value)
    if is_block(value):
        return is_replaced_block(value)
    is_marked = len(value) in {_KEY_LENGTH, _USER_LENGTH} and value == _marked(value[:-_MARK_LENGTH])
    return is_marked or is_tag(kind, value) or is_same_shape_key(value)


def with_mask(drawn: str, original: str, mask: int) -> str:
    """Return an address with a mask; where the original has no host bits, the result has none, so it stays a network.

    >>> with_mask("172.17.2.53", "93.184.216.0", 24), with_mask("172.17.2.53", "93.184.216.34", 24)
    ('172.17.2.0/24', '172.17.2.53/24')
    """
    try:
        ipaddress.ip_network(f"{original}/{mask}")
    except ValueError:
        return f"{drawn}/{mask}"
    if mask < _WIDEST_IPV4 and ":" not in drawn:
        drawn = "10.0.0.0"
    address = ipaddress.ip_network(f"{drawn}/{mask}", strict=False).network_address
    return f"{address}/{mask}"


def _without_mask(kind: str, value: str) -> tuple[str, str]:
    return kind, value.partition("/")[0] if kind == "IP_ADDRESS" else value


_Maker = Callable[[str, bytes, int], str]


def _maker(style: str, kind: str, value: str) -> _Maker:
    is_address, is_kept_shape = kind in {"EMAIL_ADDRESS", "IP_ADDRESS"}, style == "preserve"
    if not is_address and is_block(value):
        return _tagged_block if style == "starcoder" else _block
    if style == "starcoder" and kind != "IP_ADDRESS":
        return lambda *_: tag_of(kind)
    is_foreign = kind not in TYPES  # a number stays one, whatever it is the number of
    is_coded = kind == "EMAIL_ADDRESS" and "@" not in value and not is_spelt_out(value)  # base64
    is_coded = is_coded or (kind == "IP_ADDRESS" and "." not in value and ":" not in value)
    if is_kept_shape and is_coded:
        return same_shape_key
    if (is_kept_shape or is_foreign) and not is_address and has_shape(value):
        return same_shape_key
    return {
        "EMAIL_ADDRESS": _same_shape_email if is_kept_shape else _email,
        "IP_ADDRESS": _same_shape_address if is_kept_shape else _private_address,
        "USERNAME": _user,
        "NAME": _person,
    }.get(kind, _key)


def _marked(body: str) -> str:
    """The text and six characters that follow from it: anyone can compute them, no key ends in them."""
    sum_of_body = hashlib.sha256(f"stand-in:{body}".encode("utf-8", "surrogatepass")).digest()
    return body + _letters(sum_of_body[:_MARK_LENGTH], ascii_lowercase if body.isalpha() else _KEY_CHARS)


def _letters(stream: bytes, alphabet: str = _KEY_CHARS) -> str:
    return "".join(alphabet[byte % len(alphabet)] for byte in stream)


def _key(value: str, stream: bytes, level: int) -> str:
    """32 of a-z and 0-9, a letter first so that a name stays a name; plainer where the detector insists."""
    del value
    start = ("", "", "example", "x" * 20)[min(level, 3)] or _letters(stream[-1:], ascii_lowercase)
    left = _KEY_LENGTH - _MARK_LENGTH - len(start)
    return _marked(start + _letters(stream[:left], ascii_lowercase if level else _KEY_CHARS))


def _user(value: str, stream: bytes, level: int) -> str:
    del value, level
    return _marked(_USER + _letters(stream[: _USER_LENGTH - _MARK_LENGTH - len(_USER)]))


def _person(value: str, stream: bytes, level: int) -> str:
    """Return a name that is nobody's: a word as it is for a login or a folder, two words with capitals for a person."""
    del level
    word = _marked(_letters(stream[: _NAME_LENGTH - _MARK_LENGTH], ascii_lowercase))
    return f"Person {word.capitalize()}" if " " in value or not value.islower() else f"person{word}"


def _is_person(value: str) -> bool:
    word = value.removeprefix("Person ").removeprefix("person").lower()
    return value[:6].lower() == "person" and len(word) == _NAME_LENGTH and word == _marked(word[:-_MARK_LENGTH])


def _block(value: str, stream: bytes, level: int) -> str:
    return replaced_block(value, stream, is_plain=level > 0)


def _tagged_block(value: str, stream: bytes, level: int) -> str:
    del level
    return tagged_block(value, stream)


def _email(value: str, stream: bytes, level: int) -> str:
    del value, level
    return f"{_letters(stream[:5], ascii_lowercase)}@example.com"


def _same_shape_email(value: str, stream: bytes, level: int) -> str:
    del level
    return same_shape_email(value, stream)


def _private_address(value: str, stream: bytes, level: int) -> str:
    del level
    number = int.from_bytes(stream[:16], "big")
    network = _PRIVATE_IPV6 if ":" in value else _PRIVATE_IPV4
    return str(network[number % network.num_addresses])


def _same_shape_address(value: str, stream: bytes, level: int) -> str:
    del level
    return same_shape_address(value, stream)
