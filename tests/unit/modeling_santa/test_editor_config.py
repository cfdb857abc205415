"""Settings of editors, held against the longest prompt that each client's own rule builds from a file without end."""

import json
import math
import re
import tomllib

import pytest
import yaml

from modeling_santa.editor_config import CLIENTS, budget_of, editor_config, longest_infill
from modeling_santa.errors_santa import ModelError
from modeling_santa.fim_santa import FimTokens, infill_prompt
from modeling_santa.tokenizer.train import load_tokenizer, save_tokenizer, train_tokenizer

CODE = "".join(f"def area_{n}(width, height):\n    return width * height + {n}\n\n\n" for n in range(100))
SENTINELS = (FimTokens().prefix, FimTokens().suffix, FimTokens().middle)
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


def twinny_prompt(config, prefix, suffix):
    """By lines: 85 % of `contextLength` before the cursor, and what one side leaves over goes to the other."""
    template, settings = _twinny(config)
    before, after = prefix.split("\n"), suffix.split("\n")
    above, below = int(settings["twinny.contextLength"] * 0.85), math.ceil(settings["twinny.contextLength"] * 0.15)
    if above > len(before) - 1:
        above, below = len(before) - 1, below + above - (len(before) - 1)
    if below > len(after):
        above, below = above + below - len(after), len(after)
    kept = "\n".join(before[max(0, len(before) - 1 - above) :]), "".join(f"{line}\n" for line in after[:below])
    return template.replace("{{{prefix}}}", kept[0]).replace("{{{suffix}}}", kept[1])


def tabby_prompt(config, prefix, suffix):
    """By the agent's lines; the server keeps the last bytes of the finished prompt."""
    settings = tomllib.loads(config)
    lines = settings["completion"]["prompt"]
    before = "".join(prefix.splitlines(keepends=True)[-lines["maxPrefixLines"] :])
    after = "".join(suffix.splitlines(keepends=True)[: lines["maxSuffixLines"]])
    whole = settings["model"]["completion"]["http"]["prompt_template"].format(prefix=before, suffix=after)
    return whole.encode()[-settings["completion"]["max_input_length"] :].decode(errors="ignore")


def continue_prompt(config, prefix, suffix, count):
    """By whole lines, counted by `count`; the file's path is a comment before them."""
    model = yaml.safe_load(config)["models"][0]
    options = model["autocompleteOptions"]
    most = options["maxPromptTokens"]
    before, used = first_lines(prefix.splitlines(keepends=True)[::-1], most * options["prefixPercentage"], count)
    after, _ = first_lines(
        suffix.splitlines(keepends=True), min(most - used, most * options["maxSuffixPercentage"]), count
    )
    text = "# Path: shapes/area.py\n" + "".join(before[::-1])
    template = model["promptTemplates"]["autocomplete"]
    return template.replace("{{{prefix}}}", text).replace("{{{suffix}}}", "".join(after) or "\n")


def first_lines(lines, most, count):
    """As many lines as have at most so many tokens, and how many they have."""
    kept, used = [], 0
    for line in lines:
        if used + count(line) > most:
            break
        kept.append(line)
        used += count(line)
    return kept, used


def _twinny(config):
    _, template, settings = config.split("\n", 2)
    return template.removeprefix("// "), json.loads(settings)


@pytest.mark.parametrize(("positions", "answer"), SIZES)
def test_the_longest_prompts_of_the_others_fit(folder, positions, answer):
    """Each client's own rule, at places all over a long file: sentinels whole, and room for the answer.

    Continue counts with another tokenizer; here each of its tokens is one and a half of ours.
    """
    tokenizer = load_tokenizer(_of(folder, positions))

    def tokens(text):
        return len(tokenizer.encode(text).ids)

    def theirs(text):
        return tokens(text) / 1.5

    config = {name: editor_config(folder, name, max_new_tokens=answer) for name in ("twinny", "tabby", "continue")}
    assert _twinny(config["twinny"])[1]["twinny.numPredictFim"] == answer
    for at in range(0, len(CODE) + 1, len(CODE) // 8):
        sides = CODE[:at], CODE[at:]
        prompts = {
            "twinny": twinny_prompt(config["twinny"], *sides),
            "tabby": tabby_prompt(config["tabby"], *sides),
            "continue": continue_prompt(config["continue"], *sides, theirs),
        }
        for name, prompt in prompts.items():
            assert [1, 1, 1] == [prompt.count(token) for token in SENTINELS], (name, at)
            assert prompt.startswith(SENTINELS[0]), (name, at)
            text = "".join(re.split("|".join(map(re.escape, SENTINELS)), prompt))
            assert tokens(text) + 3 + answer <= positions, (name, at)


def test_templates_are_the_prompt_of_training(folder):
    """With the clients' own placeholders filled in, a template is `infill_prompt`'s text."""
    _of(folder, 2048)
    tabby = tomllib.loads(editor_config(folder, "tabby"))["model"]["completion"]["http"]["prompt_template"]
    assert infill_prompt("a", "b") == tabby.format(prefix="a", suffix="b")
    model = yaml.safe_load(editor_config(folder, "continue"))["models"][0]
    for template in (model["promptTemplates"]["autocomplete"], _twinny(editor_config(folder, "twinny"))[0]):
        assert infill_prompt("a", "b") == template.replace("{{{prefix}}}", "a").replace("{{{suffix}}}", "b")


def test_no_chunks_of_other_files_are_sent(folder):
    """SantaCoder was not trained on them: every client that has such a setting leaves them out."""
    _of(folder, 2048)
    assert 0 == json.loads(editor_config(folder, "llama.vscode"))["llama-vscode.ring_n_chunks"]
    assert '"ring_n_chunks": 0' in editor_config(folder, "llama.vim")
    assert not _twinny(editor_config(folder, "twinny"))[1]["twinny.fileContextEnabled"]
    agent = tomllib.loads(editor_config(folder, "tabby"))["completion"]["prompt"]
    assert not agent["fillDeclarations"]["enabled"]
    assert not agent["collectSnippetsFromRecentChangedFiles"]["enabled"]
    options = yaml.safe_load(editor_config(folder, "continue"))["models"][0]["autocompleteOptions"]
    others = ("use", "experimental_include")
    assert not any(value for name, value in options.items() if name.startswith(others))


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
