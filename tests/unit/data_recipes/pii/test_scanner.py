"""`data redact` in CI and before a commit: folders, Git, standard input, JSON, SARIF, baselines and what is allowed."""

import io
import json
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder, *words):
    identity = ["-c", "user.email=a@example.com", "-c", "user.name=a", "-c", "protocol.file.allow=always"]
    subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "repo"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "a.txt").write_text("bob@corp.io\n")
    (folder / "clean.py").write_text("x = 1\n")
    (folder / ".gitignore").write_text("ignored.txt\n")
    (folder / "ignored.txt").write_text("ann@corp.io\n")
    return folder


@needs_git
def test_a_folder_is_looked_through_without_what_git_ignores(repository, run_command):
    """Files of a repository are found whether they are committed or not; ignored ones and dead links are not read."""
    (repository / "dead").symlink_to("nowhere")
    code, out, err = run_command("data", "redact", "--check", repository)
    assert (code, out.splitlines(), err) == (1, [f"{repository}/a.txt:1:1: EMAIL_ADDRESS (email)"], "")


def test_a_folder_without_git_is_looked_through(tmp_path, run_command):
    """Nested folders are read, those of tools and packages are not; the files are redacted in place."""
    for name in ("deep/er/a.txt", "node_modules/b.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("bob@corp.io\n")
    code, _out, _err = run_command("data", "redact", tmp_path)
    assert code == 0
    assert "@example.com" in (tmp_path / "deep/er/a.txt").read_text()
    assert (tmp_path / "node_modules/b.txt").read_text() == "bob@corp.io\n"


@needs_git
def test_what_is_staged_is_checked_and_not_what_is_in_the_file(repository, run_command, monkeypatch):
    """`--staged` reads the index, also in a repository without a commit."""
    git(repository, "add", "a.txt")
    (repository / "a.txt").write_text("nobody\n")
    monkeypatch.chdir(repository)
    assert run_command("data", "redact", "--staged")[:2] == (1, "a.txt:1:1: EMAIL_ADDRESS (email)\n")
    git(repository, "add", "a.txt")
    assert run_command("data", "redact", "--staged")[:2] == (0, "")


@needs_git
def test_history_is_checked_from_a_commit_on(repository, run_command):
    """`--since` finds what a commit brought though a later one removed it; submodules are passed over."""
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "one")
    (repository / "b.txt").write_text("1 cat@corp.io\n")
    git(repository, "add", "b.txt")
    git(repository, "commit", "-qm", "two")
    git(repository, "rm", "-q", "b.txt")
    git(repository, "submodule", "add", "-q", str(repository), "sub")
    git(repository, "commit", "-qm", "three")
    code, out, _err = run_command("data", "redact", "--since", "HEAD~2", repository)
    assert (code, [line.split(":", 1)[1] for line in out.splitlines()]) == (1, ["b.txt:1:3: EMAIL_ADDRESS (email)"])
    assert run_command("data", "redact", "--since", "HEAD", repository)[:2] == (0, "")


@needs_git
@pytest.mark.parametrize("words", [("--since", "nothing"), ("--since", "--output=x"), ("--since", "HEAD")])
def test_an_unknown_commit_is_an_error(repository, run_command, words):
    """A commit that is not there, an option in its place and a repository without commits end in one line."""
    code, out, err = run_command("data", "redact", f"{words[0]}={words[1]}", repository)
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_standard_input_is_redacted_to_standard_output(run_command, monkeypatch):
    """`-` is a filter; with --check it is looked at alone."""
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"# bob@corp.io\r\n\xff")))
    code, out, _err = run_command("data", "redact", "-", "--style", "starcoder")
    assert (code, out.split("\n")[0].rstrip()) == (0, "# <EMAIL>")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"# bob@corp.io")))
    assert run_command("data", "redact", "--check", "-")[:2] == (1, "<stdin>:1:3: EMAIL_ADDRESS (email)\n")


def test_json_and_sarif_hold_places_and_no_values(repository, tmp_path, run_command):
    """Both name path, line, column and rule; JSON is all that is on standard output."""
    code, out, _err = run_command(
        "data", "redact", "--check", "--json", repository / "a.txt", "--sarif", tmp_path / "s.json"
    )
    (found,) = json.loads(out)["findings"]
    assert (code, found["line"], found["column"], found["rule"]) == (1, 1, 1, "email")
    sarif = (tmp_path / "s.json").read_text()
    (result,) = json.loads(sarif)["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["region"] == {"startLine": 1, "startColumn": 1}
    assert "bob" not in out + sarif


def test_a_baseline_leaves_out_what_is_known(tmp_path, run_command):
    """Known finds pass, one more of the same file and rule does not; the file tells numbers and no values."""
    file, known = tmp_path / "a.txt", tmp_path / "known.json"
    file.write_text("bob@corp.io\n")
    assert run_command("data", "redact", "--check", file, "--write-baseline", known)[0] == 0
    assert run_command("data", "redact", "--check", file, "--baseline", known)[:2] == (0, "")
    file.write_text("bob@corp.io\nann@corp.io\n")
    code, out, _err = run_command("data", "redact", "--check", file, "--baseline", known)
    assert (code, len(out.splitlines()), "bob" in known.read_text()) == (1, 1, False)


@pytest.mark.parametrize("content", ["", "[]", '{"version": 9, "known": []}', '{"version": 1, "known": [{}]}', "{"])
def test_a_baseline_of_another_version_is_an_error(tmp_path, run_command, content):
    """What is no baseline of this version ends in one line that says how to write one."""
    (tmp_path / "known.json").write_text(content)
    code, _out, err = run_command("data", "redact", "--check", tmp_path, "--baseline", tmp_path / "known.json")
    assert (code, err.count("\n"), "--write-baseline" in err) == (2, 1, True)


def test_lines_and_values_can_be_allowed(tmp_path, run_command):
    """A comment allows its line, a list allows its values; nothing else passes."""
    file, allowed = tmp_path / "a.txt", tmp_path / "allow.txt"
    file.write_text("bob@corp.io  # hf-santa: allow\nann@corp.io\ncat@corp.io\n")
    allowed.write_text("# staff\nann@corp.io\n")
    code, out, _err = run_command("data", "redact", "--check", file, "--allow", allowed)
    assert (code, out) == (1, f"{file}:3:1: EMAIL_ADDRESS (email)\n")
    assert run_command("data", "redact", file, "--allow", allowed)[0] == 0
    assert file.read_text().startswith("bob@corp.io  # hf-santa: allow\nann@corp.io\n")
    assert run_command("data", "redact", "--check", file, "--allow", tmp_path / "none")[0] == 2


def test_rules_of_ones_own_are_added(tmp_path, run_command):
    """A rule file adds to the rules of the package; one that is no TOML is an error of one line."""
    rules, file = tmp_path / "rules.toml", tmp_path / "a.txt"
    rules.write_text(
        "[[rule]]\nid='tk'\nabout='a'\nsource='b'\nkeywords=['tk_']\nregex='tk_[a-z]{9}'\nsamples=['tk_abcdefghi']\n"
    )
    file.write_text("x = 'tk_qwkrtzpsd'\n# bob@corp.io\n")
    code, out, _err = run_command("data", "redact", "--check", file, "--rules", rules)
    assert (code, [line.split("(")[1] for line in out.splitlines()]) == (1, ["tk)", "email)"])
    rules.write_text("[[")
    code, _out, err = run_command("data", "redact", "--check", file, "--rules", rules)
    assert (code, err.count("\n")) == (2, 1)


def test_wide_text_stays_wide(tmp_path, run_command):
    """UTF-16 of either byte order is redacted and written back in the same encoding."""
    for name, mark, encoding in (("le", b"\xff\xfe", "utf-16-le"), ("be", b"\xfe\xff", "utf-16-be")):
        (tmp_path / name).write_bytes(mark + "é bob@corp.io\r\n".encode(encoding))
        assert run_command("data", "redact", tmp_path / name)[0] == 0
        data = (tmp_path / name).read_bytes()
        assert (data[:2], data[2:].decode(encoding)[0], "@example.com\r\n" in data[2:].decode(encoding)) == (
            mark,
            "é",
            True,
        )


def test_a_pipe_does_not_hang(tmp_path, run_command):
    """A FIFO is named as what can't be read, and in a folder it is passed over."""
    os.mkfifo(tmp_path / "pipe")
    code, _out, err = run_command("data", "redact", "--check", tmp_path / "pipe")
    assert (code, "it is no regular file" in err) == (2, True)
    assert run_command("data", "redact", "--check", tmp_path)[0] == 0


def test_several_processes_find_the_same(tmp_path, run_command):
    """The order of the finds does not depend on the number of processes, nor does a replacement of one run."""
    for number in range(12):
        (tmp_path / f"{number:02}.txt").write_text(f"bob@corp.io user{number}@corp.io\n")
    one = run_command("data", "redact", "--check", tmp_path, "--jobs", 1)
    assert run_command("data", "redact", "--check", tmp_path, "--jobs", 2) == one
    assert run_command("data", "redact", tmp_path, "--jobs", 2)[0] == 0
    assert len({path.read_text().split()[0] for path in tmp_path.iterdir()}) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--types", ""), "no such type"),
        (("--types", ",,"), "no such type"),
        (("--types", "PHONE"), "PHONE"),
        (("--jobs", "0"), "expected at least 1"),
        (("--json", "--diff"), "Choose one"),
        (("--style", "red"), "--style"),
        (("--seed", "1", "--key-file", "x"), "both given"),
    ],
)
def test_settings_that_make_no_sense_are_errors(tmp_path, run_command, words, message):
    """Each is one line on stderr and exit code 2, before any file is read."""
    (tmp_path / "a.txt").write_text("bob@corp.io\n")
    code, out, err = run_command("data", "redact", tmp_path / "a.txt", *words)
    assert (code, out, message in err) == (2, "", True)
    assert (tmp_path / "a.txt").read_text() == "bob@corp.io\n"


def test_no_files_is_an_error(run_command):
    """Without files, folders, - or a repository's part there is nothing to do, which is said."""
    code, _out, err = run_command("data", "redact")
    assert (code, "Pass files, folders or -" in err) == (2, True)
