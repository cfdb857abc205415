"""Redaction of a text: consistent, local, repeatable, and done after one time."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from presidio_analyzer import AnalyzerEngine
from presidio_analyzer.nlp_engine import NoOpNlpEngine

from data_recipes.errors import DataError
from data_recipes.pii.find import find_pii
from data_recipes.pii.finding import Finding
from data_recipes.pii.presidio import pii_registry
from data_recipes.pii.redaction import redact, redact_findings, redact_with
from data_recipes.pii.replacements import STYLES, is_replacement

TOKEN = "ghp_" + "a1B2" * 9
KEY_BLOCK = "\n".join(
    [
        "-----BEGIN RSA " + "PRIVATE KEY-----",
        *["MIIEpAIBAAKCAQEA7bq0x9K+" * 2] * 3,
        "-----END RSA " + "PRIVATE KEY-----",
    ]
)
FORMATS = {"email": r"[a-z]{5}@example\.com", "ipv4": r"172\.[0-9.]+(?:/[0-9]+)?", "ipv6": r"fd[0-9a-f:]+(?:/[0-9]+)?"}
PIECES = st.lists(
    st.sampled_from(
        [
            *("name='a@b.co'", "<bob@corp.io>", "write to bob@corp.com.Then wait", "x@münchen.de", "用户@例子.广告"),
            *(
                "%3Abob@corp.io",
                "user@[93.184.216.34]",
                "http://93.184.216.34:80/",
                "93.184.216.0/24",
                "host 5.9.12.30",
            ),
            *("http://[2606:2800:220:1::1]:80/", "addr:2606:2800:220:1::1: refused", "bob@corp.io", "93.184.216.34"),
            *(" ", "\r\n", ".", "@", ":", "x", "/", "\\n", "é", "😀", "\ufeff", "\ud800", "\0", ".Call"),
        ],
    ),
    max_size=12,
)


def matches(pattern, kind, rule):
    """A detector of one pattern; its find is the first group."""
    return lambda text: [Finding(found.start(1), found.end(1), kind, rule) for found in re.finditer(pattern, text)]


def test_the_registry_serves_any_presidio_engine():
    """An `AnalyzerEngine` with this registry gives the same spans as `find_pii`."""
    nlp = NoOpNlpEngine(models=[{"lang_code": "en", "model_name": "no_op"}])
    engine = AnalyzerEngine(registry=pii_registry(), nlp_engine=nlp)
    text = "# bob@corp.io at 93.184.216.34"
    spans = {(r.start, r.end, r.entity_type) for r in engine.analyze(text, language="en")}
    assert spans == {(f.start, f.end, f.type) for f in find_pii(text)}


def test_types_select_and_unknown_ones_are_named():
    """Only the wanted types are replaced; unknown types and styles are errors even where there is nothing to do."""
    result = redact("bob@corp.io 93.184.216.34", types=["IP_ADDRESS"])
    assert [f.type for f in result.findings] == ["IP_ADDRESS"]
    assert result.text.startswith("bob@corp.io 172.")
    with pytest.raises(DataError, match="'PHONE' is not available"):
        redact("", types=["PHONE"])
    with pytest.raises(DataError, match="style='tags' is not available"):
        redact("", style="tags")


@given(PIECES, st.integers(0, 3), st.sampled_from(STYLES))
@settings(deadline=None, max_examples=200)
def test_redacting_twice_is_redacting_once(pieces, seed, style):
    """In every style, nothing is found again, and a second run changes nothing."""
    once = redact("".join(pieces), seed=seed, style=style)
    assert find_pii(once.text) == []
    assert redact(once.text, seed=seed, style=style).text == once.text
    assert redact(once.text, seed=seed + 1, style=style).text == once.text


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("local", ["m\u00fcnchen.deuser", "\u00e91", "\u00dcn\u00ef.co+1", "bob"])
def test_letters_of_other_scripts_before_an_ip_address_stay_redacted(style, local):
    """A replaced local part of any script is no address again, whatever stands behind the @."""
    text = f"x@{local}@[93.184.216.34]"
    for seed in range(4):
        once = redact(text, seed=seed, style=style).text
        assert find_pii(once) == []
        assert redact(once, seed=seed, style=style).text == once


@given(PIECES, st.integers(0, 3))
@settings(deadline=None)
def test_redaction_is_consistent_and_local(pieces, seed):
    """Equal values share a replacement, different ones differ; all else stays, no space is put in."""
    text = "".join(pieces)
    result = redact(text, seed=seed)
    names, pattern, at = {}, "", 0
    for finding in result.findings:
        value = text[finding.start : finding.end]
        pattern += re.escape(text[at : finding.start])
        at = finding.end
        if value in names:
            pattern += f"(?P={names[value]})"
        else:
            names[value] = f"v{len(names)}"
            pattern += f"(?P<{names[value]}>{FORMATS[finding.rule]})"
    match = re.fullmatch(pattern + re.escape(text[at:]), result.text)
    assert match is not None
    assert len(set(match.groupdict().values())) == len(names)


@given(PIECES, st.sampled_from(STYLES))
@settings(deadline=None)
def test_places_are_where_the_replacements_stand(pieces, style):
    """Cutting the replacements out of the new text leaves what cutting the finds out of the old one leaves."""
    text = "".join(pieces)
    result = redact(text, style=style)
    assert rest(text, [(f.start, f.end) for f in result.findings]) == rest(result.text, result.places)


def rest(text, spans):
    """What of a text is outside of the spans."""
    starts = [0, *(end for _, end in spans)]
    return [text[a:b] for a, b in zip(starts, [*(start for start, _ in spans), len(text)], strict=True)]


def test_the_seed_decides_and_nothing_else():
    """The same seed gives the same text, another seed another one."""
    text = "bob@corp.io"
    assert redact(text, seed=1) == redact(text, seed=1)
    assert redact(text, seed=1).text != redact(text, seed=2).text


def test_what_another_detector_found_is_replaced():
    """Finds in any order are replaced; one that begins inside another is left out."""
    text = f"a = '{TOKEN}'; b = 'bob@corp.io'"
    finds = [Finding(53, 64, "EMAIL_ADDRESS", "x"), Finding(55, 64, "KEY", "x"), Finding(5, 45, "KEY", "x")]
    assert [text[f.start : f.end] for f in finds] == ["bob@corp.io", "b@corp.io", TOKEN]
    assert re.fullmatch(r"a = '[a-z0-9]{32}'; b = '[a-z]{5}@example\.com'", redact_findings(text, finds))


@pytest.mark.parametrize("style", STYLES)
def test_keys_are_known_even_to_a_detector_that_finds_any_string(style):
    """A detector that takes every long string for a key changes nothing on a second run."""
    find = matches(r"'([^'\n]{5,})'", "KEY", "string")
    text = f"a = '{TOKEN}'\nb = '{TOKEN}'\nc = 'another one 123'"
    once = redact_with(find, text, style=style)
    assert len(once.findings) == 3
    assert redact_with(find, once.text, style=style).text == once.text
    assert once.text.split("\n")[0][4:] == once.text.split("\n")[1][4:]


@pytest.mark.parametrize("style", STYLES)
def test_key_blocks_are_replaced_once(style):
    """A private key is replaced; a detector that would find its new body again changes nothing."""
    find = matches(r"(?s)(-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----)", "KEY", "private-key")
    once = redact_with(find, f"key = '''{KEY_BLOCK}'''\n", style=style)
    assert "MIIEpAIB" not in once.text
    assert once.text.count("\n") == KEY_BLOCK.count("\n") + 1
    assert redact_with(find, once.text, style=style).text == once.text


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [(r"'((?=\S*\d)\w{32,})'", "[a-z]{32}"), (r"'((?!example)\w{32,})'", "example[a-z]{25}")],
)
def test_a_replacement_that_is_found_is_drawn_again(pattern, expected):
    """A detector that insists on digits gets a key of letters, one that takes these too a key that says what it is."""
    find = matches(pattern, "KEY", "mixed")
    once = redact_with(find, f"a = '{TOKEN}'")
    assert re.fullmatch(f"a = '{expected}'", once.text)
    assert find(once.text) == []


def test_a_find_that_another_one_hid_is_replaced_too():
    """What is found only after the first replacement is replaced in the same run."""

    def find(text):
        hidden = matches(r"b=(bob)", "USERNAME", "user")(text) if TOKEN not in text else []
        return matches(f"({TOKEN})", "KEY", "token")(text) + hidden

    text = f"x={TOKEN};b=bob;"
    once = redact_with(find, text)
    assert [text[f.start : f.end] for f in once.findings] == [TOKEN, "bob"]
    assert re.fullmatch(r"x=[a-z0-9]{32};b=user[a-z0-9]{10};", once.text)


def test_a_find_that_goes_on_around_its_replacement_grows():
    """Where a replacement makes a find with what is around it, the two are replaced together."""
    find = matches(r"(ghp_\w{36}|[a-z0-9<>]{4,}-tail)", "KEY", "token")
    text = f"({TOKEN}-tail)"
    once = redact_with(find, text)
    assert [text[f.start : f.end] for f in once.findings] == [f"{TOKEN}-tail"]
    assert is_replacement("KEY", once.text[1:-1])


def test_adjacent_finds_and_finds_at_the_edges():
    """Finds at offset 0, right after each other and at the end are each replaced, and no space comes between."""
    text = f"{TOKEN}{TOKEN[:-1]}C"
    finds = [Finding(0, 40, "KEY", "x"), Finding(40, 80, "KEY", "x")]
    assert re.fullmatch(r"[a-z0-9]{64}", redact_findings(text, finds))
    assert redact_findings(text, finds, style="starcoder") == "<KEY><KEY>"


def test_many_values_of_a_file_stay_different():
    """2,000 addresses get 2,000 replacements."""
    text = "\n".join(f"user{number}@corp.io" for number in range(2000))
    assert len(set(redact(text).text.split("\n"))) == 2000
