"""The report page: well-formed, self-contained, escaped, readable, and plain about what is missing."""

import copy
import doctest
import json
import math
import re
import socket
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any, get_args, get_origin, get_type_hints, is_typeddict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_santa.demo.report import render, samples, schema, sections
from hf_santa.pages import charts
from tests.fixtures.report import STEP_SECONDS, realistic, sample

HOSTILE = "</script><img src=x onerror=alert(1)>\"'&amp;\x00\u202e$title {name}"
VOID = frozenset({"meta", "link", "img", "br", "hr", "input"})


def hostile(value: Any) -> Any:
    """The same report with every text replaced by a hostile one."""
    if isinstance(value, dict):
        return {key: item if key == "kind" else hostile(item) for key, item in value.items()}
    if isinstance(value, list):
        return [hostile(item) for item in value]
    return HOSTILE if isinstance(value, str) else value


class Page(HTMLParser):
    """A page held to strict nesting, with its tags, attributes and visible text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.parts: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An opening tag is remembered."""
        assert len(attrs) == len(dict(attrs)), f"an attribute twice in {tag}: {attrs}"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A tag that closes itself is remembered and left."""
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """A closing tag closes the last one opened."""
        assert tag == self.open.pop()
        self.parts.append(" " if tag in {"dt", "dd", "th", "td", "p", "h3"} else "")

    def handle_data(self, data: str) -> None:
        """Text outside the style is kept."""
        if "style" not in self.open:
            self.parts.append(data)

    @property
    def text(self) -> str:
        """The visible text with plain spaces."""
        return re.sub(r"\s+", " ", "".join(self.parts))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of each tag of one name."""
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def page() -> Page:
    """The realistic report as a page."""
    return Page(render.render(realistic()))


def test_same_report_same_bytes() -> None:
    """Rendering is a function of the report alone, whatever the order of its keys."""
    turned = dict(reversed(realistic().items()))
    assert render.render(turned).encode() == render.render(realistic()).encode()


def test_survives_json() -> None:
    """A report read back from its JSON file gives the same page."""
    assert render.render(json.loads(json.dumps(realistic()))) == render.render(realistic())


def test_loads_nothing(page: Page) -> None:
    """No tag fetches anything: the only addresses are anchors of the page and the empty icon."""
    addresses = [
        value for _, attrs in page.tags for key, value in attrs.items() if key in {"href", "src", "srcset", "action"}
    ]
    assert {a for a in addresses if a is not None and not a.startswith("#")} == {"data:,"}
    assert {"script", "img", "iframe", "object", "form"} & {tag for tag, _ in page.tags} == set()
    style = charts.page_style()
    assert re.findall(r"url\(|@import|http", style.replace("http-equiv", "")) == []


def test_opens_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rendering works where sockets can't be opened."""
    monkeypatch.setattr(socket, "socket", None)
    assert render.render(realistic()).startswith("<!doctype html>")


def test_anchors_and_ids_fit(page: Page) -> None:
    """Ids are unique, and each anchor and each reference by id has its target."""
    ids = Counter(attrs["id"] for _, attrs in page.tags if "id" in attrs)
    wanted = {str(attrs["href"])[1:] for attrs in page.all("a")}
    wanted |= {
        str(attrs[key]) for _, attrs in page.tags for key in attrs if key in {"aria-labelledby", "aria-describedby"}
    }
    assert set(ids.values()) == {1}
    assert wanted - set(ids) == set()


def test_headings_in_order(page: Page) -> None:
    """There is one first-level heading, and no level is skipped."""
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert [b for a, b in pairwise(levels) if b > a + 1] == []


def test_sections_in_order(page: Page) -> None:
    """The page leads with the numbers, the limits and the pictures, and ends with the versions."""
    order = [attrs.get("aria-labelledby", attrs.get("aria-label")) for attrs in page.all("section")]
    assert order == [
        "The numbers that matter",
        "limits",
        "training",
        "scores",
        "samples",
        "funnel",
        "use",
        "steps",
        "versions",
    ]


def test_landmarks_and_language(page: Page) -> None:
    """One header, main, footer and nav stand on a page whose language is told."""
    assert [len(page.all(tag)) for tag in ("header", "main", "footer", "nav")] == [1, 1, 1, 1]
    assert page.all("html") == [{"lang": "en"}]


def test_table_headers_have_scope(page: Page) -> None:
    """Each header cell says whether it names a row or a column, and each table has a caption."""
    assert {attrs.get("scope") for attrs in page.all("th")} == {"row", "col"}
    assert len(page.all("caption")) == len(page.all("table"))


def test_charts_are_named_and_have_tables(page: Page) -> None:
    """Each chart has a role, a title, a description and its numbers as a table to open; other drawings are hidden."""
    drawn = [attrs for attrs in page.all("svg") if attrs.get("role") == "img"]
    assert len(drawn) == len(page.all("figure")) == 3 + 1 + 2
    assert all("aria-labelledby" in attrs and "aria-describedby" in attrs for attrs in drawn)
    assert page.text.count("Numbers as a table") == len(drawn)


def test_headline_numbers(page: Page) -> None:
    """The first numbers are files in and out, bits per byte, pass@1 of model and control, and the time."""
    assert "Source files, in → out 3,210 → 2,375 24.0 MB → 16.2 MB" in page.text
    assert "1.72 unigram 2.95: 41.7 % better" in page.text
    assert "pass@1 of the model 1.2 % our own solutions: 100.0 %" in page.text
    assert f"{sum(STEP_SECONDS):.0f}" == "270"
    assert "4 min 30 s 11 steps, 2 reused" in page.text


def test_says_what_the_model_cannot_do(page: Page) -> None:
    """The limits name this run's own score, its interval and the control, and SantaCoder's size beside it."""
    assert "With 1.25 million parameters and 2 min 11 s of training" in page.text
    assert "Of 80 programs it wrote, 1.2 % passed their tests" in page.text
    assert "up to 13.0 % in JavaScript" in page.text
    assert "missing in the model, not in the metric" in page.text
    assert "1.12 billion parameters, 900 times as many, and read 236 billion tokens, 157,000 times" in page.text


def test_bad_control_is_not_hidden() -> None:
    """Where our own solutions fail too, the page blames the metric and not the model alone."""
    bad = realistic()
    bad["scores"][0]["reference_value"] = 0.5
    text = Page(render.render(bad)).text
    assert "scored 75.0 %: part of what is missing is the fault of the metric" in text


def test_worse_than_unigram_is_said() -> None:
    """A model that loses to the unigram baseline is called worse."""
    bad = realistic()
    bad["training"]["bits_per_byte"] = 3.54
    text = Page(render.render(bad)).text
    assert "unigram 2.95: 20.0 % worse" in text
    assert "has not learned even how source code looks" in text


def test_what_counting_is_worth_stands_beside_the_model(page: Page) -> None:
    """Model and tables in one table, with a dash where there is no figure; without any there is no table."""
    assert "5-gram table 1.66 5.5" in " ".join(page.text.split())
    html = render.render(realistic())
    assert '<th scope="row">unigram table</th><td class="num">2.95</td><td class="num">-</td>' in html
    report = realistic()
    report["training"]["guessers"] = []
    assert "Beside what counting" not in render.render(report)


def test_published_numbers() -> None:
    """SantaCoder's figures are the report's: 1.1B parameters, 236B tokens, 18 % in Python."""
    assert render.SANTACODER_TOKENS == 235_929_600_000
    assert render.SANTACODER_PARAMETERS == 1_124_886_528
    assert render.SANTACODER_PASS_AT_1 == 0.18


def test_hostile_text_stays_text() -> None:
    """Markup, quotes, control and direction characters in any text of the report make no tag and no attribute."""
    tame, wild = Page(render.render(realistic())), render.render(hostile(realistic()))
    attacked = Page(wild)
    assert {tag for tag, _ in attacked.tags} == {tag for tag, _ in tame.tags}
    assert {key for _, attrs in attacked.tags for key in attrs} == {key for _, attrs in tame.tags for key in attrs}
    assert not re.search("[\x00-\x08\u202a-\u202e]", wild)
    assert "</script><img src=x onerror=alert(1)>\"'&amp;⟨U+0000⟩⟨U+202E⟩$title {name}" in attacked.text


@given(st.text(st.characters(exclude_categories=()), max_size=40))
def test_any_text_can_be_escaped(text: str) -> None:
    """Any string, lone surrogates included, becomes UTF-8 that a parser reads back as text only."""
    page = charts.fill('<b title="{text}">{text}</b>', text=text)
    page.encode("utf-8")
    parsed = Page(page)
    assert [tag for tag, _ in parsed.tags] == ["b"]
    assert "".join(parsed.parts) == parsed.all("b")[0]["title"]


def paths(expected: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every key that the format names, as a path into the realistic report."""
    if is_typeddict(expected):
        hints = get_type_hints(expected, include_extras=True).items()
        return [p for key, kind in hints for p in [(*path, key), *paths(kind, (*path, key))]]
    return paths(get_args(expected)[0], (*path, 0)) if get_origin(expected) is list else []


@pytest.mark.parametrize("path", paths(schema.DemoReport), ids=lambda p: ".".join(map(str, p)))
def test_missing_key_is_named(path: tuple[str | int, ...]) -> None:
    """Whichever key is missing, the error names it and the place where it was looked for."""
    cut = realistic()
    place: Any = cut
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    parent = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path[:-1]).lstrip(".")
    with pytest.raises(ValueError, match=re.escape(f"no key '{path[-1]}'. Keys found: ")) as caught:
        render.render(cut)
    assert (f"'{parent}'" in str(caught.value)) == bool(parent)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("training", "bits_per_byte"), math.nan, "'training.bits_per_byte' is nan, expected a finite number, 0 or"),
        (("training", "tokens"), 1.5, "'training.tokens' is 1.5, expected a whole number, 0 or more"),
        (("training", "tokens"), True, "'training.tokens' is True, expected a whole number"),
        (("training", "stopped_by_time"), 1, "'training.stopped_by_time' is 1, expected true or false"),
        (("scores", 0, "value"), 8.0, "'scores[0].value' is 8.0, expected a share between 0 and 1"),
        (("samples", 2, "kind"), "both", "'samples[2].kind' is 'both', expected 'complete' or 'infill'"),
        (("samples",), "none", "'samples' is 'none', expected a list"),
        (("machine",), [], "'machine' is [], expected an object"),
        (("versions", "torch"), None, "'versions.torch' is None, expected text"),
        (("redactions",), {"EMAIL_ADDRESS": 1}, "'redactions' has no key 'files'. Keys found: EMAIL_ADDRESS."),
        (("corpus", "files"), -1, "'corpus.files' is -1, expected a whole number, 0 or more"),
    ],
)
def test_wrong_value_is_named(path: tuple[str | int, ...], value: Any, words: str) -> None:
    """A value of the wrong kind is an error that says where it is, what it is and what belongs there."""
    bad = realistic()
    place: Any = bad
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ValueError, match=re.escape(words)):
        render.render(bad)


def test_empty_lists_give_sentences() -> None:
    """A run without files, samples, scores, curves, lines or steps is told in words."""
    empty = realistic()
    for key in ("steps", "funnel", "samples", "scores", "infill", "missing_toolchains", "used_by"):
        empty[key] = []
    empty["training"] |= {"curve": [], "heldout": [], "unigram_bits_per_byte": 0.0}
    empty["redactions"] = {"files": 0}
    empty["parity"]["classes"] = []
    text = Page(render.render(empty)).text
    for sentence in (
        "No language was found in the corpus.",
        "No personal data was found in them.",
        "No samples were generated.",
        "No program was scored.",
        "No infilling task was scored.",
        "No curve was recorded.",
        "No lines were run.",
        "No step was recorded.",
        "no unigram baseline",
        "not scored",
        "This run did not measure whether its programs work.",
    ):
        assert sentence in text


@pytest.mark.parametrize("stages", [[], [{"name": "read", "files": 0, "bytes": 0}]])
def test_language_without_files(stages: list[dict[str, Any]]) -> None:
    """A language of which nothing was found has a sentence in place of a chart."""
    bare = realistic()
    bare["funnel"] = [{"lang": "Java", "stages": stages, "rejects": []}]
    text = Page(render.render(bare)).text
    assert "No Java files were found." in text
    assert "Source files, in → out 0 → 0 0 bytes → 0 bytes" in text


def test_files_of_no_known_language_come_last() -> None:
    """They have no chart and no sentence about a language without a name, only the reasons."""
    bare = realistic()
    reject = {"stage": "read", "reason": "unknown_language", "files": 209, "bytes": 5_400_000}
    bare["funnel"] = [
        {"lang": "", "stages": [{"name": "read", "files": 0, "bytes": 0}], "rejects": [reject]},
        *bare["funnel"],
    ]
    text = Page(render.render(bare)).text
    assert "files were found" not in text
    assert text.index("Left out of all other files") > text.index(bare["funnel"][-1]["lang"])


def test_missing_toolchain_is_named(page: Page) -> None:
    """A language without its toolchain is named with what to do, apart from the scores."""
    assert "Java was not scored. 'javac' is not on PATH: install it" in page.text


def test_generated_middle_is_marked() -> None:
    """An infill shows the middle marked between its prefix and suffix, on both sides."""
    one = realistic()
    one["samples"] = [copy.deepcopy(sample(3)) | {"prompt": "A", "truth": "B", "suffix": "C", "generated": "D"}]
    html = render.render(one)
    for middle in "BD":
        assert f'<span class="given">A</span><mark>{middle}</mark><span class="given">C</span></code></pre>' in html


def test_the_best_and_most_telling_samples_are_shown(page: Page) -> None:
    """Of 24 samples the exact match leads, then one of each other way to end; nothing is folded away."""
    assert ["SANTA_3_", "SANTA_0_", "SANTA_11_", "SANTA_7_"] == re.findall(r"SANTA_\d+_", page.text)
    assert [attrs for attrs in page.all("details") if "open" in attrs] == []
    assert "Below, 4 of 24" in page.text
    assert "Python JavaScript Java All exact match 1 0 0 1 AssertionError 7 0 0 7 Exception 0 0 8 8" in page.text


def test_two_of_the_best_are_of_different_languages() -> None:
    """Where many passed, two are shown, the second of another language or task; the failures follow."""
    many = [sample(3) | {"name": f"n{i}", "language": "java" if i == 5 else "py"} for i in range(6)]
    shown = samples.telling([sample(1), *many, sample(0)])
    assert [one["name"] for one in shown] == ["n0", "n5", "SANTA_0_double_all", "SANTA_1_double_all"]


def test_notes_of_a_sample(page: Page) -> None:
    """A sample says when it equals the truth and when it was cut."""
    assert "Model · same as the truth" in page.text
    assert "Model · cut at the length limit" in page.text


def test_long_curve_stays_small() -> None:
    """A curve of 100,000 points adds no more to the page than one of a few hundred."""
    long = realistic()
    long["training"]["curve"] = [{"step": s, "loss": 4.0} for s in range(100_000)]
    assert len(render.render(long)) < len(render.render(realistic())) + 10_000


@pytest.mark.parametrize("curve", [[], [{"step": 0, "loss": 0.0}]])
def test_short_curves(curve: list[dict[str, float]]) -> None:
    """A curve of one point, or held-out points alone, is drawn without fault."""
    short = realistic()
    short["training"] |= {"curve": curve, "heldout": [{"step": 0, "bits_per_byte": 2.95}]}
    assert "The unigram baseline scores 2.95 bits per byte." in Page(render.render(short)).text


@pytest.mark.parametrize("module", [render, schema, sections], ids=lambda m: m.__name__)
def test_doctests(module: Any) -> None:
    """The examples in the docstrings give what they say."""
    assert doctest.testmod(module).failed == 0
