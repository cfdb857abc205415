"""Staged folders hold what their list allows, and model code imports only what the Hub has."""

import pytest

from hf_santa.repositories import write
from hf_santa.repositories.clean_process import clean_environment
from hf_santa.repositories.kinds import KINDS, ReleaseError, split_card
from hf_santa.repositories.lint import lint
from hf_santa.repositories.staging import Sources, stage


def test_the_model_s_code_passes():
    """Every file that goes into a model repository can be imported there."""
    for name in write.MODEL_CODE:
        write.check_hub_imports(write.PACKAGES / "modeling_santa" / name)


@pytest.mark.parametrize(
    ("line", "module"),
    [
        ("from modeling_santa.checkpoints import convert", "modeling_santa.checkpoints"),
        ("import numpy", "numpy"),
        ("from . import fim_santa", "."),
        ("from .training.loop import train", ".training.loop"),
        ("from ..x_santa import y", "..x_santa"),
    ],
)
def test_an_import_the_hub_lacks_is_named(tmp_path, line, module):
    """The message has the file, the module and the line."""
    path = tmp_path / "modeling_santa.py"
    path.write_text(f"import torch\n{line}\n")
    with pytest.raises(write.StageError, match=rf"modeling_santa.py imports '{module}' \(line 2\). Files uploaded"):
        write.check_hub_imports(path)


def test_a_missing_part_is_named(tmp_path):
    """Staging without a tokenizer says which file is missing, and leaves nothing under the final name."""
    trained = tmp_path / "trained"
    trained.mkdir()
    for name in ("config.json", "model.safetensors"):
        (trained / name).write_text("{}")
    with pytest.raises(write.StageError, match=r"tokenizer.json does not exist, but tokenizer.json is part of the"):
        write.stage_model(trained, tmp_path / "none", tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (None, "is not a folder. Name the folder that save_pretrained wrote"),
        (["config.json"], "holds no weights; expected model.safetensors"),
        (
            ["pytorch_model.bin"],
            "holds pytorch_model.bin, a pickle, whose loading runs code; expected model.safetensors",
        ),
    ],
)
def test_a_folder_without_safetensors_is_refused(tmp_path, files, words):
    """A missing, empty or pickled model folder is named with what to do; nothing is opened."""
    folder = tmp_path / "trained"
    for name in files or ():
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    with pytest.raises(write.StageError, match=words):
        write.stage_model(folder, folder, tmp_path / "model")


def test_a_store_that_is_not_finished_is_refused(tmp_path):
    """A dataset folder without its funnel, or without the mark of a finished run, is none."""
    (tmp_path / "funnel.json").write_text("{}")
    with pytest.raises(
        write.StageError, match=r"is no finished store \(funnel.json, .done.json\). Run `hf-santa data run`"
    ):
        write.stage_dataset(tmp_path, tmp_path / "dataset")


def test_the_metric_is_staged_flat_and_whole(tmp_path):
    """The entry file, every sibling that it imports, the page and the card are staged, no more."""
    write.stage_metric(tmp_path / "eval_multipl_e")
    names = {path.name for path in (tmp_path / "eval_multipl_e").iterdir()}
    entry = (tmp_path / "eval_multipl_e" / "eval_multipl_e.py").read_text()
    siblings = {line.split()[1][1:] + ".py" for line in entry.splitlines() if line.startswith("from .")}
    assert siblings | {"eval_multipl_e.py", "index.html", "README.md"} == names


def test_the_space_is_staged_flat(tmp_path):
    """The Space's folder has its app, its card and its requirements, and no cache."""
    write.stage_space(tmp_path / "space")
    names = {path.name for path in (tmp_path / "space").iterdir()}
    assert {"app.py", "README.md", "requirements.txt"} <= names
    assert "__pycache__" not in names


def test_a_machine_is_suggested_in_the_space_s_card(tmp_path):
    """The card has the machine's name, all else of it stays; a static Space, which needs none, refuses one."""
    write.stage_space(tmp_path / "plain")
    write.stage_space(tmp_path / "space", "t4-small")
    header, body = split_card((tmp_path / "space" / "README.md").read_text())
    plain, same = split_card((tmp_path / "plain" / "README.md").read_text())
    assert ({**plain, "suggested_hardware": "t4-small"}, same) == (header, body)
    assert [] == list(lint(tmp_path / "space", KINDS["space"]))
    both = Sources(tmp_path, is_static=True, hardware="t4-small")
    with pytest.raises(ReleaseError, match="a --static Space needs none"):
        stage([KINDS["space"]], both, tmp_path / "out", print)


def test_a_clean_environment_has_no_token(monkeypatch, tmp_path):
    """Nothing of the user's Hugging Face settings reaches the process that checks a folder."""
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    environment = clean_environment(tmp_path)
    assert {"HF_TOKEN", "PYTHONPATH"} & set(environment) == set()
    assert (str(tmp_path), "1") == (environment["HF_HOME"], environment["HF_HUB_OFFLINE"])
