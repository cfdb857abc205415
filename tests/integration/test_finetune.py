"""Fine-tuning on real libraries and a tiny model: resumable to the same bytes, servable anywhere, honest about mistakes."""

import errno
import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from data_recipes.pipeline import run as run_recipe
from data_recipes.sources.write_rows import write_rows
from hf_santa.cli import main
from modeling_santa.training import finetune as finetuning
from tests.fixtures.tiny import save_tiny_model

TEXTS = [
    f"def area_{n}(width, height):\n    total = width * height + {n}\n    label = 'area {n * n}'\n    return total, label\n\n\n"
    f"class Shape{n}:\n    sides = {n % 7}\n\n    def name(self):\n        return 'shape' + str({n})\n"
    for n in range(40)
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A tiny model folder, a source tree, and the tree's dataset folder."""
    root = tmp_path_factory.mktemp("finetune")
    (root / "tree").mkdir()
    for number, text in enumerate(TEXTS):
        (root / "tree" / f"m{number}.py").write_text(text)
    write_rows([root / "tree"], root / "rows", progress=str)
    run_recipe(root / "rows", root / "dataset", "base", progress=str)
    save_tiny_model(TEXTS, root / "model", vocab_size=320, n_positions=96)
    return root


def run(place, out, *more, model="model", source="dataset"):
    words = ["finetune", "--model", place / model, "--source", place / source, "--out", out]
    settings = ["--recipe", "base", "--heldout", "0.3", "--steps", "6", "--batch-size", "2", "--lr", "0.01"]
    return main([*map(str, [*words, *settings, "--save-every", "2", "--gaps", "12", *more])])


def interrupt_at(monkeypatch, step, error):
    """Let step number `step` of the Trainer raise."""
    plain = finetuning._Trainer.training_step

    def step_or_raise(self, *args, **kwargs):
        if self.state.global_step + 1 == step:
            raise error
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(finetuning._Trainer, "training_step", step_or_raise)


@pytest.mark.parametrize("more", [(), ("--lora", "--lora-rank", "2", "--keep-adapter")], ids=["whole", "lora"])
def test_a_stopped_run_goes_on_to_the_same_weights(place, tmp_path, monkeypatch, capfd, more):
    """Ctrl-C at step 4, then the same command: the weights, bit for bit, of a run that was not stopped."""
    assert 0 == run(place, tmp_path / "whole", *more)
    with monkeypatch.context() as patch:
        interrupt_at(patch, 4, KeyboardInterrupt())
        assert 130 == run(place, tmp_path / "hit", *more)
    assert "what was finished is kept" in capfd.readouterr().err
    assert ["checkpoint-2"] == [path.name for path in (tmp_path / "hit" / "checkpoints").iterdir()]
    assert 0 == run(place, tmp_path / "hit", *more)
    whole, hit = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("whole", "hit"))
    assert whole.keys() == hit.keys()
    assert all(torch.equal(whole[name], hit[name]) for name in whole)
    results = json.loads((tmp_path / "whole" / "results.json").read_text())
    assert results["after"]["bits_per_byte"] < results["before"]["bits_per_byte"]
    assert results["parity"]["can_import_hf_santa"] is False
    assert results["parity"]["max_abs_logit_difference"] <= 1e-4 * results["parity"]["max_abs_logit"]


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft asks by the old name
def test_the_merged_folder_is_base_and_adapter(place, tmp_path):
    """The native class gives the logits that peft gives for the untouched base with the kept adapter."""
    from peft import PeftModel

    assert 0 == run(place, tmp_path, "--lora", "--keep-adapter", source="tree")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "model").eval()
    base = AutoModelForCausalLM.from_pretrained(place / "model").eval()
    ids = torch.arange(60).unsqueeze(0)
    with torch.no_grad():
        plain = base(ids).logits.clone()
        adapted = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()(ids).logits
        torch.testing.assert_close(merged(ids).logits, adapted, rtol=1e-4, atol=1e-5)
    assert (plain - adapted).abs().max() > 1e-3
    assert merged.config.use_cache


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft asks by the old name
@pytest.mark.parametrize("more", [(), ("--lora", "--lora-rank", "2")], ids=["whole", "lora"])
def test_a_checkpoint_is_a_model_with_its_tokenizer(place, tmp_path, more):
    """The last checkpoint opens as the page shows, and answers as the finished model does."""
    assert 0 == run(place, tmp_path, *more)
    checkpoint = tmp_path / "checkpoints" / "checkpoint-6"
    early = AutoModelForCausalLM.from_pretrained(checkpoint).eval()
    final = AutoModelForCausalLM.from_pretrained(tmp_path / "model").eval()
    words, expected = AutoTokenizer.from_pretrained(checkpoint), AutoTokenizer.from_pretrained(tmp_path / "model")
    assert expected.special_tokens_map == words.special_tokens_map
    ids = expected("def area_1(width", return_tensors="pt").input_ids
    assert ids.tolist() == words("def area_1(width", return_tensors="pt").input_ids.tolist()
    with torch.no_grad():
        torch.testing.assert_close(final(ids).logits, early(ids).logits, rtol=1e-4, atol=1e-5)


def test_a_loss_that_is_no_number_stops_with_its_step(place, tmp_path, monkeypatch, capsys):
    """The step is named, and the checkpoint before it stays."""
    from transformers import Trainer

    plain = Trainer.training_step

    def spoiled(self, *args, **kwargs):
        loss = plain(self, *args, **kwargs)
        return loss * float("nan") if self.state.global_step == 2 else loss

    monkeypatch.setattr(Trainer, "training_step", spoiled)
    assert 2 == run(place, tmp_path)
    assert "the loss at step 3 is nan" in capsys.readouterr().err
    assert (tmp_path / "checkpoints" / "checkpoint-2" / "model.safetensors").is_file()


def test_a_full_disk_leaves_the_last_good_checkpoint(place, tmp_path, monkeypatch, capsys):
    """What was half written is removed, and the next run goes on from the one before."""
    from transformers import Trainer

    plain = Trainer._save_checkpoint

    def full(self, *args):
        plain(self, *args)
        if self.state.global_step == 4:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_save_checkpoint", full)
        assert 2 == run(place, tmp_path)
    assert "No space left on device" in (said := capsys.readouterr().err)
    assert "The last good checkpoint stays" in said
    assert ["checkpoint-2"] == [path.name for path in (tmp_path / "checkpoints").iterdir()]
    assert 0 == run(place, tmp_path)


def test_a_checkpoint_that_is_not_whole_is_passed_over(tmp_path, caplog):
    """One without its list of files, or with a truncated file, is removed and named."""
    for step, sizes in ((2, {"a": 3}), (4, {"a": 4}), (6, None)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "a").write_text("abc")
        if sizes is not None:
            (folder / finetuning.WHOLE).write_text(json.dumps(sizes))
    assert tmp_path / "checkpoint-2" == finetuning.last_checkpoint(tmp_path)
    assert "checkpoint-4 is not whole" in caplog.text


def _altered(place, name, change):
    folder = place / name
    if not folder.exists():
        shutil.copytree(place / "model", folder)
        change(folder)
    return name


def _config(**fields):
    def change(folder):
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))

    return change


def _pickled(folder):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def _nan(folder):
    state = load_file(folder / "model.safetensors")
    state["transformer.ln_f.weight"][0] = float("nan")
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("name", "change", "more", "message"),
    [
        ("absent", None, (), "has no config.json"),
        ("pickled", _pickled, (), "has pickled weights only. Convert it first"),
        ("llama", _config(model_type="llama", architectures=["LlamaForCausalLM"]), (), "type 'llama'"),
        ("foreign", _config(vocab_size=128), (), "a vocabulary of 128"),
        ("wordless", lambda folder: (folder / "tokenizer.json").unlink(), (), "tokenizer.json does not exist"),
        ("spoiled", _nan, (), "ln_f.weight"),
        ("model", None, ("--seq-len", "97"), "n_positions=96"),
        ("model", None, ("--heldout", "0.0001"), "holds 0 of them"),
        ("model", None, ("--heldout", "1"), "--heldout is 1.0"),
        ("model", None, ("--lora", "--lora-rank", "0"), "--lora-rank is 0"),
        ("model", None, ("--keep-adapter",), "without --lora"),
        ("model", None, ("--source", "TREE", "--recipe", "tidy"), "recipe='tidy' is unknown"),
        ("model", None, ("--source", "/no/such/tree"), "no such folder"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_1(place, tmp_path, capsys, name, change, more, message):
    """What was seen and what to do, and no traceback."""
    model = _altered(place, name, change) if change else name
    more = [str(place / "tree") if word == "TREE" else word for word in more]
    assert 2 == run(place, tmp_path, *more, model=model)
    said = capsys.readouterr().err
    assert message in said
    assert said.startswith("hf-santa finetune: ")


def test_lora_without_peft_names_the_command(place, tmp_path, monkeypatch, capsys):
    """The message has the pip command."""
    monkeypatch.setattr(finetuning, "find_spec", lambda _: None)
    assert 2 == run(place, tmp_path, "--lora")
    assert "pip install 'hf-santa[finetune]'" in capsys.readouterr().err


def test_a_folder_begun_otherwise_is_refused(place, tmp_path, capsys):
    """Other settings in the same folder are named, with both values."""
    assert 0 == run(place, tmp_path)
    assert 2 == run(place, tmp_path, "--seed", "1")
    assert "was begun with seed=0, and now it is 1" in capsys.readouterr().err


def test_data_and_prose_are_not_trained_on_unless_asked_for(place, tmp_path):
    """Of a source tree programming languages are taken, of rows all; `--languages` says otherwise, of sources alone."""
    shutil.copytree(place / "tree", tmp_path / "tree")
    for number in range(12):
        (tmp_path / "tree" / f"lock{number}.json").write_text(
            json.dumps({"name": f"package {number}", "wanted": [number]})
        )

    def languages_in(out, *more, source=tmp_path / "tree"):
        assert 0 == run(place, tmp_path / out, "--gaps", "2", *more, source=source)
        funnel = json.loads((tmp_path / out / "dataset" / "funnel.json").read_text())
        return {entry["lang"] for entry in funnel["funnel"] if entry["recipes"]["base"]["files"]}

    assert languages_in("default") == {"Python"}
    assert languages_in("asked", "--languages", "python", "JSON") == {"Python", "JSON"}
    write_rows([tmp_path / "tree"], tmp_path / "rows", progress=str)
    assert languages_in("of-rows", source=tmp_path / "rows") == {"Python", "JSON"}


def test_languages_of_a_finished_dataset_are_an_error(place, tmp_path, capsys):
    """It has what it has; the recipe chooses."""
    assert 2 == run(place, tmp_path / "out", "--languages", "Python")
    assert "is a finished dataset. Leave it out" in capsys.readouterr().err
