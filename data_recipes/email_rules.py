"""Where e-mail addresses stand in source code: every "@" that may be one, then structural rules.

The pattern begins with "@", which `re` skips to quickly; what surrounds it is looked at only where it matches.
"""

import ipaddress
import re
from collections.abc import Iterator
from functools import cache, lru_cache

from data_recipes.spans import Span

# Vowel signs and other marks belong to words of Indic, Thai, Arabic and Hebrew script; `\w` leaves them out.
_MARKS = "\u0300-\u036f\u0591-\u05bd\u064b-\u065f\u0670\u0900-\u0963\u0966-\u0dff\u0e31-\u0e4e\u200c\u200d"
_WORD = rf"[\w{_MARKS}]"
# Not before another "@": a@b.c@d is no address. Possessive, so that a run is read once.
_AT = re.compile(
    rf"@(?<=[\w{_MARKS}+-]@)(?:(?=[^\W_][\w{_MARKS}-]*+\.[\w{_MARKS}.-]*+(?!@))|(?=\[(?:IPv6:)?[0-9A-Fa-f:.]{{3,45}}\]))"
)
_ASCII_DOMAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?)+")
_DOMAIN = re.compile(rf"[^\W_](?:{_WORD[:-1]}-]*{_WORD})?(?:\.[^\W_](?:{_WORD[:-1]}-]*{_WORD})?)+")
_RUN = re.compile(rf"[\w{_MARKS}.-]{{1,254}}")
_LITERAL = re.compile(r"\[(?:IPv6:)?([0-9A-Fa-f:.]{3,45})\]")
_MAX_LOCAL, _MAX_DOMAIN = 64, 253
# A local part never begins with what an escape left behind: `"\nbob@…"`, `"\x01Z@…"`, `%3Abob@…`.
_ESCAPE = re.compile(r"(?:(?<=\\)(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|[0-7]{1,3}|[abfnrtv])|(?<=%)[0-9A-Fa-f]{2})")
_URL_USER = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/'\"<>@]*\Z")
_REPOSITORY_USERS = frozenset({"git", "hg", "svn"})
_RESERVED_DOMAIN = re.compile(r"(?:\A|\.)(?:example\.(?:com|net|org)|example|invalid|localhost|test)\Z")
# Of the letters q and j alone the redactor makes top-level domains, and local parts before an IP address.
_PERSON = re.compile(r"[^\W\d_qjQJ]")
_STAND_IN = re.compile(r"(?:\A|\.)[qj]{2,}(?:\.|\Z)")
_FILE_SUFFIXES = frozenset({"mov", "py", "zip"})  # top-level domains that in code are nearly always file names
_COMMON_TLDS = frozenset({"com", "edu", "gov", "io", "net", "org"})
_NUMBERED_TLDS = _COMMON_TLDS | {"cn"}  # 163.com
_PROTOCOL_NAMES = frozenset({"libssh.org", "openssh.com"})  # algorithms are called rsa-sha2-256@openssh.com
_RETINA = re.compile(r"[0-9]+x\Z")
_FIRST_CJK = "\u2e80"
_CONTEXT_CHARS = 100


def has_email_candidate(text: str) -> bool:
    """Whether a text may hold an e-mail address; a quick look that misses none."""
    return "@" in text and _AT.search(text) is not None


def email_spans(text: str) -> Iterator[Span]:
    """The e-mail addresses of a text.

    Left out: user parts of URLs and repositories, calls and matrix products, package versions, domains without a
    top-level domain of the public suffix list, and the names reserved for examples.
    """
    for at in _AT.finditer(text):
        end = _domain_end(text, at.end())
        if end is None:
            continue
        start = _local_start(text, at.start(), is_ascii_domain=text[at.end() : end].isascii())
        if start is None or _is_no_address(text, start, at.start()):
            continue
        if text[at.end()] != "[" or _PERSON.search(text, start, at.start()):
            yield Span(start, end, "email")


def _local_start(text: str, at: int, *, is_ascii_domain: bool) -> int | None:
    """Where the local part that ends at `at` begins; None where there is none."""
    start = at
    while start and at - start < _MAX_LOCAL + 8 and _is_local(text[start - 1]):
        # Chinese and Japanese put no space between a word and an address.
        if is_ascii_domain and text[start - 1] >= _FIRST_CJK and text[start:at].isascii() and start < at:
            break
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


def _is_local(char: str) -> bool:
    return char.isalnum() or char in "._+-" or (char > "\u02ff" and re.match(_WORD, char) is not None)


def _domain_end(text: str, start: int) -> int | None:
    """Where the domain that begins at `start` ends; None where it is none or is reserved."""
    if text[start] == "[":
        return _literal_end(text, start)
    found = _RUN.match(text, start)
    if found is None or found.end() - start > _MAX_DOMAIN:
        return None
    length = _domain_length(found.group(), text[found.end() : found.end() + 1])
    return None if length is None else start + length


@lru_cache(4096)
def _domain_length(run: str, following: str) -> int | None:
    """The length of the domain at the beginning of a run of letters, digits, dots and hyphens."""
    ascii_part = _ASCII_DOMAIN.match(run)
    if ascii_part and run[ascii_part.end() :][:1] >= _FIRST_CJK:
        run = ascii_part.group()
    found = _DOMAIN.match(run)
    if found is None:
        return None
    following = (run[found.end() :] + following)[:1]
    written = found.group().split(".")
    labels = [label.lower() for label in written]
    count = len(labels)
    if count > 2 and labels[-2] in _COMMON_TLDS and written[-1][0].isupper():
        count -= 1
    while count >= 2 and not _is_top_level(labels[count - 1]):
        count -= 1
    # A sentence may go on after a full stop without a space; trust that only after the commonest domains.
    if count < 2 or (count < len(labels) and labels[count - 1] not in _COMMON_TLDS):
        return None
    domain = ".".join(labels[:count])
    if count == len(labels) and following and (following in "([_@" or (following.isascii() and following.isalnum())):
        return None
    return None if _is_no_host(domain, labels[:count]) else len(".".join(written[:count]))


def _is_no_host(domain: str, labels: list[str]) -> bool:
    """Whether a domain is reserved, or in code more often something else than a host."""
    if domain in _PROTOCOL_NAMES or "_" in domain or _RETINA.match(labels[0]):
        return True
    if _RESERVED_DOMAIN.search(domain) or _STAND_IN.search(domain):
        return True
    is_attribute = labels[-2].isdigit() and labels[-1] not in _NUMBERED_TLDS  # name@1.attribute
    return is_attribute or (labels[-1] in _FILE_SUFFIXES and len(labels) < 3)


def _literal_end(text: str, start: int) -> int | None:
    """Where an address literal such as [192.0.2.1] or [IPv6:2001:db8::1] ends."""
    found = _LITERAL.match(text, start)
    try:
        ipaddress.ip_address(found[1] if found else "")
    except ValueError:
        return None
    return found.end() if found else None


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
    # The list lacks some domains of other scripts, such as those for tests; letters of one script are enough.
    is_other_script = len(label) > 1 and all(char > "\u02ff" and not char.isdigit() for char in label)
    return is_other_script or label in _top_level_domains()
