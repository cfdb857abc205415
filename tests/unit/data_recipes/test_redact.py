"""Finding and replacing e-mail and IP addresses."""

import ast
import ipaddress
import os
import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from presidio_analyzer import AnalyzerEngine
from presidio_analyzer.nlp_engine import NoOpNlpEngine

from data_recipes.errors import DataError
from data_recipes.findings import find_pii
from data_recipes.pii_rules import DNS_SERVERS
from data_recipes.recognizers import pii_registry
from data_recipes.redact import redact


def _found(text):
    return [text[finding.start : finding.end] for finding in find_pii(text)]


_ADDRESSES = [
    ("name='a@b.co'", "a@b.co"),
    ("mailto=a@b.co", "a@b.co"),
    ("<a href='mailto:bob@corp.io?subject=x'>", "bob@corp.io"),
    ('"\\nbob@corp.io"', "bob@corp.io"),
    ("%3Abob@corp.io", "bob@corp.io"),
    ("write to bob@corp.com.Then wait", "bob@corp.com"),
    ("Bob B. <bob.b+list@mail.corp.co.uk>", "bob.b+list@mail.corp.co.uk"),
    ("x = 'x@münchen.de'", "x@münchen.de"),
    ("😀 bob@corp.io", "bob@corp.io"),
    ("bob@corp.io", "bob@corp.io"),
    ("(bob@corp.io)", "bob@corp.io"),
    ("curl http://93.184.216.34:80/", "93.184.216.34"),
    ("'93.184.216.34/24'", "93.184.216.34"),
    ("host = '5.9.12.30'", "5.9.12.30"),
    ("connect('ssh://root@5.9.12.30')", "5.9.12.30"),
    ("http://[2606:2800:220:1::1]:80/", "2606:2800:220:1::1"),
    ("2606:2800:220:1:248:1893:25c8:1946", "2606:2800:220:1:248:1893:25c8:1946"),
    ("addr:2606:2800:220:1::1: refused", "2606:2800:220:1::1"),
]


@pytest.mark.parametrize(("text", "value"), _ADDRESSES)
def test_addresses_are_found_exactly(text, value):
    """What is found is the address alone, without quotes, keys, escapes or punctuation."""
    assert _found(text) == [value]


@pytest.mark.parametrize(
    "text",
    [
        "https://user:pw@github.com/x",
        "https://bob@corp.io/x",
        "git@github.com:a/b.git",
        "z = a@b.c",
        "z = c@d.call(1)",
        "@functools.cache",
        "x@example.com",
        "x@mail.example.org",
        "x@host.invalid",
        "root@localhost",
        "'%s@corp.com' % name",
        "f'{user}@corp.com'",
        "icon@2x.zip",
        "cdn/lodash@4.17.21/x.js",
        "b'\\x01Z@google.golang.org'",
        "ssh-rsa-cert-v01@openssh.com",
        "_name@corp.com_suffix",
        "v1.2.3.4",
        "__version__ = '91.20.30.40'",
        '"v8": "11.3.244.8"',
        "Chrome/91.0.47.124",
        "ObjectIdentifier('2.5.29.14')",
        "1.3.6.1.4.1.311",
        "JLS 15.12.2.5",
        "foo==51.22.33.44",
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
    ],
)
def test_what_only_looks_like_an_address_is_left_alone(text):
    """User parts of URLs, operators, versions, identifiers, slices and non-public addresses are no finds."""
    assert _found(text) == []


def test_the_reports_resolvers():
    """The skip list of the report has fourteen public resolvers."""
    assert len(DNS_SERVERS) == 14


def test_the_registry_serves_any_presidio_engine():
    """An `AnalyzerEngine` with this registry gives the same spans as `find_pii`."""
    nlp = NoOpNlpEngine(models=[{"lang_code": "en", "model_name": "no_op"}])
    engine = AnalyzerEngine(registry=pii_registry(), nlp_engine=nlp)
    text = "# bob@corp.io at 93.184.216.34"
    spans = {(r.start, r.end, r.entity_type) for r in engine.analyze(text, language="en")}
    assert spans == {(f.start, f.end, f.type) for f in find_pii(text)}


def test_types_select_and_unknown_ones_are_named():
    """Only the wanted types are found; one that this version lacks is an error with the list."""
    text = "bob@corp.io 93.184.216.34"
    assert [f.type for f in find_pii(text, types=["IP_ADDRESS"])] == ["IP_ADDRESS"]
    with pytest.raises(
        DataError, match=r"type 'KEY' is not available\. Types of this version: EMAIL_ADDRESS, IP_ADDRESS"
    ):
        find_pii(text, types=["KEY"])
    with pytest.raises(DataError, match="style='tags' is not available"):
        redact(text, style="tags")


def test_replacements_have_the_reports_formats():
    """E-mail addresses become five letters at example.com, IP addresses private ones of the same family."""
    parts = redact("bob@corp.io 93.184.216.34 2606:2800:220:1::1").text.split(" ")
    local, _, domain = parts[0].partition("@")
    assert (len(local), local.isalpha(), local.islower(), domain) == (5, True, True, "example.com")
    addresses = [ipaddress.ip_address(part) for part in parts[1:]]
    assert [(address.version, address.is_private) for address in addresses] == [(4, True), (6, True)]


_PIECES = st.lists(
    st.sampled_from(
        [
            *(text for text, _ in _ADDRESSES),
            *(value for _, value in _ADDRESSES),
            " ",
            "\r\n",
            ".",
            "@",
            ":",
            "x",
            "/",
            "\\n",
            "é",
            "\ud800",
        ],
    ),
    max_size=12,
)


@given(_PIECES, st.integers(0, 3))
@settings(deadline=None)
def test_redaction_is_idempotent_consistent_and_local(pieces, seed):
    """No replacement is found again; equal values share one, different ones differ; all else stays."""
    text = "".join(pieces)
    result = redact(text, seed=seed)
    assert find_pii(result.text) == []
    assert redact(result.text, seed=seed).text == result.text
    names, pattern, at = {}, "", 0
    for finding in result.findings:
        value = text[finding.start : finding.end]
        pattern += re.escape(text[at : finding.start])
        at = finding.end
        if value in names:
            pattern += f"(?P={names[value]})"
        else:
            names[value] = f"v{len(names)}"
            pattern += f"(?P<{names[value]}>{_FORMATS[finding.rule]})"
    match = re.fullmatch(pattern + re.escape(text[at:]), result.text)
    assert match is not None
    assert len(set(match.groupdict().values())) == len(names)


_FORMATS = {"email": r"[a-z]{5}@example\.com", "ipv4": r"172\.[0-9.]+", "ipv6": r"fd[0-9a-f:]+"}


def test_the_seed_decides_and_nothing_else():
    """The same seed gives the same text, another seed another one."""
    text = "bob@corp.io"
    assert redact(text, seed=1) == redact(text, seed=1)
    assert redact(text, seed=1).text != redact(text, seed=2).text


def test_many_values_of_a_file_stay_different():
    """2,000 addresses get 2,000 replacements."""
    text = "\n".join(f"user{number}@corp.io" for number in range(2000))
    assert len(set(redact(text).text.split("\n"))) == 2000


def test_redacted_python_parses_to_the_same_shape():
    """Standard library files with finds keep their syntax tree, their line count, and change no more on a second run."""

    def shape(source):
        return [type(node).__name__ for node in ast.walk(ast.parse(source))]

    folder, changed = Path(os.__file__).parent, 0
    for path in [*sorted(folder.glob("*.py")), *sorted(folder.glob("[a-l]*/*.py"))][:500]:
        source = path.read_bytes().decode("utf-8", "ignore")
        if "@" not in source or not (result := redact(source)).findings:
            continue
        changed += 1
        assert shape(result.text) == shape(source)
        assert redact(result.text).findings == []
    assert changed >= 20


@pytest.mark.parametrize("pattern", ["a@a@", "1.1.1.", ":::::", "=====", "@", "a.a@a.a."])
def test_hostile_repetition_stays_linear(pattern):
    """A megabyte of half-addresses takes no more than seconds on a busy machine."""
    text = (pattern * 1_000_000)[:1_000_000]
    started = time.monotonic()
    find_pii(text)
    assert time.monotonic() - started < 5
