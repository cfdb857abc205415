"""Training with nanotron on a CPU: the losses of transformers, one GPU's or two's, killed or not."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import modeling_santa.training
from hf_santa.repositories.clean_process import open_in_clean_process
from hf_santa.repositories.write import stage_model
from modeling_santa import convert_checkpoint
from modeling_santa.configuration_santa import SantaConfig
from modeling_santa.corpus.fim_samples import pack
from modeling_santa.modeling_santa import SantaForCausalLM
from modeling_santa.tokenizer.train import load_tokenizer, save_tokenizer, train_tokenizer
from modeling_santa.training.nanotron.gpu_report import reference_losses, run_losses
from modeling_santa.training.nanotron.recipes import RUN_RECIPES, config_path

pytestmark = pytest.mark.slow
SEQ_LEN = 64
SHAPE = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 128}
TINY = [f"--set=model.model_config.{name}={value}" for name, value in SHAPE.items()]
TINY += [f"--set=tokens.sequence_length={SEQ_LEN}", f"--set=model.model_config.max_position_embeddings={SEQ_LEN}"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A tokenizer and a packed corpus of generated code."""
    folder = tmp_path_factory.mktemp("data")
    texts = [f"def add_{n}(a, b):\n    return a + b * {n}\n\n\nclass C{n}:\n    x = {n * n}\n" for n in range(400)]
    tokenizer = train_tokenizer(texts, vocab_size=300)
    save_tokenizer(tokenizer, folder / "tokenizer", n_positions=SEQ_LEN)
    pack(texts, tokenizer, folder / "corpus")
    return folder


def arguments(data, out, *more, steps):
    tokenizer = data / "tokenizer"
    size = load_tokenizer(tokenizer).get_vocab_size(with_added_tokens=True)
    fixed = ["train", "--config=cpu", f"--corpus={data / 'corpus'}", f"--tokenizer={tokenizer}", f"--out={out}"]
    settings = [
        *TINY,
        f"--set=model.model_config.vocab_size={size}",
        f"--steps={steps}",
        "--device=cpu",
        "--max-epochs=50",
    ]
    return [str(Path(sys.executable).with_name("hf-santa")), *fixed, *settings, *more]


def train(data, out, *more, steps=4, expected=0, **environment):
    done = subprocess.run(
        arguments(data, out, *more, steps=steps),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    assert expected == done.returncode, done.stdout[-2000:] + done.stderr[-4000:]
    return done


def weights(checkpoint):
    return {p.relative_to(checkpoint): p.read_bytes() for p in (checkpoint / "model").rglob("*.safetensors")}


def test_converting_needs_no_nanotron(tmp_path):
    """The converter imports neither nanotron nor its parser."""
    SantaForCausalLM(SantaConfig(vocab_size=128, n_positions=8, n_embd=8, n_layer=1, n_head=2)).save_pretrained(
        tmp_path / "a"
    )
    code = (
        "import sys; sys.modules.update(nanotron=None, dacite=None)\n"
        "from modeling_santa import convert_checkpoint as c\n"
        "c(sys.argv[1] + '/a', sys.argv[1] + '/b', layout='nanotron'); c(sys.argv[1] + '/b', sys.argv[1] + '/c')"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True)
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (tmp_path / "c" / "model.safetensors").read_bytes()


PARSE = """
import sys
from modeling_santa.training.nanotron.compat import prepare
prepare(is_cpu=True)
from nanotron.config import get_config_from_file
from modeling_santa.training.nanotron.model import SantaTrainConfig
for path in sys.argv[1:]:
    config = get_config_from_file(path, config_class=SantaTrainConfig)
    print(config.global_batch_size, config.tokens.train_steps, type(config.model.model_config).__name__)
"""


def test_every_file_parses_with_nanotron_s_own_classes():
    """The strict parser of nanotron 0.4 takes each generated file, and its numbers are the table's."""
    paths = [str(config_path(name)) for name in RUN_RECIPES]
    done = subprocess.run([sys.executable, "-c", PARSE, *paths], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        f"{recipe.dp * recipe.micro_batch * recipe.accumulation} {recipe.steps} SantaNanotronConfig"
        for recipe in RUN_RECIPES.values()
    ]


if "NANOTRON_HEAD" in os.environ:  # a checkout; no registry has it, so that CI cannot install it

    def test_every_file_for_the_head_parses_with_its_classes():
        """The strict parser of nanotron's git head takes each file in configs/head/."""
        paths = [str(config_path(name, "head")) for name in RUN_RECIPES]
        script = Path(__file__).parents[1] / "fixtures" / "nanotron_head.py"
        environment = {**os.environ, "PYTHONPATH": str(Path(os.environ["NANOTRON_HEAD"]) / "src")}
        done = subprocess.run(
            [sys.executable, script, *paths], capture_output=True, text=True, check=False, env=environment
        )
        assert done.stdout.splitlines() == [
            f"{recipe.dp * recipe.micro_batch * recipe.accumulation} {recipe.steps} AdamWOptimizerArgs"
            for recipe in RUN_RECIPES.values()
        ], done.stderr[-2000:]


@pytest.mark.parametrize("kv_heads", [1, 4], ids=["multi_query", "multi_head"])
def test_twenty_steps_have_the_losses_of_transformers(data, tmp_path, kv_heads):
    """From the same weights, on the same samples, with the same AdamW: within 1e-5 at every step, in float32."""
    flags = [f"--set=model.model_config.num_key_value_heads={kv_heads}", "--set=checkpoints.save_initial_state=true"]
    train(data, tmp_path / "run", *flags, steps=20)
    folder = convert_checkpoint(tmp_path / "run" / "checkpoints" / "0", tmp_path / "start")
    assert (kv_heads == 1) is json.loads((folder / "config.json").read_text())["multi_query"]
    found = run_losses(tmp_path / "run")
    expected = reference_losses(tmp_path / "run", data / "corpus", data / "tokenizer", folder)
    assert set(range(1, 21)) == set(found) == set(expected)
    assert max(abs(found[step] - expected[step]) for step in found) <= 1e-5
    assert expected[20] < expected[1] - 0.1


WANDB = """
import os
def note(line):
    with open(os.environ["WANDB_LINES"], "a") as lines:
        print(line, file=lines)
def init(project, **_):
    note(f"init {project}")
def log(record, step):
    note(step)
"""


def test_a_checkpoint_becomes_a_staged_repository_and_a_start(data, tmp_path):
    """It is converted and staged, opens in a clean process; converted back, another run starts from it. --wandb logs."""
    (tmp_path / "wandb.py").write_text(WANDB)
    train(data, tmp_path / "run", "--wandb", steps=2, PYTHONPATH=str(tmp_path), WANDB_LINES=str(tmp_path / "lines"))
    assert ["init hf-santa", "1", "2"] == (tmp_path / "lines").read_text().splitlines()
    model = convert_checkpoint(tmp_path / "run" / "checkpoints", tmp_path / "model")
    stage_model(model, data / "tokenizer", tmp_path / "staged")
    seen = open_in_clean_process("model", {"name": str(tmp_path / "staged")})
    assert seen["max_abs_logit_difference"] <= 1e-5 * seen["max_abs_logit"]
    start = convert_checkpoint(model, tmp_path / "start", layout="nanotron")
    flags = [f"--set=model.init_method={{path: {start}}}", "--set=checkpoints.save_initial_state=true"]
    train(data, tmp_path / "again", *flags, steps=1)
    assert weights(tmp_path / "run" / "checkpoints" / "2") == weights(tmp_path / "again" / "checkpoints" / "0")


def test_two_processes_with_zero_equal_one_with_twice_the_micro_batch(data, tmp_path):
    """Two with ZeRO-1, 4 sequences each, stopped once, have the losses of one with 8: within 1e-5 at every step."""
    train(data, tmp_path / "one", steps=8)
    for steps in (4, 8):
        flags = ["--gpus=2", "--set=optimizer.zero_stage=1", "--set=tokens.micro_batch_size=4"]
        train(data, tmp_path / "two", *flags, steps=steps)
    config = yaml.safe_load((tmp_path / "two" / "config.yaml").read_text())
    assert (2, 4, 1) == (
        config["parallelism"]["dp"],
        config["tokens"]["micro_batch_size"],
        config["tokens"]["batch_accumulation_per_replica"],
    )
    one, two = run_losses(tmp_path / "one"), run_losses(tmp_path / "two")
    assert set(range(1, 9)) == set(one) == set(two)
    assert max(abs(one[step] - two[step]) for step in one) <= 1e-5


BF16 = ["--set=model.dtype=bfloat16", "--set=optimizer.accumulate_grad_in_fp32=true", "--set=optimizer.zero_stage=1"]


@pytest.mark.parametrize(
    ("flags", "kills"),
    [([], ("step 1/6", "step 3/6", "checkpoints/.partial/4")), (BF16, ("step 3/6",))],
    ids=["float32", "bfloat16"],
)
def test_a_killed_run_goes_on_to_the_same_bytes(data, tmp_path, flags, kills):
    """Killed before the first checkpoint, between two, and while one is written: weights and losses are the same."""
    dropout = [f"--set=model.model_config.{kind}_pdrop=0.1" for kind in ("attn", "resid", "embd")]
    flags = [*flags, *dropout, "--set=checkpoints.checkpoint_interval=2"]
    train(data, tmp_path / "whole", *flags, steps=6)
    for line in kills:
        command = arguments(data, tmp_path / "killed", *flags, steps=6)
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        ) as run:
            seen = next((printed for printed in run.stdout if line in printed), None)
            os.killpg(run.pid, signal.SIGKILL)
        assert seen, f"the run ended before {line!r}"
        assert -signal.SIGKILL == run.returncode
    train(data, tmp_path / "killed", *flags, steps=6)
    assert run_losses(tmp_path / "whole") == run_losses(tmp_path / "killed")
    expected, found = (weights(tmp_path / name / "checkpoints" / "6") for name in ("whole", "killed"))
    assert expected
    assert expected == found


def test_a_loss_that_is_no_number_stops_the_run(data, tmp_path):
    """The message has the step, the samples and the last good checkpoint, which stays."""
    rate = "--set=optimizer.learning_rate_scheduler.learning_rate=1e30"
    done = train(data, tmp_path / "run", rate, "--set=checkpoints.checkpoint_interval=1", steps=9, expected=3)
    assert "the loss at step 3 is nan (samples 16 to 23 of the run)" in done.stderr
    assert "the last good checkpoint is that of step 2" in done.stderr
    assert "2" == (tmp_path / "run" / "checkpoints" / "latest.txt").read_text()


def test_damaged_tokens_stop_the_run(data, tmp_path):
    """A shard whose bytes are not those of its index stops the run before it begins."""
    shutil.copytree(data, tmp_path / "data")
    path = tmp_path / "data" / "corpus" / "tokens-00000.bin"
    path.write_bytes(b"\xff\xff" * (path.stat().st_size // 2))
    done = train(tmp_path / "data", tmp_path / "run", expected=2)
    assert "tokens-00000.bin is corrupt: its sha256 is" in done.stderr


GPU_CHECK = Path(modeling_santa.training.__file__).with_name("gpu_check.sh")


@pytest.mark.parametrize(
    ("what", "said"),
    [("throughput", '"mfu": '), ("parity", '"largest_difference": '), ("proxy", "canonical layout")],
)
def test_the_gpu_check_runs_on_a_cpu_too(data, tmp_path, what, said):
    """Each command of gpu_check.sh works to its end with a tiny model."""
    bin_folder = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"}
    command = [GPU_CHECK, what, data / "corpus", data / "tokenizer", tmp_path, "--device", "cpu", "--tiny"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert 0 == done.returncode, done.stdout[-2000:] + done.stderr[-3000:]
    assert said in done.stdout


FULL = 'mount -t tmpfs -o size=600k tmpfs "$0" && "$@"; code=$?; cat "$0/checkpoints/latest.txt"; ls "$0/checkpoints"; exit $code'


def test_a_full_disk_leaves_the_last_good_checkpoint(data, tmp_path):
    """On a file system that holds one checkpoint, the second fails with a message and the first stays whole."""
    (tmp_path / "run").mkdir()
    inside = arguments(data, tmp_path / "run", "--set=checkpoints.checkpoint_interval=1", steps=9)
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", FULL, str(tmp_path / "run"), *inside]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert 3 == done.returncode, done.stdout[-2000:] + done.stderr[-3000:]
    assert "cannot be written" in done.stderr
    assert "Make room and start again: the last good checkpoint is that of step" in done.stderr
    latest, *folders = done.stdout.splitlines()[-3:]
    assert latest.split()[0] in " ".join(folders)
