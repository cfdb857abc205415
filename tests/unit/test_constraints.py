"""The two lists of versions hold what pyproject.toml asks for: the oldest that it allows, and one that was tested."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
TOOLS = {  # no user installs them for a command: any version will do that pip takes beside the oldest of the others
    *(
        "axe-playwright-python",
        "beautifulsoup4",
        "duckdb",
        "hypothesis",
        "mcp",
        "mkdocs-material",
        "mypy",
        "parameterized",
    ),
    *("playwright", "polars", "pytest", "ruff", "setuptools", "types-pyyaml", "types-tqdm"),
}
HIGHER = {  # the lower bound is of an install without the package that asks for more
    "pyyaml": "presidio-analyzer",
    "tldextract": "presidio-analyzer",
}


def requirements():
    """Every package that pyproject.toml names with what it asks of it, our own extras aside."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    found = {}
    for requirement in map(Requirement, lines):
        if requirement.name != "hf-santa":
            found.setdefault(canonicalize_name(requirement.name), []).append(requirement.specifier)
    return found


def pinned(name):
    """The versions of a constraints file, by package."""
    lines = (ROOT / name).read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    assert len(pairs) == len({canonicalize_name(package) for package, _ in pairs}), f"{name} names a package twice"
    return {canonicalize_name(package): Version(version) for package, version in pairs}


REQUIREMENTS = requirements()


@pytest.mark.parametrize("package", sorted(REQUIREMENTS.keys() - TOOLS))
def test_the_oldest_version_of_a_range_is_the_one_that_is_tested(package):
    """A lower bound that nothing tries is a guess: constraints-lowest.txt has exactly it."""
    bounds = [
        Version(bound.version)
        for specifier in REQUIREMENTS[package]
        for bound in specifier
        if bound.operator in {">=", "==", "~="}
    ]
    if not bounds:  # named for an extra of it; another line gives the range
        pytest.fail(f"pyproject.toml asks for {package} without a lower bound")
    lowest = pinned("constraints-lowest.txt")
    assert package in lowest
    if package in HIGHER:
        assert max(bounds) < lowest[package]
    else:
        assert max(bounds) == lowest[package]


@pytest.mark.parametrize("package", sorted(REQUIREMENTS))
def test_the_tested_version_is_inside_the_range(package):
    """constraints.txt has every package that pyproject.toml names, in a version that all its ranges allow."""
    tested = pinned("constraints.txt")
    assert package in tested
    assert all(specifier.contains(tested[package]) for specifier in REQUIREMENTS[package])


def test_no_version_is_tested_for_a_package_that_nothing_asks_for():
    """A line of constraints-lowest.txt whose package left pyproject.toml would test nothing."""
    assert pinned("constraints-lowest.txt").keys() <= REQUIREMENTS.keys()
    assert TOOLS | HIGHER.keys() <= REQUIREMENTS.keys()
