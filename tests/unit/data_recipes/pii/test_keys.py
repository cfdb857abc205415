"""Keys in texts: the same spans from every backend, exact offsets in any text, planted ones found, look-alikes not."""

import inspect
import json.decoder
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from presidio_analyzer import AnalyzerEngine
from presidio_analyzer.nlp_engine import NoOpNlpEngine

from data_recipes.errors import DataError
from data_recipes.pii import find
from data_recipes.pii.assignments import PLACES
from data_recipes.pii.find import find_pii
from data_recipes.pii.key_engine import BACKENDS, LONGEST_MATCH, KeyEngine, key_engine
from data_recipes.pii.key_filters import entropy, is_placeholder, looks_random
from data_recipes.pii.key_rules import key_rules
from data_recipes.pii.prefilter import MOST_ENDS
from data_recipes.pii.presidio import pii_registry
from data_recipes.pii.redaction import redact
from data_recipes.pii.replacements import STYLES
from tests.fixtures.key_samples import sample

TOKEN, _ = sample("ghp_{w:36}")
OTHER, _ = sample("glpat-{w:20}")
BLOCK, _ = sample(next(rule for rule in key_rules() if rule.id == "private-key").samples[0])
PIECES = [
    *(sample(rule.samples[0], 3)[0] for rule in key_rules()[::6]),
    *(TOKEN, TOKEN[:-1], OTHER, BLOCK, BLOCK[:150], "eyJhbGciOiJIUzI1NiJ9.", "-----BEGIN PRIVATE KEY-----", "AKIA"),
    *("api_key = '", "'", '"', "password: ", "=", " ", "\n", "\r\n", "\v", "\t", "\\n", ",", "://u:", "@h", "x" * 40),
    *(
        "é",
        "😀",
        "\ufeff",
        "\ud800",
        "\udcff",
        "\0",
        "\u212a",
        "\u017f",
        "aws_secret_access_key",
        "0123456789abcdef" * 4,
    ),
]


def values(text, types=("KEY",)):
    return [text[found.start : found.end] for found in find_pii(text, types)]


def spans(backend, text):
    engine, data = key_engine(backend), text.encode("utf-8", "surrogatepass")
    numbers = engine.candidates(data)[0]
    named = [(start, end, rule.id) for start, end, _, rule in engine.assigned(data, numbers)]
    return [*((start, end, rule.id) for start, end, rule in engine.spans(data, numbers)), *named]


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=14))
@settings(deadline=None, max_examples=150)
def test_all_backends_find_the_same(pieces):
    """Hyperscan, RE2 and Python's own expressions give identical spans and rules for any text."""
    text = "".join(pieces)
    first, *others = [spans(backend, text) for backend in BACKENDS]
    assert all(found == first for found in others)


@given(st.lists(st.sampled_from(PIECES), max_size=10), st.sampled_from(STYLES))
@settings(deadline=None, max_examples=100)
def test_redacting_keys_twice_is_redacting_once(pieces, style):
    """No replacement of a key is a find, whatever stands beside it."""
    once = redact("".join(pieces), style=style).text
    assert redact(once, style=style).text == once
    assert find_pii(once) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ("", "\n"),
        ("\ufeff", ""),
        ("😀\U0001d4b3 = '", "'"),
        ("\udcff\ud800é'", "'\r\n"),
        ('f"{x}', '{y}"'),
        ("a\r\n", "\r\nb"),
        ('"\\n', '\\n"'),
        ("\0\1binary\0", "\0"),
        ("token%3D", "%26x"),
        ("https://oauth2:", "@git.corp.io/x.git"),
        ('<a b="', '">'),
        ("(", ")"),
        ("x=", ";"),
    ],
)
def test_the_span_is_exact_wherever_the_key_stands(before, after):
    """At the beginning, at the end, after any character or escape, the find is the key and nothing else."""
    assert values(before + TOKEN + after) == [TOKEN]


@pytest.mark.parametrize("glue", [",", " ", ":", ";", "\n", "'+'", '", "', "|", "/", "\\n"])
def test_two_keys_beside_each_other_are_two_finds(glue):
    """Neither of two adjacent keys hides the other, and none is replaced by the other's replacement."""
    text = f"{TOKEN}{glue}{OTHER}{glue}{TOKEN}"
    assert values(text) == [TOKEN, OTHER, TOKEN]
    one, other, again = redact(text).text.split(glue)
    assert one == again != other


@pytest.mark.parametrize("text", ["curl -u bob:{}", "Server=a;Uid=b;Pwd={}", "x://u:{}@h", "password = '{}'"])
@pytest.mark.parametrize("count", [31, 32, 63, 64, 127, 128, 129, 300])
def test_no_find_ends_inside_a_character(text, count):
    """A value of characters of several bytes is found whole or not at all."""
    text = text.format("a1" + "\u00e9\U0001d4b3" * count)
    for found in find_pii(text, ["KEY", "PASSWORD"]):
        assert text[found.end : found.end + 1] in {"", "@", "'"}


@pytest.mark.parametrize("before", ["x", "9", "Z"])
def test_a_key_inside_a_longer_word_is_none(before):
    """What goes on before or after is not cut."""
    assert values(f"{before}{TOKEN}") == []
    assert values(f"{OTHER}{'x' * 400}") == []


def test_of_overlapping_finds_the_more_special_rule_counts():
    """A GitHub token that an assignment calls a secret is a GitHub token; one in a private key is the private key."""
    assert [f.rule for f in find_pii(f'secret_key = "{TOKEN}"')] == ["github-token"]
    assert [f.rule for f in find_pii(BLOCK)] == ["private-key"]


@pytest.mark.parametrize(
    "wrap",
    [
        "\n".join,
        "\r\n".join,
        lambda lines: "key = '" + "\\n".join(lines) + "\\n'",
        lambda lines: '"private_key": "' + "\\\\n".join(lines) + '"',
        lambda lines: " +\n".join(f'  "{line}\\n"' for line in lines),
        lambda lines: "\n".join(f"    // {line}" for line in lines),
        lambda lines: "\n".join(lines[:-1]),
    ],
)
def test_private_keys_are_found_in_every_form(wrap):
    """In one literal, joined line by line, in comments, with escaped line ends or cut off: all of the body is found."""
    text = "x = 1\n" + wrap(BLOCK.split("\n")) + "\ny = 2\n"
    (found,) = find_pii(text)
    assert found.rule == "private-key"
    body = BLOCK.split("\n")[1:-1]
    assert all(line in text[found.start : found.end] for line in body)
    assert "y = 2" not in text[found.start : found.end]


LOOKALIKES = [
    'public_key = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE7q1b0x9Kp2LmWc9dQ7"',
    '"integrity": "sha512-q7RkX0aPz2LmWc9dq7RkX0aPz2LmWc9dq7RkX0aPz2LmWc9dq7RkX0aPz2LmWc9dq7RkX0aPz2LmWc9dq7RkX0=="',
    'sha256_key = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"',
    'gitea_image_digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b"',
    'key = "123e4567-e89b-12d3-a456-426614174000"',
    'key = "abcdefghijklmnopqrstuvwxyz0123456789"',
    'api_key = "your-api-key-goes-here-now-42"',
    'token = "xxxxxxxxxxxxxxxxxxxxxxxx1"',
    'secret = "********************"',
    'secret_key = "${SECRET_KEY_FROM_ENV_1}"',
    'key = "CKM_SHA3_512_KEY_DERIVATION"',
    'token = "Gemma4ForCausalLMTokenizer"',
    'key = "Europe/Dublin/Some/Where1"',
    'key = "1.3.6.1.4.1.311.20.2.3"',
    'key_version = "10.15.2.20230401"',
    "AKIAIOSFODNN7EXAMPLE",
    "postgres://user:password@localhost/db",
    "https://user:$PASSWORD@corp.io/",
    "eyJhbGciOiJIUzI1NiJ9",
    "'-----BEGIN RSA PRIVATE KEY-----', '-----END RSA PRIVATE KEY-----'",
    "-----BEGIN RSA PRIVATE KEY-----\n...\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN PUBLIC KEY-----\n" + "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA\n" * 3 + "-----END PUBLIC KEY-----",
    "api_key = getKeyFromSettings2(Config.DEFAULT)",
]


@pytest.mark.parametrize("text", LOOKALIKES)
def test_what_only_looks_like_a_key_is_left_alone(text):
    """Hashes, UUIDs, alphabets, placeholders, names, versions, identifiers, public keys and empty blocks are no keys."""
    assert values(text) == []


def test_planted_keys_are_all_found_and_nothing_else_changes():
    """Every key with a format of its own, planted into real files, is found; every other byte stays."""
    draw = random.Random(5)
    lines = inspect.getsource(json.decoder).split("\n") * 4
    places = sorted(draw.sample(range(len(lines)), 180))
    rules = [rule for rule in key_rules() if rule.kind == "token" and rule.type == "KEY"]
    planted = []
    for number, place in enumerate(places):
        text, value = sample(rules[number % len(rules)].samples[0], number)
        if value == text:
            lines[place] += f'  # see "{value}" there'
            planted.append(value)
    text = "\n".join(lines)
    result = redact(text)
    assert [text[f.start : f.end] for f in result.findings] == planted
    for value, (start, end) in zip(reversed(planted), reversed(result.places), strict=True):
        text_back = result.text[:start] + value + result.text[end:]
        result = type(result)(text_back, [], [])
    assert result.text == text


def test_passwords_and_user_names_are_found_only_where_asked_for():
    """Both types are off by default, and can be asked for alone; a password that a machine drew is a key, too."""
    text = "username = 'bob_b81'\npassword = 'maple1999!'\n"
    assert find_pii(text) == []
    assert values(text, ["PASSWORD"]) == ["maple1999!"]
    assert values(text, ["USERNAME", "PASSWORD"]) == ["bob_b81", "maple1999!"]
    assert redact(text, types=["PASSWORD"], style="starcoder").text == "username = 'bob_b81'\npassword = '<PASSWORD>'\n"
    for text in ("password = 'password'", "password = None", "pwd = os.environ['PWD']", "pass: '<your password>'"):
        assert values(text, ["PASSWORD"]) == []
    text = "REGISTRY_PASSWORD=q7RkX0aPz2LmWc9d\n"
    assert [(f.type, f.rule) for f in find_pii(text)] == [("KEY", "random-password")]
    assert [(f.type, f.rule) for f in find_pii(text, ["KEY", "PASSWORD"])] == [("PASSWORD", "named-line")]


def test_the_recognizers_of_an_engine_share_one_scan(monkeypatch):
    """Presidio asks three recognizers, and the text is scanned once."""
    nlp = NoOpNlpEngine(models=[{"lang_code": "en", "model_name": "no_op"}])
    analyzer = AnalyzerEngine(registry=pii_registry(), nlp_engine=nlp)
    texts, engine = [], key_engine()
    candidates = engine.candidates
    monkeypatch.setattr(engine, "candidates", lambda data: texts.append(data) or candidates(data))
    find._scan.cache_clear()
    found = analyzer.analyze(f"# bob@corp.io 93.184.216.34 {TOKEN}", language="en")
    assert sorted(result.entity_type for result in found) == ["EMAIL_ADDRESS", "IP_ADDRESS", "KEY"]
    assert len(texts) == 1


def test_a_hash_is_known_by_its_name():
    """The word before a hexadecimal string decides: a shared secret is one, a SHA-256 is none."""
    value, _ = sample("{h:64}", 7)
    assert values(f'shared_secret = "{value}"') == [value]
    for name in ("sha256_key", "key_digest", "integrity_key", "hash_key"):
        assert values(f'{name} = "{value}"') == []


def test_rules_and_backends_can_be_chosen(monkeypatch):
    """A registry takes other rules; an unknown backend, type or environment variable is named."""
    registry = pii_registry(["KEY"], rules=[rule for rule in key_rules() if rule.id == "gitlab-token"], backend="re")
    (recognizer,) = registry.recognizers
    text = f"{TOKEN} {OTHER}"
    assert [text[r.start : r.end] for r in recognizer.analyze(text, ["KEY"], None)] == [OTHER]
    with pytest.raises(DataError, match=r"backend='pcre' is unknown\. Choose one of hyperscan, re2, re"):
        KeyEngine(key_rules(), "pcre")
    with pytest.raises(DataError, match="type 'PHONE' is not available"):
        pii_registry(["PHONE"])
    monkeypatch.setattr("data_recipes.pii.key_engine.is_installed", lambda _: False)
    monkeypatch.setattr("data_recipes.pii.prefilter.is_installed", lambda _: False)
    with pytest.raises(DataError, match=r"backend 'hyperscan' is not installed. Run pip install 'hf-santa\[pii\]'"):
        KeyEngine(key_rules(), "hyperscan")
    data = TOKEN.encode()
    assert KeyEngine(key_rules()).backend == "re"
    assert [end - start for start, end, _ in KeyEngine(key_rules()).spans(data, range(len(key_rules())))] == [40]
    monkeypatch.setenv("HF_SANTA_PII_BACKEND", "pcre")
    with pytest.raises(DataError, match="backend='pcre' is unknown"):
        KeyEngine(key_rules())


def test_filters_tell_words_from_random_characters():
    """Entropy, placeholders and the likeness to words are what they say."""
    assert entropy("") == 0.0
    assert entropy("abcd") == 2.0
    assert is_placeholder("AKIAXXXXXXXXXXXXXXXX")
    assert not is_placeholder(TOKEN)
    draw = random.Random(1)
    words = ["configuration_settings_v2", "SyntheticBeanProperty", "org.corp.module.Handler", "user-profile-page-3"]
    assert not any(looks_random(word) for word in words)
    made = [
        "".join(draw.choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", k=32))
        for _ in range(200)
    ]
    assert sum(map(looks_random, made)) >= 198


def test_no_place_is_longer_than_its_window():
    """The windows in which the expressions of places are searched for hold the longest match of each."""
    widths = {rule.id: re._parser.parse(rule.regex).getwidth()[1] for rule in key_rules() if rule.kind in PLACES}
    assert len(widths) > 10
    assert max(widths.values()) <= LONGEST_MATCH


@pytest.mark.parametrize("count", [1, 3, MOST_ENDS, 3 * MOST_ENDS])
def test_many_places_far_apart_and_close_together_are_all_found(count):
    """Windows around the ends that Hyperscan tells lose nothing, however many there are, whatever lies between."""
    text = "".join(
        f'db_password = "maple{number:04}!"\n' + "x = 1\n" * (300 if number % 7 == 0 else 0) for number in range(count)
    )
    found = {backend: find_pii(text, ("PASSWORD",), engine=key_engine(backend)) for backend in ("hyperscan", "re2")}
    assert found["hyperscan"] == found["re2"]
    assert len(found["re2"]) == count
