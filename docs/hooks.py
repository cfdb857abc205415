"""What mkdocs does besides: pages of the repository's root, tables that fit a phone, and the order of search results."""

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
}
BOOSTS = {
    "reference": 0.7,
    "get-started": 1.5,
    "guides": 2.0,
    "decisions": 0.05,
    "changelog.md": 0.3,
    "contributing.md": 0.5,
}

FEWEST_COLUMNS_WITH_NAMES = 3


def from_root(name: str) -> str:
    """Return a page of the root with its links as they are seen from docs/."""
    text = re.sub(r'(\]\(|src=")docs/', r"\1", (ROOT / name).read_text())
    for source, target in PAGES.items():
        text = text.replace(f"]({source})", f"]({target})")
    return text


def on_files(files: Any, config: Any) -> Any:
    """Add the pages of the root to what mkdocs found in docs/."""
    from mkdocs.structure.files import File

    for source, target in PAGES.items():
        files.append(File.generated(config, target, content=from_root(source)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    r"""Boost a page in the search by its folder, and unescape pipes of code in tables: GitHub needs `\|` there.

    Python-Markdown leaves a pipe inside of backticks alone, and would show the backslash.
    """
    boost = BOOSTS.get(page.file.src_uri.split("/")[0], 1.0)
    page.meta.setdefault("search", {"boost": boost})
    if page.file.src_uri == "index.md":
        page.meta["hide"] = ["navigation"]  # the tabs lead on; the column at the left would hold this page alone
    lines = [
        re.sub(r"`[^`]*`", lambda code: code.group().replace("\\|", "|"), line) if line.startswith("|") else line
        for line in markdown.split("\n")
    ]
    return "\n".join(lines)


def on_page_content(html: str, **_: Any) -> str:
    """Mark each cell of a table with the name of its column: on a phone site.css shows a row as a card."""
    html = re.sub(
        r"<code>(--[^<]{1,24}|[^<\s]{1,14}-[^<\s]{1,10})</code>", r'<code class="flag">\1</code>', html
    )  # kept whole
    return re.sub(r"<table>.*?</table>", lambda found: _labelled(found.group()), html, flags=re.DOTALL)


def _labelled(table: str) -> str:
    columns = [re.sub(r"<[^>]+>", "", each) for each in re.findall(r"<th(?: [^>]*)?>(.*?)</th>", table, re.DOTALL)]
    if len(columns) < FEWEST_COLUMNS_WITH_NAMES:
        return table.replace("<table>", "<table data-cards>", 1)

    def row(found: re.Match[str]) -> str:
        names = iter(columns)
        return re.sub(r"<td", lambda _: f'<td data-label="{next(names)}"', found.group())

    body = re.sub(r"<tr>(?:(?!</tr>).)*</tr>", row, table, flags=re.DOTALL)
    return body.replace("<table>", "<table data-cards>", 1)
