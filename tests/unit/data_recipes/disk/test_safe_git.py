"""Git in a folder of somebody else's: nothing that its settings name is run."""

import contextlib
import os
import shutil
import subprocess

import pytest

from data_recipes.disk.safe_git import SafeGit
from data_recipes.errors import DataError
from data_recipes.pii.sources import file_names, since, staged
from data_recipes.sources.tree import read_tree
from hf_santa.cli import main

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
HOOKS = ("post-index-change", "pre-commit", "post-checkout", "fsmonitor-watchman", "reference-transaction")
READING = (
    ("status", "--porcelain"),
    ("diff", "HEAD"),
    ("diff", "--cached"),
    ("log", "-p", "--show-signature"),
    ("log", "-p"),
    ("show", "HEAD"),
    ("blame", "a.py"),
    ("ls-files", "-m", "--others", "--exclude-standard"),
    ("cat-file", "blob", "HEAD:a.py"),
    ("cat-file", "--filters", "HEAD:a.py"),
    ("archive", "HEAD"),
    ("fetch", "ext"),
    ("fetch", "ssh"),
    ("ls-remote", "near"),
)


def git(folder, *words):
    identity = ["-c", "user.email=a@example.com", "-c", "user.name=a"]
    return subprocess.run(["git", "-C", str(folder), *identity, *words], check=False, capture_output=True, timeout=300)


@pytest.fixture
def hostile(tmp_path):
    """A repository whose settings name a program for all that Git can be made to run; each leaves a mark."""
    folder, marks = tmp_path / "hostile", tmp_path / "marks"
    folder.mkdir()
    marks.mkdir()
    git(folder, "init", "-q")
    (folder / "a.py").write_text("mail = 'bob@corp.io'\n")
    (folder / ".gitattributes").write_text("*.py filter=evil diff=evil merge=evil\n*.txt diff=told filter=two=parts\n")
    (folder / "b.txt").write_text("ann@corp.io\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "one")
    (folder / "a.py").write_text("mail = 'cat@corp.io'\n")
    git(folder, "commit", "-qam", "two")

    def program(name):
        path = tmp_path / f"run-{name}"
        path.write_text(f"#!/bin/sh\ntouch '{marks}/{name}'\n")
        path.chmod(0o755)
        return str(path)

    hooks = folder / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for hook in HOOKS:
        shutil.copy2(program(f"hook-{hook}"), hooks / hook)
    settings = {
        name: program(name.replace(".", "-"))
        for name in (
            "core.fsmonitor", "core.pager", "core.editor", "core.askPass", "core.sshCommand", "core.gitProxy",
            "diff.external", "diff.evil.command", "diff.evil.textconv", "diff.told.textconv", "filter.evil.clean",
            "filter.evil.smudge", "filter.two=parts.clean", "gpg.program", "gpg.ssh.program", "remote.near.uploadpack",
            "credential.helper", "alias.status", "pager.log", "pager.diff", "pager.config",
        )
    }  # fmt: skip
    settings |= {
        "filter.evil.required": "true",
        "log.showSignature": "true",
        "protocol.ext.allow": "always",
        "remote.ext.url": f"ext::{program('ext-transport')} %S x",
        "remote.ssh.url": "ssh://nowhere.invalid/x",
        "remote.near.url": str(folder),
        "remote.ext.promisor": "true",
        "extensions.partialClone": "ext",
        "submodule.recurse": "true",
        "include.path": str(tmp_path / "included"),
    }
    (tmp_path / "included").write_text(f'[filter "evil"]\n\tprocess = {program("filter-process")}\n')
    written = []
    for name, value in settings.items():
        section, _, key = name.rpartition(".")
        first, _, second = section.partition(".")
        written.append(f'[{first} "{second}"]' if second else f"[{first}]")
        written.append(f'\t{key} = "{value}"')
    with (folder / ".git" / "config").open("a") as file:
        file.write("\n".join(written) + "\n")
    (folder / "a.py").write_text("mail = 'dan@corp.io'\n")
    for mark in marks.iterdir():
        mark.unlink()
    return folder, marks


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_no_program_of_a_repository_is_run(hostile, words):
    """Whatever is read through SafeGit, no hook, filter, driver, monitor, transport or pager leaves its mark."""
    folder, marks = hostile
    with contextlib.suppress(DataError):  # some can't do their work without the program
        SafeGit(folder).output(*words)
    assert [] == sorted(mark.name for mark in marks.iterdir())


def test_the_same_repository_runs_programs_in_plain_git(hostile):
    """The fixture is no paper tiger: Git by itself runs its monitor, its filters, its drivers and its transports."""
    folder, marks = hostile
    for words in READING:
        git(folder, *words)
    names = {mark.name for mark in marks.iterdir()}
    assert {"core-fsmonitor", "filter-process", "ext-transport", "core-sshCommand", "remote-near-uploadpack"} <= names


def test_what_this_package_reads_of_a_hostile_repository_runs_nothing(hostile):
    """Files of a folder, staged contents, a history and a tree of sources are read, and nothing is run."""
    folder, marks = hostile
    assert sorted(os.path.basename(name) for name in file_names([str(folder)])) == [".gitattributes", "a.py", "b.txt"]  # noqa: PTH119
    assert [source.name.partition(":")[2] for source in since(folder, "HEAD~1")] == ["a.py"]
    assert list(staged(folder)) == []
    expected = ["hostile/.gitattributes", "hostile/a.py", "hostile/b.txt"]
    assert [row.path for row in read_tree(folder)] == expected
    assert [] == sorted(mark.name for mark in marks.iterdir())


def test_a_missing_object_is_not_fetched(hostile):
    """A partial clone that lacks an object is told so; its remote, which is a program, is not asked."""
    folder, marks = hostile
    number = git(folder, "rev-parse", "HEAD:b.txt").stdout.decode().strip()
    (folder / ".git" / "objects" / number[:2] / number[2:]).unlink()
    with pytest.raises(DataError, match="cat-file failed"):
        SafeGit(folder).output("cat-file", "blob", number)
    assert [] == sorted(mark.name for mark in marks.iterdir())


def test_a_bare_repository_inside_a_folder_is_not_taken_for_its_own(tmp_path):
    """Files named HEAD, objects and refs make a folder a repository to Git; here they do not."""
    git(tmp_path, "init", "-q", "--bare", "x")
    with pytest.raises(DataError, match="x is a bare repository"):
        SafeGit(tmp_path / "x").output("ls-files")


@pytest.mark.parametrize("flags", [["--since", "HEAD"], ["--staged"]], ids=" ".join)
def test_a_bare_repository_is_refused_in_one_line_that_says_how_to_name_it(tmp_path, capsys, flags):
    """`data redact` names the repository and the two ways to have it checked, with exit code 2; no word of Git's own."""
    (tmp_path / "a b").mkdir()
    git(tmp_path / "a b", "init", "-q", "--bare", "x.git")
    assert main(["data", "redact", *flags, str(tmp_path / "a b" / "x.git")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    place = (tmp_path / "a b" / "x.git").resolve()
    assert line.startswith(f"hf-santa data redact: {place} is a bare repository. ")
    assert line.endswith(f"set GIT_DIR='{place}' for this command, or pass a clone of it.")


@pytest.mark.parametrize("named", [False, True])
def test_the_folder_of_a_bare_repository_is_not_said_to_be_clean(tmp_path, capsys, monkeypatch, named):
    """`--check` of it is an error, whether GIT_DIR names it or not; a folder that holds one is read as ever."""
    git(tmp_path, "init", "-q", "--bare", "x.git")
    if named:
        monkeypatch.setenv("GIT_DIR", str(tmp_path / "x.git"))
    assert main(["data", "redact", "--check", str(tmp_path / "x.git")]) == 2
    assert "x.git is a bare repository: its files are compressed" in capsys.readouterr().err
    (tmp_path / "a.py").write_text("who = 'bob@corp.io'\n")
    monkeypatch.delenv("GIT_DIR", raising=False)
    assert main(["data", "redact", "--check", str(tmp_path)]) == 1


def test_a_repository_of_somebody_else_is_said_to_be_one(tmp_path, capsys, monkeypatch):
    """The message has the command that makes Git trust it; its folder is read without Git."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    folder = tmp_path / "a b"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "a.py").write_text("who = 'bob@corp.io'\n")
    assert main(["data", "redact", "--staged", str(folder)]) == 2
    assert f"run git config --global --add safe.directory '{folder.resolve()}'" in capsys.readouterr().err
    assert main(["data", "redact", "--check", str(folder)]) == 1
    assert "belongs to another user" in capsys.readouterr().err


def test_a_bare_repository_that_is_named_is_checked(hostile, tmp_path, capsys, monkeypatch):
    """With GIT_DIR, as the message says, the history of a bare repository is read, and nothing of it is run."""
    folder, marks = hostile
    shutil.copytree(folder / ".git", tmp_path / "x.git")
    git(tmp_path / "x.git", "config", "core.bare", "true")
    for mark in marks.iterdir():
        mark.unlink()
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "x.git"))
    monkeypatch.chdir(tmp_path)
    assert main(["data", "redact", "--since", "HEAD~1"]) == 1
    assert ":a.py:1:9: EMAIL_ADDRESS" in capsys.readouterr().out
    assert [] == sorted(mark.name for mark in marks.iterdir())


@pytest.mark.parametrize("flags", [["--since", "HEAD"], ["--staged"]], ids=" ".join)
def test_a_folder_in_no_repository_is_said_to_be_so(tmp_path, capsys, flags):
    """Neither way prints the usage of a Git command."""
    (tmp_path / "plain").mkdir()
    assert main(["data", "redact", *flags, str(tmp_path / "plain")]) == 2
    assert "not a git repository" in capsys.readouterr().err


def test_settings_of_the_environment_stay(tmp_path, monkeypatch):
    """Settings that the user's environment gives are kept; a number of them that is none counts as none."""
    git(tmp_path, "init", "-q")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "user.name")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "ann")
    assert SafeGit(tmp_path).output("config", "user.name") == b"ann\n"
    monkeypatch.setenv("GIT_CONFIG_COUNT", "x")
    assert SafeGit(tmp_path).output("config", "core.fsmonitor") == b"false\n"


def test_without_git_the_message_says_what_to_do(tmp_path, monkeypatch):
    """No Git on the path is one line, not a traceback."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match="Install Git, or pass files"):
        SafeGit(tmp_path).output("status")
