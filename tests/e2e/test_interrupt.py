"""Ctrl-C ends every long command within two seconds: one line, exit code 130, no process left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = str(Path(sys.executable).with_name("hf-santa"))
_GRACE_S = 60  # a busy machine; on a quiet one it takes two


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Source files that keep each command busy for some seconds."""
    folder = tmp_path_factory.mktemp("source")
    for number in range(3000):
        body = "".join(f"    v{number}_{line} = a + {line} * {number}\n" for line in range(60))
        (folder / f"m{number}.py").write_text(f"def f{number}(a):\n{body}")
    return folder


def _children(session):
    done = subprocess.run(["ps", "-o", "pid=,stat=", "-s", str(session)], capture_output=True, text=True, check=False)
    return [line for line in done.stdout.splitlines() if "Z" not in line]


def _wait_until_it_watches(process):
    """Before the first line of ours, Python itself answers Ctrl-C; our watch is a second thread."""
    deadline = time.monotonic() + _GRACE_S
    tasks = Path(f"/proc/{process.pid}/task")
    while process.poll() is None and len(list(tasks.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)


@pytest.mark.parametrize("delay_s", [0.0, 0.5, 3.0])
@pytest.mark.parametrize(
    "words",
    [
        "data rows {source} {out}/rows",
        "tokenizer train {source} --out {out}/tok --vocab-size 30000",
        "demo --source {source} --out {out}/demo",
        "eval doctor",
        "doctor",
        "ablate --source {source} --out {out}/ablate",
    ],
    ids=lambda words: " ".join(words.split()[:2]),
)
def test_ctrl_c_is_one_line(source, tmp_path, words, delay_s):
    """The terminal sends the signal to the whole group, as here; nothing but one line is said, and nothing stays."""
    process = subprocess.Popen(
        ["env", "--default-signal=INT", COMMAND, *words.format(source=source, out=tmp_path).split()],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    _wait_until_it_watches(process)
    time.sleep(delay_s)
    if process.poll() is not None:  # done before the signal came
        _, said = process.communicate()
        assert process.returncode in {0, 3}, said
        return
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=_GRACE_S)
    if process.returncode in {0, -signal.SIGINT} and "Traceback" not in said:  # done as the signal came
        return
    assert 130 == process.returncode, said
    assert "Traceback" not in said
    last = said.splitlines()[-1]
    assert last.startswith("hf-santa ")
    assert "stopped" in last
    deadline = time.monotonic() + _GRACE_S
    while _children(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [] == _children(process.pid)
