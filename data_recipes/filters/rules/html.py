"""HTML that is mostly markup: kept if more than 20 % of it, and more than 100 characters, is text that a reader sees."""

from html import unescape
from html.parser import HTMLParser
from typing import Any

from data_recipes.filters.filter import Drop, Filter, Record, Thresholds

_HIDDEN = frozenset({"script", "style", "template", "rt", "rp"})
_VERBATIM = frozenset({"pre", "textarea"})
_VOID = frozenset(
    [
        "area",
        "base",
        "basefont",
        "bgsound",
        "br",
        "col",
        "command",
        "embed",
        "frame",
        "hr",
        "image",
        "img",
        "input",
        "isindex",
        "keygen",
        "link",
        "menuitem",
        "meta",
        "nextid",
        "param",
        "source",
        "spacer",
        "track",
        "wbr",
    ]
)
_ASCII_SPACES = " \n\t\f\r"


class _Visible(HTMLParser):
    """Counts the characters that BeautifulSoup's `get_text` gives, with the elements that are not shown left out.

    As there, a piece of text between two tags that is white space alone counts as one character, but in `pre` and
    `textarea`; an end tag closes every element that was opened after its own.
    """

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.chars = 0
        self._open: list[str] = []
        self._held: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        del attrs
        self._end_text()
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self._end_text()
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        self._held.append(data)

    def handle_entityref(self, name: str) -> None:
        found = unescape(f"&{name};")
        self._held.append(f"&{name}" if found == f"&{name};" else found)

    def handle_charref(self, name: str) -> None:
        self._held.append(unescape(f"&#{name};"))

    def handle_comment(self, data: str) -> None:
        del data
        self._end_text()

    def handle_decl(self, decl: str) -> None:
        del decl
        self._end_text()

    def handle_pi(self, data: str) -> None:
        del data
        self._end_text()

    def unknown_decl(self, data: str) -> None:
        self._end_text()
        if data.upper().startswith("CDATA[") and not _HIDDEN & set(self._open):
            self.chars += len(data) - len("CDATA[")

    def close(self) -> None:
        super().close()
        self._end_text()

    def _end_text(self) -> None:
        text = "".join(self._held)
        self._held.clear()
        if not text or not _HIDDEN.isdisjoint(self._open):
            return
        is_blank = not text.strip(_ASCII_SPACES) and _VERBATIM.isdisjoint(self._open)
        self.chars += 1 if is_blank else len(text)


def visible_chars(content: str) -> int:
    """Return how many characters of an HTML page a reader sees: markup, scripts and styles left out.

    >>> visible_chars("<p>a &lt; b</p>   <script>x()</script>")
    6
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
