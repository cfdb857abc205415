"""Find public IP addresses in source code, and tell them from version numbers, slices and scopes.

Both patterns begin with a literal, which `re` skips to quickly; what surrounds a candidate is looked at only where
the number itself can be a public address.
"""

import ipaddress
import re
from bisect import bisect_left
from collections.abc import Iterator
from functools import lru_cache
from heapq import merge

from data_recipes.pii.finding import Span

# The public resolvers whose addresses the report leaves alone.
DNS_SERVERS = frozenset(
    {
        "1.0.0.1",
        "1.1.1.1",
        "8.20.247.20",
        "8.26.56.26",
        "8.8.4.4",
        "8.8.8.8",
        "9.9.9.9",
        "76.223.122.150",
        "76.76.19.19",
        "94.140.14.14",
        "94.140.15.15",
        "149.112.112.112",
        "208.67.220.220",
        "208.67.222.222",
    },
)
_DNS_SERVERS_V6 = frozenset(
    ipaddress.IPv6Address(f"{prefix}::{host}")
    for prefix, hosts in {
        "2001:4860:4860": ("8888", "8844"),
        "2606:4700:4700": ("1111", "1001"),
        "2620:fe": ("fe", "9"),
    }.items()
    for host in hosts
)
_IPV4 = re.compile(r"\.(?<=[0-9]\.)[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(?!\.?[0-9])")
# 2000::/3 is all of the public space that was ever given out, so the first group has four digits and begins with 2 or 3.
_IPV6 = re.compile(
    r":(?<=[23][0-9A-Fa-f]{3}:)(?:(?<![\w.:][0-9A-Fa-f]{4}:)|(?<=\\[nrt][0-9A-Fa-f]{4}:)|(?<=[^0-9A-Fa-f:]:[0-9A-Fa-f]{4}:))"
    r"[0-9A-Fa-f:.]{2,}"
)
# The word before a number that makes it a version, a section or an object identifier.
_VERSION_WORD = re.compile(
    r"version|release|revision|firmware|build|chapter|identifier|section"
    r"|(?:\b|_)(?:oid|rev|sect?|since|v8|v|ver|jdk|jre|jls|jvms|fig|figure|table|appendix)\b|§",
    re.IGNORECASE,
)
_STANDARD = re.compile(r"(?:rfc|iso)[ -]?[0-9]+\Z", re.IGNORECASE)
_WORD_BACKWARDS = re.compile(r"[\w.§-]*")
_REQUIREMENT_BEFORE = re.compile(r"(?:[\w\]]\s?(?:[=~<>!]=|===|<|>)|[\"'\s,^~](?:[~<>]=|===|[\^~<>]))\s?\Z")
_OBJECT_IDENTIFIER = re.compile(r"(?:1\.3\.(?:6|14|36|101|132)|2\.5\.(?:4|8|29))\.")
_TAG_BEFORE = re.compile(r"<[A-Za-z/][^<>]*>\Z")
_ADDRESS_WORD = re.compile(
    r"addr|cidr|dns|gateway|(?<![a-z])hosts?(?![a-z])|hostname|inet|(?<![a-z])ips?(?![a-z])|ipv4|(?<![a-z])ping(?![a-z])"
    r"|nameserver|netmask|resolver|(?<![a-z])ssh|subnet"
)
# These are said of much else; they count beside a number that is a literal of its own.
_NETWORK_WORD = re.compile(
    _ADDRESS_WORD.pattern + r"|bind|client|connect|endpoint|(?<![a-z])host|listen|mask|network|peer|proxy|remote|route"
    r"|server|socket|(?<![a-z])tcp|(?<![a-z])udp|(?<![a-z])url"
)
_MASK_V4 = re.compile(r"/(?:3[0-2]|[12]?[0-9])(?![\w./-]\w)(?!\w)")
_MASK_V6 = re.compile(r"/(?:12[0-8]|1[01][0-9]|[1-9]?[0-9])(?![\w./-]\w)(?!\w)")
_URL_BEFORE = re.compile(r"(?::|[\"'`\\(=])\\?/\\?/\Z|://[^\s/]*@\Z")
_PORT_AFTER = re.compile(r":[0-9]|/[0-9]{1,2}(?![.\w])")
_RANGE_BEFORE = re.compile(r"(?<![\w.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}-\Z")
_RANGE_AFTER = re.compile(r"-[0-9]{1,3}(?:\.|\b)|-(?![^\W_])")
_ADDRESS_WORD_CHARS = 60
# dnsmasq: address=/name/IP
_DNSMASQ = re.compile(r"(?:address|server|local|rev-server)=(?:/[\w.*-]+)+/\Z")
_NAME_CHARS = 300
_OPEN = frozenset(" \t\r\n\"'`([{<>=,;:|@")
_CHUNK = 4096
_SMALL_OCTET = 32


def ip_spans(text: str) -> Iterator[Span]:
    """Yield the public IP addresses of a text, in order and without overlap.

    Left out: private, reserved and documentation ranges, the best-known DNS resolvers, versions, object
    identifiers, section numbers, slices and scopes. An IPv6 address needs three groups that are written out.
    """
    end = 0
    for span in merge(_ipv4_spans(text), _ipv6_spans(text), key=lambda span: (span.start, -span.end)):
        if span.start >= end:
            end = span.end
            yield span


def _ipv4_spans(text: str) -> Iterator[Span]:
    words = _AddressWords(text)
    for found in _IPV4.finditer(text):
        end = found.end()
        start = dot = found.start()
        while start and dot - start < 4 and text[start - 1] in "0123456789":
            start -= 1
        if (size := _size(text[start:end])) and _is_address(text, start, end, words, is_large=size > 1):
            yield Span(start, _with_mask(text, start, end, _MASK_V4), "ipv4")


def _ipv6_spans(text: str) -> Iterator[Span]:
    for found in _IPV6.finditer(text):
        if span := _public_ipv6(text, found.start() - 4, found.end()):
            yield span


@lru_cache(1 << 14)
def _size(value: str) -> int:
    """2 for an IPv4 address, 1 for one that may as well be a version, 0 for what is no public address.

    Four numbers of which only one is at least 32, and not the first, are a version, a section or an object
    identifier far more often than one of the few addresses like that.
    """
    try:
        address = ipaddress.IPv4Address(value)
    except ValueError:
        return 0
    # Differs from the report: any version-like address needs a word of networks near it, not only one of four digits.
    # Four times the same number is nobody's address but an example.
    is_nobodys = not address.is_global or address.is_multicast or len(set(address.packed)) == 1
    if is_nobodys or value in DNS_SERVERS or _OBJECT_IDENTIFIER.match(value):
        return 0
    large = [octet >= _SMALL_OCTET for octet in address.packed]
    return 2 if large[0] or sum(large) > 1 else 1


class _AddressWords:
    """Where a text speaks of hosts and addresses; each chunk is read once, and only near a candidate."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._chunks: dict[tuple[re.Pattern[str], int], list[int]] = {}

    def are_near(self, words: re.Pattern[str], start: int, end: int) -> bool:
        """Tell whether one of the words ends near these places."""
        first, last = max(0, start - _ADDRESS_WORD_CHARS), end + _ADDRESS_WORD_CHARS
        number, other = first // _CHUNK, last // _CHUNK
        return self._is_in(words, number, first, last) or (number != other and self._is_in(words, other, first, last))

    def _is_in(self, words: re.Pattern[str], number: int, first: int, last: int) -> bool:
        if (words, number) not in self._chunks:
            begin = max(0, number * _CHUNK - 12)  # a word may begin in the chunk before
            chunk = self._text[begin : (number + 1) * _CHUNK].lower()
            self._chunks[words, number] = [begin + found.end() for found in words.finditer(chunk)]
        ends = self._chunks[words, number]
        at = bisect_left(ends, first + 2)
        return at < len(ends) and ends[at] <= last


def _is_address(text: str, start: int, end: int, words: _AddressWords, *, is_large: bool) -> bool:
    """Whether what stands around a public dotted quad lets it be an address."""
    if not _stands_alone(text, start, end):
        return False
    before = text[max(0, start - 60) : start]
    is_url = before[-1:] in {"/", "@"} and _URL_BEFORE.search(before[-40:]) is not None
    if not (is_large or is_url or _PORT_AFTER.match(text, end)):
        is_literal = before[-1:] in {'"', "'", "`", "["} and text[end : end + 1] in {'"', "'", "`", "]", "\\"}
        # One that ends in zeros is a version, where nobody says otherwise.
        is_plain = is_literal and not text.endswith(".0.0.0", start, end)
        if not words.are_near(_NETWORK_WORD if is_plain else _ADDRESS_WORD, start, end):
            return False
    if _REQUIREMENT_BEFORE.search(before[-8:]) and not _TAG_BEFORE.search(before):
        return False
    return not _is_version_before(before)


def _is_version_before(line: str) -> bool:
    """Whether the last word of a line says that a version, a section or an object identifier follows."""
    plain = line.rstrip(" \t\r\n\"'()[]:=,<>")
    found = _WORD_BACKWARDS.match(plain[::-1])
    word = found.group()[::-1] if found else ""
    is_standard = word[-1:].isdigit() and _STANDARD.search(plain[-16:]) is not None
    return is_standard or _VERSION_WORD.search(word) is not None


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether the characters around a dotted quad let it be an address: no longer number, word or path."""
    last, first = text[start - 1 : start], text[end : end + 1]
    if last not in _OPEN and not _is_open_before(text, start, last):
        return False
    if first.isalnum() or first == "_":
        return False
    if first == "-":  # a range of addresses goes on with a digit, a version with a word
        return _RANGE_AFTER.match(text, end) is not None
    return not (first and first in ".+~" and text[end + 1 : end + 2].isalnum())


def _is_open_before(text: str, start: int, last: str) -> bool:
    """Whether a character that may go on with something lets a number begin after it."""
    before = text[max(0, start - 5) : start]
    if last.isalnum():
        return last in "nrt" and before[-2:-1] == "\\"
    if last in "-+":
        return not before[-2:-1].isalnum() or _RANGE_BEFORE.search(text, max(0, start - 17), start) is not None
    if last == "/":
        is_path = before[-2:-1] not in {"/", "\\", ""} and not before.endswith("ip4/")
        return not is_path or _DNSMASQ.search(text, max(0, start - _NAME_CHARS), start) is not None
    return last not in "._"


def _public_ipv6(text: str, start: int, end: int) -> Span | None:
    value = text[start:end].rstrip(".")
    if value.endswith(":") and not value.endswith("::"):
        value = value[:-1]
    end = start + len(value)
    following = text[end : end + 1]
    groups = [group for group in value.split(":") if group]
    if following.isalnum() or following == "_" or len(groups) < 3 or len(value) > 45:
        return None
    try:
        address = ipaddress.IPv6Address(value)
    except ValueError:
        return None
    is_public = address.is_global and not address.is_multicast and address.packed[0] >> 5 == 1
    if not is_public or address in _DNS_SERVERS_V6:
        return None
    return Span(start, _with_mask(text, start, end, _MASK_V6), "ipv6")


def _with_mask(text: str, start: int, end: int, mask: re.Pattern[str]) -> int:
    """The end of an address with its mask (5.9.12.0/24); in a URL, a number after the slash is a path."""
    found = mask.match(text, end) if text[start - 1 : start] not in {"/", "@"} else None
    return found.end() if found else end
