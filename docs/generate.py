"""Writes docs/reference.md from the code: commands, recipes, languages, steps. `--check` only compares."""

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from data_recipes import RECIPES
from eval_multipl_e import LANGUAGES
from hf_santa.cli import build_parser
from hf_santa.demo.steps import STEPS

PAGE = Path(__file__).with_name("reference.md")


def commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield the parser and all below it, in the order in which they were added."""
    yield parser
    for action in parser._actions:  # noqa: SLF001  # argparse has no public list
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001  # nor a public name
            for child in action.choices.values():
                yield from commands(child)


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def page() -> str:
    """Return the whole page."""
    os.environ["COLUMNS"] = "100"
    helps = [f"### `{each.prog}`\n```text\n{each.format_help().strip()}\n```" for each in commands(build_parser())]
    parts = [
        "# Reference\nWritten by `make docs`; a test keeps it up to date.",
        "## Recipes\n`load_dataset(folder, NAME)`, and a language alone as `python-NAME`.",
        'On your own Stack files: `load_dataset("santa_stack", NAME, data_files=…)` after `data_recipes.register()`.',
        table(
            ["name", "what it keeps", "steps after base", "source"],
            [[r.name, r.summary, ", ".join(r.steps) or "none", r.source] for r in RECIPES.values()],
        ),
        "## Languages of the metric",
        table(["code", "language", "install"], [[x.code, x.name, f"`{x.install}`"] for x in LANGUAGES.values()]),
        "## Steps of the demo",
        table(
            ["step", "what it does", "needs", "writes"],
            [[s.name, s.about, ", ".join(s.needs), ", ".join(f"`{o}`" for o in s.outputs)] for s in STEPS],
        ),
        "## Commands",
        *helps,
    ]
    return "\n\n".join(parts) + "\n"


def main() -> int:
    """Write the page, or compare it under --check."""
    expected = page()
    if "--check" in sys.argv[1:]:
        return 0 if PAGE.is_file() and PAGE.read_text() == expected else 1
    PAGE.write_text(expected)
    return 0


if __name__ == "__main__":
    sys.exit(main())
