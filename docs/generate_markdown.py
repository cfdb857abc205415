"""Markdown of the generated pages: pages, tables, sentences and anchors."""

import re

NOTE = "<!-- Written by `make docs` from the code. Change the code, not this page. -->"


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines
    )


def page(title: str, *parts: str) -> str:
    """Return a page with its note."""
    return "\n\n".join([f"# {title}", NOTE, *(part.strip("\n") for part in parts if part)]) + "\n"


def sentence(text: str) -> str:
    """Return a text of help as a sentence; one that begins with a name, such as `humaneval-py`, keeps its small letter."""
    text = prose(text.strip())
    is_word = re.match(r"[a-z]+(-[a-z]+)*[,;:.]?(\s|$)", text) and not text.startswith(("none ", "auto "))
    first = text[:1].upper() + text[1:] if is_word else text
    return first if not first or first.endswith((".", ")", ":", "…")) else first + "."


def prose(text: str) -> str:
    """Text for a page: flags and markers stand in code, so that nothing of them is taken for HTML."""
    parts = re.split(r"(`[^`]*`)", re.sub(r"(?<=[a-z]),(?=[a-z])", ", ", text))
    parts[::2] = [
        re.sub(r"(?<![\w`-])(--[a-z][\w-]*|<[^<>\s]+>)", r"`\1`", part).replace("<`<", "`<") for part in parts[::2]
    ]
    return "".join(parts)


def anchor(text: str) -> str:
    """Return the anchor that a heading of this text has."""
    return re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-")
