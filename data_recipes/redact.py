"""Redaction of personal data in source code: same value, same replacement; nothing outside the finds changes."""

import hashlib
import hmac
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_lowercase

from data_recipes.errors import DataError
from data_recipes.pii_rules import has_email_candidate, has_ip_candidate

TYPES: Mapping[str, Callable[[str], bool]] = {"EMAIL_ADDRESS": has_email_candidate, "IP_ADDRESS": has_ip_candidate}
"""The types that can be found, each with a quick look whether a text may hold it."""

STYLES = ("santacoder",)
_PRIVATE_IPV4 = ipaddress.IPv4Network("172.16.0.0/12")
_PRIVATE_IPV6 = ipaddress.IPv6Network("fd00::/8")


@dataclass(frozen=True, slots=True)
class Finding:
    """One find: its place in characters, its type, and the rule that found it. It never holds the value."""

    start: int
    end: int
    type: str
    rule: str


@dataclass(frozen=True, slots=True)
class Redacted:
    """A redacted text, and the finds with their places in the original."""

    text: str
    findings: list[Finding]


def find_pii(text: str, types: Sequence[str] = ("EMAIL_ADDRESS", "IP_ADDRESS")) -> list[Finding]:
    """The personal data in a text, in order and without overlap.

    Texts without an "@" between words or a dotted quad are answered without presidio.

    >>> find_pii("author = 'bob@corp.io'")
    [Finding(start=10, end=21, type='EMAIL_ADDRESS', rule='email')]
    """
    if unknown := [name for name in types if name not in TYPES]:
        raise DataError(f"find_pii: type {unknown[0]!r} is not available. Types of this version: {', '.join(TYPES)}.")
    wanted = [name for name in types if TYPES[name](text)]
    if not wanted:
        return []
    from data_recipes.recognizers import analyze

    findings: list[Finding] = []
    for start, end, kind, rule in analyze(text, wanted):
        if not findings or start >= findings[-1].end:
            findings.append(Finding(start, end, kind, rule))
    return findings


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
