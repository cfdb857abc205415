"""What mkdocs does besides: pages of the repository's root, pipes in tables, and the order of search results."""

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
    "decisions": 0.15,
    "changelog.md": 0.3,
    "contributing.md": 0.5,
}


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
    lines = [
        re.sub(r"`[^`]*`", lambda code: code.group().replace("\\|", "|"), line) if line.startswith("|") else line
        for line in markdown.split("\n")
    ]
    return "\n".join(lines)
