"""Source trees and archives as rows."""

import os
import subprocess
import zipfile

import pytest

from data_recipes.errors import DataError
from data_recipes.sources.parquet import tables_of
from data_recipes.sources.row import Reject, Row
from data_recipes.sources.tree import fingerprint, read_tree


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "src"
    (root / "pkg").mkdir(parents=True)
    (root / "a.py").write_text("a = 1\n")
    (root / "pkg" / "b.py").write_text("b = 2\n")
    (root / "pkg" / "c.js").write_text("#!/usr/bin/env node\nlet c = 3;\n")
    (root / "pkg" / "D.java").write_text("class D {}\n")
    (root / "notes.bin").write_text("not source\n")
    return root


def _reasons(items):
    return {item.path: item.reason for item in items if isinstance(item, Reject)}


def _paths(items):
    return [item.path for item in items if not isinstance(item, Reject)]


def test_rows_are_ordered_by_path_and_carry_the_root_name(tree):
    """Every file of a known language becomes a row, in path order."""
    assert _paths(read_tree(tree)) == ["src/a.py", "src/pkg/D.java", "src/pkg/b.py", "src/pkg/c.js"]


def test_bad_files_become_rejects(tree):
    """Unreadable kinds of files are named with their reason, and the walk goes on."""
    (tree / "latin.py").write_bytes(b"# caf\xe9\n")
    (tree / "nul.py").write_bytes(b"a\0b")
    (tree / "none.py").write_bytes(b"")
    (tree / "twin.py").write_text("a = 1\n")
    expected = {
        "src/notes.bin": "unknown_language",
        "src/latin.py": "not_utf8",
        "src/nul.py": "nul_bytes",
        "src/none.py": "empty",
        "src/twin.py": "exact_duplicate",
    }
    assert _reasons(read_tree(tree)) == expected


def test_a_huge_file_is_rejected_by_its_size(tree):
    """A sparse file of a terabyte costs nothing: it is never read."""
    with (tree / "huge.js").open("wb") as stream:
        stream.truncate(1 << 40)
    assert _reasons(read_tree(tree)) == {"src/notes.bin": "unknown_language", "src/huge.js": "too_large"}


def test_links_are_not_followed(tree):
    """A link to a file, a folder or the tree itself adds no row, and is named."""
    before = _paths(read_tree(tree))
    (tree / "loop").symlink_to(tree)
    (tree / "link.py").symlink_to(tree / "a.py")
    (tree / "broken.py").symlink_to(tree / "gone.py")
    assert _paths(read_tree(tree)) == before
    named = [path for path, reason in _reasons(read_tree(tree)).items() if reason == "symbolic_link"]
    assert sorted(named) == ["src/broken.py", "src/link.py", "src/loop"]


def test_a_file_name_that_is_no_text_still_gives_a_row(tree):
    """Bytes of a name that are not UTF-8 are shown as U+FFFD and the file is read."""
    (tree / os.fsdecode(b"n\xff.py")).write_text("n = 1\n")
    assert "src/n\ufffd.py" in _paths(read_tree(tree))


def test_archives_are_read_and_damaged_members_named(tmp_path):
    """Members of a zip archive become rows; one whose checksum is wrong is `unreadable`."""
    archive = tmp_path / "src.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as opened:
        opened.writestr("java/A.java", "class A { int x = 12345; }\n")
        opened.writestr("java/B.java", "class B { int x = 67890; }\n")
    archive.write_bytes(archive.read_bytes().replace(b"67890", b"67891"))
    items = list(read_tree(archive))
    assert (_paths(items), _reasons(items)) == (["src.zip/java/A.java"], {"src.zip/java/B.java": "unreadable"})


def test_a_member_that_lies_about_its_size_is_bounded(tmp_path):
    """No more than the limit is unpacked, whatever the archive's directory says."""
    archive = tmp_path / "s.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("A.java", "x" * 5000)
    assert _reasons(read_tree(archive, max_file_bytes=100)) == {"s.zip/A.java": "too_large"}


def test_a_sample_fits_its_budget_and_is_repeatable(tree):
    """The budget holds per language, the draw is the same each time, and a bigger budget keeps what was drawn."""
    for number in range(40):
        (tree / f"f{number:02d}.py").write_text(f"value_{number:02d} = {number:05d}\n")
    small = _paths(read_tree(tree, limit_bytes_per_language={"Python": 150}))
    again = _paths(read_tree(tree, limit_bytes_per_language={"Python": 150}))
    large = _paths(read_tree(tree, limit_bytes_per_language={"Python": 300}))
    python = [path for path in small if path.endswith(".py")]
    size = sum((tree.parent / path).stat().st_size for path in python)
    assert small == again
    assert 120 < size <= 150
    assert len(set(python) - set(large)) <= 1
    assert small == python


def test_an_unknown_language_in_the_budget_is_an_error(tree):
    """A misspelt language is named, with known ones; another spelling of a known one is understood."""
    with pytest.raises(
        DataError, match=r"names \['Pithon'\], which are no languages\. Names with that letter: .*'Python'"
    ):
        list(read_tree(tree, limit_bytes_per_language={"Pithon": 1}))


@pytest.mark.parametrize("case", ["missing", "empty", "file", "none"])
def test_unusable_sources_are_errors_that_say_what_to_do(tmp_path, case):
    """A source that does not exist, holds nothing or is no folder is named."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    source = [] if case == "none" else tmp_path / case
    expected = {
        "missing": "no such folder",
        "empty": r"no source file found\. Looked for files of \d+ languages",
        "file": "neither a folder nor a zip",
        "none": "no source folder was given",
    }
    with pytest.raises(DataError, match=expected[case]):
        list(read_tree(source))


def test_the_fingerprint_changes_with_the_tree_only(tree):
    """Equal trees have equal fingerprints; a changed, added or touched file changes it."""
    first = fingerprint(tree)
    assert fingerprint([tree]) == first
    os.utime(tree / "a.py", ns=(1, 1))
    touched = fingerprint(tree)
    (tree / "e.py").write_text("e = 5\n")
    assert len({first, touched, fingerprint(tree)}) == 3


def test_roots_of_the_same_name_stay_apart(tmp_path):
    """Two roots called alike get different prefixes."""
    for parent in ("one", "two"):
        (tmp_path / parent / "lib").mkdir(parents=True)
        (tmp_path / parent / "lib" / "a.py").write_text(f"{parent} = 1\n")
    assert _paths(read_tree([tmp_path / "one" / "lib", tmp_path / "two" / "lib"])) == ["lib-2/a.py", "lib/a.py"]


def test_source_files_that_are_not_read_are_rejects_with_a_reason(tmp_path):
    """Every file of a tree is a row or is named once, whatever it is; a root of installed packages is read."""
    rows = ("a.py", "b.ts", "c.go", "e.kt", "f.ipynb", "Dockerfile")
    left = ("lib.min.js", "x_pb2.py", "node_modules/left/pad.js", "vendor/v.go", "logo.png", "Cargo.lock", "COPYING")
    for name in (*rows, *left):
        path = tmp_path / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"// {name}\n")
    (tmp_path / "src" / "script").write_text("#!/usr/bin/python3\n")
    (tmp_path / "src" / "nothing").write_text("nothing\n")
    (tmp_path / "src" / "marked.js").write_text("// @generated\n")
    assert _reasons(read_tree(tmp_path / "src")) == {
        "src/lib.min.js": "minified",
        "src/x_pb2.py": "generated",
        "src/Cargo.lock": "generated",
        "src/marked.js": "generated",
        "src/node_modules/left/pad.js": "vendored",
        "src/vendor/v.go": "vendored",
        "src/logo.png": "unknown_language",
        "src/nothing": "unknown_language",
    }
    assert _paths(read_tree(tmp_path / "src")) == sorted(f"src/{name}" for name in (*rows, "COPYING", "script"))
    assert _paths(read_tree(tmp_path / "src" / "node_modules")) == ["node_modules/left/pad.js"]


def test_a_declared_encoding_is_read(tmp_path):
    """Latin-1 with a cookie is Python source; without one, or with a wrong one, it is no UTF-8."""
    (tmp_path / "a.py").write_bytes(b"# -*- coding: latin-1 -*-\nx = 'caf\xe9'\n")
    (tmp_path / "b.py").write_bytes(b"x = 'caf\xe9'\n")
    (tmp_path / "c.py").write_bytes(b"# coding: no-such\nx = 'caf\xe9'\n")
    items = list(read_tree(tmp_path))
    assert [item.content.split("'")[1] for item in items if isinstance(item, Row)] == ["caf\u00e9"]
    assert sorted(_reasons(items).values()) == ["not_utf8", "not_utf8"]


def test_a_tree_with_a_folder_of_tables_is_a_tree(tmp_path):
    """Source files beside `data/*.parquet` make it one; without them it is a table."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x.parquet").touch()
    assert tables_of([tmp_path]) == [tmp_path / "data" / "x.parquet"]
    (tmp_path / "a.py").write_text("x = 1\n")
    assert tables_of([tmp_path]) == []


def test_what_git_ignores_is_a_reject(tmp_path, monkeypatch):
    """In a repository, ignored source files are named as such; the same files in a plain folder are rows."""
    repository = tmp_path / "repo"
    (repository / "build").mkdir(parents=True)
    for name in ("a.py", "build/made.py", "local.py"):
        (repository / name).write_text(f"# {name}\n")
    (repository / ".gitignore").write_text("build/\nlocal.py\n")
    assert _reasons(read_tree(repository)) == {}
    before = fingerprint(repository)
    subprocess.run(["git", "init", "-q", str(repository)], check=True)
    assert _reasons(read_tree(repository)) == {"repo/build/made.py": "git_ignored", "repo/local.py": "git_ignored"}
    assert _paths(read_tree([repository])) == ["repo/.gitignore", "repo/a.py"]
    monkeypatch.chdir(repository)
    assert sorted(_reasons(read_tree("."))) == ["repo/build/made.py", "repo/local.py"]
    assert fingerprint(repository) != before


def test_a_folder_without_a_source_file_has_no_fingerprint(tmp_path):
    """A file without an ending counts where it begins as a program does."""
    (tmp_path / "notes").write_text("nothing\n")
    with pytest.raises(DataError, match="no source file found"):
        fingerprint(tmp_path)
    (tmp_path / "run").write_text("#!/bin/sh\necho\n")
    assert fingerprint(tmp_path)
