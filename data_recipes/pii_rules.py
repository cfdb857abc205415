"""Where e-mail and public IP addresses stand in source code: candidates by pattern, then structural rules.

Every pattern begins with a literal ("@", "." or ":"), which `re` skips to quickly; what surrounds a candidate is
looked at only where one was found.
"""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

_AT = re.compile(r"@(?<=[\w+-]@)(?=[^\W_][\w-]{0,62}\.)")
_IPV4 = re.compile(r"\.(?<=[0-9]\.)[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(?!\.?[0-9])")
_IPV6 = re.compile(r":[0-9A-Fa-f]{0,4}:")

_DOMAIN = re.compile(r"[^\W_](?:[\w-]*[^\W_])?(?:\.[^\W_](?:[\w-]*[^\W_])?)+")
_MAX_LOCAL, _MAX_DOMAIN = 64, 253
# A local part never begins with what an escape left behind: `"\nbob@…"`, `"\x01Z@…"`, `%3Abob@…`.
_ESCAPE = re.compile(r"(?:(?<=\\)(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|[0-7]{1,3}|[abfnrtv])|(?<=%)[0-9A-Fa-f]{2})")
_URL_USER = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/'\"<>@]*\Z")
_REPOSITORY_USERS = frozenset({"git", "hg", "svn"})
_RESERVED_DOMAIN = re.compile(r"(?:\A|\.)(?:example\.(?:com|net|org)|example|invalid|localhost|test)\Z")
_FILE_SUFFIXES = frozenset({"mov", "py", "zip"})  # top-level domains that in code are nearly always file names
_COMMON_TLDS = frozenset({"com", "edu", "gov", "io", "net", "org"})
_PROTOCOL_NAMES = frozenset({"libssh.org", "openssh.com"})  # algorithms are called rsa-sha2-256@openssh.com
_RETINA = re.compile(r"[0-9]+x\Z")

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
_VERSION_BEFORE = re.compile(
    r"(?:version|release|revision|firmware|build|chapter|identifier|section|\b(?:rfc|iso)[ -]?\d+[ ,]*|\b(?:oid|rev|sect?|since|v8|v|ver|jdk|jre|jls|jvms"
    r"|fig|figure))[\w.-]*[\"'\])>]*\s*[:=(,\[]*\s*[\"'(\[]*[vV]?\Z|§\s*\Z",
    re.IGNORECASE,
)
_REQUIREMENT_BEFORE = re.compile(r"(?:[\w\]]\s?(?:[=~<>!]=|===|<|>)|[\"'\s,^~](?:[~<>]=|===|[\^~<>]))\s?\Z")
_ADDRESS_WORD = re.compile(
    r"addr|bind|cidr|client|connect|dns|endpoint|gateway|host|inet|(?<![a-z])ips?(?![a-z])|ipv4|listen|mask|nameserver"
    r"|network|peer|ping|proxy|remote|resolver|route|server|socket|ssh|subnet|tcp|udp|url",
    re.IGNORECASE,
)
_CONTEXT_CHARS = 100
_ADDRESS_WORD_CHARS = 60
_SMALL_OCTET = 32


@dataclass(frozen=True, slots=True)
class Span:
    """Where an address stands, in characters, and the rule that found it."""

    start: int
    end: int
    rule: str


def has_email_candidate(text: str) -> bool:
    """Whether a text may hold an e-mail address; a quick look that misses none."""
    return "@" in text and _AT.search(text) is not None


def has_ip_candidate(text: str) -> bool:
    """Whether a text may hold an IP address; a quick look that misses none."""
    return _IPV4.search(text) is not None or _IPV6.search(text) is not None


def email_spans(text: str) -> Iterator[Span]:
    """The e-mail addresses of a text.

    Left out: user parts of URLs and repositories, calls and matrix products, package versions, domains without a
    top-level domain of the public suffix list, and the names reserved for examples.
    """
    for at in _AT.finditer(text):
        start, end = _local_start(text, at.start()), _domain_end(text, at.end())
        if start is not None and end is not None and not _is_no_address(text, start, at.start()):
            yield Span(start, end, "email")


def _local_start(text: str, at: int) -> int | None:
    """Where the local part that ends at `at` begins; None where there is none."""
    start = at
    while start and at - start < _MAX_LOCAL + 8 and (text[start - 1].isalnum() or text[start - 1] in "._+-"):
        start -= 1
    if escape := _ESCAPE.match(text, start, at):
        start = escape.end()
        if at - start < 2:  # one character after an escape: a length byte in front of a name
            return None
    elif start and text[start - 1] in "%$":  # a placeholder: %s@host, $user@host
        return None
    while start < at and not (text[start].isalnum() or text[start] == "_"):
        start += 1
    local = text[start:at]
    return None if not local or len(local) > _MAX_LOCAL or ".." in local or local[-1] == "." else start


def _domain_end(text: str, start: int) -> int | None:
    """Where the domain that begins at `start` ends; None where it is none or is reserved."""
    found = _DOMAIN.match(text, start, start + _MAX_DOMAIN + 1)
    if found is None or found.end() - start > _MAX_DOMAIN:
        return None
    labels = found.group().lower().split(".")
    count = len(labels)
    if count > 2 and labels[-2] in _COMMON_TLDS and text[found.end() - len(labels[-1])].isupper():
        count -= 1
    while count >= 2 and not _is_top_level(labels[count - 1]):
        count -= 1
    # A sentence may go on after a full stop without a space; trust that only after the commonest domains.
    if count < 2 or (count < len(labels) and labels[count - 1] not in _COMMON_TLDS):
        return None
    domain = ".".join(labels[:count])
    end = start + len(domain)
    following = text[end : end + 1]
    if count == len(labels) and following and (following in "([_@" or following.isalnum()):
        return None
    if domain in _PROTOCOL_NAMES or _RESERVED_DOMAIN.search(domain) or "_" in domain or _RETINA.match(labels[0]):
        return None
    return None if labels[count - 1] in _FILE_SUFFIXES and count < 3 else end


def _is_no_address(text: str, start: int, at: int) -> bool:
    if text[start - 1 : start] == "/" and text[start - 2 : start - 1] != "/":
        return True
    if text[start:at].lower() in _REPOSITORY_USERS:
        return True
    return _URL_USER.search(text, max(0, start - _CONTEXT_CHARS), start) is not None


@cache
def _top_level_domains() -> frozenset[str]:
    """The last labels of the public suffix list that tldextract ships; nothing is fetched."""
    import tldextract

    extract = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
    return frozenset(suffix.rpartition(".")[2] for suffix in extract.tlds)


def _is_top_level(label: str) -> bool:
    if label.startswith("xn--"):
        try:
            label = label.encode("ascii").decode("idna")
        except UnicodeError:
            return False
    return label in _top_level_domains()


def ip_spans(text: str) -> Iterator[Span]:
    """The public IP addresses of a text.

    Left out: private, reserved and documentation ranges, the best-known DNS resolvers, versions, object
    identifiers, section numbers, slices and scopes. An IPv6 address needs three groups that are written out.
    """
    for found in _IPV4.finditer(text):
        start = found.start()
        while start and found.start() - start < 4 and text[start - 1] in "0123456789":
            start -= 1
        if _is_public_ipv4(text, start, found.end()):
            yield Span(start, found.end(), "ipv4")
    end = 0
    for found in _IPV6.finditer(text):
        if found.start() >= end:
            start, end = _hex_run(text, found.start())
            if span := _public_ipv6(text, start, end):
                yield span


def _is_public_ipv4(text: str, start: int, end: int) -> bool:
    if not _stands_alone(text, start, end):
        return False
    value = text[start:end]
    try:
        address = ipaddress.IPv4Address(value)
    except ValueError:
        return False
    if not address.is_global or address.is_multicast or value in DNS_SERVERS:
        return False
    line = text[max(0, start - 60, text.rfind("\n", 0, start) + 1) : start]
    if _VERSION_BEFORE.search(line) or _REQUIREMENT_BEFORE.search(line):
        return False
    in_url = line.endswith(("//", "@", "\\/")) or text[end : end + 1] == ":"
    if in_url or max(address.packed) >= _SMALL_OCTET:
        return True
    # Four small numbers are a version, a section or an object identifier, unless something near speaks of hosts.
    return _ADDRESS_WORD.search(text, max(0, start - _ADDRESS_WORD_CHARS), end + _ADDRESS_WORD_CHARS) is not None


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether the characters around a dotted quad let it be an address: no longer number, word or path."""
    before, following = text[max(0, start - 5) : start], text[end : end + 2]
    last = before[-1:]
    if last.isalnum() and not (last in "nrt" and before[-2:-1] == "\\"):
        return False
    if last in {".", "_"} or (last in {"-", "+"} and before[-2:-1].isalnum()):
        return False
    if last == "/" and before[-2:-1] not in {"/", "\\", ""} and not before.endswith("ip4/"):
        return False
    first = following[:1]
    if first.isalnum() or first == "_":
        return False
    if first == "-":  # a range of addresses goes on with a digit, a version with a word
        return not following[1:].isalpha()
    return not (first in {".", "+", "~"} and following[1:].isalnum())


def _hex_run(text: str, position: int) -> tuple[int, int]:
    """The run of hexadecimal digits, colons and dots around a position, at most one address long."""
    start, end = position, position
    while start and position - start < 40 and text[start - 1] in "0123456789abcdefABCDEF:.":
        start -= 1
    while end < len(text) and end - position < 64 and text[end] in "0123456789abcdefABCDEF:.":
        end += 1
    return start, end


def _public_ipv6(text: str, start: int, end: int) -> Span | None:
    if text[start] == ":" and text[start + 1 : start + 2] != ":":
        start += 1
    elif text[start - 1 : start] == ":":
        return None
    value = text[start:end].rstrip(".")
    if value.endswith(":") and not value.endswith("::"):
        value = value[:-1]
    end = start + len(value)
    around = text[max(0, start - 1) : start] + text[end : end + 1]
    if any(char.isalnum() or char == "_" for char in around):
        return None
    groups = [group for group in value.split(":") if group]
    if len(groups) < 3 or not any(char.isdigit() for char in value):
        return None
    try:
        address = ipaddress.IPv6Address(value)
    except ValueError:
        return None
    # 2000::/3 is all of the global unicast space that was ever given out.
    is_public = address.is_global and not address.is_multicast and address.packed[0] >> 5 == 1
    return Span(start, end, "ipv6") if is_public else None
