"""`hf-santa pretrain`: from a source tree to a measured folder, and two processes that train as one."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from transformers import AutoModelForCausalLM

from hf_santa.cli import main

WORKER = "modeling_santa.training.loop.worker"


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Twelve packages of four modules each, all different."""
    root = tmp_path_factory.mktemp("pretrain") / "tree"
    for package in range(12):
        folder = root / f"package_{package}"
        folder.mkdir(parents=True)
        for module in range(4):
            lines = [
                f"def area_{package}_{module}_{n}(width, height=[{n * 7919 % 1000}, {n * 104729 % 997}]):\n"
                f"    total = width * height[{n % 2}] + {package * module + n}\n    return total, 'n{n * n * package}'\n\n\n"
                for n in range(40)
            ]
            (folder / f"m{module}.py").write_text("".join(lines))
    return root


def pretrain(tree, out, *more):
    words = ["pretrain", "--source", tree, "--out", out, "--recipe", "base", "--heldout", "0.3", "--gaps", "6"]
    return main([*map(str, words), "--device", "cpu", *more])


@pytest.fixture(scope="module")
def trained(tree, tmp_path_factory):
    """A finished run of some twenty steps of the smallest model."""
    out = tmp_path_factory.mktemp("pretrain") / "out"
    assert 0 == pretrain(tree, out, "--flops", "8e10")
    return out


def test_source_to_measured_model(trained):
    """Files of whole packages are held back; the folder is canonical; costs fall below the unigram table's or the run is tiny."""
    results = json.loads((trained / "results.json").read_text())
    assert results["heldout_files"] == 4 * results["heldout_packages"]
    card = (trained / "model" / "README.md").read_text()
    assert f"{results['bits_per_byte']:.3f}" in card
    assert "a 5-gram table of the training tokens | exact_match" in card
    assert 0 < results["bits_per_byte"] < 8
    assert {"bits_per_byte", "token_accuracy", "stops", "tasks"} == set(results["infilling"]["spm"])
    assert 0 < results["baselines"]["five_gram"]["bits_per_byte"] < results["unigram_bits_per_byte"]
    model = AutoModelForCausalLM.from_pretrained(trained / "model")
    assert (64, results["parameters"]) == (model.config.n_embd, sum(weight.numel() for weight in model.parameters()))
    run = json.loads((trained / "run.json").read_text())
    assert run["fim"] == {"fim_rate": 0.5, "spm_rate": 0.5, "line_rate": 0.5, "mode": "whole"}


def test_again_is_the_same_and_other_settings_are_refused(tree, trained, capsys):
    """A finished run is not trained again; another seed in the same folder is a mistake that is named."""
    before = (trained / "checkpoints" / "loss.jsonl").read_text()
    assert 0 == pretrain(tree, trained, "--flops", "8e10", "--json")
    assert before == (trained / "checkpoints" / "loss.jsonl").read_text()
    assert json.loads(capsys.readouterr().out)["is_timed_out"] is False
    assert 2 == pretrain(tree, trained, "--flops", "8e10", "--seed", "3")
    assert "was begun with seed=0, and now it is 3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ((), "Give either --minutes or --flops"),
        (("--minutes", "1", "--flops", "1"), "Give either --minutes or --flops"),
        (("--minutes", "nan"), "Give a number above 0"),
        (("--flops", "1e6"), "not enough for one step"),
        (("--flops", "1e10", "--line-rate", "2"), "--line-rate is 2.0. Give a share"),
    ],
)
def test_what_cannot_be_trained_is_one_line(tree, tmp_path, capsys, more, message):
    """Too little of a budget, none or two, and shares that are none."""
    words = ["pretrain", "--source", str(tree), "--out", str(tmp_path / "out"), "--recipe", "base", "--device", "cpu"]
    assert 2 == main([*words, *more])
    assert message in capsys.readouterr().err


def test_one_package_cannot_be_held_back(tree, tmp_path, capsys):
    """A tree of a single package leaves nothing to measure on."""
    shutil.copytree(tree / "package_0", tmp_path / "tree" / "package_0")
    assert 2 == pretrain(tmp_path / "tree", tmp_path / "out", "--flops", "1e10")
    assert "give at least two packages" in capsys.readouterr().err


def test_other_languages_are_left_out(tree, trained, tmp_path, capsys):
    """Files of other languages are not trained on; of a finished dataset no language can be chosen."""
    assert 2 == pretrain(tree, tmp_path / "out", "--flops", "1e10", "--languages", "Java")
    assert "none of 48 files is left" in capsys.readouterr().err
    assert 2 == pretrain(trained / "dataset", tmp_path / "other", "--flops", "1e10", "--languages", "python")
    assert "is a finished dataset. Leave it out" in capsys.readouterr().err


def test_two_processes_train_as_one(trained, tmp_path):
    """Two processes of torchrun, each with half of a step's sequences: the losses of one process to 1e-5, in float32."""
    float32 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "OMP_NUM_THREADS": "1"}  # a processor on which bfloat16 is slow
    losses = {}
    for count in (1, 2):
        out = tmp_path / str(count)
        out.mkdir()
        for name in ("tokenizer", "corpus"):
            shutil.copytree(trained / name, out / name)
        run = json.loads((trained / "run.json").read_text())
        run["plan"] |= {"steps": 6, "log_every": 1, "micro_batch": 2, "optimizer": "adamw", "other_lr": 1e-3}
        (out / "run.json").write_text(json.dumps(run))
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"] if count > 1 else []
        command = [sys.executable, *launcher, "-m", WORKER, str(out / "run.json")]
        done = subprocess.run(command, env={**os.environ, **float32}, capture_output=True, text=True, check=False)
        assert 0 == done.returncode, done.stderr[-3000:]
        lines = (out / "checkpoints" / "loss.jsonl").read_text().splitlines()
        losses[count] = [json.loads(line)["loss"] for line in lines]
    assert len(losses[1]) == 6
    assert losses[1] == pytest.approx(losses[2], abs=1e-5)
    assert torch.isfinite(torch.tensor(losses[1])).all()
