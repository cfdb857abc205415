"""docs/guides/editors.md: its settings, as prompts, sent by an OpenAI client to a folder under `transformers serve`."""

import contextlib
import json
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
import torch
import yaml
from openai import OpenAI
from transformers import AutoModelForCausalLM, AutoTokenizer

from modeling_santa import FimTokens, infill_prompt

from .space_driver import environment, free_port, save_tiny_model

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[2] / "docs" / "guides" / "editors.md").read_text()
BLOCKS = dict(re.findall(r"```(json|lua|yaml|toml|python)\n(.*?)```", PAGE, re.DOTALL))
BEFORE, AFTER = "def f(x):\n    return ", "\n\n\nprint(f(1))\n"
SERVE = "import sys; from transformers.cli.transformers import main; sys.argv[0] = 'transformers'; sys.exit(main())"
START_S = 240


def by_llm_ls(prefix, middle, suffix):
    """The prompt as llm-ls puts it together from its three settings."""
    return prefix + BEFORE + suffix + AFTER + middle


def prompts():
    """What each editor sends, by the settings on the page."""
    code = json.loads(BLOCKS["json"])
    lua = dict(re.findall(r'(prefix|middle|suffix) = "([^"]+)"', BLOCKS["lua"]))
    handlebars = yaml.safe_load(BLOCKS["yaml"])["models"][0]["promptTemplates"]["autocomplete"]
    braces = tomllib.loads(BLOCKS["toml"])["model"]["completion"]["http"]["prompt_template"]
    return {
        "llm-vscode": by_llm_ls(*(code[f"llm.fillInTheMiddle.{part}"] for part in ("prefix", "middle", "suffix"))),
        "llm.nvim": by_llm_ls(**lua),
        "Continue": handlebars.replace("{{{prefix}}}", BEFORE).replace("{{{suffix}}}", AFTER),
        "Tabby": braces.format(prefix=BEFORE, suffix=AFTER),
    }


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_tiny_model(tmp_path_factory.mktemp("served") / "tiny")


@pytest.fixture(scope="module")
def address(model, tmp_path_factory):
    """A served folder: the real `transformers serve` in a process of its own, with no Hub to ask."""
    scratch, port = tmp_path_factory.mktemp("serve"), free_port()
    arguments = ["serve", str(model), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    with (scratch / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, *arguments],
            env=environment(scratch, HF_HUB_OFFLINE="1"), stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + START_S
        while True:
            with contextlib.suppress(URLError), urlopen(f"http://127.0.0.1:{port}/health") as answer:
                assert answer.status == 200
                break
            assert process.poll() is None, (scratch / "log").read_text()
            assert time.monotonic() < deadline, (scratch / "log").read_text()
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def client(address):
    with OpenAI(base_url=address + "/v1", api_key="none") as opened:
        yield opened


def greedy(model, prompt, tokens):
    """What the folder's own model writes after a prompt."""
    tokenizer, loaded = AutoTokenizer.from_pretrained(model), AutoModelForCausalLM.from_pretrained(model)
    ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
    written = loaded.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, do_sample=False)
    return tokenizer.decode(written[0, ids.shape[1] :], skip_special_tokens=True)


@pytest.mark.parametrize("editor", ["llm-vscode", "llm.nvim", "Continue", "Tabby"])
def test_an_editor_sends_the_prompt_that_the_model_was_trained_on(editor):
    """With the settings on the page, each editor's prompt is infill_prompt's, to the character."""
    assert prompts()[editor] == infill_prompt(BEFORE, AFTER)


def test_the_page_has_no_sentinel_that_the_model_does_not_know():
    """Every sentinel on the page is spelled as the tokenizer spells it, with hyphens."""
    known = {FimTokens().prefix, FimTokens().middle, FimTokens().suffix}
    assert set(re.findall(r"<fim.[a-z]+>", PAGE)) == known


def test_the_openai_client_gets_the_middle(client, model):
    """A served folder answers the page's prompt with what its own model writes, whole and streamed alike."""
    prompt = prompts()["llm-vscode"]
    asked = {"model": str(model), "prompt": prompt, "max_tokens": 12, "temperature": 0}
    whole = client.completions.create(**asked).choices[0]
    streamed = "".join(chunk.choices[0].text for chunk in client.completions.create(**asked, stream=True))
    assert whole.text == greedy(model, prompt, 12)
    assert streamed.rstrip("\ufffd") == whole.text.rstrip("\ufffd")  # the last character may lack bytes
    assert whole.finish_reason == "length"


def test_suffix_is_no_way_to_infill(client, model):
    """The page's warning holds: the field `suffix` is put behind the answer, which does not depend on it."""
    asked = {"model": str(model), "prompt": BEFORE, "max_tokens": 12, "temperature": 0}
    plain, with_suffix = client.completions.create(**asked), client.completions.create(**asked, suffix=AFTER)
    assert with_suffix.choices[0].text == plain.choices[0].text + AFTER


def test_the_python_block_runs(address, model):
    """The page's own lines print a text when the model's name and the address are put in."""
    code = BLOCKS["python"].replace("http://127.0.0.1:8000", address).replace("out/demo/model", str(model))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(("'", '"'))
