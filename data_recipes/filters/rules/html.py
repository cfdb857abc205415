"""HTML that is mostly markup: kept if more than 20 % of it, and more than 100 characters, is text that a reader sees."""

from html.parser import HTMLParser
from typing import Any

from data_recipes.filters.filter import Drop, Filter, Record, Thresholds


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
    """Return how many characters of an HTML page a reader sees: markup, scripts and styles left out.

    >>> visible_chars("<p>a &lt; b</p><script>x()</script>")
    5
    """
    parser = _Visible()
    parser.feed(content)
    parser.close()
    return parser.chars


def keep(record: Record, thresholds: Thresholds) -> Drop | None:
    """Drop pages with little visible text. Files of other languages are kept; the language counts in any case."""
    if record["lang"].lower() != "html":
        return None
    chars = visible_chars(record["content"])
    share = chars / max(len(record["content"]), 1)
    if share <= (least := thresholds["min_html_text_share"]):
        return Drop("html_text_share", f"{share:.4g} <= {least}")
    if chars <= (least := thresholds["min_html_text_chars"]):
        return Drop("html_text_chars", f"{chars} <= {least}")
    return None


FILTER = Filter(
    name="html",
    summary="HTML of which 20 % or less, or 100 characters or fewer, is visible text is left out.",
    source="The Stack's preprocessing, `filter_html`",
    stage="store",
    position=50,
    keep=keep,
    columns=("content", "lang"),
    thresholds={"min_html_text_share": 0.2, "min_html_text_chars": 100},
)
