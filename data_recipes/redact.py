"""Redaction of personal data in source code: same value, same replacement; nothing outside the finds changes."""

import hashlib
import hmac
import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from string import ascii_lowercase

from data_recipes.errors import DataError
from data_recipes.findings import Finding, find_pii

STYLES = ("santacoder",)
_PRIVATE_IPV4 = ipaddress.IPv4Network("172.16.0.0/12")
_PRIVATE_IPV6 = ipaddress.IPv6Network("fd00::/8")


@dataclass(frozen=True, slots=True)
class Redacted:
    """A redacted text, and the finds with their places in the original."""

    text: str
    findings: list[Finding]


def redact(text: str, *, seed: int = 0, style: str = "santacoder") -> Redacted:
    """Replace e-mail and public IP addresses by ones of the report's formats.

    E-mail addresses become five letters at example.com, IP addresses become private ones of the same family. In a
    text the same value gets the same replacement and different values get different ones. The result depends on
    `text` and `seed` only; no replacement is ever found again, so redacting twice is redacting once.

    >>> redact("ping 93.184.216.34 # for bob@corp.io").text
    'ping 172.20.66.163 # for glosu@example.com'
    """
    if style not in STYLES:
        raise DataError(f"redact: style={style!r} is not available. Styles of this version: {', '.join(STYLES)}.")
    findings = find_pii(text)
    if not findings:
        return Redacted(text, [])
    replacements: dict[tuple[str, str], str] = {}
    taken: set[str] = set()
    parts: list[str] = []
    end = 0
    for finding in findings:
        key = (finding.rule, text[finding.start : finding.end])
        if key not in replacements:
            replacements[key] = _replacement(*key, seed, taken)
            taken.add(replacements[key])
        parts += (text[end : finding.start], replacements[key])
        end = finding.end
    return Redacted("".join([*parts, text[end:]]), findings)


def _replacement(rule: str, value: str, seed: int, taken: set[str]) -> str:
    """The first replacement of the value's own sequence that no other value of the text has."""
    attempt = 0
    while True:
        # Keyed, so that a replacement can't be looked up in a table of hashed addresses without the seed.
        message = f"{rule}\0{attempt}\0{value}".encode("utf-8", "surrogatepass")
        number = int.from_bytes(hmac.digest(str(seed).encode(), message, hashlib.sha256), "big")
        drawn = _FORMATS[rule](number)
        if drawn not in taken:
            return drawn
        attempt += 1


def _email(number: int) -> str:
    letters = ""
    for _ in range(5):
        number, index = divmod(number, len(ascii_lowercase))
        letters += ascii_lowercase[index]
    return f"{letters}@example.com"


def _ipv4(number: int) -> str:
    return str(_PRIVATE_IPV4[number % _PRIVATE_IPV4.num_addresses])


def _ipv6(number: int) -> str:
    return str(_PRIVATE_IPV6[number % _PRIVATE_IPV6.num_addresses])


_FORMATS: Mapping[str, Callable[[int], str]] = {"email": _email, "ipv4": _ipv4, "ipv6": _ipv6}
