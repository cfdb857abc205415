"""What is written is what the code does: doctests, the reference, commands and imports on all pages, the site."""

import argparse
import ast
import doctest
import importlib
import os
import re
import shlex
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from data_recipes import RECIPES
from eval_multipl_e import LANGUAGES
from hf_santa import door
from hf_santa.cli import build_parser
from hf_santa.demo import used_by
from hf_santa.demo.steps import STEP_NAMES

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PACKAGES = ("modeling_santa", "data_recipes", "eval_multipl_e", "hf_santa")
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), ROOT / "spaces/santa_demo/README.md"])


def reference(name):
    return (DOCS / "reference" / f"{name}.md").read_text()


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


def parsers(parser):
    """The parser and all below it."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from parsers(child)


def test_every_command_and_flag_is_in_the_reference():
    """Each parser has its heading, and below it each of its flags; those of all commands stand above."""
    page = reference("commands")
    common, *sections = re.split(r"\n(?=#+ `hf-santa )", page)
    by_command = {re.match(r"#+ `([^`]+)`", text).group(1): text for text in sections}
    missing = [
        f"{parser.prog} {flag}"
        for parser in parsers(build_parser())
        for action in parser._actions
        for flag in action.option_strings
        if flag not in {"-h", "--help"} and f"{flag}" not in common + by_command.get(parser.prog, "")
    ]
    assert [] == missing
    assert {parser.prog for parser in parsers(build_parser())} - {"hf-santa"} == set(by_command)


def test_every_recipe_language_and_step_is_in_the_reference():
    """Each name of the three tables has its row."""
    recipes, languages = reference("recipes"), reference("languages")
    assert [] == [name for name in RECIPES if f"| `{name}` |" not in recipes]
    assert [] == [name for name in STEP_NAMES if f"| `{name}` |" not in recipes]
    assert [] == [name for name in LANGUAGES if f"| `{name}` |" not in languages]


def test_every_public_name_is_in_the_reference():
    """Each name of an `__all__`, of packages and sub-packages, is described on its package's page, and listed."""
    listed, missing = reference("python-api"), []
    for package in PACKAGES:
        for path in (ROOT / package).rglob("__init__.py"):
            module = ".".join(path.parent.relative_to(ROOT).parts)
            for name in getattr(importlib.import_module(module), "__all__", ()):
                anchor = f"#{module.replace('.', '-')}-{name.lower()}"
                is_described = f"### {name} {{ {anchor} }}" in reference(f"python/{package}")
                is_listed = f"[`{name}`](python/{package}.md{anchor})" in listed
                missing += [] if is_described and is_listed else [f"{module}.{name}"]
    assert [] == missing


def test_every_exit_code_is_in_the_reference():
    """The codes of the door, and those that an error class gives, are rows of the page."""
    page = reference("errors-and-exit-codes")
    codes = [value for name, value in vars(door).items() if name.isupper() and isinstance(value, int)]
    assert len(codes) >= 6
    assert [] == [code for code in codes if f"| `{code}` |" not in page]


def test_the_environment_variables_are_those_of_the_reference():
    """Each HF_SANTA_ name in the code is on the page, or is one that only our own processes tell each other; no other is."""
    page = reference("environment-variables")
    internal = set(
        re.findall(r"HF_SANTA_\w+", re.search(r"INTERNAL = .*", (DOCS / "generate_tables.py").read_text()).group())
    )
    used = {
        name
        for folder in (*PACKAGES, "spaces", "tests")
        for path in (ROOT / folder).rglob("*.py")
        for name in re.findall(r"\bHF_SANTA_[A-Z_]*[A-Z]\b", path.read_text())
    }
    assert used - internal == set(re.findall(r"^\| `(HF_SANTA_\w+)` \|", page, re.MULTILINE))


def test_every_error_class_is_in_the_reference():
    """Each class named …Error in the packages has its row."""
    page = reference("errors-and-exit-codes")
    found = {
        node.name
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and node.name.endswith("Error") and not node.name.startswith("_")
    }
    assert [] == sorted(name for name in found if f"| `{name}` |" not in page)


def test_the_reference_is_what_the_code_writes():
    """`make docs` changes nothing."""
    done = subprocess.run(
        [sys.executable, DOCS / "generate.py", "--check"], check=False, capture_output=True, text=True
    )
    assert 0 == done.returncode, done.stderr


def test_every_extra_is_on_the_page_about_installing():
    """Each extra of pyproject.toml but those for developers has its row."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    page = (DOCS / "get-started" / "install.md").read_text()
    assert [] == [name for name in extras if name not in {"dev", "docs"} and f"| `{name}` |" not in page]


def test_the_pre_commit_hook_brings_the_packages_of_its_extra():
    """The hook names what the extra `redact` has: pre-commit installs the package without extras."""
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert extras["redact"] == hook["additional_dependencies"]
    build_parser().parse_args([*hook["entry"].split()[1:], "a.py"])


def blocks(page, language):
    return re.findall(rf"^```{language}\b[^\n]*\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def commands_of(text):
    """The hf-santa command lines of a shell block as words, without comments, variables and pipes."""
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        found = re.match(r"(?:[A-Z_]+=\S+ )*hf-santa (.*)", line.strip())
        if found:
            words = shlex.split(found.group(1).replace("$SLURM_ARRAY_TASK_ID", "0"), comments=True)
            stop = next((at for at, word in enumerate(words) if word in {"|", "||", "&&", ">", ";"}), len(words))
            yield words[:stop]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_commands_on_a_page_are_understood(page, capsys):
    """Every `hf-santa` line of a page is one that the parser takes: no flag that is gone, none that is missing."""
    refused = []
    for text in (*blocks(page, "sh"), *blocks(page, "bash")):
        for words in commands_of(text):
            try:
                build_parser().parse_args(words)
            except SystemExit as error:
                refused += [f"hf-santa {' '.join(words)}: {capsys.readouterr().err}"] if error.code else []
    assert [] == refused


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_python_on_a_page_imports_what_there_is(page):
    """Every Python block of a page is Python, and what it imports from our packages exists."""
    for text in blocks(page, "python"):
        if text.lstrip().startswith(">>>") or "reference" in page.parts:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] in PACKAGES:
                module = importlib.import_module(node.module)
                assert [] == [each.name for each in node.names if not hasattr(module, each.name)]


@pytest.mark.parametrize("name", ["redact", "near-dedup"])
def test_the_python_of_a_guide_runs(name, capsys):
    """The blocks of guides that need no files run as they stand, and print something."""
    for text in blocks(DOCS / "guides" / f"{name}.md", "python"):
        exec(compile(text, name, "exec"), {})
        assert capsys.readouterr().out.strip()


def test_the_readme_shows_the_four_lines_as_they_are_run():
    """The demo runs these very lines against staged folders, in processes without this package."""
    readme = (ROOT / "README.md").read_text()
    assert len(readme.splitlines()) <= 120
    for use in (used_by.MODEL, used_by.DATASET, used_by.METRIC, used_by.SPACE):
        assert f"```python\n{use.code}```" in readme, use.title


def test_pages_link_to_what_exists():
    """Every relative link of a page leads to a file or folder."""
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text()):
            is_from_root = target.removeprefix("../") in {"index.md", "contributing.md", "changelog.md", "security.md"}
            assert is_from_root or (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_site_builds_without_a_warning(tmp_path):
    """Mkdocs --strict: no broken link or anchor, and no page that the navigation lacks."""
    if find_spec("material") is None:
        pytest.skip("mkdocs-material is not installed: pip install -e '.[docs]'")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", tmp_path / "site"],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    assert (tmp_path / "site" / "search" / "search_index.json").is_file()
    install = (tmp_path / "site" / "get-started" / "install.html").read_text()
    assert re.search(r'<td data-label="extra"><code>finetune</code></td>\s*<td data-label="for">', install)
    loads = re.compile(r"<(?:script|img|iframe|link rel=.(?:stylesheet|preconnect)).[^>]*(?:src|href)=.https?:")
    assert [] == [page.name for page in (tmp_path / "site").rglob("*.html") if loads.search(page.read_text())]


def test_nothing_names_a_machine_or_a_secret():
    """No absolute home or work path and no token in a tracked text file; the tests of names have made-up homes."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    secret = re.compile(r"hf_[A-Za-z]{30,}|ghp_[A-Za-z0-9]{36}")
    place = re.compile(r"(?<![\w.])/(?:work|home/\w+|root|Users)/\w")
    for name in filter(None, listed.split("\0")):
        text = (ROOT / name).read_bytes().decode("utf-8", "replace")
        patterns = [secret] if name == "tests/unit/data_recipes/pii/test_names.py" else [secret, place]
        found = [line for line in text.splitlines() for pattern in patterns if pattern.search(line)]
        assert [] == [line for line in found if "re.compile" not in line], name
