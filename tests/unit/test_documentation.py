"""What is written is what the code does: doctests, the reference page, the README's code."""

import ast
import doctest
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from data_recipes import RECIPES
from eval_multipl_e import LANGUAGES
from hf_santa.demo import used_by
from hf_santa.demo.steps import STEP_NAMES

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("modeling_santa", "data_recipes", "eval_multipl_e", "hf_santa")


def modules_with_examples():
    """The modules that hold a doctest."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if ">>> " in path.read_text():
                yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("name", list(modules_with_examples()))
def test_doctests(name):
    """Every example in a docstring gives the output that is written below it."""
    importlib.import_module(name)
    found = doctest.testmod(sys.modules[name])
    assert found.attempted > 0
    assert 0 == found.failed


def test_the_reference_page_names_everything():
    """Each recipe, language, step and flag is on docs/reference.md."""
    page = (ROOT / "docs" / "reference.md").read_text()
    flags = {
        node.value
        for package in PACKAGES
        for path in (ROOT / package).rglob("cli.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"--[a-z][a-z-]*", node.value)
    }
    missing = [name for name in (*RECIPES, *LANGUAGES, *STEP_NAMES, *flags) if name not in page]
    assert [] == missing


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="argparse lays out help differently outside Python 3.11")
def test_the_reference_page_is_what_the_code_writes():
    """`make docs` changes nothing."""
    done = subprocess.run([sys.executable, ROOT / "docs" / "generate.py", "--check"], check=False)
    assert 0 == done.returncode, "docs/reference.md is out of date: run `make docs`"


def test_the_readme_shows_the_four_lines_as_they_are_run():
    """The demo runs these very lines against staged folders, in processes without this package."""
    readme = (ROOT / "README.md").read_text()
    for use in (used_by.MODEL, used_by.DATASET, used_by.METRIC, used_by.SPACE):
        assert f"```python\n{use.code}```" in readme, use.title


def test_the_readme_links_to_what_exists():
    """Every relative link of the top-level pages leads to a file or folder."""
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_nothing_names_a_machine_or_a_secret():
    """No absolute home or work path and no token in a tracked text file."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    pattern = re.compile(r"(?<![\w.])/(?:work|home/\w+|root|Users)/|hf_[A-Za-z]{30,}|ghp_[A-Za-z0-9]{36}")
    for name in filter(None, listed.split("\0")):
        text = (ROOT / name).read_bytes().decode("utf-8", "replace")
        found = [line for line in text.splitlines() if pattern.search(line)]
        assert [] == [line for line in found if "re.compile" not in line], name
