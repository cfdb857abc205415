"""Settings of editors, held against the longest prompt that each client's own rule builds from a file without end."""

import json
import re
import tomllib

import pytest
import yaml

from modeling_santa.editor_config import CLIENTS, budget_of, editor_config, longest_infill
from modeling_santa.errors_santa import ModelError
from modeling_santa.fim_santa import infill_prompt
from modeling_santa.tokenizer.train import load_tokenizer, save_tokenizer, train_tokenizer

CODE = "".join(f"def area_{n}(width, height):\n    return width * height + {n}\n\n\n" for n in range(100))
SIZES = [(256, 64), (2048, 64), (2048, 128), (2048, 1), (100, 32)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("model")
    save_tokenizer(train_tokenizer([CODE], vocab_size=400), out, n_positions=256)
    return out


def _of(folder, positions):
    (folder / "config.json").write_text(json.dumps({"n_positions": positions}))
    return folder


@pytest.mark.parametrize(("positions", "answer"), SIZES)
def test_what_the_server_makes_of_an_endless_file_leaves_room(folder, positions, answer):
    """However long the text is, prompt and answer fit into the context, and most of the context is used."""
    budget = budget_of(_of(folder, positions), answer)
    flags = dict(re.findall(r"(-\w+) (\d+)", editor_config(folder, "llama-server", max_new_tokens=answer)))
    assert (str(positions), str(answer), str(budget.batch)) == (flags["-c"], flags["-n"], flags["-b"])
    assert 0 == budget.batch % 4
    longest = max(longest_infill(budget, before, after) for before in (0, 10**6) for after in (0, 10**6))
    assert longest + answer <= positions
    assert longest + answer >= positions - 16


@pytest.mark.parametrize(("positions", "answer"), SIZES)
def test_the_longest_prompts_of_the_others_fit(folder, positions, answer):
    """Tabby's characters, Continue's tokens even where each is two of ours, and Twinny's lines of usual code."""
    tokenizer = load_tokenizer(_of(folder, positions))

    def tokens(text):
        return len(tokenizer.encode(text).ids)

    tabby = tomllib.loads(editor_config(folder, "tabby", max_new_tokens=answer))
    chars = tabby["completion"]["max_input_length"]
    assert tokens(CODE[:chars]) + 3 + answer <= positions
    cont = yaml.safe_load(editor_config(folder, "continue", max_new_tokens=answer))["models"][0]
    assert 2 * cont["autocompleteOptions"]["maxPromptTokens"] + 3 + answer <= positions
    twinny = json.loads(editor_config(folder, "twinny", max_new_tokens=answer))
    lines = CODE.splitlines(keepends=True)[: twinny["twinny.contextLength"]]
    assert tokens("".join(lines)) + 3 + twinny["twinny.numPredictFim"] <= positions


def test_templates_are_the_prompt_of_training(folder):
    """With the clients' own placeholders filled in, a template is `infill_prompt`'s text."""
    _of(folder, 2048)
    tabby = tomllib.loads(editor_config(folder, "tabby"))["model"]["completion"]["http"]["prompt_template"]
    assert infill_prompt("a", "b") == tabby.format(prefix="a", suffix="b")
    model = yaml.safe_load(editor_config(folder, "continue"))["models"][0]
    template = model["promptTemplates"]["autocomplete"]
    assert infill_prompt("a", "b") == template.replace("{{{prefix}}}", "a").replace("{{{suffix}}}", "b")


def test_no_chunks_of_other_files_are_sent(folder):
    """SantaCoder was not trained on them: llama.vscode, llama.vim and Twinny leave them out."""
    _of(folder, 2048)
    assert 0 == json.loads(editor_config(folder, "llama.vscode"))["llama-vscode.ring_n_chunks"]
    assert '"ring_n_chunks": 0' in editor_config(folder, "llama.vim")
    assert not json.loads(editor_config(folder, "twinny"))["twinny.fileContextEnabled"]


def test_an_answer_that_leaves_no_room_is_refused(folder, run_command):
    """The message has the numbers; an unknown client and a folder without a model are mistakes, too."""
    _of(folder, 256)
    code, _, err = run_command("model", "editor-config", folder, "--client", "tabby", "--max-new-tokens", "240")
    assert 2 == code
    assert "an answer of 240 tokens leaves 8 of 256" in err
    with pytest.raises(ModelError, match="client='emacs' is unknown"):
        editor_config(folder, "emacs")
    code, out, _ = run_command("model", "editor-config", folder, "--client", CLIENTS[0])
    assert (0, True) == (code, out.startswith("llama-server -m"))
