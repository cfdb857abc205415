"""A staged GGUF file is compared with the weights beside it by a llama-server; here a program that answers from a list."""

import json
import shutil
import sys

import pytest
from transformers import AutoTokenizer

from hf_santa.repositories.gguf_check import ANSWER, GAPS, SERVER, compared_gguf
from hf_santa.repositories.kinds import ReleaseError
from hf_santa.repositories.write import StageError
from modeling_santa.modeling_santa import SantaForCausalLM

PROGRAM = """#!{python}
import http.server, json, pathlib, sys
here = pathlib.Path(__file__).parent
answers = json.loads((here / "answers.json").read_text())
class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_GET(self): self.reply({{"status": "ok"}})
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with (here / "asked.jsonl").open("a") as log: log.write(json.dumps(asked) + "\\n")
        self.reply({{"content": answers.get(asked["input_prefix"], "nothing like it")}})
    def reply(self, value):
        body = json.dumps(value).encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
"""


@pytest.fixture
def folder(staged, tmp_path, monkeypatch):
    """A staged model with a GGUF file, and the stand-in as the server that the environment names."""
    shutil.copytree(staged / "model", tmp_path / "model")
    (tmp_path / "model" / "model-f16.gguf").write_bytes(b"the stand-in does not open it")
    (tmp_path / "answers.json").write_text("{}")
    program = tmp_path / "llama-server"
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv(SERVER, str(program))
    return tmp_path / "model"


def test_equal_infills_pass_and_others_are_refused(folder):
    """Nonsense is refused; the weights' own infills pass, all but a tenth of them; all was asked greedily, around gaps."""
    with pytest.raises(
        ReleaseError, match=f"0 of {GAPS} greedy infills are those of the weights beside it, expected 90%"
    ):
        compared_gguf(folder)
    asked = [json.loads(line) for line in (folder.parent / "asked.jsonl").read_text().splitlines()]
    assert [(0, ANSWER)] * GAPS == [(each["temperature"], each["n_predict"]) for each in asked]
    model, tokenizer = SantaForCausalLM.from_pretrained(folder).float().eval(), AutoTokenizer.from_pretrained(folder)
    answers = {
        each["input_prefix"]: model.infill(
            tokenizer, each["input_prefix"], each["input_suffix"], max_new_tokens=ANSWER, allow_truncated=True
        )
        for each in asked
    }
    assert GAPS == len(answers)
    answers[asked[0]["input_prefix"]] = "another"
    (folder.parent / "answers.json").write_text(json.dumps(answers))
    assert f" gguf=f16 equal_infills={GAPS - 1}/{GAPS}" == compared_gguf(folder)


def test_a_server_that_is_missing_or_ends_is_told(folder, monkeypatch):
    """Without a server the line says that nothing was compared; one that ends is quoted; without a file nothing is said."""
    (folder.parent / "llama-server").write_text(f"#!{sys.executable}\nraise SystemExit('no such architecture')\n")
    with pytest.raises(StageError, match=r"does not open .*model-f16.gguf. It said:\nno such architecture"):
        compared_gguf(folder)
    monkeypatch.setenv(SERVER, str(folder / "config.json"))
    with pytest.raises(StageError, match="cannot be run"):
        compared_gguf(folder)
    monkeypatch.delenv(SERVER)
    monkeypatch.setenv("PATH", "")
    assert " gguf=f16 not compared: no llama-server on PATH or in HF_SANTA_LLAMA_SERVER" == compared_gguf(folder)
    (folder / "model-f16.gguf").unlink()
    assert "" == compared_gguf(folder)
