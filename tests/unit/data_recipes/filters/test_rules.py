"""The row filters, and that a view keeps exactly what its filter keeps."""

import pyarrow as pa
import pytest
from bs4 import BeautifulSoup

from data_recipes.errors import DataError
from data_recipes.filters.registry import find_filter, thresholds_for
from data_recipes.filters.rules.html import visible_chars
from data_recipes.sources.row import make_row
from data_recipes.store.views import row_filter


def _drop(name, compat="report", **values):
    return find_filter(name).drop({"lang": "Python", **values}, compat)


def _reason(name, **values):
    drop = _drop(name, **values)
    return drop.reason if drop else None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("x" * 1000 + "\n" + "y\n" * 20, None),
        ("x" * 1001 + "\n" + "y\n" * 20, "max_line_length"),
        (("x" * 100 + "\n") * 3, None),
        (("x" * 101 + "\n") * 3, "avg_line_length"),
        ("a...", None),
        ("a....", "alphanum_fraction"),
        ("   \n", "alphanum_fraction"),
    ],
)
def test_thresholds_are_the_reports(content, reason):
    """A row on the threshold is kept, one beyond it is dropped with the threshold's name."""
    row = make_row(content.encode(), "a.py", ext="py", lang="Python")
    assert _reason("base", **{name: getattr(row, name) for name in find_filter("base").columns}) == reason


@pytest.mark.parametrize(
    ("count", "report", "bigcode"), [(None, False, False), (4, False, False), (5, True, False), (6, True, True)]
)
def test_stars_are_five_or_more_and_in_the_code_more_than_five(count, report, bigcode):
    """An unknown number of stars counts as none."""
    assert [_drop("stars", name, stars=count) is None for name in ("report", "bigcode")] == [report, bigcode]


@pytest.mark.parametrize(
    ("share", "reason"),
    [(0.01, "few_comments"), (0.0101, None), (0.7999, None), (0.8, "many_comments"), (None, "comments_unknown")],
)
def test_comments_lie_between_one_and_eighty_percent(share, reason):
    """Both bounds are left out; a language without a lexer has no share and is dropped by name."""
    assert _reason("comments", comment_share=share) == reason


@pytest.mark.parametrize(("lang", "least"), [("Python", 2.5), ("Java", 2.9), ("JavaScript", 2.6)])
def test_fertility_has_a_threshold_for_each_language(lang, least):
    """A row on its language's threshold is kept, one below is dropped."""
    assert _drop("fertility", lang=lang, chars_per_token=least) is None
    assert _reason("fertility", lang=lang, chars_per_token=least - 0.001) == "chars_per_token"


def test_fertility_of_another_language_is_named():
    """A language without a threshold is dropped with the known ones; a row that was not measured is an error."""
    drop = _drop("fertility", lang="Rust", chars_per_token=3.0)
    assert (drop.reason, "'Rust'; there are Python, Java" in drop.detail) == ("fertility_unknown", True)
    with pytest.raises(DataError, match=r"the row has no 'chars_per_token'\. Measure it first"):
        _drop("fertility")


def test_xml_is_looked_for_in_the_first_hundred_characters():
    """A declaration that begins at character 86 still ends within 100; one character later it does not."""
    declaration = '<?xml version="1.0"?>'
    assert _reason("xml", content="é" * 86 + declaration) == "xml"
    assert _drop("xml", content="é" * 87 + declaration) is None


_PAGE = "<html><head><title>t</title><style>p{}</style></head><body>%s<script>var x = '<b>';</script></body></html>"


def test_html_needs_visible_text():
    """A page of markup is dropped, one of words kept, another language is not looked at."""
    words = "<p>" + "words and more " * 30 + "</p>"
    assert _drop("html", content=_PAGE % words, lang="HTML") is None
    assert _reason("html", content=_PAGE % ("<p></p>" * 100), lang="HTML") == "html_text_share"
    assert _reason("html", content="<p>short text</p>", lang="html") == "html_text_chars"
    assert _drop("html", content="<p></p>", lang="Python") is None


@pytest.mark.parametrize(
    "page",
    [
        _PAGE % "<p>a &lt; b &amp; &eacute; &#233;</p><!-- hidden --><br/>tail",
        "plain text",
        "<!DOCTYPE html><p>one<p>two<div>three",
        "<p>open <b>never closed",
        "<script>x</script><style>y</style>z",
        "<ul>\n  <li>one</li>   <li>two</li>\n\n</ul><pre>  </pre><textarea>\n\n</textarea>",
        "<template>hidden<p>too</p></template>&foo; &nbsp&copy; <ruby>a<rt>b</ruby>c</p></div>",
        "<p>a<![CDATA[kept]]></p> <?php echo 1 ?> <br> </b> tail",
        "",
    ],
)
def test_visible_characters_are_those_of_beautiful_soup(page):
    """The report's code reads pages with BeautifulSoup; the count is the same."""
    soup = BeautifulSoup(page, features="html.parser")
    for element in soup(["script", "style"]):
        element.extract()
    assert visible_chars(page) == len(soup.get_text())


def test_an_unknown_compat_is_named():
    """A misspelt compat is answered with the known ones."""
    with pytest.raises(DataError, match=r"compat='bigcde' is unknown\. Choose one of report, bigcode"):
        thresholds_for("bigcde")


def test_rejects_of_a_view_say_why():
    """What a step leaves out is named with its reason and detail; nulls are allowed."""
    store = pa.table(
        {"path": ["a", "b"], "size": [1, 2], "lang": ["Java", "Java"], "hexsha": ["0", "1"], "stars": [None, 7]}
    )
    mask, rejects = row_filter(store, "stars", thresholds_for("report"))
    assert mask.to_pylist() == [False, True]
    assert [(r["path"], r["stage"], r["reason"], r["detail"]) for r in rejects.to_pylist()] == [
        ("a", "stars", "stars", "0 < 5")
    ]


def test_a_percentile_is_that_of_the_languages_own_rows():
    """5 % of 40 files are left out, those with the fewest characters a token; a named language keeps its number."""
    values = [2.0 + number / 40 for number in range(40)]
    numbers = {"min_chars_per_token": {"Python": 2.5, "*": "5%"}}
    for lang, dropped in (("Go", values[:1]), ("Python", [value for value in values if value < 2.5])):
        columns = {name: [str(number) for number in range(40)] for name in ("path", "hexsha")}
        store = pa.table({**columns, "size": [1] * 40, "lang": [lang] * 40, "chars_per_token": values})
        mask, rejects = row_filter(store, "fertility", numbers)
        assert [value for value, kept in zip(values, mask.to_pylist(), strict=True) if not kept] == dropped
        assert rejects.num_rows == len(dropped)
    assert row_filter(store.slice(0, 0), "fertility", numbers)[1].num_rows == 0
