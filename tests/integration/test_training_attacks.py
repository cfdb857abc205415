"""Training commands under kill -9 and on a full disk, in processes of their own."""

import os
import signal
import subprocess
import sys

import pytest

SOURCE = "".join(f"def f_{n}(a):\n    return a + {n}\n" for n in range(40))
TRAIN = """
import sys, torch
from pathlib import Path
from modeling_santa import SantaConfig, SantaForCausalLM
from modeling_santa.corpus.fim_samples import FimDataset, read_tokens
from modeling_santa.training.loop.loop import TrainingPlan, train
from modeling_santa.tokenizer.train import load_tokenizer, padded_vocab_size
folder, out = map(Path, sys.argv[1:])
tokenizer = load_tokenizer(folder / "tokenizer")
dataset = FimDataset(read_tokens(folder / "corpus"), tokenizer, seq_len=32)
torch.manual_seed(0)
model = SantaForCausalLM(SantaConfig(
    vocab_size=padded_vocab_size(tokenizer), n_positions=32, n_embd=32, n_layer=1, n_head=2))
plan = TrainingPlan.report(30, batch_size=2, other_lr=1e-2, save_every=3, evaluate_every=10)
heldout = dataset.tokens[:66].reshape(2, 33).astype("int64")
train(model, dataset, plan, out, heldout=heldout, heldout_bytes=100, on_step=lambda r: print(r["step"], flush=True))
"""
FULL = 'mount -t tmpfs -o size=200k tmpfs "$0" && exec "$@"'


def hf_santa(*arguments):
    return [sys.executable, "-c", "import sys; from hf_santa.cli import main; sys.exit(main())", *map(str, arguments)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("training")
    (root / "tree").mkdir()
    for number in range(6):
        (root / "tree" / f"{number}.py").write_text(SOURCE * (number + 1))
    source, tokenizer = root / "tree", root / "tokenizer"
    subprocess.run(hf_santa("tokenizer", "train", source, "--out", tokenizer, "--vocab-size", 300), check=True)
    subprocess.run(
        hf_santa("tokenizer", "pack", source, "--tokenizer", tokenizer, "--out", root / "corpus"), check=True
    )
    return root


def last_checkpoint(out):
    return {path.name: path.read_bytes() for path in (out / "step-000030").iterdir() if path.suffix == ".safetensors"}


def test_kill_9_and_again_gives_the_same_bytes(folder, tmp_path):
    """Killed twice without a warning, with the report's optimizer: weights and optimizer state end the same."""
    command = [sys.executable, "-c", TRAIN, folder]
    subprocess.run([*command, tmp_path / "whole"], check=True, stdout=subprocess.DEVNULL)
    for step in ("5", "16"):
        with subprocess.Popen([*command, tmp_path / "hit"], stdout=subprocess.PIPE, text=True) as process:
            while process.stdout.readline().strip() != step:
                assert process.poll() is None
            process.send_signal(signal.SIGKILL)
    subprocess.run([*command, tmp_path / "hit"], check=True, stdout=subprocess.DEVNULL)
    assert last_checkpoint(tmp_path / "whole") == last_checkpoint(tmp_path / "hit")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_leaves_the_last_good_checkpoint(folder, tmp_path):
    """On a disk of 200 kB the run stops, names what stays, and leaves nothing half written."""
    small = tmp_path / "small"
    small.mkdir()
    keep = f'"$@"; code=$?; cp -r {small} {tmp_path}/kept; exit $code'
    script = FULL.replace('exec "$@"', keep)
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, small, sys.executable, "-c", TRAIN, folder, small],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "could not be written" in done.stderr, done.stderr
    assert "stays. Free some space and run the same again" in done.stderr
    left = sorted(path.name for path in (tmp_path / "kept").iterdir())
    assert all(name.startswith("step-") for name in left)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_stops_packing(folder, tmp_path):
    """The command says where it stopped and that it goes on there; no half shard is left."""
    small, big = tmp_path / "small", tmp_path / "big"
    small.mkdir()
    big.mkdir()
    for number in range(40):
        (big / f"{number}.py").write_text(SOURCE * 15)
    command = hf_santa("tokenizer", "pack", big, "--tokenizer", folder / "tokenizer", "--out", small)
    script = FULL.replace('exec "$@"', '"$@"; code=$?; ls -A "$0"; exit $code')
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, small, *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "No space left on device while writing shard 0" in done.stderr
    assert done.stdout.split() == ["index.jsonl"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda _: None, "does not exist. Give a dataset folder"),
        (lambda path: path.with_suffix(".jsonl"), "line 2 is no JSON"),
        (lambda path: path.with_suffix(".parquet"), "is no readable parquet file"),
        (lambda path: path.with_suffix(".csv"), "is neither .parquet nor .jsonl"),
    ],
)
def test_a_bad_source_is_one_line(tmp_path, make, message):
    """Missing, broken or foreign: the message says what was found and what to give."""
    path = make(tmp_path / "source")
    if path:
        path.write_text('{"content": "a"}\n{"content"\n')
    command = hf_santa("tokenizer", "train", path or tmp_path / "none", "--out", tmp_path / "out", "--vocab-size", 300)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert message in done.stderr
