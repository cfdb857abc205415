"""Compares a GGUF file with the model beside it: greedy infills by a real `llama-server` and by transformers."""

import contextlib
import http.client
import json
import os
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any

from hf_santa.repositories.kinds import ReleaseError
from hf_santa.repositories.write import StageError

SERVER = "HF_SANTA_LLAMA_SERVER"
GAPS, ANSWER = 20, 24
LEAST_EQUAL = {
    "f32": 0.9,
    "f16": 0.9,
    "q8_0": 0.5,
    "q4_k": 0.0,
}  # of whole answers; a rounded model may say something else
EXACT_CACHE = ("-ctk", "f32", "-ctv", "f32", "-fa", "off")  # the server's cache is float16 otherwise
START_LIMIT_S = 600


def compared_gguf(folder: Path) -> str:
    """Return how many greedy infills of a model folder's GGUF file are those of its weights; empty without such a file.

    The texts are the folder's own code. Without a `llama-server`, on PATH or named by HF_SANTA_LLAMA_SERVER, it is said
    that nothing was compared.

    Raises:
        ReleaseError: too few are equal.
        StageError: the server does not open the file.
    """
    file = next(iter(sorted(folder.glob("model-*.gguf"))), None)
    if file is None:
        return ""
    kind = file.stem.removeprefix("model-")
    program = server_program()
    if not program:
        return f" gguf={kind} not compared: no llama-server on PATH or in {SERVER}"
    gaps = list(_gaps(folder))
    ours = _infills(folder, gaps)
    with llama_server(program, folder, file, max_new_tokens=ANSWER) as port:
        theirs = [str(ask_infill(port, *gap, n_predict=ANSWER)["content"]) for gap in gaps]
    equal = sum(first == second for first, second in zip(ours, theirs, strict=True))
    if not any(theirs) or equal < LEAST_EQUAL[kind] * len(gaps):
        raise ReleaseError(
            f"{file}: {equal} of {len(gaps)} greedy infills are those of the weights beside it, expected "
            f"{LEAST_EQUAL[kind]:.0%} for {kind}. Do not publish it; tell us of the model."
        )
    return f" gguf={kind} equal_infills={equal}/{len(gaps)}"


def server_program() -> str | None:
    """Return the `llama-server` that HF_SANTA_LLAMA_SERVER names or that is on PATH; None where there is none."""
    return os.environ.get(SERVER) or shutil.which("llama-server")


def _gaps(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield places in the folder's code, with so little text around each that nothing of it is cut."""
    context = json.loads((folder / "config.json").read_text("utf-8"))["n_positions"]
    near = max(8, min(400, (context - ANSWER) // 2))  # a token has a character or more
    code = "".join(path.read_text("utf-8") for path in sorted(folder.glob("*_santa.py")))
    for number in range(GAPS):
        at = near + number * (len(code) - 2 * near) // GAPS
        yield code[at - near : at], code[at + 20 : at + 20 + near // 4]


def _infills(folder: Path, gaps: list[tuple[str, str]]) -> list[str]:
    from transformers import AutoTokenizer

    from modeling_santa.modeling_santa import SantaForCausalLM

    model = SantaForCausalLM.from_pretrained(folder).float().eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return [str(model.infill(tokenizer, *gap, max_new_tokens=ANSWER, allow_truncated=True)) for gap in gaps]


@contextlib.contextmanager
def llama_server(program: str, folder: Path, file: Path, *, max_new_tokens: int) -> Iterator[int]:
    """Run `llama-server` on a file with the flags that `model editor-config` prints, and give its port.

    Raises:
        StageError: it does not start; the message has the end of its output.
    """
    from modeling_santa.editor_config import editor_config

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = shlex.split(editor_config(folder, "llama-server", max_new_tokens=max_new_tokens))[1:]
    flags[flags.index("-m") + 1], flags[flags.index("--port") + 1] = str(file), str(port)
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        try:
            process = subprocess.Popen([program, *flags, *EXACT_CACHE], stdout=subprocess.DEVNULL, stderr=said)
        except OSError as error:
            raise StageError(f"{program} cannot be run ({error.strerror}). Name a llama-server by {SERVER}.") from error
        try:
            _wait(process, port, said, file)
            yield port
        finally:
            process.kill()
            process.wait()


def _wait(process: "subprocess.Popen[bytes]", port: int, said: IO[str], file: Path) -> None:
    end = time.monotonic() + START_LIMIT_S
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if _answer(port, "GET", "/health")[0] == HTTPStatus.OK:
                return
        time.sleep(0.2)
    said.seek(0)
    raise StageError(f"llama-server does not open {file}. It said:\n" + "".join(said.readlines()[-8:]))


def ask_infill(port: int, before: str, after: str, **settings: object) -> dict[str, Any]:
    """Return the server's whole answer to a greedy `/infill`.

    Raises:
        StageError: it refuses.
    """
    asked = {"input_prefix": before, "input_suffix": after, "temperature": 0, **settings}
    status, answer = _answer(port, "POST", "/infill", json.dumps(asked))
    if status != HTTPStatus.OK:
        raise StageError(f"llama-server answers {status} to /infill: {answer[:300]!r}")
    found: dict[str, Any] = json.loads(answer)
    return found


def _answer(port: int, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=600)) as connection:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
