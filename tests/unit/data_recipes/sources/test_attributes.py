"""What .gitattributes says: as git itself reads it, in trees and in repositories."""

import subprocess

import pytest

from data_recipes.sources.attributes import NOTHING, Attributes
from data_recipes.sources.git_address import GitAddress
from data_recipes.sources.repository import GitRepository
from data_recipes.sources.row import Reject
from data_recipes.sources.tree import read_tree

FILES = {
    ".gitattributes": (
        "# ours\n"
        "*.gen.py linguist-generated\n"
        "/docs/** linguist-vendored=true\n"
        "lib linguist-vendored\n"
        "deps/ linguist-vendored\n"
        "third_party/mine/** -linguist-vendored\n"
        "*.inc linguist-language=PHP\n"
        "*.lock linguist-generated=false\n"
        "**/deep/*.[jt]s linguist-generated\n"
        '"with space.py" linguist-vendored\n'
        "*.tmpl linguist-language=Emacs-Lisp text eol=lf\n"
        "*.odd linguist-language=Klingon\n"
        "a/*/b.py linguist-generated\n"
    ),
    "sub/.gitattributes": "*.gen.py !linguist-generated\nx.py linguist-generated\n",
    "one.gen.py": "a = 1\n",
    "sub/two.gen.py": "a = 2\n",
    "sub/x.py": "a = 3\n",
    "x.py": "a = 4\n",
    "docs/deep/c.py": "a = 5\n",
    "src/docs/c.py": "a = 6\n",
    "lib/d.py": "a = 7\n",
    "deps/e.py": "a = 8\n",
    "third_party/mine/f.py": "a = 9\n",
    "third_party/g.py": "a = 10\n",
    "h.inc": "<?php echo 1;\n",
    "poetry.lock": "a = 11\n",
    "deep/i.js": "let a = 12\n",
    "q/deep/j.ts": "let a = 13\n",
    "q/deep/r/k.ts": "let a = 14\n",
    "with space.py": "a = 15\n",
    "m.tmpl": "(setq a 16)\n",
    "a/z/b.py": "a = 17\n",
    "a/z/z/b.py": "a = 18\n",
    "n.py": "# @generated\n",
}


@pytest.fixture
def tree(tmp_path):
    """A repository of these files."""
    for name, text in FILES.items():
        (tmp_path / "tool" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tool" / name).write_text(text)

    def git(*words):
        who = ("-c", "user.name=a", "-c", "user.email=a@b.example")
        return subprocess.run(["git", "-C", tmp_path / "tool", *who, *words], check=True, capture_output=True).stdout

    git("init", "-q")
    git("add", "-f", "-A")
    git("commit", "-qm", "files")
    return tmp_path / "tool", git


def test_patterns_fit_as_in_git(tree):
    """For every file, both flags and the language are those of `git check-attr`."""
    _, git = tree
    attributes = Attributes()
    attributes.add("", FILES[".gitattributes"].encode())
    attributes.add("sub", FILES["sub/.gitattributes"].encode())
    names = ("linguist-vendored", "linguist-generated")
    fields = git("check-attr", "-z", *names, "--", *FILES).decode().split("\0")
    flag = {"set": True, "true": True, "unset": False, "false": False, "unspecified": None}
    expected = {(fields[n], fields[n + 1]): flag[fields[n + 2]] for n in range(0, len(fields) - 1, 3)}
    found = {}
    for path in FILES:
        said = attributes.of(path)
        found |= {(path, "linguist-vendored"): said.vendored, (path, "linguist-generated"): said.generated}
    assert found == expected
    assert {True, False, None} == set(expected.values())


def test_trees_and_repositories_follow_them(tree):
    """Left out and taken back by what is said, in the language that is said; both readers alike."""
    folder, _ = tree
    with GitRepository(GitAddress(str(folder), "HEAD", is_folder=True)) as opened:
        items = list(opened.rows())
    reasons = {item.path: item.reason for item in items if isinstance(item, Reject)}
    langs = {item.path: item.lang for item in items if not isinstance(item, Reject)}
    assert {path for path, reason in reasons.items() if reason == "vendored"} == {
        "docs/deep/c.py",
        "third_party/g.py",
        "with space.py",
    }
    assert {path for path, reason in reasons.items() if reason == "generated"} == {
        *("one.gen.py", "sub/x.py", "deep/i.js", "q/deep/j.ts", "a/z/b.py", "n.py"),
    }
    assert (langs["h.inc"], langs["m.tmpl"], langs["poetry.lock"]) == ("PHP", "Emacs Lisp", "TOML")
    assert "third_party/mine/f.py" in langs
    of_tree = {item.path.partition("/")[2]: getattr(item, "reason", item.lang) for item in read_tree(folder)}
    assert of_tree == {**reasons, **langs}


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xfe linguist-vendored\n",
        b'"open linguist-vendored',
        b"! linguist-vendored",
        b"*" * 5000,
        b"[ linguist-generated\n",
    ],
)
def test_odd_lines_say_nothing_of_a_usual_file(data):
    """Bytes that are no text, an open quote, a negation, a class without an end."""
    attributes = Attributes()
    attributes.add("", data)
    assert attributes.of("src/a.py") == NOTHING


def test_a_hostile_pattern_costs_no_time():
    """Stars in a row, and folders of them, are matched in linear time: without that, this would not end."""
    attributes = Attributes()
    attributes.add("", b"*a" * 400 + b"b linguist-vendored\n" + b"**/" * 400 + b"x linguist-vendored\n")
    assert attributes.of("/".join(["a" * 200] * 20)) == NOTHING
