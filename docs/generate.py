"""Write the pages that come from the code, docs/reference/**/*.md; only file-formats.md is written by hand.

`python docs/generate.py` writes them, `--check` only compares and names the pages that are out of date.
"""

import sys
from functools import partial
from pathlib import Path

from generate_commands import commands_page
from generate_python_api import package_page, public_packages, python_api_page
from generate_tables import errors_page, languages_page, recipes_page, variables_page

DOCS = Path(__file__).resolve().parent

PAGES = {
    "reference/commands.md": commands_page,
    "reference/python-api.md": python_api_page,
    **{f"reference/python/{name}.md": partial(package_page, name) for name in public_packages()},
    "reference/recipes.md": recipes_page,
    "reference/languages.md": languages_page,
    "reference/environment-variables.md": variables_page,
    "reference/errors-and-exit-codes.md": errors_page,
}


def main() -> int:
    """Write the pages, or name those that differ under --check."""
    is_check = "--check" in sys.argv[1:]
    stale = []
    for name, write in PAGES.items():
        path, expected = DOCS / name, write()
        if path.is_file() and path.read_text() == expected:
            continue
        stale.append(name)
        if not is_check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(expected)
    if is_check and stale:
        print(f"out of date: {', '.join(stale)}. Run `make docs`.", file=sys.stderr)
    return 1 if is_check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
