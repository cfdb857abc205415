"""Run Python and the Space as on a machine without this project."""

import contextlib
import inspect
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hf_santa.repositories.clean_load import OURS, Absent
from hf_santa.repositories.write import StageError

START_LIMIT_S = 90.0
"""How long a Space may take to start before it counts as one that does not."""
READY = re.compile(r"ready url=(\S+)")
GUARD = f"import sys\nOURS = {OURS}\n{inspect.getsource(Absent)}\nsys.meta_path.insert(0, Absent())\n"


def open_in_clean_process(kind: str, *sources: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> Any:
    """Open folders, or repositories on the Hub, in a process without this project and with empty caches; return what it saw.

    It is offline and has no token, unless `environment` says otherwise. `clean_load.py` says what a source is.

    Raises:
        StageError: a source does not open; the message has the end of the process's output.
    """
    script = Path(__file__).with_name("clean_load.py")
    with tempfile.TemporaryDirectory() as empty:
        done = subprocess.run(
            [sys.executable, "-I", script, kind, *(json.dumps({"revision": None, **source}) for source in sources)],
            cwd=empty,
            env={**clean_environment(Path(empty)), **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise StageError(f"{sources[0]['name']} does not open in a clean process:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def clean_environment(home: Path) -> dict[str, str]:
    """Return this process's environment with Hugging Face's caches in `home`, offline, without tokens."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("HF_") and name != "PYTHONPATH"}
    return {
        **ours,
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "GRADIO_ANALYTICS_ENABLED": "0",
    }


def run_lines(code: str, folder: Path, environment: Mapping[str, str]) -> str:
    """Run the lines in `folder` in a process without this package, offline and with empty caches; return its output.

    `environment` can say otherwise, by HF_HUB_OFFLINE and HF_HOME.

    Raises:
        StageError: the lines fail; the message has the end of the error output.
    """
    with tempfile.TemporaryDirectory() as empty:
        done = subprocess.run(
            [sys.executable, "-I", "-c", GUARD + code],
            cwd=folder,
            env={**clean_environment(Path(empty)), **environment},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise StageError(f"the lines fail:\n{done.stderr[-1500:]}")
    return done.stdout


@contextlib.contextmanager
def open_space(
    space: Path, environment: Mapping[str, str], port: int = 0, *, start_limit_s: float = START_LIMIT_S
) -> Iterator[str]:
    """Run a Space's folder; give its address, and stop it afterwards. `environment` names the model (HF_SANTA_MODEL).

    Raises:
        StageError: it does not come up within `start_limit_s` seconds; the message has its own words.
    """
    with tempfile.TemporaryDirectory() as empty:
        child = subprocess.Popen(
            [sys.executable, "-B", "app.py", "--port", str(port)],
            cwd=space,
            env={**clean_environment(Path(empty)), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        killer = threading.Timer(start_limit_s, child.kill)
        killer.start()
        try:
            yield _address(child, start_limit_s)
        finally:
            killer.cancel()
            child.terminate()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            if child.stdout is not None:
                child.stdout.close()


def _address(child: "subprocess.Popen[str]", start_limit_s: float) -> str:
    """Read what the Space says until it names its address; go on reading in the background, for a full pipe stops it."""
    said: list[str] = []
    stdout = child.stdout
    assert stdout is not None
    for line in stdout:
        said.append(line)
        if found := READY.search(line):
            threading.Thread(target=_drain, args=(child,), daemon=True).start()
            return found[1]
    raise StageError(
        f"space: it did not start within {start_limit_s:.0f} s (--start-limit-s). It said:\n{''.join(said[-15:])}"
    )


def _drain(child: "subprocess.Popen[str]") -> None:
    with contextlib.suppress(ValueError):  # closed under our hands when the Space ends
        for _ in child.stdout or ():
            pass
