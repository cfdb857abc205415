"""Replace a value by one of its length: letters by letters of their case, digits by digits."""

import re
from string import ascii_lowercase, ascii_uppercase, digits

from data_recipes.pii.emails_spelt_out import PARTS, is_spelt_out
from data_recipes.pii.key_blocks import ESCAPE

_TOKEN = re.compile(rf"({ESCAPE})|.", re.DOTALL)
_CONSONANTS = "bcdfghjklmnpqrstvwxz"
_NO_TOP_LEVEL = "qj"  # no top-level domain is written with these two letters alone
_OTHER = "àáâãäåçèéêëìíîïñòóôõöùúûü"
_FILLERS = frozenset("xX0ö")
# Loopback, and the range that was never given out.
_THREE_DIGITS = ("127", *(str(octet) for octet in range(240, 255)))


def same_shape_key(value: str, stream: bytes, level: int = 0) -> str:
    """Return a value whose first letters and digits are drawn and whose second half is x, X and 0.

    No key ends like that, so it is known for a replacement. A higher level draws fewer.
    """
    count = sum(1 for token in _TOKEN.finditer(value) if not token[1] and token[0].isalnum())
    left = _drawn_length(count) >> level
    parts: list[str] = []
    for token, byte in zip(_TOKEN.finditer(value), stream, strict=False):
        char = token[0]
        if token[1] or not char.isalnum():
            parts.append(char)
            continue
        parts.append(_like(char, byte, ascii_lowercase) if left > 0 else _filler(char))
        left -= 1
    return "".join(parts)


def has_shape(value: str) -> bool:
    """Tell whether a value has a letter or digit that can be replaced, outside of escapes."""
    return any(not token[1] and token[0].isalnum() for token in _TOKEN.finditer(value))


def is_same_shape_key(value: str) -> bool:
    """Tell whether a value can only be one that `same_shape_key` wrote."""
    chars = [token[0] for token in _TOKEN.finditer(value) if not token[1] and token[0].isalnum()]
    return bool(chars) and set(chars[_drawn_length(len(chars)) :]) <= _FILLERS


def same_shape_email(value: str, stream: bytes) -> str:
    """Return an address whose last label, or local part before an IP address, is of the letters q and j: nobody's."""
    if is_spelt_out(value):
        words, signs = PARTS.split(value), PARTS.findall(value)
        drawn = [_drawn(word, stream[8 * at :], _CONSONANTS) for at, word in enumerate(words[:-1])]
        drawn.append(_drawn(words[-1], stream[-64:], _NO_TOP_LEVEL))
        return "".join(f"{word}{sign}" for word, sign in zip(drawn, [*signs, ""], strict=True))
    local, _, domain = value.rpartition("@")
    rest = stream[len(local) :]
    if domain.startswith("["):
        prefix = "[IPv6:" if domain.startswith("[IPv6:") else "["
        address = same_shape_address(domain[len(prefix) : -1], rest)
        # The letters of other scripts too: one that stayed apart from q and j would make it an address again.
        plain = "".join("q" if char.isalpha() and not char.isascii() else char for char in local)
        return f"{_drawn(plain, stream, _NO_TOP_LEVEL)}@{prefix}{address}]"
    before, dot, last = domain.rpartition(".")
    # Without vowels no label becomes com, net or org, after which a sentence may go on.
    return f"{_drawn(local, stream)}@{_drawn(before, rest, _CONSONANTS)}{dot}{_drawn(last, rest[-64:], _NO_TOP_LEVEL)}"


def same_shape_address(value: str, stream: bytes) -> str:
    """Return an IP address of no public range, each number or group as long as it was."""
    groups, colon, quad = value.rpartition(":")
    if colon and "." in quad:
        return f"{_outside_public(groups, stream)}:{'.'.join(_octets(quad.split('.'), stream[32:]))}"
    if colon:
        return _outside_public(value, stream)
    first, *others = quad.split(".")
    head = ("0", "10", _THREE_DIGITS[stream[0] % len(_THREE_DIGITS)])[len(first) - 1]
    return ".".join([head, *_octets(others, stream[32:])])


def _outside_public(groups: str, stream: bytes) -> str:
    """Groups of an IPv6 address that don't begin with 2 or 3, as all public ones do."""
    drawn = _drawn(groups, stream, "abcdef")
    return drawn if groups.startswith(":") else "0" + drawn[1:]


def _octets(octets: list[str], stream: bytes) -> list[str]:
    return [_octet(octet, byte) for octet, byte in zip(octets, stream, strict=False)]


def _octet(octet: str, byte: int) -> str:
    first, count = {1: (0, 10), 2: (10, 90), 3: (100, 156)}[len(octet)]
    return str(first + byte % count)


def _drawn_length(count: int) -> int:
    return count // 2 if count >= 4 else 0


def _drawn(value: str, stream: bytes, letters: str = ascii_lowercase) -> str:
    return "".join(_like(char, byte, letters) for char, byte in zip(value, stream, strict=False))


def _like(char: str, byte: int, letters: str) -> str:
    """A character of the same class; `letters` are the lower-case ones to draw from."""
    if char in digits:
        return digits[byte % 10]
    if char in ascii_lowercase:
        return letters[byte % len(letters)]
    if char in ascii_uppercase:
        return letters[byte % len(letters)].upper()
    return _OTHER[byte % len(_OTHER)] if char.isalnum() else char


def _filler(char: str) -> str:
    if char in digits:
        return "0"
    if not char.isascii():
        return "ö"
    return "x" if char in ascii_lowercase else "X"
