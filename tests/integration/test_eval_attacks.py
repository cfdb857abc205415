"""Attacks in every language: refused, and the machine unharmed, for root and for an ordinary user."""

import json
import os
import runpy
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import eval_multipl_e
from eval_multipl_e import run_program, score
from eval_multipl_e.sandbox import available, open_box

ROOM = Path(eval_multipl_e.__file__).parent
FIXTURE = ROOM.parent / "tests/fixtures/eval_attacks.py"
ATTACKS = runpy.run_path(str(FIXTURE))

pytestmark = pytest.mark.skipif(available() is None, reason="no sandbox works here: see hf-santa eval doctor")

bubblewrap = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="bubblewrap is not installed: apt-get install bubblewrap"
)


def _processes_with(word):
    return [
        folder.name
        for folder in Path("/proc").glob("[0-9]*")
        if os.access(folder / "cmdline", os.R_OK) and word.encode() in (folder / "cmdline").read_bytes()
    ]


def _got_through(rows):
    """The attacks that were not refused, with what they said."""
    return [
        row
        for row in rows
        if (
            row[2] == "OK" if row[0] in ATTACKS["GREED"] else row[2] != "OK" or "SAFE" not in row[3] or "LEAK" in row[3]
        )
    ]


@pytest.fixture(name="canary")
def _canary(tmp_path, monkeypatch):
    """A file, a listening server, a secret and a word; the file must be as it was, and no process with the word left."""
    monkeypatch.setenv("SANTA_SECRET", "x")
    file, word = tmp_path / "canary", f"santa-stays-{os.getpid()}"
    file.write_text("alive")
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield [str(file), str(server.getsockname()[1]), str(Path.home()), word]
    assert file.read_text() == "alive"
    assert [pid for pid in _processes_with(word) if pid != str(os.getpid())] == []
    assert not Path("/usr/santa-was-here").exists()
    assert subprocess.run(["true"], timeout=20, check=False).returncode == 0


def test_root_s_programs_are_not_put_behind_bubblewrap(monkeypatch):
    """Root gets a refusal: bubblewrap would map a program's user to root's own."""
    monkeypatch.setattr("eval_multipl_e.sandbox.os.geteuid", lambda: 0)
    with pytest.raises(RuntimeError, match="use another user"):
        open_box("bwrap", ())


@pytest.mark.slow
def test_every_attack_is_refused(canary):
    """Each attack, in each language that is installed, is refused or ended, and nothing outside has changed."""
    assert _got_through(ATTACKS["run"](*canary)) == []


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become an ordinary user; the other tests ran as one")
@pytest.mark.parametrize("sandbox", ["namespaces", pytest.param("bwrap", marks=bubblewrap)])
def test_every_attack_of_an_ordinary_user_is_refused(canary, sandbox):
    """The same for the user `nobody`; behind bubblewrap, the attacks through calls, files and sockets."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOM, Path(folder, "eval_multipl_e"), ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(FIXTURE, folder)
        for path in (Path(folder), *Path(folder).rglob("*")):
            path.chmod(0o755)
        become = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        command = [*become, "/usr/bin/python3", "-B", f"{folder}/{FIXTURE.name}", folder, *canary, sandbox]
        env = {"PATH": "/usr/bin:/bin", "SANTA_SECRET": "x", "HOME": folder}
        done = subprocess.run(command, env=env, cwd="/", capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr
        rows = json.loads(done.stdout)
        assert len(rows) >= len(ATTACKS["REFUSED"]) - 4
        assert _got_through(rows) == []


def test_a_guessed_sentinel_is_no_pass():
    """A program that prints what looks like the line of strict mode, and leaves before its tests, does not pass."""
    program = "print('\\nsanta_' + '0' * 32)\nimport os\nos._exit(0)\nassert False"
    assert run_program(program, "py").reason.startswith("no_sentinel")


def test_a_thousand_programs_leave_nothing_behind(monkeypatch):
    """A thousand tiny programs pass, and neither descriptors nor processes are left."""
    monkeypatch.setenv("HF_ALLOW_CODE_EVAL", "1")
    run_program("true", "sh")
    before = len(list(Path("/proc/self/fd").iterdir()))
    result = score([[f"true {i}" for i in range(1000)]], [""], ["sh"])
    assert result["counts"]["all"] == {"programs": 1000, "OK": 1000}
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1
    children = subprocess.run(
        ["ps", "ww", "--ppid", str(os.getpid()), "-o", "args="], capture_output=True, text=True, check=False
    )
    assert len([line for line in children.stdout.splitlines() if "box.sandbox_forkserver" in line]) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")
def test_a_killed_fork_server_is_replaced():
    """When the fork server dies between programs, the next program gets a new one."""
    from eval_multipl_e import sandbox

    run_program("true", "sh")
    server = sandbox._servers[os.getpid()]
    server.process.kill()
    server.process.wait()
    assert run_program("true", "sh").status == "OK"
    assert sandbox._servers[os.getpid()] is not server


def test_a_wall_that_falls_is_built_again(monkeypatch):
    """When the first process inside a wall is killed from outside, the program is run once more."""
    from eval_multipl_e import execution_batch

    monkeypatch.setenv("HF_ALLOW_CODE_EVAL", "1")
    real, calls = execution_batch._outcome, []

    def once_broken(*args):
        calls.append(args)
        if len(calls) == 1:
            raise execution_batch.SandboxError("it ended before the program did")
        return real(*args)

    monkeypatch.setattr(execution_batch, "_outcome", once_broken)
    assert score([["true"]], [""], ["sh"])["counts"]["all"] == {"programs": 1, "OK": 1}
    assert len(calls) == 2
