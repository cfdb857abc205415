"""The model's commands on a real, tiny model folder: what they print, and what they say of a mistake."""

import io
import json
import shutil
from argparse import Namespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from eval_multipl_e.errors import EvalError
from eval_multipl_e.suite.model import open_model
from hf_santa.cli import main
from modeling_santa.cli_tokenizer import _Read
from modeling_santa.configuration_santa import SantaConfig
from modeling_santa.infill_santa import special_ids
from modeling_santa.modeling_santa import SantaForCausalLM
from modeling_santa.tokenizer.train import padded_vocab_size, save_tokenizer, train_tokenizer

TEXTS = [f"def f_{n}(a, b):\n    return a + b + {n}\n" for n in range(80)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("model")
    tokenizer = train_tokenizer(TEXTS, vocab_size=300)
    end = tokenizer.token_to_id("<|endoftext|>")
    torch.manual_seed(0)
    size = padded_vocab_size(tokenizer)
    config = SantaConfig(
        vocab_size=size, n_positions=64, n_embd=32, n_layer=2, n_head=4, bos_token_id=end, eos_token_id=end
    )
    SantaForCausalLM(config).save_pretrained(out)
    save_tokenizer(tokenizer, out, n_positions=64)
    return out


def run(*words):
    return main(["model", *map(str, words)])


def test_info_names_layout_size_and_cache(folder, capsys):
    """Parameters are counted, and the cache is 2 * layers * one head's width * 4 bytes a token."""
    assert 0 == run("info", folder)
    said = capsys.readouterr().out
    model = SantaForCausalLM.from_pretrained(folder)
    assert "canonical (GPTBigCode)" in said
    assert f"{model.num_parameters():,}" in said
    assert f"{2 * 2 * 8 * 4:,} bytes a token" in said


def test_info_and_convert_print_json(folder, tmp_path, capsys):
    """The same facts as numbers, and nothing else on standard output."""
    assert 0 == run("info", folder, "--json")
    facts = json.loads(capsys.readouterr().out)
    model = SantaForCausalLM.from_pretrained(folder)
    assert facts["parameters"] == model.num_parameters()
    assert ("canonical", True, "float32", 128) == tuple(
        facts[name] for name in ("layout", "multi_query", "dtype", "cache_bytes_per_token")
    )
    assert 0 == run("convert", folder, tmp_path / "o", "--layout", "original", "--json")
    assert {"out": str(tmp_path / "o"), "layout": "original"} == json.loads(capsys.readouterr().out)


def test_gpt2_s_tokenizer_class_is_not_taken(folder, tmp_path, capsys):
    """A folder that names it is read by its tokenizer.json, converted to a class that does so, and warned of elsewhere."""
    source = tmp_path / "source"
    assert 0 == run("convert", folder, source, "--layout", "original")
    path = source / "tokenizer_config.json"
    fields = {**json.loads(path.read_text()), "tokenizer_class": "GPT2TokenizerFast"}
    path.write_text(json.dumps({name: value for name, value in fields.items() if name != "backend"}))
    text, ids = "x =    12", _tokenizer(folder)("x =    12")["input_ids"]
    wrong = _tokenizer(source)
    assert ids != wrong(text)["input_ids"]
    with pytest.warns(UserWarning, match="Open the tokenizer with PreTrainedTokenizerFast"):
        list(SantaForCausalLM.from_pretrained(folder).stream(wrong, text, max_new_tokens=1))
    assert 0 == run("convert", source, tmp_path / "out")
    assert ids == _tokenizer(tmp_path / "out")(text)["input_ids"]
    written = []
    for place in (folder, source):
        capsys.readouterr()
        assert 0 == run("complete", place, text, "--max-new-tokens", "8")
        written.append(capsys.readouterr().out)
    assert written[0] == written[1]


@pytest.mark.parametrize("command", ["complete", "infill"])
def test_a_byte_order_mark_is_no_text(folder, monkeypatch, capsys, command):
    """Standard input with and without one gives the same answer."""
    written = []
    for data in (b"def f_1(<FILL_HERE>", b"\xef\xbb\xbfdef f_1(<FILL_HERE>"):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
        assert 0 == run(command, folder, "--max-new-tokens", "6")
        written.append(capsys.readouterr().out)
    assert written[0] == written[1]


def test_convert_writes_the_original_layout_and_back(folder, tmp_path, capsys):
    """Both ways by name; the weights file comes back byte for byte."""
    assert 0 == run("convert", folder, tmp_path / "original", "--layout", "original")
    assert 0 == run("convert", tmp_path / "original", tmp_path / "back")
    capsys.readouterr()
    assert 0 == run("info", tmp_path / "original")
    assert "original (GPT2LMHeadCustomModel)" in capsys.readouterr().out
    assert (folder / "model.safetensors").read_bytes() == (tmp_path / "back" / "model.safetensors").read_bytes()


@pytest.mark.parametrize("temperature", ["0", "0.8"])
def test_complete_prints_the_same_text_for_a_seed(folder, capsys, temperature):
    """The prompt is not repeated, and a seed gives its text again."""
    words = (
        "complete",
        folder,
        "def f_1(a, b):",
        "--max-new-tokens",
        "12",
        "--temperature",
        temperature,
        "--seed",
        "3",
    )
    assert [0, 0] == [run(*words), run(*words)]
    said = capsys.readouterr().out
    assert said[: len(said) // 2] == said[len(said) // 2 :] != ""
    assert "def f_1(a, b):" not in said


def test_infill_prints_the_middle_alone(folder, tmp_path, capsys):
    """The file's text is not repeated; a middle that was cut is said to be on standard error."""
    source = tmp_path / "gap.py"
    source.write_text("def f_1(a, b):\n    return <FILL-HERE>\n")
    assert 0 == run("infill", folder, source, "--max-new-tokens", "4")
    said = capsys.readouterr()
    expected = SantaForCausalLM.from_pretrained(folder).infill(
        _tokenizer(folder), "def f_1(a, b):\n    return ", "\n", max_new_tokens=4, allow_truncated=True
    )
    assert f"{expected}\n" == said.out
    assert expected.is_truncated == ("cut at --max-new-tokens 4" in said.err)


def _tokenizer(folder):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize(
    ("words", "text", "message"),
    [
        (("infill", "{folder}"), "no gap", "0 gap markers found, expected one"),
        (("infill", "{folder}"), "<FILL_HERE> <FILL-HERE>", "2 gap markers found, expected one"),
        (("complete", "{folder}"), "", "the prompt is empty"),
        (
            ("complete", "{folder}", "--max-new-tokens", "64"),
            "x",
            "leaves no room for a prompt in the context of n_positions=64",
        ),
        (("complete", "{folder}", "--top-p", "0"), "x", "top_p=0.0 is out of range"),
        (("infill", "{folder}", "/no/such/file"), "", "No such file"),
        (("complete", "{folder}", "x", "--file-name", "f.py"), "", "file_name: the tokenizer has no token for it"),
        (("infill", "{folder}", "--repo-name", ""), "<FILL_HERE>", "repo_name='' is no name"),
        (("info", "/no/such/folder"), "", "has no config.json"),
        (("complete", "/no/such/folder"), "x", "is no folder here, and no model of this name could be read"),
        (("convert", "{folder}", "{folder}"), "", "exists. Name a folder that does not"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(folder, monkeypatch, capsys, words, text, message):
    """What was seen and what to do, and no traceback."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert 2 == run(*(word.format(folder=folder) for word in words))
    said = capsys.readouterr().err
    assert message in said
    assert said.startswith("hf-santa model ")


def test_a_folder_without_a_tokenizer_says_what_to_copy(folder, tmp_path, capsys):
    """Trainer's checkpoints often lack it: a mistake of the user's, no fault of ours."""
    for name in ("config.json", "model.safetensors"):
        shutil.copy(folder / name, tmp_path / name)
    assert 2 == run("complete", str(tmp_path), "x")
    assert "has no tokenizer that can be opened. Copy tokenizer.json" in capsys.readouterr().err
    with pytest.raises(EvalError, match="has no tokenizer that can be opened"):
        open_model(str(tmp_path), device="cpu")


def test_underscore_spellings_are_accepted(folder):
    """A tokenizer with StarCoder's spelling gives its ids under SantaCoder's names; one with neither is refused."""

    class Vocabulary:
        def __init__(self, *names):
            self.names = names

        def convert_tokens_to_ids(self, token):
            return self.names.index(token) if token in self.names else 0  # an unknown token is the first, as in GPT-2

        def convert_ids_to_tokens(self, number):
            return self.names[number]

    underscored = Vocabulary("<|endoftext|>", "<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>")
    assert [0, 1, 2, 3, 4] == list(special_ids(underscored).values())
    assert list(special_ids(_tokenizer(folder))) == [
        "<|endoftext|>",
        "<fim-prefix>",
        "<fim-middle>",
        "<fim-suffix>",
        "<fim-pad>",
    ]
    with pytest.raises(ValueError, match=r"the tokenizer lacks <fim-prefix>, .*<fim-pad>"):
        special_ids(Vocabulary("<|endoftext|>"))


def test_convert_keeps_what_is_not_weights_and_loses_no_head(folder, tmp_path, capsys):
    """Generation settings and the chat template come along; a head that differs from the embedding is refused."""
    source = tmp_path / "source"
    shutil.copytree(folder, source)
    for name, text in (("generation_config.json", '{"top_k": 3}'), ("chat_template.jinja", "{{ messages }}")):
        (source / name).write_text(text)
    assert 0 == run("convert", source, tmp_path / "out")
    assert '{"top_k": 3}' == (tmp_path / "out" / "generation_config.json").read_text()
    assert "{{ messages }}" == (tmp_path / "out" / "chat_template.jinja").read_text()
    weights = load_file(source / "model.safetensors")
    head = weights["transformer.wte.weight"] + 1
    save_file({**weights, "lm_head.weight": head}, source / "model.safetensors", metadata={"format": "pt"})
    capsys.readouterr()
    for command in (("convert", source, tmp_path / "lost"), ("info", source)):
        assert 2 == run(*command)
        assert "lm_head.weight differs from transformer.wte.weight" in capsys.readouterr().err
    assert not (tmp_path / "lost").exists()


def test_a_limited_tokenizer_sees_all_of_a_sorted_source(tmp_path, capsys):
    """The limit draws from the whole source by the seed: both halves of it, about so much, the same again."""
    source = tmp_path / "texts.jsonl"
    texts = [letter * 1000 for letter in "ab" for _ in range(100)]
    source.write_text("".join(json.dumps({"content": text}) + "\n" for text in texts))
    drawn = []
    for seed in (0, 0, 1):
        read = _Read(Namespace(source=source, recipe=None, column="content"), 0.05, seed)
        drawn.append(list(read))
        assert 30 <= drawn[-1].count("a" * 1000) + drawn[-1].count("b" * 1000) == read.files <= 70
        assert min(drawn[-1].count("a" * 1000), drawn[-1].count("b" * 1000)) >= 10
    assert drawn[0] == drawn[1]
    whole = list(_Read(Namespace(source=source, recipe=None, column="content"), 5.0, 0))
    assert texts == whole
    assert 2 == main(["tokenizer", "train", str(source), "--out", str(tmp_path / "t"), "--limit-mb", "0"])
    assert "--limit-mb 0.0 is no size" in capsys.readouterr().err
