"""What is encoded is looked into once: base64, percent encoding and character references."""

import base64
import random
import string

import pytest

from data_recipes.pii.find import find_pii
from data_recipes.pii.redaction import redact

TOKEN = "ghp_" + "".join(random.Random(4).choices(string.ascii_letters + string.digits, k=36))


def coded(text):
    return base64.b64encode(text.encode()).decode()


def found(text, types=("EMAIL_ADDRESS", "IP_ADDRESS", "KEY")):
    return [(find.type, find.rule, text[find.start : find.end]) for find in find_pii(text, types)]


@pytest.mark.parametrize(
    ("plain", "kind", "rule"),
    [
        (f"the token: {TOKEN}", "KEY", "base64:github-token"),
        ("contact bob@corp.io, please", "EMAIL_ADDRESS", "base64:email"),
        ("allow from 93.184.216.34 only", "IP_ADDRESS", "base64:ipv4"),
    ],
)
def test_base64_is_found_as_a_whole(plain, kind, rule):
    """A run that holds personal data is one find of its type; twice encoded is not looked into."""
    text = f'data = "{coded(plain)}"  # é'
    assert found(text) == [(kind, rule, coded(plain))]
    assert found(f'data = "{coded(coded(plain))}"') == []
    assert find_pii(text, ("NAME",)) == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("https://corp.io/?to=bob%40corp.io&page=2", "bob%40corp.io"),
        ("%22mail%22%3A%22bob%40corp.io%22", "bob%40corp.io"),
        ("é<a>bob&#64;corp.io</a>", "bob&#64;corp.io"),
        ("<a>bob&#x40;corp&#46;io</a>", "bob&#x40;corp&#46;io"),
        ("bob&commat;corp.io", "bob&commat;corp.io"),
    ],
)
def test_other_encodings_are_found_to_the_character(text, value):
    """An address in percent encoding or character references is found without what stands around it."""
    assert [(kind, one) for kind, _rule, one in found(text)] == [("EMAIL_ADDRESS", value)]


@pytest.mark.parametrize(
    "text",
    [
        f'x = "{coded("just words, nobody is named in here")}"',
        'x = "' + "0123456789abcdef" * 4 + '"',
        f'x = "{coded("write to bob@example.com, who is nobody")}"',
        "'%40s' % x, 'a%40b', 50%40, key%22=1",
        "https://corp.io/a&amp;b&#64;c",
        'x = "' + "A" * 5000 + '"',
    ],
)
def test_what_holds_nothing_is_not_found(text):
    """Words, hashes, formats and replacements are none, encoded or not."""
    assert found(text) == []


@pytest.mark.parametrize("style", ["santacoder", "starcoder", "preserve"])
def test_redacting_twice_is_redacting_once(style):
    """What was encoded is gone, and its replacement is none that is found again."""
    text = (
        f'a = "{coded("contact bob@corp.io, please")}"\nb = "{coded("allow from 93.184.216.34 only")}"\n'
        f'c = "{coded("the token: " + TOKEN)}"\nurl = "https://corp.io/?to=bob%40corp.io"\n'
    )
    once = redact(text, style=style, seed=1)
    assert (len(once.findings), "bob%40" in once.text) == (4, False)
    assert redact(once.text, style=style, seed=2).text == once.text
    compile(once.text, "a.py", "exec")


def test_backends_see_the_same():
    """Every backend leads to the same encoded finds."""
    from data_recipes.pii.key_engine import key_engine
    from data_recipes.pii.prefilter import BACKENDS

    text = f'a = "{coded("contact bob@corp.io, please")}" + "bob%40corp.io" + "{coded(f"x {TOKEN}")}"'
    assert len({tuple(find_pii(text, engine=key_engine(backend))) for backend in BACKENDS}) == 1


@pytest.mark.parametrize(
    "text",
    [
        "bob at corp dot io",
        "bob [at] corp.io",
        "bob (@) corp [.] io",
        "bob at mail.corp (dot) io",
        "bob AT corp DOT io",
    ],
)
def test_backends_see_the_same_addresses_in_words(text):
    """Every backend finds an address that is spelt out, whatever it searches for first."""
    from data_recipes.pii.key_engine import key_engine
    from data_recipes.pii.prefilter import BACKENDS

    found = {tuple(find_pii(f"ask {text}, please", engine=key_engine(backend))) for backend in BACKENDS}
    assert ["email-spelt-out"] == [find.rule for finds in found for find in finds]
