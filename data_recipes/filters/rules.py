"""Row filters: each answers keep (None) or drop, with a reason that is both a counter and a column of the rejects.

Thresholds are the report's. Where its code differs from its text, `compat="bigcode"` follows the code.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from html.parser import HTMLParser
from typing import Any

from data_recipes.errors import DataError
from data_recipes.sources.row import Row

MAX_LINE_LENGTH = 1000
MAX_AVG_LINE_LENGTH = 100
MIN_ALPHANUM_FRACTION = 0.25
MIN_STARS = 5
MIN_COMMENT_SHARE, MAX_COMMENT_SHARE = 0.01, 0.8
MIN_CHARS_PER_TOKEN: Mapping[str, float] = {"Python": 2.5, "Java": 2.9, "JavaScript": 2.6}
MIN_HTML_TEXT_SHARE, MIN_HTML_TEXT_CHARS = 0.2, 100
XML_PROLOG_CHARS = 100

COMPATS = ("report", "bigcode")
"""Whose semantics the filters have: the report's text, or its code where the two differ."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Why a filter drops a row: a short reason to count by, and what was seen."""

    reason: str
    detail: str


def base(
    row: Row,
    *,
    max_line_length: int = MAX_LINE_LENGTH,
    max_avg_line_length: float = MAX_AVG_LINE_LENGTH,
    min_alphanum_fraction: float = MIN_ALPHANUM_FRACTION,
) -> Drop | None:
    """The report's base filter drops very long lines and files with few letters and digits.

    Source: section 5.1 of the report; the thresholds are those of Codex (Chen et al. 2021).
    """
    if row.max_line_length > max_line_length:
        return Drop("max_line_length", f"{row.max_line_length} > {max_line_length}")
    if row.avg_line_length > max_avg_line_length:
        return Drop("avg_line_length", f"{row.avg_line_length:.6g} > {max_avg_line_length}")
    if row.alphanum_fraction < min_alphanum_fraction:
        return Drop("alphanum_fraction", f"{row.alphanum_fraction:.6g} < {min_alphanum_fraction}")
    return None


def stars(row: Row, *, min_stars: int = MIN_STARS) -> Drop | None:
    """The report's star filter keeps repositories with 5 or more stars; an unknown number counts as none.

    Source: section 5.3 of the report. Its code keeps more than 5.
    """
    if (row.stars or 0) < min_stars:
        return Drop("stars", f"{row.stars or 0} < {min_stars}")
    return None


def comments(row: Row, *, min_share: float = MIN_COMMENT_SHARE, max_share: float = MAX_COMMENT_SHARE) -> Drop | None:
    """The report's comment filter keeps files of which more than 1 % and less than 80 % is natural text.

    Source: section 5.3 of the report. A language without a lexer has no share and is dropped.
    """
    if row.comment_share is None:
        return Drop("comments_unknown", f"no lexer for {row.lang!r}")
    if row.comment_share <= min_share:
        return Drop("few_comments", f"{row.comment_share:.4g} <= {min_share}")
    if row.comment_share >= max_share:
        return Drop("many_comments", f"{row.comment_share:.4g} >= {max_share}")
    return None


def fertility(row: Row, *, min_chars_per_token: Mapping[str, float] = MIN_CHARS_PER_TOKEN) -> Drop | None:
    """The report's fertility filter drops files that the tokenizer cuts into many tokens.

    Source: section 5.3 of the report: about 5 % of each language. Another language has no threshold and is dropped.
    """
    least = min_chars_per_token.get(row.lang)
    if least is None:
        return Drop("fertility_unknown", f"no threshold for {row.lang!r}; there are {', '.join(min_chars_per_token)}")
    if row.chars_per_token is None:
        raise DataError("fertility: the row has no 'chars_per_token'. Measure it first, with the path of a tokenizer.")
    if row.chars_per_token < least:
        return Drop("chars_per_token", f"{row.chars_per_token:.4g} < {least}")
    return None


def xml(row: Row) -> Drop | None:
    """XML under another name is dropped: a file with an XML declaration in its first 100 characters.

    Source: The Stack's preprocessing, `filter_xml`.
    """
    at = row.content.find("<?xml version=", 0, XML_PROLOG_CHARS)
    return Drop("xml", f"declaration at character {at}") if at >= 0 else None


def html(row: Row, *, min_share: float = MIN_HTML_TEXT_SHARE, min_chars: int = MIN_HTML_TEXT_CHARS) -> Drop | None:
    """HTML is kept if more than 20 % of it, and more than 100 characters, is text that a reader sees.

    Source: The Stack's preprocessing, `filter_html`. Files of other languages are kept.
    """
    if row.lang != "HTML":
        return None
    chars = visible_chars(row.content)
    share = chars / max(len(row.content), 1)
    if share <= min_share:
        return Drop("html_text_share", f"{share:.4g} <= {min_share}")
    if chars <= min_chars:
        return Drop("html_text_chars", f"{chars} <= {min_chars}")
    return None


class _Visible(HTMLParser):
    """Counts the characters of text outside scripts and styles."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.chars = 0
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        del attrs
        self._hidden += tag in {"script", "style"}

    def handle_endtag(self, tag: str) -> None:
        if tag in {"script", "style"}:
            self._hidden = max(0, self._hidden - 1)

    def handle_data(self, data: str) -> None:
        self.chars += 0 if self._hidden else len(data)


def visible_chars(content: str) -> int:
    """How many characters of an HTML page a reader sees, markup, scripts and styles left out.

    >>> visible_chars("<p>a &lt; b</p><script>x()</script>")
    5
    """
    parser = _Visible()
    parser.feed(content)
    parser.close()
    return parser.chars


FILTERS: Mapping[str, Callable[[Row], Drop | None]] = {
    "base": base,
    "stars": stars,
    "comments": comments,
    "fertility": fertility,
    "xml": xml,
    "html": html,
}
"""The filters by name."""


def filters_for(compat: str = "report") -> Mapping[str, Callable[[Row], Drop | None]]:
    """The filters with the report's semantics, or with those of its code where they differ: more than 5 stars.

    >>> filters_for("bigcode")["stars"].keywords
    {'min_stars': 6}
    """
    least = thresholds_for(compat)["min_stars"]
    return FILTERS if least == MIN_STARS else {**FILTERS, "stars": partial(stars, min_stars=least)}


def thresholds_for(compat: str = "report") -> dict[str, Any]:
    """Every threshold by name, as the views and the card need them."""
    if compat not in COMPATS:
        raise DataError(f"compat={compat!r} is unknown. Choose one of {', '.join(COMPATS)}.")
    return {
        "max_line_length": MAX_LINE_LENGTH,
        "avg_line_length": MAX_AVG_LINE_LENGTH,
        "alphanum_fraction": MIN_ALPHANUM_FRACTION,
        "min_stars": MIN_STARS + (compat == "bigcode"),
        "min_comment_share": MIN_COMMENT_SHARE,
        "max_comment_share": MAX_COMMENT_SHARE,
        "min_chars_per_token": dict(MIN_CHARS_PER_TOKEN),
    }
