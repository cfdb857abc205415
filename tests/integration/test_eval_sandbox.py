"""Attacks: programs that try to leave the sandbox, to stay, or to take the machine with them."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import eval_multipl_e
from eval_multipl_e import run_program
from eval_multipl_e.languages import LANGUAGES
from eval_multipl_e.sandbox import available, tool_prefix
from eval_multipl_e.toolchains import missing_tool

pytestmark = pytest.mark.skipif(
    available() is None, reason="namespaces do not work here: no way of sandbox.available()"
)


def _said(program, **settings):
    """What a Python program prints, as JSON; its program must pass."""
    outcome = run_program(f"import json, os\n{program}", "py", **settings)
    assert (outcome.status, outcome.stderr) == ("OK", "")
    return json.loads(outcome.stdout)


def _processes_with(word):
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if word.encode() in command:
            found.append(folder.name)
    return found


def test_there_is_no_network_not_even_loopback():
    """A server on the host's loopback can't be reached; the network is unreachable."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        outcome = run_program(f"import socket\nsocket.create_connection(('127.0.0.1', {port}), timeout=3)", "py")
    assert outcome.status == "Exception"
    assert "Network is unreachable" in outcome.stderr


def test_the_environment_of_the_user_stays_outside(monkeypatch):
    """A program sees five harmless variables and none of the user's, tokens least of all."""
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    names = set(_said("print(json.dumps(list(os.environ)))"))
    assert names <= {"HOME", "LANG", "LC_ALL", "PATH", "PWD", "TMPDIR", "SHLVL", "_"}


def test_the_files_of_the_user_stay_outside(tmp_path):
    """Home, the password files, and another program's temporary files are not there to be read."""
    (tmp_path / "secret").write_text("x")
    home = Path.home()
    paths = ["/etc/shadow", "/etc/passwd", "/home", str(tmp_path / "secret"), str(home / ".bashrc"), str(Path.cwd())]
    assert _said(f"print(json.dumps([os.path.exists(p) for p in {paths}]))") == [False] * len(paths)
    assert _said("print(json.dumps(os.listdir('/tmp')))") == []


@pytest.mark.parametrize("path", ["/usr/x", "/program/main.py", "/etc/x", "/x", "/dev/x", "/proc/sys/kernel/hostname"])
def test_nothing_outside_its_temporary_folder_can_be_written(path):
    """Writing to the system, to its own source or to the kernel's settings is refused."""
    outcome = run_program(f"open({path!r}, 'w').write('x')", "py")
    assert outcome.status == "Exception"
    assert any(word in outcome.stderr for word in ("Read-only file system", "Permission denied"))


def test_its_own_temporary_folder_is_writable_and_not_the_host_s(tmp_path):
    """A program may write to /tmp, which is its own and goes with it."""
    name = f"santa-{os.getpid()}"
    assert run_program(f"open('/tmp/{name}', 'w').write('x')\nopen('here', 'w').write('y')", "py").status == "OK"
    assert not Path("/tmp", name).exists()


def test_a_process_that_left_its_group_ends_with_the_program():
    """A child with a session of its own, detached twice, does not outlive the program."""
    word = f"santa-orphan-{os.getpid()}"
    program = (
        "import os, sys\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        f"        os.execv(sys.executable, [sys.executable, '-c', 'import time; time.sleep(60)', '{word}'])\n"
        "    os._exit(0)\nos.wait()\n"
    )
    assert run_program(program, "py").status == "OK"
    assert _processes_with(word) == []


@pytest.mark.parametrize("sandbox", ["auto", "none"])
def test_a_program_ends_with_the_process_that_started_it(sandbox, tmp_path):
    """When the scoring process is killed, the program it was running is ended by the kernel."""
    word = f"santa-tied-{sandbox}-{os.getpid()}"
    program = f"import os, sys\nos.execv(sys.executable, ['python', '-c', 'import time; time.sleep(60)', {word!r}])"
    code = f"from eval_multipl_e import run_program; run_program({program!r}, 'py', timeout_s=50, sandbox={sandbox!r})"
    scorer = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(tmp_path)})
    # Two: the scorer's own command line holds the word, too.
    _until(lambda: len(_processes_with(word)) == 2)
    scorer.kill()
    scorer.wait()
    _until(lambda: not _processes_with(word))


def _until(is_so):
    deadline = time.monotonic() + 45
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_fork_bomb_is_contained():
    """A fork bomb ends at its time limit, and the host starts processes as before."""
    bomb = "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass\n"
    done = []
    worker = threading.Thread(target=lambda: done.append(run_program(bomb, "py", timeout_s=3)))
    worker.start()
    time.sleep(1.5)
    assert subprocess.run(["true"], timeout=20, check=False).returncode == 0
    worker.join(60)
    assert done[0].status == "Timeout"


def test_two_programs_do_not_share_a_limit_of_processes():
    """One program at its limit of processes does not keep another one from starting some."""
    greedy = "import os, time\nfor _ in range(50):\n    if os.fork() == 0:\n        time.sleep(20)\ntime.sleep(2)"
    worker = threading.Thread(target=run_program, args=(greedy, "py"))
    worker.start()
    time.sleep(1.0)
    modest = "import os\nfor _ in range(40):\n    if os.fork() == 0:\n        os._exit(0)\n"
    assert run_program(modest, "py").status == "OK"
    worker.join(60)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("x = bytearray(6 << 30)", "MemoryError"),
        ("f = open('/tmp/x', 'wb')\nfor _ in range(100):\n    f.write(bytes(1 << 20))", "File too large"),
        (
            "for i in range(100):\n    with open(f'/tmp/{i}', 'wb') as f:\n        f.write(bytes(4 << 20))",
            "No space left on device",
        ),
        ("import os\nos.kill(1, 9)\nos.kill(-1, 9)", "Error"),
        ("import os\nos.setuid(0) if os.getuid() else os.setuid(1)", "Error"),
        ("import os\nos.mknod('/tmp/disk', 0o60600, os.makedev(254, 0))", "Operation not permitted"),
        ("import os\nos.chroot('/tmp')", "Operation not permitted"),
        ("import os\nos.open('/proc/1/fd/0', os.O_WRONLY)", "Permission denied"),
    ],
)
def test_greed_and_force_are_refused(program, words):
    """Too much memory, file or disk, and any use of power over the system, is an error inside the program."""
    outcome = run_program(program, "py", timeout_s=20)
    assert outcome.status == "Exception"
    assert words in outcome.stderr


def test_the_wall_cannot_be_traced_or_taken_down():
    """The shell at the head of the namespace can't be traced, and the mounts can't be changed, nested or not."""
    assert _said("import ctypes\nprint(ctypes.CDLL(None).ptrace(16, 1, 0, 0))") == -1
    program = (
        "import subprocess\n"
        "subprocess.run(['umount', '/usr'])\nsubprocess.run(['mount', '-o', 'remount,bind,rw', '/usr'])\n"
        "subprocess.run(['unshare', '-Urm', 'mount', '-o', 'remount,bind,rw', '/usr'])\n"
        "open('/usr/santa-was-here', 'w')"
    )
    outcome = run_program(program, "py")
    assert outcome.status == "Exception"
    assert "Read-only file system: '/usr/santa-was-here'" in outcome.stderr
    assert not Path("/usr/santa-was-here").exists()


@pytest.mark.toolchain
@pytest.mark.skipif(missing_tool(LANGUAGES["js"]) is not None, reason=str(missing_tool(LANGUAGES["js"])))
def test_memory_of_node_is_limited():
    """A JavaScript program that takes ever more memory ends, with an error or at its time limit."""
    outcome = run_program("const a = []; for (;;) a.push(Buffer.alloc(1 << 27, 1));", "js", timeout_s=20)
    assert outcome.status in ("Exception", "Timeout")


def test_a_tool_in_the_home_folder_does_not_open_it(tmp_path, monkeypatch):
    """For an executable in ~/bin only that folder is shown, for one in ~/x/bin the folder x."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tool_prefix(str(tmp_path / "bin/tool")) == (str(tmp_path / "bin"),)
    assert tool_prefix(str(tmp_path / "x/bin/tool")) == (str(tmp_path / "x"),)


def test_a_tool_that_cannot_be_seen_is_no_failure_of_the_program(tmp_path, monkeypatch):
    """A tool that lies where programs have folders of their own is an error that names it, not a status."""
    tool = tmp_path / "bash"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    monkeypatch.setattr("eval_multipl_e.execution.find_tool", lambda _: str(tool))
    with pytest.raises(RuntimeError, match=r"bash is not to be seen or not to be executed behind the wall"):
        run_program("true", "sh")


ORDINARY = """
import sys
sys.path.insert(0, sys.argv[1])
from eval_multipl_e.execution import run_program
from eval_multipl_e.sandbox import available
print(available())
print(run_program("print(1)", "py").status, run_program("open('/program/x', 'w')", "py").exit_code)
bomb = "import os\\nwhile True:\\n    try: os.fork()\\n    except OSError: break\\nos._exit(7)"
print(run_program(bomb, "py", timeout_s=10).exit_code)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become an ordinary user; the other tests ran as one")
def test_an_ordinary_user_gets_the_same_wall():
    """The user `nobody`, started by root, runs programs through a user namespace, limits included."""
    root = Path(eval_multipl_e.__file__).parent.parent
    become = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", "-i", "PATH=/usr/bin:/bin"]
    if not shutil.which("/usr/bin/python3") or subprocess.run([*become, "test", "-r", root], check=False).returncode:
        pytest.skip("the user nobody can't read this checkout, or there is no /usr/bin/python3 for it")
    command = [*become, "/usr/bin/python3", "-B", "-c", ORDINARY, root]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd="/")
    assert done.stdout.splitlines() == ["namespaces", "OK 1", "7"], done.stderr


def test_a_wall_that_cannot_be_finished_leaves_no_process():
    """As where a system lets users make namespaces and then refuses the map of their ids."""
    code = """
import os, socket
from eval_multipl_e import sandbox_forkserver
def refused(*_):
    raise PermissionError(1, "Operation not permitted", "uid_map")
sandbox_forkserver._map_ids = refused
ours, theirs = socket.socketpair()
message = {"is_root": True, "outer_id": 0, "program_bytes": 1, "scratch_bytes": 1}
try:
    sandbox_forkserver._start(message, ours, [theirs.fileno()])
except PermissionError as error:
    print(error.filename, os.waitstatus_to_exitcode(os.wait()[1]))
"""
    command = [sys.executable, "-c", code]
    if os.geteuid():
        command = ["unshare", "--user", "--map-root-user", *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout, done.stderr) == ("uid_map 1\n", "")


def test_a_system_without_proc_is_named():
    command = ["bwrap", "--dev-bind", "/", "/", "--tmpfs", "/proc", sys.executable, "-c"]
    command.append("from eval_multipl_e.sandbox import sandbox_failures; print(sandbox_failures())")
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.count("this system shows no /proc") == 2
