"""Where e-mail and IP addresses stand in source code, and what only looks like one."""

import ipaddress
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_recipes.pii.addresses import DNS_SERVERS, ip_spans
from data_recipes.pii.emails import email_spans
from data_recipes.pii.find import TextSearch
from data_recipes.pii.key_engine import BACKENDS, key_engine
from data_recipes.pii.redaction import redact

ADDRESSES = [
    ("name='a@b.co'", "a@b.co"),
    ("mailto=a@b.co", "a@b.co"),
    ("<a href='mailto:bob@corp.io?subject=x'>", "bob@corp.io"),
    ('"\\nbob@corp.io"', "bob@corp.io"),
    ("%3Abob@corp.io", "bob@corp.io"),
    ("write to bob@corp.com.Then wait", "bob@corp.com"),
    ("Bob B. <bob.b+list@mail.corp.co.uk>", "bob.b+list@mail.corp.co.uk"),
    ("Bob@CORP.IO", "Bob@CORP.IO"),
    ("Damien <djm@openssh.com>", "djm@openssh.com"),
    ("bjorn@lysator.liu.se", "bjorn@lysator.liu.se"),
    ("x = 'x@münchen.de'", "x@münchen.de"),
    ("jürgen@corp.de", "jürgen@corp.de"),
    ("x@xn--mnchen-3ya.de", "x@xn--mnchen-3ya.de"),
    ("用户@例子.广告", "用户@例子.广告"),
    ("mail@उदाहरण.परीक्षा", "mail@उदाहरण.परीक्षा"),
    ("联系bob@corp.com。谢谢", "bob@corp.com"),
    ("連絡先:bob@corp.comまで", "bob@corp.com"),
    ("user@[93.184.216.34]", "user@[93.184.216.34]"),
    ("user@[IPv6:2606:2800:220:1::1]", "user@[IPv6:2606:2800:220:1::1]"),
    ("x@163.com", "x@163.com"),
    ("😀 bob@corp.io", "bob@corp.io"),
    ("\ufeffbob@corp.io", "bob@corp.io"),
    ("\ud800bob@corp.io\udfff", "bob@corp.io"),
    ("bob@corp.io", "bob@corp.io"),
    ("(bob@corp.io)", "bob@corp.io"),
    ("curl http://93.184.216.34:80/", "93.184.216.34"),
    ("'93.184.216.34/24'", "93.184.216.34/24"),
    ("http://93.184.216.34/24", "93.184.216.34"),
    ("address=/ads.corp.io/93.184.216.34", "93.184.216.34"),
    ("user%name@corp.io", "user%name@corp.io"),
    ("<bounce-7=bob.io@list.org>", "bounce-7=bob.io@list.org"),
    ("5.9.12.0/24", "5.9.12.0/24"),
    ("connect('5.9.12.30', 80)", "5.9.12.30"),
    ("5.9.12.30:8080", "5.9.12.30"),
    ("host = '5.9.12.30'", "5.9.12.30"),
    ("curl http://5.9.12.30/x", "5.9.12.30"),
    ("<b>93.184.216.34</b>", "93.184.216.34"),
    ("[93.184.216.34]", "93.184.216.34"),
    ("93.184.216.34.", "93.184.216.34"),
    ("\\n93.184.216.34", "93.184.216.34"),
    ("http://[2606:2800:220:1::1]:80/", "2606:2800:220:1::1"),
    ("2606:2800:220:1:248:1893:25c8:1946", "2606:2800:220:1:248:1893:25c8:1946"),
    ("2606:2800:220:1::/64", "2606:2800:220:1::/64"),
    ("\\n2606:2800:220:1::1", "2606:2800:220:1::1"),
    ("[2606:2800:220:1:0:0:93.184.216.34]", "2606:2800:220:1:0:0:93.184.216.34"),
    ("addr:2606:2800:220:1::1: refused", "2606:2800:220:1::1"),
]

LOOKALIKES = [
    "https://user:pw@github.com/x",
    "https://bob@corp.io/x",
    "git@github.com:a/b.git",
    "z = a@b.c",
    "W1@x.data",
    "%(user)s@corp.io",
    "5.5.5.5 is the host",
    "dns 2001:4860:4860::8888",
    "z = c@d.call(1)",
    "weights@1.bar",
    "a@b.c@d",
    "@functools.cache",
    "x@example.com",
    "x@mail.example.org",
    "x@host.invalid",
    "x@kzt.qj",
    "x@kzt.qj.Call",
    "root@localhost",
    "'%s@corp.com' % name",
    "f'{user}@corp.com'",
    "icon@2x.zip",
    "cdn/lodash@4.17.21/x.js",
    "b'\\x01Z@google.golang.org'",
    "ssh-rsa-cert-v01@openssh.com",
    "x509v3-sign-rsa-sha256@ssh.com",
    "rijndael-cbc@lysator.liu.se",
    "keepalive@openssh.com",
    "_name@corp.com_suffix",
    "v1.2.3.4",
    "__version__ = '91.20.30.40'",
    "Version:\n    91.20.30.40",
    '"v8": "11.3.244.8"',
    "Chrome/91.0.47.124",
    "ObjectIdentifier('2.5.29.14')",
    'getExtensionValue("2.5.29.35") // server address',
    "//2.5.4.36",
    "1.3.6.1.4.1.311",
    "JLS 15.12.2.5",
    "RFC 5280 4.2.1.14",
    "see JLS SE 7 15.12.2.7/15.12.2.8",
    "client workflow step 5.4.3.1: roll back",
    "8.2.4.45 Markup declaration open state",
    "'Windows.Networking', '1.0.0.0'",
    "Guile 3.0.5.130-5a1e7",
    "foo==51.22.33.44",
    "foo>51.22.33.44",
    "lib-51.22.33.44.jar",
    "51.22.33.44-beta",
    "a[::2], x[1::2]",
    "Add::add(1)",
    "dead::beef",
    "12:30:45",
    "00:1b:44:11:3a:b7",
    "10.0.0.1 127.0.0.1 169.254.1.1 192.0.2.1 224.0.0.1 0.0.0.0 255.255.255.0",
    "::1 fe80::1:2:3 2001:db8::1:2 ff02::1:2:3 fd00::1:2:3",
    *sorted(DNS_SERVERS),
]


def spans(text):
    """E-mail addresses first; an IP address inside one does not count."""
    found = sorted([*email_spans(text), *ip_spans(text)], key=lambda span: (span.start, -span.end))
    return [span for n, span in enumerate(found) if not any(s.end > span.start for s in found[:n])]


@pytest.mark.parametrize(("text", "value"), ADDRESSES)
def test_addresses_are_found_exactly(text, value):
    """What is found is the address alone, with its mask, without quotes, keys, escapes, ports or punctuation."""
    assert [text[span.start : span.end] for span in spans(text)] == [value]


@pytest.mark.parametrize("text", LOOKALIKES)
def test_what_only_looks_like_an_address_is_left_alone(text):
    """User parts of URLs, operators, versions, identifiers, slices and non-public addresses are no finds."""
    assert [text[span.start : span.end] for span in spans(text)] == []


def test_the_reports_resolvers():
    """The skip list of the report has fourteen public resolvers."""
    assert len(DNS_SERVERS) == 14


@given(st.lists(st.sampled_from([*(text for text, _ in ADDRESSES), "\n", "\r\n", " ", "😀", "é"]), max_size=8))
@settings(deadline=None)
def test_spans_are_apart_and_the_quick_look_misses_none(pieces):
    """Spans of one rule come in order without overlap; a text with any passes the quick look of every backend."""
    text = "\n".join(pieces)
    for rule, kind in ((email_spans, "EMAIL_ADDRESS"), (ip_spans, "IP_ADDRESS")):
        found = list(rule(text))
        assert all(a.end <= b.start for a, b in pairwise(found))
        assert not found or all(TextSearch(text, key_engine(backend)).may_hold(kind) for backend in BACKENDS)


@pytest.mark.parametrize("line", ["\n", "\r\n"])
def test_addresses_at_the_edges_are_found(line):
    """At offset 0, at the end without a line end, two adjacent, and after characters outside the basic plane."""
    text = f"bob@corp.io{line}😀 ann@corp.io,eve@corp.io{line}93.184.216.34"
    values = ["bob@corp.io", "ann@corp.io", "eve@corp.io", "93.184.216.34"]
    assert [text[span.start : span.end] for span in spans(text)] == values


@pytest.mark.parametrize(
    "pattern",
    ["a@a", "a@a.a@", "a@a.", "@", "a.a@a.a.", "é@é.é", "1.1.1.", "1.1.1.1 ", "5.9.12.30 ", ":", "1:1:", "2000:", "="],
)
def test_hostile_repetition_stays_linear(pattern):
    """A megabyte of half-addresses takes seconds of processor time; a quadratic scan would take hours."""
    text = (pattern * 1_000_000)[:1_000_000]
    started = time.process_time()
    assert [*email_spans(text), *ip_spans(text)] == []
    assert time.process_time() - started < 30


@pytest.mark.parametrize("style", ["santacoder", "starcoder", "preserve"])
@pytest.mark.parametrize("text", ["93.184.216.0/24", "93.184.208.0/20", "93.0.0.0/8", "5.9.12.34/32"])
def test_a_network_stays_a_network(text, style):
    """The replacement of a network has no host bits, so `ip_network` reads it; it is not found again."""
    once = redact(f"cidr = '{text}'", style=style).text
    network = ipaddress.ip_network(once.split("'")[1])
    assert (network.prefixlen, str(network) == text) == (int(text.rpartition("/")[2]), False)
    assert redact(once, style=style).text == once


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("https://corp.io?email=bob@corp.io", ["bob@corp.io"]),
        ("mail: bob at corp dot io", ["bob at corp dot io"]),
        ("bob [at] corp.io, ann (at) corp (dot) io", ["bob [at] corp.io", "ann (at) corp (dot) io"]),
        ("Ann <git@ann.dev>", ["git@ann.dev"]),
        ("git@github.com:a/b.git <git@github.com>", []),
        ("user@[::1] user@[127.0.0.1]", []),
        ("o'brien@corp.io", ["o'brien@corp.io"]),
        ("'bob@corp.io' b'bob@corp.io'", ["bob@corp.io", "bob@corp.io"]),
        ("meet at the corner dot com, Array[at].io", []),
    ],
)
def test_addresses_in_queries_in_words_and_with_apostrophes(text, found):
    """An address in a URL's query, one that is spelt out and one of O'Brien are found whole; look-alikes are not."""
    assert [text[span.start : span.end] for span in email_spans(text)] == found
