"""The rooms keep their walls: who imports whom, what is public, and what may go to the Hub."""

import ast
import importlib
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("modeling_santa", "data_recipes", "eval_multipl_e")
PACKAGES = (*ROOMS, "hf_santa")
HUB_FILES = sorted((ROOT / "modeling_santa").glob("*_santa.py"))
FORBIDDEN_STEMS = {"utils", "common", "helpers", "manager", "base", "core"}


def sources(folder):
    return sorted(path for path in (ROOT / folder).rglob("*.py") if "__pycache__" not in path.parts)


def imports(path):
    """All absolute module names a file imports, at any depth, and its relative ones with their dots."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_nothing_of_ours_but_themselves(room):
    """A room can be published alone: only hf_santa knows the others."""
    others = {name for name in PACKAGES if name != room}
    found = {(path.name, name) for path in sources(room) for name in imports(path) if name.split(".")[0] in others}
    assert set() == found


def test_the_space_imports_nothing_of_ours():
    """The Space goes through the Auto classes, as any user does."""
    found = {(p.name, name) for p in sources("spaces") for name in imports(p) if name.split(".")[0] in PACKAGES}
    assert set() == found


def test_nobody_imports_a_private_name():
    """A name with a leading underscore stays in its module."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for package in PACKAGES
        for path in sources(package)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        and (node.level or (node.module or "").split(".")[0] in PACKAGES)
        and any(alias.name.startswith("_") and not alias.name.startswith("__") for alias in node.names)
    ]
    assert found == []


def test_no_class_name_has_two_meanings():
    """A name that is read in one room means the same in every other."""
    places = defaultdict(list)
    for folder in (*PACKAGES, "spaces"):
        for path in sources(folder):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.ClassDef):
                    places[node.name].append(str(path.relative_to(ROOT)))
    assert {} == {name: found for name, found in places.items() if len(found) > 1}


# Each stands for one thing that many modules give: their commands, their work, a filter's two functions, a program's start.
_GIVEN_BY_MANY = {"add_commands", "keep", "main", "measure", "run"}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_function_name_has_two_meanings(package):
    """In a package no public function of a module has the name of another's."""
    places = defaultdict(list)
    for path in sources(package):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                places[node.name].append(str(path.relative_to(ROOT)))
    assert {} == {name: found for name, found in places.items() if len(found) > 1 and name not in _GIVEN_BY_MANY}


@pytest.mark.parametrize("path", HUB_FILES, ids=lambda path: path.name)
def test_hub_files_import_only_what_the_hub_has(path):
    """Model files import stdlib, torch, transformers and flat siblings by name, at module level."""
    tree = ast.parse(path.read_text())
    top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    everywhere = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert len(top) == len(everywhere)
    for name in imports(path):
        assert name.startswith(".") or name.split(".")[0] in {"torch", "transformers"} | sys.stdlib_module_names
        assert not name.startswith(".") or (name[1:].endswith("_santa") and name.count(".") == 1)


def test_docstrings_of_hub_files_hold_no_relative_import():
    """The remote loader finds imports with a regular expression, in docstrings too."""
    for path in HUB_FILES:
        lines = [line.strip() for line in path.read_text().splitlines() if "from ." in line]
        siblings = {f".{other.stem}" for other in HUB_FILES}
        assert all(line.startswith("from .") and line.split()[1] in siblings for line in lines)


@pytest.mark.parametrize("package", PACKAGES[:3])
def test_public_names_are_few_importable_and_documented(package):
    """`__all__` is short; each name can be imported and says what it is."""
    module = importlib.import_module(package)
    assert 1 <= len(module.__all__) <= 16
    assert sorted(module.__all__, key=str.lower) == sorted(set(module.__all__), key=str.lower)
    for name in module.__all__:
        value = getattr(module, name)
        assert not isinstance(value, type(sys)), f"{package}.{name} is a module"
        assert callable(value) is False or value.__doc__, name


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_nothing_heavy(package):
    """Importing a package costs next to nothing: torch, datasets and the like come with the first use."""
    heavy = "{'torch', 'transformers', 'datasets', 'presidio_analyzer', 'gradio', 'pyarrow', 'numpy', 'evaluate'}"
    code = f"import sys, {package}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_command_starts_with_the_smallest_installation():
    """All commands are put together without any package that only an extra brings."""
    heavy = "{'torch', 'transformers', 'datasets', 'gradio', 'pyarrow', 'numba', 'huggingface_hub', 're2', 'evaluate'}"
    code = (
        f"import sys; from hf_santa.cli import build_parser; build_parser(); print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("package", PACKAGES[:3])
def test_no_module_bears_a_public_name(package):
    """No module has the name of a public function or class of its package: importing it would hide the name."""
    public = set(importlib.import_module(package).__all__)
    assert [] == [path.relative_to(ROOT).as_posix() for path in sources(package) if path.stem in public]


def test_no_file_has_a_name_without_meaning():
    """No utils, common, helpers, manager, base or core; no script that datasets would refuse; no package in spaces/."""
    files = [path for folder in (*PACKAGES, "spaces") for path in sources(folder)]
    assert set() == {path.stem for path in files} & FORBIDDEN_STEMS
    assert not (ROOT / "data_recipes" / "data_recipes.py").exists()
    assert list((ROOT / "spaces").rglob("__init__.py")) == []


def test_modules_stay_readable():
    """No module is longer than 600 lines; nine in ten are at most 400."""
    lengths = sorted(len(path.read_text().splitlines()) for package in PACKAGES for path in sources(package))
    assert lengths[-1] <= 600
    assert lengths[int(len(lengths) * 0.9)] <= 400


def test_a_docstring_of_a_function_begins_with_a_verb():
    """It says what the function does, not what it gives: no article and no "Whether" comes first."""
    no_verbs = {
        "A",
        "An",
        "All",
        "At",
        "For",
        "How",
        "If",
        "Our",
        "So",
        "Some",
        "The",
        "What",
        "Where",
        "Whether",
        "Why",
    }
    found = []
    for path in (path for package in PACKAGES for path in sources(package)):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and not node.decorator_list:
                first = (ast.get_docstring(node) or "Return").split()[0]
                found += [f"{path.name}: {node.name}"] if first in no_verbs else []
    assert [] == found


def test_deviations_from_the_report_are_listed():
    """Every `# Differs from the report:` in the code has its line on the page that lists them."""
    listed = (ROOT / "docs" / "explanation" / "differs-from-the-report.md").read_text()
    marked = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in sources(package)
        if "# Differs from the report:" in path.read_text()
    }
    assert marked
    assert {path for path in marked if path not in listed} == set()


FOLDERS = {
    "data_recipes": (
        "disk",
        "engine",
        "sources",
        "classifier",
        "filters",
        "decontamination",
        "dedup",
        "pii",
        "store",
        "card",
    ),
    "eval_multipl_e": ("suite",),
    "hf_santa": ("pages", "repositories", "publishing", "demo", "finetune", "pretrain", "ablate", "tune"),
    "modeling_santa": ("tokenizer", "corpus", "training"),
}
"""The folders of each package from the ground floor up: a folder imports only from those before it."""


def module_graph(package):
    """For each module of a package the modules of the package that it imports, wherever in the file it does so.

    The package's own `__init__` is left out: it imports its public names on first use only.
    """
    paths = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in sources(package)}
    names = {name.removesuffix(".__init__"): path for name, path in paths.items()}
    del names[package]
    graph = {}
    for name, path in names.items():
        home = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
        imported = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                above = home[: len(home) - node.level + 1] if node.level else []
                source = ".".join([*above, *([node.module] if node.module else [])])
                imported |= {source, *(f"{source}.{alias.name}" for alias in node.names)}
        graph[name] = {other for other in imported if other in names and not name.startswith(f"{other}.")} - {name}
    return graph


def circles(graph):
    """The nodes that are left when nodes that import nothing more are taken away one after the other."""
    left = {name: set(others) for name, others in graph.items()}
    while free := [name for name, others in left.items() if not others & left.keys()]:
        for name in free:
            del left[name]
    return sorted(left)


def test_a_circle_of_imports_is_found():
    """The search for circles finds one, and only in a graph that has one."""
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["a", "b", "c"]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_imports_go_in_a_circle(package):
    """Neither modules nor the folders and single modules of a package import each other in a circle."""
    graph = module_graph(package)
    rooms = {}
    for name, others in graph.items():
        room = name.split(".")[1]
        rooms.setdefault(room, set()).update({other.split(".")[1] for other in others} - {room})
    assert len(graph) > 10
    assert (circles(graph), circles(rooms)) == ([], [])


@pytest.mark.parametrize("package", PACKAGES)
def test_folders_import_only_downward(package):
    """The folders of a package stand in a fixed order, and none imports from one above it."""
    folders = {
        path.parent.relative_to(ROOT / package).parts[0] for path in sources(package) if path.parent != ROOT / package
    }
    assert set(FOLDERS[package]) == folders
    floor = {name: number for number, name in enumerate(FOLDERS[package])}
    upward = [
        f"{name} imports {other}"
        for name, others in module_graph(package).items()
        for other in others
        if floor.get(name.split(".")[1], 99) < floor.get(other.split(".")[1], -1)
    ]
    assert upward == []


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_are_typed(package):
    """Type checkers read the annotations of an installed package only where `py.typed` stands beside its modules."""
    assert (ROOT / package / "py.typed").is_file()


def test_pages_and_examples_import_public_names_only():
    """What a page or an example imports stands in the `__all__` of the package it is imported from."""
    shown = re.compile(rf"^\s*from ((?:{'|'.join(ROOMS)})[\w.]*) import ([\w, ]+)", re.MULTILINE)
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*.py")]
    found = {
        (module, name.strip())
        for path in pages
        if "decisions" not in path.parts
        for module, names in shown.findall(path.read_text())
        for name in names.split(",")
    }
    assert len(found) > 15
    assert [] == [
        f"{module}.{name}"
        for module, name in sorted(found)
        if name not in getattr(importlib.import_module(module), "__all__", ())
    ]


def test_every_all_names_what_is_there():
    """Each name of an `__all__`, of packages and sub-packages, can be imported, and stands there once."""
    for package in PACKAGES:
        for path in (ROOT / package).rglob("__init__.py"):
            module = importlib.import_module(".".join(path.parent.relative_to(ROOT).parts))
            names = getattr(module, "__all__", [])
            assert len(names) == len(set(names))
            assert all(hasattr(module, name) for name in names), module.__name__
