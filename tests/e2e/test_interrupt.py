"""Ctrl-C ends every command, whatever it is at: one line, exit code 130, no process left."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from hf_santa.cli import build_parser, commands_of

from .interrupt_driver import COMMAND, ROWS, interrupt, make_shared, session_of, until


@pytest.fixture(scope="module")
def shared(tmp_path_factory, write_stack):
    """What the commands of the table read."""
    return make_shared(tmp_path_factory.mktemp("shared"), write_stack)


def test_the_table_has_every_command():
    """A new command comes with the state in which it is interrupted."""
    assert set(ROWS) == {command.prog.removeprefix("hf-santa ") for command in commands_of(build_parser())}


@pytest.mark.parametrize("command", ROWS)
def test_ctrl_c_is_one_line(shared, tmp_path, command):
    """The terminal sends the signal to the whole group, as here; nothing but one line is said of it, and nothing stays."""
    ended = interrupt(command, shared, tmp_path)
    assert 130 == ended.code, ended.said
    assert "Traceback" not in ended.said
    line = f"hf-santa {command}: stopped. Run the same command again: what was finished is kept."
    assert line == ended.said.splitlines()[-1]
    assert 1 == ended.said.count("stopped"), ended.said
    assert [] == ended.children


@pytest.mark.parametrize("command", ["data rows", "demo", "ablate", "doctor"])
def test_ctrl_c_as_the_command_begins(shared, tmp_path, command):
    """The signal may come in any line of the start; before the first line of ours, Python itself answers it."""
    words = ROWS[command][0].format(shared=shared, own=tmp_path).split()
    process = subprocess.Popen(
        ["env", "--default-signal=INT", COMMAND, *command.split(), *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    tasks = Path(f"/proc/{process.pid}/task")  # our watch is the second thread
    until(lambda: process.poll() is not None or len(list(tasks.iterdir())) > 1)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate()
    assert 130 == process.returncode, said
    assert said.splitlines()[-1].startswith(f"hf-santa {command}: stopped")
    assert "Traceback" not in said
    assert until(lambda: not session_of(process.pid))
