"""Every command of the parser with an input that keeps it busy, and what it is doing as Ctrl-C comes.

A row says what is typed and what to wait for, never how long. A short command is caught as it reads a file: Python's
audit hook lets opening that one take an hour.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hf_santa.problems import PROBLEMS

COMMAND = str(Path(sys.executable).with_name("hf-santa"))
_CONSENT = {"HF_ALLOW_CODE_EVAL": "1", "HF_TOKEN": "hf_" + "Az09" * 8 + "xy"}  # the form of a token: never one
GRACE_S = 120  # a busy machine; what a quiet one takes is measured by tests/bench/interrupt.py


@dataclass
class Place:
    """Where a command runs, what was made for all of them, and what is to be closed afterwards."""

    shared: Path
    own: Path
    open: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Interrupted:
    """How a command ended: its code, what it said, the seconds since the signal, processes that stayed."""

    code: int
    said: str
    seconds: float
    children: list[str]


Ready = Callable[[subprocess.Popen, Place], bool]
Prepare = Callable[[Place], Ready]


_PAUSE = """import sys, time

def pause(event, arguments):
    if event == "open" and str(arguments[0]) == {path!r}:
        open({note!r}, "w").close()
        time.sleep(3600)

sys.addaudithook(pause)
"""


def reads(path: str, *, of: str | None = None) -> Prepare:
    """Wait until the command opens this file, which takes an hour; beside it stands a copy of a folder made for all."""

    def prepare(place: Place) -> Ready:
        file, hooks, note = place.own / path, place.own / ".hooks", place.own / ".opened"
        hooks.mkdir()
        if of:
            shutil.copytree(place.shared / of, file.parent)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        (hooks / "sitecustomize.py").write_text(_PAUSE.format(path=str(file), note=str(note)))
        place.environment["PYTHONPATH"] = str(hooks)
        return lambda _, __: note.exists()

    return prepare


def wrote(pattern: str) -> Prepare:
    """Wait until a file below the command's own folder matches."""
    return lambda _: lambda _, place: any(place.own.glob(pattern))


def started(words: str = "") -> Prepare:
    """Wait until the command has a child process, in whatever session, whose command line holds these words."""
    return lambda _: lambda process, _: any(words in line for line in children_of(process.pid))


def asks(variable: str, path: str = "") -> Prepare:
    """Wait until the command asks a server, named by this variable, that never answers."""

    def prepare(place: Place) -> Ready:
        server = place.open.enter_context(socket.create_server(("127.0.0.1", 0)))
        server.setblocking(False)
        place.environment[variable] = f"http://127.0.0.1:{server.getsockname()[1]}{path}"

        def is_ready(_: subprocess.Popen, place: Place) -> bool:
            try:
                caller, _ = server.accept()
            except BlockingIOError:
                return False
            place.open.callback(caller.close)
            return True

        return is_ready

    return prepare


def session_of(session: int) -> list[str]:
    """The living processes of a session: id, state, command line."""
    done = subprocess.run(
        ["ps", "-ww", "-o", "pid=,stat=,args=", "-s", str(session)], capture_output=True, text=True, check=False
    )
    return [line for line in done.stdout.splitlines() if "Z" not in line.split()[1]]


def children_of(parent: int) -> list[str]:
    """The living children of a process: id, state, command line."""
    done = subprocess.run(
        ["ps", "-ww", "-o", "pid=,stat=,args=", "--ppid", str(parent)], capture_output=True, text=True, check=False
    )
    return [line for line in done.stdout.splitlines() if "Z" not in line.split()[1]]


def until(condition: Callable[[], bool]) -> bool:
    """Wait for a condition; False if it does not come."""
    deadline = time.monotonic() + GRACE_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def interrupt(command: str, shared: Path, own: Path) -> Interrupted:
    """Interrupt a command of the table at its work; `own` is an empty folder."""
    words, prepare = ROWS[command]
    return _interrupted(f"{command} {words} -q", prepare, Place(shared, own))


def _interrupted(words: str, prepare: Prepare, place: Place) -> Interrupted:
    """Run a command, send Ctrl-C as a terminal does, to its whole group, once it is at work, and see how it ends."""
    with place.open:
        is_ready = prepare(place)
        made = words.format(shared=place.shared, own=place.own)
        process = subprocess.Popen(
            ["env", "--default-signal=INT", COMMAND, *made.split()],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "HF_HOME": str(place.own / ".home"), **_CONSENT, **place.environment},
            text=True,
            start_new_session=True,
        )
        try:
            came = until(lambda: process.poll() is not None or is_ready(process, place))
            if process.poll() is not None or not came:
                raise AssertionError(f"{made}: not at work ({process.poll()}): {_end(process)[-2000:]}")
            began = time.monotonic()
            os.killpg(process.pid, signal.SIGINT)
            process.stdin.close()
            process.stdin = None
            said = process.communicate(timeout=GRACE_S)[1]
            seconds = time.monotonic() - began
            until(lambda: not session_of(process.pid))
            return Interrupted(process.returncode, said, seconds, session_of(process.pid))
        finally:
            _end(process)


def _end(process: subprocess.Popen) -> str:
    """Kill a session's first process group and return what it said last."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return "" if process.stderr.closed else process.communicate()[1]


def make_shared(root: Path, write_stack: Callable[..., Path]) -> Path:
    """Make what the rows name: source files, shards of rows, a model, its tokenizer, completions."""
    from tests.fixtures.tiny import save_tiny_model

    (root / "source").mkdir(parents=True)
    for number in range(2000):
        body = "".join(f"    v{number}_{line} = a + {line} * {number}\n" for line in range(60))
        (root / "source" / f"m{number}.py").write_text(f"def f{number}(a):\n{body}")
    (root / "unread").mkdir()
    (root / "unread" / "corpus.json").write_text('{"documents": 1, "shards": 1, "vocab_size": 1}')
    write_stack(root / "stack", files=40_000, shards=4)
    texts = [path.read_text() for path in sorted((root / "source").iterdir())[:20]]
    save_tiny_model(texts, root / "model", vocab_size=300, n_positions=4096)
    problem = json.loads(PROBLEMS.read_text().splitlines()[0])
    endless = {"name": problem["name"], "language": "py", "completions": ["    while True: pass\n"]}
    (root / "problems.jsonl").write_text(json.dumps(problem) + "\n")
    (root / "completions.jsonl").write_text(json.dumps(endless) + "\n")
    return root


ROWS: dict[str, tuple[str, Prepare]] = {
    "demo": ("--source {shared}/source --out {own}/demo", started("worker")),
    "data rows": ("{own}/mine.jsonl {own}/rows", reads("mine.jsonl")),
    "data run": ("{shared}/stack {own}/store --seed 0", wrote("store/.work/**/*")),
    "data recipes": ("{own}/mine.yaml", reads("mine.yaml")),
    "data stats": ("{own}/store", reads("store/funnel.json")),
    "data explain": ("{own}/store abc", reads("store/funnel.json")),
    "data load": ("{shared}/stack base", wrote(".home/datasets/**/*.arrow")),
    "data am-i-in": ("{own}/store me", reads("store/funnel.json")),
    "data index": ("{own}/store {own}/training.index", reads("store/funnel.json")),
    "data classifier train": ("{own}/labels.jsonl {own}/quality.safetensors", reads("labels.jsonl")),
    "data classifier info": ("{own}/quality.safetensors", reads("quality.safetensors")),
    "data classifier score": ("{own}/quality.safetensors {own}", reads("quality.safetensors")),
    "data redact": ("{own}/a.py --rules {own}/rules.toml", reads("rules.toml")),
    "model info": ("{own}/model", reads("model/config.json", of="model")),
    "model convert": ("{own}/model {own}/out", reads("model/config.json", of="model")),
    "model export-gguf": ("{own}/model {own}/out.gguf", reads("model/config.json", of="model")),
    "model editor-config": ("{own}/model --client llama.vim", reads("model/config.json", of="model")),
    "model complete": ("{own}/model def", reads("model/config.json", of="model")),
    "model infill": ("{own}/model {own}/gap.py", reads("gap.py")),
    "tokenizer train": ("{own}/mine.jsonl --out {own}/tok --vocab-size 30000", reads("mine.jsonl")),
    "tokenizer pack": ("{shared}/source --tokenizer {shared}/model --out {own}/corpus", wrote("corpus/*")),
    "tokenizer info": ("{own}/corpus", reads("corpus/index.jsonl", of="unread")),
    "train": ("--config {own}/mine.yaml --corpus {own}/c --tokenizer {own}/t --out {own}/out", reads("mine.yaml")),
    "eval doctor": ("", started()),
    "eval complete": (
        "--model {shared}/model --task humaneval-py --problems {shared}/problems.jsonl --out {own}/c.jsonl --samples 50",
        wrote("c.jsonl*"),
    ),
    "eval score": (
        "{shared}/completions.jsonl --problems {shared}/problems.jsonl --task humaneval-py --out {own}/r.json --timeout-s 600",
        started("sandbox_forkserver"),
    ),
    "eval merge": ("{own}/r.json --out {own}/all.json", reads("r.json")),
    "eval report": ("{own}/r.json --model-name m --out {own}/out", reads("r.json")),
    "pretrain": ("--source {shared}/source --out {own}/out --minutes 30", wrote("out/**/*")),
    "finetune": ("--model {shared}/model --source {shared}/source --out {own}/out", wrote("out/**/*")),
    "tune": ("{shared}/source --base {shared}/model --out {own}/out", wrote("out/**/*")),
    "ablate": ("--source {shared}/source --out {own}/out", wrote("out/**/*")),
    "stage": ("metric {own}/out", started("clean")),
    "publish": ("model {own}/out --namespace me", asks("HF_ENDPOINT")),
    "card": ("model {own}/repo", reads("repo/README.md")),
    "doctor": ("", started()),
}
"""What is typed after each command, and what it does as Ctrl-C comes."""
