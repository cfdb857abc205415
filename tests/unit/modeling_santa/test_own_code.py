"""A user's own classes, named by an auto_map, come along wherever a folder is copied; what is missing of them is named."""

import json

import pytest
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from hf_santa.repositories.guard import check_folder
from hf_santa.repositories.kinds import KINDS, ReleaseError
from hf_santa.repositories.write import stage_model
from modeling_santa.checkpoints import convert_checkpoint
from modeling_santa.configuration_santa import AUTO_MAP
from modeling_santa.errors_santa import ModelError
from modeling_santa.own_code import own_code
from modeling_santa.tokenizer.train import save_tokenizer

MODEL = """from .modeling_santa import SantaForCausalLM
from .their_word import WORD


class Theirs(SantaForCausalLM):
    def word(self):
        return WORD
"""
TOKENIZER = """from transformers import PreTrainedTokenizerFast


class TheirTokenizer(PreTrainedTokenizerFast):
    def word(self):
        return "of the tokenizer"
"""
OWN = ["their_model.py", "their_tokenizer.py", "their_word.py"]


def add_to(path, **fields):
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.fixture
def folder(tiny_model, tokenizer, tmp_path):
    """A saved model with a class of the user's own for the model and for the tokenizer."""
    place = tmp_path / "saved"
    tiny_model.save_pretrained(place)
    save_tokenizer(tokenizer, place, n_positions=128)
    add_to(place / "config.json", auto_map={**AUTO_MAP, "AutoModelForCausalLM": "their_model.Theirs"})
    add_to(
        place / "tokenizer_config.json",
        auto_map={"AutoTokenizer": [None, "their_tokenizer.TheirTokenizer"]},
        tokenizer_class="TheirTokenizer",
    )
    for name, text in zip(OWN, (MODEL, TOKENIZER, 'WORD = "of the model"\n'), strict=True):
        (place / name).write_text(text)
    (place / "train.py").write_text("print(1)\n")
    return place


def words(place):
    """What the user's classes say when the folder is opened under trust."""
    model = AutoModelForCausalLM.from_pretrained(place, trust_remote_code=True)
    tokenizer = AutoTokenizer.from_pretrained(place, trust_remote_code=True)
    return model.word(), tokenizer.word()


@pytest.mark.parametrize("way", ["convert", "stage"])
def test_own_classes_come_with_a_copy(folder, tmp_path, way):
    """Files that an auto_map names, and what they import, are there and open; a file that nothing names stays behind."""
    assert OWN == own_code(folder)
    out = tmp_path / "copy"
    if way == "convert":
        convert_checkpoint(folder, out)
    else:
        stage_model(folder, folder, out)
        (out / "README.md").write_text("# A model\n")
        check_folder(out, KINDS["model"])
    assert OWN == own_code(out)
    assert not (out / "train.py").exists()
    assert ("of the model", "of the tokenizer") == words(out)


def test_saving_keeps_the_entries(folder, tmp_path):
    """A model that was opened and saved anew names the same classes."""
    config = AutoConfig.from_pretrained(folder, trust_remote_code=True)
    config.save_pretrained(tmp_path / "again")
    saved = json.loads((tmp_path / "again" / "config.json").read_text())["auto_map"]
    assert {**AUTO_MAP, "AutoModelForCausalLM": "their_model.Theirs"} == saved


def test_a_file_that_nothing_names_is_not_published(folder):
    """The guard takes own files that an auto_map names, and no others."""
    (folder / "README.md").write_text("# A model\n")
    with pytest.raises(ReleaseError, match=r"train\.py: it is not on the list") as refused:
        check_folder(folder, KINDS["model"])
    assert not any(name in str(refused.value) for name in OWN)


@pytest.mark.parametrize(
    ("place", "text", "message"),
    [
        ("their_lost.Theirs", None, "their_lost.py does not exist, but an auto_map"),
        ("../their_model.Theirs", None, "expected file.Class"),
        ("Theirs", None, "expected file.Class"),
        (7, None, "expected file.Class"),
        ("their_model.Theirs", "class Theirs(:\n", "their_model.py is not Python"),
        ("their_model.Theirs", "from .gone import x\n", "gone.py does not exist"),
    ],
)
def test_a_broken_entry_is_refused_before_anything_is_written(folder, tmp_path, place, text, message):
    """Lost files, paths that leave the folder, no class at all, and files that are not Python."""
    add_to(folder / "config.json", auto_map={"AutoModelForCausalLM": place})
    if text is not None:
        (folder / "their_model.py").write_text(text)
    with pytest.raises(ModelError, match=message):
        convert_checkpoint(folder, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_entries_that_have_no_file_here_are_left_alone(folder):
    """Another repository's class, none at all, and a word in place of the table."""
    for given in (
        {"AutoModel": "somebody/santa--modeling_their.Theirs"},
        {"AutoTokenizer": [None, None]},
        "a word",
        None,
    ):
        add_to(folder / "config.json", auto_map=given)
        assert ["their_tokenizer.py"] == own_code(folder)
