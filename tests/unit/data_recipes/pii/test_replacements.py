"""What stands in for a value, by style, and how it is known again."""

import ast
import ipaddress
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_recipes.errors import DataError
from data_recipes.pii.key_blocks import is_replaced_block, replaced_block, tagged_block
from data_recipes.pii.redaction_key import RedactionKey
from data_recipes.pii.replacements import STYLES, Replacements, is_replacement
from data_recipes.pii.replacements_same_length import same_shape_address
from data_recipes.pii.tags import TAGS

TOKEN = "ghp_" + "a1B2" * 9
BODY = ["MIIEpAIBAAKCAQEA7bq0x9K+abcdEFGHijkl/xyz0123456789ABCDEFGHIJKLmn", "//9+ab8CdMMMxyz0123456789==", "QUJD"]
HEAD, FOOT = "-----BEGIN RSA " + "PRIVATE KEY-----", "-----END RSA " + "PRIVATE KEY-----"
PEM = "\n".join(
    [HEAD, "Proc-Type: 4,ENCRYPTED", "DEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF", "", *BODY, FOOT]
)
SECRETS = [("KEY", TOKEN), ("KEY", PEM), ("PASSWORD", "pä$\\x41w0rd!"), ("PASSWORD", "abc"), ("USERNAME", "alice")]
ADDRESSES = [
    ("EMAIL_ADDRESS", "Ann.Lee+x9@mail.Corp.co.uk"),
    ("EMAIL_ADDRESS", "x@münchen.de"),
    ("EMAIL_ADDRESS", "user@[93.184.216.34]"),
    ("IP_ADDRESS", "93.184.216.34"),
    ("IP_ADDRESS", "5.9.12.130"),
    ("IP_ADDRESS", "2606:2800:220:1::1"),
    ("IP_ADDRESS", "2a00:2800::93.184.216.34"),
]


def shape(text):
    """The classes of character of a text, place by place."""
    classes = (str.isdigit, "0"), (str.islower, "a"), (str.isupper, "A"), (str.isalpha, "ä")
    return "".join(next((sign for test, sign in classes if test(char)), char) for char in text)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(("kind", "value"), SECRETS)
def test_replaced_secrets_are_known_and_real_ones_are_not(style, kind, value):
    """Every replacement of a secret is recognised, the secret itself never."""
    assert is_replacement(kind, Replacements(RedactionKey.of_seed(7), style).of(kind, value))
    assert not is_replacement(kind, value)


@pytest.mark.parametrize("level", range(4))
@pytest.mark.parametrize("style", STYLES)
def test_a_redrawn_replacement_is_still_one(style, level):
    """However often it is drawn again, a replacement keeps its format and is known."""
    for kind, value in SECRETS:
        replacements = Replacements(RedactionKey.of_seed(7), style)
        for _ in range(level):
            replacements.redraw(kind, value)
        assert is_replacement(kind, replacements.of(kind, value))


@pytest.mark.parametrize(("kind", "value"), [*SECRETS, *ADDRESSES])
def test_preserve_keeps_length_and_classes(kind, value):
    """Style `preserve` changes letters and digits within their class and nothing else; nothing of a key's body stays."""
    new = Replacements(RedactionKey.of_seed(3), "preserve").of(kind, value)
    if value is PEM:
        assert [len(line) for line in new.split("\n")] == [len(line) for line in value.split("\n")]
    else:
        assert shape(new) == shape(value)
    assert new != value


def test_santacoder_writes_the_reports_formats():
    """Five letters at example.com, a private address of the family, 32 of a-z and 0-9 that begin with a letter."""
    replacements = Replacements(RedactionKey.of_seed(0), "santacoder")
    assert re.fullmatch(r"[a-z]{5}@example\.com", replacements.of("EMAIL_ADDRESS", "bob@corp.io"))
    assert ipaddress.IPv4Address(replacements.of("IP_ADDRESS", "93.184.216.34")).is_private
    assert ipaddress.IPv6Address(replacements.of("IP_ADDRESS", "2606:2800:220:1::1")).is_private
    assert re.fullmatch(r"[a-z][a-z0-9]{31}", replacements.of("KEY", TOKEN))
    assert re.fullmatch(r"[a-z][a-z0-9]{31}", replacements.of("PASSWORD", "hunter2"))
    assert re.fullmatch(r"user[a-z0-9]{10}", replacements.of("USERNAME", "alice"))


def test_starcoder_writes_tags():
    """Each type has its tag; IP addresses become private ones."""
    replacements = Replacements(RedactionKey.of_seed(0), "starcoder")
    assert {kind: replacements.of(kind, "value") for kind in TAGS} == dict(TAGS)
    assert ipaddress.ip_address(replacements.of("IP_ADDRESS", "93.184.216.34")).is_private


def test_a_key_block_keeps_its_lines():
    """Header, footer, PEM headers, number and width of the lines stay; the body is of a-z and 0-9."""
    new = Replacements(RedactionKey.of_seed(0), "santacoder").of("KEY", PEM).split("\n")
    assert (new[:4], new[-1]) == (PEM.split("\n")[:4], FOOT)
    assert [len(line) for line in new] == [len(line) for line in PEM.split("\n")]
    assert re.fullmatch(r"[a-z0-9/=]+", "".join(new[4:-1]))
    tagged = Replacements(RedactionKey.of_seed(0), "starcoder").of("KEY", PEM).split("\n")
    assert (tagged[0], tagged[4], tagged[-1], len(tagged)) == (HEAD, "<KEY>", FOOT, len(new))


@pytest.mark.parametrize("change", [replaced_block, tagged_block])
def test_a_key_block_in_program_text_parses_as_before(change):
    """A key over several literals keeps quotes, prefixes, operators, escapes and names between them."""
    source = f'indent = "  "\nkey = (b"{HEAD}\\n"\n    b"{BODY[0]}\\n" +\n    rb"{BODY[1]}" + indent.encode()[0:2] + b"{FOOT}\\n")\n'
    start, end = source.index(HEAD), source.index(FOOT) + len(FOOT)
    new = source[:start] + change(source[start:end], bytes(range(256)) * 4) + source[end:]
    kinds = [[type(node).__name__ for node in ast.walk(ast.parse(text))] for text in (source, new)]
    assert kinds[0] == kinds[1]
    assert BODY[0] not in new
    assert is_replaced_block(new[start : start + new[start:].index(FOOT) + len(FOOT)])


def test_a_key_block_with_escaped_line_ends_keeps_them():
    """In a JSON value the line ends are escapes, single or double; they stay."""
    for line_end in ("\\n", "\\\\n", "\\r\\n", "%0A"):
        block = line_end.join([HEAD, *BODY, FOOT])
        new = replaced_block(block, bytes(range(256)) * 2)
        assert [len(line) for line in new.split(line_end)] == [len(line) for line in block.split(line_end)]


@pytest.mark.parametrize("line_end", ["\n", "\\n"])
def test_a_putty_key_keeps_its_form(line_end):
    """The names of its fields and the numbers of lines stay; body, comment and check sum go."""
    fields = ["PuTTY-User-Key-File-3: ssh-rsa", "Encryption: none", "Comment: annlee", "Public-Lines: 1", BODY[0]]
    block = line_end.join([*fields, "Private-Lines: 1", BODY[0], "Private-MAC: " + "0a1b" * 10])
    new = Replacements(RedactionKey.of_seed(0), "santacoder").of("KEY", block).split(line_end)
    assert [new[n] for n in (0, 1, 3, 5)] == [fields[0], fields[1], fields[3], "Private-Lines: 1"]
    assert (new[2][:9], new[7][:13], len(new)) == ("Comment: ", "Private-MAC: ", 8)
    assert [text for text in ("annlee", BODY[0], "0a1b0a1b") if text in line_end.join(new)] == []


@pytest.mark.parametrize("style", ["santacoder", "preserve"])
def test_different_values_differ_and_equal_ones_agree(style):
    """2,000 values of a type get 2,000 replacements, each the same one every time."""
    replacements = Replacements(RedactionKey.of_seed(0), style)
    for kind, make in (
        ("EMAIL_ADDRESS", "user{}@corp.io".format),
        ("KEY", "ghp_{:036d}".format),
        ("IP_ADDRESS", lambda n: f"93.184.{n // 250}.{n % 250}"),
    ):
        values = [make(number) for number in range(2000)]
        drawn = [replacements.of(kind, value) for value in values]
        assert drawn == [replacements.of(kind, value) for value in values]
        assert style == "preserve" or len(set(drawn)) == 2000
        assert kind == "IP_ADDRESS" or len(set(drawn)) == 2000


def test_a_shape_without_room_repeats_itself():
    """More values than a short shape can tell apart end in repetition, not in an endless search."""
    replacements = Replacements(RedactionKey.of_seed(0), "preserve")
    drawn = {
        replacements.of("IP_ADDRESS", f"{n // 1000 % 9 + 1}.{n // 100 % 10}.{n // 10 % 10}.{n % 10}")
        for n in range(5000)
    }
    assert 900 < len(drawn) <= 1000


@given(st.ip_addresses())
@settings(deadline=None)
def test_no_shape_of_an_address_is_public(address):
    """Whatever its shape, an address of style `preserve` is valid and in no public range."""
    value = str(address) if address.version == 4 else "2" + f"{address.exploded}"[1:]
    new = ipaddress.ip_address(same_shape_address(value, bytes(range(7, 107))))
    assert not (new.is_global and (new.version == 4 or new.packed[0] >> 5 == 1))


@given(st.text(st.characters(exclude_characters="\n"), min_size=1, max_size=40), st.sampled_from(STYLES))
@settings(deadline=None)
def test_any_password_has_a_replacement_that_is_known(value, style):
    """Whatever a secret is made of, lone surrogates and escapes too, what replaces it is recognised."""
    assert is_replacement("PASSWORD", Replacements(RedactionKey.of_seed(1), style).of("PASSWORD", value))


def test_the_seed_is_a_key():
    """Another seed gives other replacements, in every style that draws them."""
    for kind, value in [*SECRETS[:3], *ADDRESSES]:
        for style in ("santacoder", "preserve"):
            assert len({Replacements(RedactionKey.of_seed(seed), style).of(kind, value) for seed in range(4)}) > 1


def test_an_unknown_style_is_named():
    """A misspelt style is answered with the styles there are."""
    with pytest.raises(
        DataError, match=r"style='tags' is not available\. Styles of this version: santacoder, starcoder"
    ):
        Replacements(RedactionKey.of_seed(0), "tags")
