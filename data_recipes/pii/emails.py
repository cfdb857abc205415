"""Find e-mail addresses in source code: look at every "@", then at what stands around it.

The pattern begins with "@", which `re` skips to quickly; what surrounds it is looked at only where it matches.
"""

import ipaddress
import re
from collections.abc import Iterator
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from string import ascii_letters, digits

from data_recipes.errors import DataError
from data_recipes.pii.emails_spelt_out import spelt_out_spans
from data_recipes.pii.finding import Span

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
_SIGNED = re.compile(r"(?<![\w.%$=+-])[A-Za-z0-9][A-Za-z0-9_.+-]*[%=]\Z")
_MAX_LOCAL, _MAX_DOMAIN = 64, 253
# A local part never begins with what an escape left behind: `"\nbob@…"`, `"\x01Z@…"`, `%3Abob@…`.
_ESCAPE = re.compile(r"(?:(?<=\\)(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|[0-7]{1,3}|[abfnrtv])|(?<=%)[0-9A-Fa-f]{2})")
_LINE_ESCAPE = re.compile(r"[nrt]")
_FORMAT = re.compile(r"%[-+0-9.]*[a-z]\b")
_NAMED_FORMAT = re.compile(r"%\([^()]{1,40}\)\Z")
_URL_USER = re.compile(r"(?<=[A-Za-z0-9])://[^\s/?#'\"<>@]*\Z")
_REPOSITORY_USERS = frozenset({"git", "hg", "svn"})
_FORGE = re.compile(
    r"(?:[\w-]+\.)*(?:git|github|gitlab|bitbucket|codeberg|gitee|sourcehut|sr|ssh|hg|svn)\b", re.IGNORECASE
)
_RESERVED_DOMAIN = re.compile(r"(?:\A|\.)(?:example\.(?:com|net|org)|example|invalid|localhost|test)\Z")
# Of the letters q and j alone the redactor makes top-level domains, and local parts before an IP address.
_PERSON = re.compile(r"[^\W\d_qjQJ]")
_STAND_IN = re.compile(r"(?:\A|\.)[qj]{2,}(?:\.|\Z)")
# Top-level domains that in code are nearly always attributes or file names.
_FILE_SUFFIXES = frozenset({"call", "data", "dot", "map", "mov", "py", "zip"})
_COMMON_TLDS = frozenset({"com", "edu", "gov", "io", "net", "org"})
_NUMBERED_TLDS = _COMMON_TLDS | {"cn"}  # 163.com
# SSH calls its algorithms and extensions `rsa-sha2-256-cert-v01@openssh.com` (RFC 4251, section 6).
_OF_SSH = re.compile(
    r"@(?:libssh\.org|openssh\.com|ssh\.com|lysator\.liu\.se|putty\.projects\.tartarus\.org)\Z", re.IGNORECASE
)
_EXTENSION = re.compile(
    r"(?:.*-)?(?:ssh|rsa|ds[as]|ec(?:dsa|dh)|ed25519|ed448|sha[0-9]|[hu]mac|aes|cbc|ctr|gcm|chacha20|curve|kex|zlib|cert|tun|eow"
    r"|hostkeys|hostbound|x509v3|rijndael|seed|crypticore|twofish|des|blowfish|arcfour|mlkem|sntrup|f?statvfs|posix|fsync"
    r"|hardlink|lsetstat|limits|expand|copy|session|keepalive|streamlocal|agent|winadj|simple|strict|ping|pong|users|no)"
    r"(?:[0-9]*-.*|[0-9]*)\Z",
    re.IGNORECASE,
)
_RETINA = re.compile(r"[0-9]+x\Z")
_PLAIN_LOCAL = frozenset(ascii_letters + digits + "._+-")
_FIRST_CJK = "\u2e80"
_CONTEXT_CHARS = 100
_PRIVATE_DOMAINS = "// ===BEGIN PRIVATE DOMAINS==="


def has_email_candidate(text: str) -> bool:
    """Return whether a text may hold an e-mail address that is not spelt out; a quick look that misses none."""
    return "@" in text and _AT.search(text) is not None


def email_spans(text: str, *, is_spelt_out: bool = True) -> Iterator[Span]:
    """Yield the e-mail addresses of a text in order.

    Addresses that are spelt out (`bob at corp dot io`) are among them unless `is_spelt_out` is false.

    Left out: user parts of URLs and repositories, calls and matrix products, package versions, domains without a
    top-level domain of the public suffix list, and the names reserved for examples.
    """
    spelt_out = iter(spelt_out_spans(text, _is_top_level) if is_spelt_out else ())
    following = next(spelt_out, None)
    for span in _plain_spans(text):
        while following and following.end <= span.start:
            yield following
            following = next(spelt_out, None)
        yield span
    if following:
        yield following
    yield from spelt_out


def _plain_spans(text: str) -> Iterator[Span]:
    for found in _AT.finditer(text):
        at, after = found.span()
        end = _domain_end(text, after)
        if end is None:
            continue
        start = _local_start(text, at, is_ascii_domain=text[after:end].isascii())
        if start is None or _is_no_address(text, start, at, end):
            continue
        start = _with_apostrophe(text, start, end)
        if text[after] != "[" or _PERSON.search(text, start, at):
            yield Span(start, end, "email")


def _local_start(text: str, at: int, *, is_ascii_domain: bool) -> int | None:
    """Where the local part that ends at `at` begins; None where there is none."""
    start = at
    while start and at - start < _MAX_LOCAL + 8 and _is_local(text[start - 1]):
        # Chinese and Japanese put no space between a word and an address.
        if is_ascii_domain and text[start - 1] >= _FIRST_CJK and text[start:at].isascii() and start < at:
            break
        start -= 1
    last = text[start - 1 : start]
    if last and last in "\\%" and (escape := _ESCAPE.match(text, start, at)):
        start = escape.end()
        if at - start < 2 and not _LINE_ESCAPE.match(text, start - 1):  # a byte's length byte in front of a name
            return None
    elif last and last in "%$=":
        start = _before_sign(text, start, at)
        if start < 0:
            return None
    elif last == ")" and at - start == 1 and _NAMED_FORMAT.search(text, max(0, start - 43), start):
        return None
    while start < at and not (text[start].isalnum() or text[start] == "_"):
        start += 1
    local = text[start:at]
    return None if not local or len(local) > _MAX_LOCAL or ".." in local or local[-1] == "." else start


def _before_sign(text: str, start: int, at: int) -> int:
    """Where a local part begins before whose last word stands %, $ or =; -1 for a placeholder: %s@host, $user@host.

    A "=" belongs to it where a mailing list wrote an address before it: bounce-1=bob.io@list.org.
    """
    sign = text[start - 1]
    before = _SIGNED.search(text, max(0, start - _MAX_LOCAL), start)
    if sign == "=":
        is_address = "." in text[start:at] and _is_top_level(text[start:at].rpartition(".")[2].lower())
        return before.start() if before and is_address and not before[0][:-1].isalpha() else start
    if sign == "$" or before is None or _FORMAT.match(text, start - 1):
        return -1
    return before.start()


def _is_local(char: str) -> bool:
    return (
        (char in _PLAIN_LOCAL)
        if char.isascii()
        else char.isalnum() or (char > "\u02ff" and re.match(_WORD, char) is not None)
    )


def _domain_end(text: str, start: int) -> int | None:
    """Where the domain that begins at `start` ends; None where it is none or is reserved."""
    if text[start] == "[":
        return _literal_end(text, start)
    found = _RUN.match(text, start)
    if found is None:
        return None
    end = found.end()
    length = _domain_length(text[start:end], text[end : end + 1]) if end - start <= _MAX_DOMAIN else None
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
    if "_" in domain or _RETINA.match(labels[0]):
        return True
    if _RESERVED_DOMAIN.search(domain) or _STAND_IN.search(domain):
        return True
    is_attribute = labels[-2].isdigit() and labels[-1] not in _NUMBERED_TLDS  # name@1.attribute
    return is_attribute or (labels[-1] in _FILE_SUFFIXES and len(labels) < 3)


def _literal_end(text: str, start: int) -> int | None:
    """Where an address literal such as [192.0.2.1] or [IPv6:2001:db8::1] ends."""
    found = _LITERAL.match(text, start)
    try:
        address = ipaddress.ip_address(found[1] if found else "")
    except ValueError:
        return None
    is_nobodys = address.is_loopback or address.is_unspecified or address.is_link_local
    return found.end() if found and not is_nobodys else None


def _with_apostrophe(text: str, start: int, end: int) -> int:
    """Return where an address begins that has an apostrophe after its first letter, as O'Brien's has."""
    begin = start - 2
    if begin < 0 or text[start - 1] != "'" or text[begin] not in "oOdDmM" or text[end : end + 1] == "'":
        return start
    return start if begin and (text[begin - 1].isalnum() or text[begin - 1] in "._%+-'") else begin


def _is_no_address(text: str, start: int, at: int, end: int) -> bool:
    if text[start - 1 : start] == "/" and text[start - 2 : start - 1] != "/":
        return True
    if _OF_SSH.match(text, at, end) and _EXTENSION.match(text, start, at):
        return True
    if text[start:at].lower() in _REPOSITORY_USERS:  # a person's own domain may have one: Ann <git@ann.dev>
        is_person = text[start - 1 : start] == "<" and text[end : end + 1] == ">"
        return not is_person or _FORGE.match(text, at + 1) is not None
    slashes = text.rfind("://", max(0, start - _CONTEXT_CHARS), start)
    return slashes > 0 and _URL_USER.match(text, slashes, start) is not None


@cache
def _top_level_domains() -> frozenset[str]:
    """Return the last labels of the public suffix list that tldextract ships.

    The list is read as a file: importing tldextract imports an HTTP client, which costs more than the whole search.
    """
    spec = find_spec("tldextract")
    if spec is None or spec.origin is None:
        raise DataError("package 'tldextract' is not installed. Install it with: pip install 'hf-santa[redact]'")
    text = Path(spec.origin).with_name(".tld_set_snapshot").read_text("utf-8").partition(_PRIVATE_DOMAINS)[0]
    suffixes = (line.split(None, 1)[0] for line in text.splitlines() if line.strip() and not line.startswith("//"))
    return frozenset(suffix.rpartition(".")[2] for suffix in suffixes)


def _is_top_level(label: str) -> bool:
    if label.startswith("xn--"):
        try:
            label = label.encode("ascii").decode("idna")
        except UnicodeError:
            return False
    # The list lacks some domains of other scripts, such as those for tests; letters of one script are enough.
    is_other_script = len(label) > 1 and all(char > "\u02ff" and not char.isdigit() for char in label)
    return is_other_script or label in _top_level_domains()
