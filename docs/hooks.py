"""Add the pages that stand in the repository's root to the site: README.md as its first page, and three more."""

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


def from_root(name: str) -> str:
    """Return a page of the root with its links as they are seen from docs/."""
    text = re.sub(r'(\]\(|src=")docs/', r"\1", (ROOT / name).read_text())
    for source, target in PAGES.items():
        text = text.replace(f"]({source})", f"]({target})")
    return text


def on_files(files: Any, config: Any) -> Any:
    """Add the pages to what mkdocs found in docs/."""
    from mkdocs.structure.files import File

    for source, target in PAGES.items():
        files.append(File.generated(config, target, content=from_root(source)))
    return files
