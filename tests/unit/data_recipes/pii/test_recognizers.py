"""Other recognizers beside the rules of this package: any presidio EntityRecognizer, and what a bad one is told."""

import pickle
import re
from dataclasses import dataclass, field

import pytest
from presidio_analyzer import Pattern, PatternRecognizer
from presidio_analyzer.predefined_recognizers import IpRecognizer

from data_recipes.errors import DataError
from data_recipes.pii.detector import Detector
from data_recipes.pii.find import find_pii
from data_recipes.pii.recognizers import identity_of
from data_recipes.pii.redaction import redact
from data_recipes.pii.rows import Redactor
from data_recipes.pii.tags import is_tag


@dataclass
class Found:
    """What a recognizer returns."""

    entity_type: str
    start: int
    end: int
    score: float = 1.0


@dataclass
class Words:
    """Finds words: a recognizer without presidio."""

    words: dict
    supported_entities: list = field(default_factory=lambda: ["PERSON"])

    def analyze(self, text, entities, nlp_artifacts):
        """Return where the words stand."""
        del entities, nlp_artifacts
        return [
            Found(kind, *match.span())
            for word, kind in self.words.items()
            for match in re.finditer(rf"\b{re.escape(word)}\b", text)
        ]


MAILS = PatternRecognizer("EMAIL_ADDRESS", patterns=[Pattern("mail", r"[\w.]+@[\w.]+", 0.8)])
PHONES = PatternRecognizer("PHONE_NUMBER", patterns=[Pattern("phone", r"\+1 555 [0-9]{3} [0-9]{4}", 0.8)])


def test_a_presidio_recognizer_finds_beside_the_rules():
    """Its type is replaced like a value of its own kind: as many digits, or its tag; addresses are found as ever."""
    text = 'phone = "+1 555 123 4567"  # bob@corp.io\n'
    plain = redact(text, recognizers=[PHONES], seed=1).text
    assert (
        re.match(r'phone = "\+\d \d{3} \d{3} \d{4}"  # \w+@example\.com\n', plain) is not None,
        "4567" in plain,
    ) == (
        True,
        False,
    )
    tagged = redact(text, recognizers=[PHONES], style="starcoder").text
    assert tagged == 'phone = "<PHONE_NUMBER>"  # <EMAIL>\n'
    assert is_tag("PHONE_NUMBER", "<PHONE_NUMBER>")


@pytest.mark.parametrize("style", ["santacoder", "starcoder", "preserve"])
def test_replacing_what_recognizers_find_twice_is_replacing_it_once(style):
    """What stands in for a find is none for the same recognizers, presidio's own among them."""
    others = [
        PHONES,
        MAILS,
        IpRecognizer(),
        Words({"Ann Lee": "PERSON", "annlee7": "USER_NAME"}, ["PERSON", "USER_NAME"]),
    ]
    text = "call = '+1 555 123 4567' # Ann Lee, annlee7, bob@corp.io, 93.184.216.34\n"
    once = redact(text, recognizers=others, style=style, seed=1).text
    assert redact(once, recognizers=others, style=style, seed=2).text == once
    assert not [value for value in ("123 4567", "Ann Lee", "annlee7", "bob@corp", "93.184") if value in once]


def test_names_of_types_are_those_of_this_package():
    """StarPII's and presidio's names become ours where there is one; a chosen type leaves the others out."""
    other = Words({"Ann": "PERSON", "a1": "Phone number"}, ["PERSON", "Phone number", "EMAIL"])
    detector = Detector(recognizers=[other])
    assert detector.types == ("EMAIL_ADDRESS", "IP_ADDRESS", "KEY", "NAME", "PHONE_NUMBER")
    assert [find.type for find in detector("Ann a1")] == ["NAME", "PHONE_NUMBER"]
    assert [find.type for find in Detector(("PHONE_NUMBER",), recognizers=[other])("Ann a1")] == ["PHONE_NUMBER"]
    with pytest.raises(DataError, match="'PHONE_NUMBER' is not available"):
        Detector(("PHONE_NUMBER",))


def test_finds_that_overlap_are_one():
    """Of finds that overlap, in one recognizer or between it and the rules, the first and then the longest counts."""
    other = Words({"Ann": "PERSON", "Ann Lee": "PERSON", "Lee bob": "PERSON", "bob": "PERSON"})
    found = Detector(recognizers=[other])("Ann Lee bob@corp.io")
    assert [(find.start, find.end, find.type) for find in found] == [(0, 7, "NAME"), (8, 19, "EMAIL_ADDRESS")]


class Raising:
    """A recognizer that can't work."""

    supported_entities = ("PERSON",)

    def analyze(self, *_):
        """Raise."""
        raise RuntimeError("no model")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (Raising(), "recognizer Raising raised RuntimeError: no model"),
        (Words({"Ann": "PERSON"}, []), "recognizer Words has no analyze"),
        (object(), "recognizer object has no analyze"),
        ("no_such_module_here:Name", "can't be imported"),
        ("re:NoName", "has no 'NoName'"),
        ("re:I", "can't be made|is RegexFlag|has no analyze"),
        ("name", "expected MODULE:NAME"),
    ],
)
def test_a_bad_recognizer_is_named(bad, message):
    """One that raises, that can't be loaded or is none is an error that names it."""
    with pytest.raises(DataError, match=message):
        Detector(recognizers=[bad])("Ann")


@pytest.mark.parametrize("place", [(-1, 2), (2, 2), (1, 900), (3, 1), (None, 2), (0.5, 2)])
def test_a_place_outside_the_text_is_an_error(place):
    """A recognizer whose result is not inside the text is named with the place."""
    other = Words({})
    other.analyze = lambda *_: [Found("PERSON", *place)]
    with pytest.raises(DataError, match=r"recognizer Words returned NAME from .* in a text of 3 characters"):
        Detector(recognizers=[other])("Ann")
    other.analyze = lambda *_: ["Ann"]
    with pytest.raises(DataError, match="returned str, expected RecognizerResult"):
        Detector(recognizers=[other])("Ann")


def test_a_recognizer_by_its_name(tmp_path):
    """A class or function of a file makes one; a redactor with its name can be pickled; its code is what it is known by."""
    path = tmp_path / "mine.py"
    path.write_text(
        "class Mine:\n    supported_entities = ['PERSON']\n"
        "    def analyze(self, text, entities, artifacts):\n"
        "        from types import SimpleNamespace as N\n"
        "        return [N(entity_type='PERSON', start=0, end=3)]\n"
    )
    redactor = Redactor(style="starcoder", recognizers=(f"{path}:Mine",))
    assert pickle.loads(pickle.dumps(redactor))({"content": ["Ann = 1"]}) == {
        "content": ["<NAME> = 1"],
        "pii_emails": [0],
        "pii_ip_addresses": [0],
        "pii_keys": [0],
        "pii_names": [1],
    }
    before = identity_of(f"{path}:Mine")
    path.write_text(path.read_text() + "# changed\n")
    assert identity_of(f"{path}:Mine") != before


def test_find_pii_asks_other_recognizers():
    """All of their types count where none is named; their finds come in order, without overlap, as a recognizer's."""
    text = "call +1 555 123 4567 or bob@corp.io"
    found = find_pii(text, recognizers=[PHONES, Words({"bob": "PERSON"})])
    assert [(f.type, f.rule) for f in found] == [
        ("PHONE_NUMBER", "recognizer:PatternRecognizer"),
        ("EMAIL_ADDRESS", "email"),
    ]
    assert [f.type for f in find_pii(text, ("NAME",), recognizers=[Words({"bob": "PERSON"})])] == ["NAME"]
    assert find_pii(text, ("KEY",), recognizers=[PHONES]) == []


@pytest.mark.parametrize(
    ("types", "recognizers", "says"),
    [
        (("PHONE_NUMBER",), (), "type 'PHONE_NUMBER' is not available"),
        ("KEY", (), "type 'KEY' is not available"),
        (None, "module:NAME", "expected a list"),
        (None, [object()], "has no analyze"),
        (None, [Words({"call": "PERSON"}, [])], "has no analyze"),
    ],
)
def test_find_pii_refuses_what_it_cannot_ask(types, recognizers, says):
    """A type that nobody finds, types or recognizers that are no list, and what is no recognizer have messages."""
    with pytest.raises(DataError, match=says):
        find_pii("call", types, recognizers=recognizers)
