"""Builds small random models and runs the Space's app.py as its own process."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pyarrow as pa
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GPTBigCodeConfig, GPTBigCodeForCausalLM, PreTrainedTokenizerFast

from data_recipes.store.training_index import write_seen_index
from tests.fixtures.funnel import write_bare_store

SPACE = Path(__file__).parents[2] / "spaces" / "santa_demo"
SPECIALS = ["<|endoftext|>", "<fim-prefix>", "<fim-middle>", "<fim-suffix>", "<fim-pad>"]
START_TIMEOUT_S = 240
MODULES = ("prompt", "examples", "settings", "seen", "gpu", "loading", "generation", "markup")
CHROMIUM = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip

# Runs before app.py: writes down, and refuses, every connection that would leave the machine.
NETWORK_WATCH = """
import os, socket
_connect, _lookup = socket.socket.connect, socket.getaddrinfo
LOCAL = ("127.", "::1", "localhost", "0.0.0.0")
def _check(host):
    if isinstance(host, bytes): host = host.decode()
    if isinstance(host, str) and host and not host.startswith(LOCAL):
        with open(os.environ["NETWORK_LOG"], "a") as log: log.write(host + "\\n")
        raise OSError("outside connection refused by the test: " + host)
def connect(self, address):
    if isinstance(address, tuple): _check(address[0])
    return _connect(self, address)
def getaddrinfo(host, *rest, **named):
    _check(host)
    return _lookup(host, *rest, **named)
socket.socket.connect, socket.getaddrinfo = connect, getaddrinfo
"""


def save_tiny_model(folder: Path, *, n_layer: int = 2, n_positions: int = 256, ends_at_once: bool = False) -> Path:
    """Save a random multi-query model over bytes that never writes a special token, or one that ends at once."""
    backend = Tokenizer(
        models.BPE(vocab={c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, merges=[])
    )
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(SPECIALS)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token=SPECIALS[0], pad_token=SPECIALS[4], extra_special_tokens=SPECIALS[1:4]
    )
    torch.manual_seed(0)
    config = GPTBigCodeConfig(
        vocab_size=264, n_positions=n_positions, n_embd=64, n_layer=n_layer, n_head=4, multi_query=True,
        eos_token_id=256, bos_token_id=256, pad_token_id=260, initializer_range=0.2,
    )  # fmt: skip
    model = GPTBigCodeForCausalLM(config)
    with torch.no_grad():  # the last feature is a constant 50 that only the special tokens look at
        model.transformer.ln_f.weight[-1] = 0
        model.transformer.ln_f.bias[-1] = 50
        model.transformer.wte.weight[:, -1] = 0
        model.transformer.wte.weight[256:261, -1] = 1 if ends_at_once else -1
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: bigcode-openrail-m\n---\n# Tiny\n")
    return folder


def write_index(path: Path, *texts: str) -> Path:
    """Index some texts as `hf-santa data index` does."""
    with TemporaryDirectory() as folder:
        table = pa.table({"hexsha": [str(number) for number in range(len(texts))], "content": texts})
        write_bare_store(Path(folder), table)
        write_seen_index(folder, path, recipe="base")
    return path


def free_port() -> int:
    """Return a port of the loopback address that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(scratch: Path, **changes: str) -> dict[str, str]:
    """Return this process's environment without its SANTA and GRADIO settings, with `changes`."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("SANTA_", "GRADIO_", "PYTHONPATH"))
    }
    return kept | {"HF_HOME": str(scratch / "hf"), "PYTHONDONTWRITEBYTECODE": "1"} | changes


def run_to_end(scratch: Path, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run app.py in its own folder until it exits."""
    return subprocess.run(
        [sys.executable, "app.py", *arguments],
        cwd=SPACE, env=environment(scratch, **changes), capture_output=True, text=True, timeout=START_TIMEOUT_S, check=False,
    )  # fmt: skip


@dataclass(frozen=True)
class RunningSpace:
    """A served Space: its address, its process, and what it has printed and connected to."""

    url: str
    process: subprocess.Popen[bytes]
    output_file: Path
    network_log: Path

    @property
    def output(self) -> str:
        """Everything the process has printed so far."""
        return self.output_file.read_text()

    @property
    def outside_hosts(self) -> list[str]:
        """The hosts outside this machine that the process tried to reach."""
        return self.network_log.read_text().split()

    def cpu_seconds(self) -> float:
        """Processor time that the process has used, in seconds."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running_space(model: Path, scratch: Path, **changes: str) -> Iterator[RunningSpace]:
    """Serve `model` on a free port, with every connection to the outside refused, until the block ends."""
    watch = scratch / "watch"
    watch.mkdir(parents=True)
    (watch / "sitecustomize.py").write_text(NETWORK_WATCH)
    network_log, output_file = scratch / "network.log", scratch / "output.log"
    network_log.touch()
    env = environment(
        scratch, HF_SANTA_MODEL=str(model), PYTHONPATH=str(watch), NETWORK_LOG=str(network_log), **changes
    )
    port = free_port()
    with output_file.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "app.py", "--port", str(port)], cwd=SPACE, env=env, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while "santa_demo: ready" not in output_file.read_text():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"The Space did not start: {output_file.read_text()}")
            time.sleep(0.1)
        yield RunningSpace(f"http://127.0.0.1:{port}", process, output_file, network_log)
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def space_modules() -> Iterator[SimpleNamespace]:
    """Give the Space's own modules, imported from its folder as app.py imports them, and forget them afterwards."""
    outer = {name: sys.modules.pop(name) for name in MODULES if name in sys.modules}
    sys.path.insert(0, str(SPACE))
    try:
        yield SimpleNamespace(**{name: import_module(name) for name in MODULES})
    finally:
        sys.path.remove(str(SPACE))
        for name in MODULES:
            sys.modules.pop(name, None)
        sys.modules.update(outer)
