"""The rules for keys: each finds its samples and not its counter-samples, and a rule that can't be used is named."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_recipes.errors import DataError
from data_recipes.pii.key_engine import BACKENDS, KeyEngine, key_engine
from data_recipes.pii.key_rules import key_rules, load_rules
from tests.fixtures.key_samples import sample

RULES = key_rules()
MINIMAL = {
    "id": "'tk'",
    "about": "'a token'",
    "source": "'its docs'",
    "keywords": "['tk_']",
    "regex": "'tk_[a-z]{9}'",
    "samples": "['tk_abcdefghi']",
}


def found(text, backend="re2"):
    """The values that the rules find in a text, with the ids of the rules."""
    engine, data = key_engine(backend), text.encode()
    numbers = engine.candidates(data)[0]
    spans = [
        *engine.spans(data, numbers),
        *((start, end, rule) for start, end, _, rule in engine.assigned(data, numbers)),
    ]
    return [(data[start:end].decode(), rule.id) for start, end, rule in spans]


def rule_file(folder, text="", **fields):
    """A file with one rule, some of whose fields are others."""
    path = folder / "rules.toml"
    rows = "".join(f"{name} = {value}\n" for name, value in (MINIMAL | fields).items() if value)
    path.write_text(text or f"# rules\n\n[[rule]]\n{rows}", "utf-8")
    return path


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_each_rule_finds_its_samples_exactly(rule):
    """Whatever is drawn for a sample, its value is found from its first to its last character, with every backend."""
    for template in rule.samples:
        for seed in range(3):
            text, value = sample(template, seed)
            assert value
            for backend in BACKENDS:
                assert value in [name for name, _ in found(text, backend)], (text, backend)


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.sign], ids=lambda rule: rule.id)
def test_a_sign_is_wherever_the_rule_finds(rule):
    """The quicker expression matches each sample that the exact one matches, and not after its end."""
    for template in rule.samples:
        text = sample(template)[0].encode()
        sign, exact = re.search(rule.sign.encode(), text), re.search(rule.regex.encode(), text)
        assert sign.end() <= exact.end()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_no_rule_finds_its_counter_samples(rule):
    """What is too short, or only says where a key would stand, is not found by the rule."""
    for template in rule.non_samples:
        for seed in range(3):
            text, value = sample(template, seed)
            assert value == ""
            assert rule.id not in [name for _, name in found(text)], text


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
@given(data=st.data())
@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_a_rule_matches_holds_one_of_its_keywords(rule, data):
    """So no text is passed over that a search for the keywords alone does not see."""
    match = data.draw(st.from_regex(re.compile(rule.regex.encode()), fullmatch=True))
    assert any(word.encode() in (match if word != word.lower() else match.lower()) for word in rule.keywords)


def test_rules_are_many_and_described():
    """More than a hundred services are covered; every rule has a counter-sample, or its format has no shorter form."""
    assert len(RULES) >= 250
    assert len({rule.id for rule in RULES}) == len(RULES)
    assert sum(not rule.non_samples for rule in RULES) <= 10


def test_every_rule_finds_its_own_samples_unless_another_is_named_first():
    """Nearly all samples are found by the rule that they belong to."""
    first = [(rule.id, found(sample(rule.samples[0])[0])) for rule in RULES]
    others = [name for name, finds in first if name not in [rule for _, rule in finds]]
    assert len(others) <= 5, others


def test_a_rule_file_is_read(tmp_path):
    """A file with what is required gives a rule that an engine can use."""
    engine = KeyEngine(load_rules(rule_file(tmp_path)))
    data = b"x = 'tk_abcdefghj'"
    assert [(s, e, r.id) for s, e, r in engine.spans(data, engine.candidates(data)[0])] == [(5, 17, "tk")]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"regex": "'tk_[a-z'"}, r"rules.toml:8: rule 'tk': regex is no regular expression: unterminated"),
        ({"regex": r"'(?<!x)tk_'"}, r":8: rule 'tk': regex has '\(\?<!' at 0, which is not the same in all engines"),
        ({"regex": r"'tk_\s+x'"}, r":8: rule 'tk': regex has '\\\\s' at 3"),
        ({"regex": "'tk_[a-z]+$'"}, r":8: .*regex has '\$' at 9"),
        ({"regex": "'(t)(k_)'"}, r":8: .*regex has 2 groups. Expected at most one"),
        ({"regex": "'(?:tk_)?'"}, r":8: .*regex matches nothing at all"),
        ({"regex": "'tk_é'"}, r":8: .*regex has a character outside ASCII"),
        ({"regex": ""}, r":3: .*expected either 'regex', or 'words' and 'value'"),
        ({"keywords": "[]"}, r":7: .*field 'keywords' is missing or empty"),
        ({"keywords": "['é']"}, r":7: .*keyword 'é': expected ASCII characters"),
        ({"source": ""}, r":3: rule 'tk': field 'source' is missing or empty"),
        ({"entropy": "'high'"}, r":10: .*entropy is 'high', expected float"),
        ({"charset": "'base99'"}, r":10: .*charset='base99' is unknown. Choose one of any, digits"),
        ({"kind": "'odd'"}, r":10: .*kind='odd' is unknown. Choose one of token"),
        ({"type": "'PHONE'"}, r":10: .*type='PHONE' is unknown. Choose one of KEY"),
        ({"inside": "'z-a'"}, r":10: .*inside is no set of characters"),
        ({"secret": "1"}, r":10: .*field 'secret' is unknown. Fields: id, about"),
    ],
)
def test_a_rule_that_cannot_be_used_is_named_by_id_and_line(tmp_path, fields, message):
    """The error says which line of which rule, what was found there and what is expected."""
    with pytest.raises(DataError, match=message):
        load_rules(rule_file(tmp_path, **fields))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[rule]]\nid = ", "no TOML"),
        ("a = 1", r"tables found: a. Expected only tables \[\[rule\]\]"),
        ("# nothing", "tables found: none"),
        ("rule = 'x'", "tables found: rule"),
    ],
)
def test_a_file_that_holds_no_rules_is_named(tmp_path, text, message):
    """What is no TOML or holds no rule is an error; so are two rules of one id, and a file that is not there."""
    with pytest.raises(DataError, match=message):
        load_rules(rule_file(tmp_path, text))
    twice = rule_file(tmp_path).read_text() * 2
    with pytest.raises(DataError, match=r":13: rule 'tk': the id stands twice"):
        load_rules(rule_file(tmp_path, twice))
    with pytest.raises(DataError, match="not readable"):
        load_rules(tmp_path / "none.toml")
