"""Training recipes equal the published script, mistakes in a configuration are named, and samples come in one order."""

import json
import re

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from transformers import GPTBigCodeConfig, GPTBigCodeForCausalLM

from hf_santa.cli import main
from modeling_santa.corpus.fim_samples import FimDataset, pack, read_tokens
from modeling_santa.tokenizer.train import save_tokenizer
from modeling_santa.training.nanotron.estimate import estimate, flops_per_token, parameter_count
from modeling_santa.training.nanotron.loader import MicroBatches, Samples, shuffled
from modeling_santa.training.nanotron.recipes import DEVIATIONS, RUN_RECIPES, SCHEMAS, as_config, as_yaml, config_path
from modeling_santa.training.nanotron.settings import load_settings, sequences_a_step

PUBLISHED = ("santacoder-1.1b", "mha", "no-fim", "fim", "stars", "comments", "fertility", "dedup-alt", "final")


def run(*words):
    return main(["train", *map(str, words)])


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("name", RUN_RECIPES)
def test_files_are_generated_from_the_table(name, schema):
    """Each file in `configs/` is what the table gives, and marks every deviation that it has."""
    text = config_path(name, schema).read_text()
    assert as_yaml(RUN_RECIPES[name], schema) == text
    assert yaml.safe_load(text) == as_config(RUN_RECIPES[name], schema)
    for line, remark in DEVIATIONS.items():
        assert text.count(f" {line}\n") == 0
        assert (f"{line}  # {remark}" in text) is bool(re.search(rf"^ +{line}\b", text, re.MULTILINE))


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("name", PUBLISHED)
def test_effective_numbers_are_those_of_the_published_script(name, schema):
    """Batch, tokens, schedule, optimizer and shape equal pretrain_gpt_1B_santacoder.sh's, whatever the GPUs."""
    config = as_config(RUN_RECIPES[name], schema)
    tokens, optimizer = config["tokens"], config["optimizer"]
    rate = optimizer["learning_rate_scheduler"]
    adam = optimizer.get("optimizer_factory", optimizer)
    assert (192, 2048) == (sequences_a_step(config), tokens["sequence_length"])
    assert (600_000 if name in {"santacoder-1.1b", "final"} else 300_000) == tokens["train_steps"]
    assert (2e-4, 0.0, "linear", "cosine") == (
        rate["learning_rate"],
        rate["min_decay_lr"],
        rate["lr_warmup_style"],
        rate["lr_decay_style"],
    )
    assert 0.02 * 600_000 == rate["lr_warmup_steps"] == rate["lr_decay_starting_step"]
    assert 600_000 == rate["lr_decay_starting_step"] + rate["lr_decay_steps"]
    assert (0.9, 0.95, 1e-8) == (adam["adam_beta1"], adam["adam_beta2"], adam["adam_eps"])
    assert (0.1, 1.0, 4000) == (
        optimizer["weight_decay"],
        optimizer["clip_grad"],
        config["checkpoints"]["checkpoint_interval"],
    )
    assert (0.0 if name == "no-fim" else 0.5, 0.5) == (config["fim"]["fim_rate"], config["fim"]["spm_rate"])
    model = config["model"]["model_config"]
    assert (1_313_722_368 if name == "mha" else 1_124_886_528) == parameter_count(model)
    assert {0.1} == {model[f"{kind}_pdrop"] for kind in ("attn", "resid", "embd")}
    assert 0.022 == config["model"]["init_method"]["std"]


@pytest.mark.parametrize("name", RUN_RECIPES)
def test_parameters_are_counted_as_transformers_does(name):
    """The formula gives the number of weights of GPTBigCode's own model; a proxy has about what its name says."""
    model = as_config(RUN_RECIPES[name])["model"]["model_config"]
    vocab = -(-model["vocab_size"] // 128) * 128
    with torch.device("meta"):
        built = GPTBigCodeForCausalLM(
            GPTBigCodeConfig(
                vocab_size=vocab,
                n_positions=model["max_position_embeddings"],
                n_embd=model["hidden_size"],
                n_layer=model["num_hidden_layers"],
                n_head=model["num_attention_heads"],
                multi_query=model["num_key_value_heads"] == 1,
            )
        )
    count = sum(weight.numel() for weight in built.parameters())
    assert count == parameter_count(model)
    millions = re.fullmatch(r"proxy-(\d+)m", name)
    assert millions is None or abs(count / 1e6 / int(millions[1]) - 1) < 0.02


def test_costs_are_the_known_ones():
    """The 1.1B model costs 7.929 GFLOP a token and 1.87e21 in all; ZeRO-1 shares 12 bytes a weight."""
    config = as_config(RUN_RECIPES["santacoder-1.1b"])
    found = estimate(config)
    assert 7.929e9 == pytest.approx(flops_per_token(config["model"]["model_config"], 2048), rel=1e-4)
    assert (235_929_600_000, 1.87e21) == (found.tokens, pytest.approx(found.flops, rel=1e-3))
    assert (8 + 12 / 8) * found.parameters == found.weights
    assert found.flops / (8 * 989e12 * 0.4) / 3600 == pytest.approx(found.hours)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modle: {}", "has the unknown key 'modle'. Did you mean 'model'?"),
        ("tokens: {train_stepz: 3}", "unknown key 'tokens.train_stepz'. Did you mean 'train_steps'?"),
        ("data_stages: []", "unknown key 'data_stages'. It belongs to the schema of nanotron head: use --schema head."),
        ("optimizer: {optimizer_factory: {}}", "belongs to the schema of nanotron head"),
        ("tokens: 3", "tokens is 3, expected a section"),
        ("tokens: {train_steps: many}", "tokens.train_steps is 'many', expected a number"),
        ("general: {}", "lacks general.project, general.run"),
        ("- 1", "holds a list, expected sections"),
        ("a: [", "is not YAML"),
    ],
)
def test_a_mistake_in_a_file_is_named(tmp_path, text, message):
    """An unknown key comes with the nearest known one; a wrong kind of value and a missing key with their names."""
    path = tmp_path / "mine.yaml"
    config = as_config(RUN_RECIPES["cpu"])
    given_here = yaml.safe_load(text) if "[" not in text else None
    if isinstance(given_here, dict):
        merged = {k: {**config.get(k, {}), **v} if isinstance(v, dict) and v else v for k, v in given_here.items()}
        text = yaml.safe_dump({**config, **merged})
    path.write_text(text)
    with pytest.raises(ValueError, match=re.escape(message)):
        load_settings(str(path))


def test_a_file_and_settings_are_taken(tmp_path, capsys):
    """A printed configuration is a file that can be given back, and --set, --steps and --gpus change it."""
    assert 0 == run("--config=fim", "--print", "--gpus=96", "--steps=7", "--set=optimizer.weight_decay=1e-2")
    (tmp_path / "mine.yaml").write_text(capsys.readouterr().out)
    config = load_settings(str(tmp_path / "mine.yaml"))
    assert (96, 2, 1) == (
        config["parallelism"]["dp"],
        config["tokens"]["micro_batch_size"],
        config["tokens"]["batch_accumulation_per_replica"],
    )
    assert (7, 0.01, 192) == (
        config["tokens"]["train_steps"],
        config["optimizer"]["weight_decay"],
        sequences_a_step(config),
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--config=mah"], "'mah' is neither a file nor a configuration. Did you mean 'mha'?"),
        ([], "--config is missing"),
        (["--config=fim", "--gpus=7"], "192 sequences a step cannot be shared by 7 GPUs"),
        (["--config=fim", "--set=tokens.train_steps"], "is no setting. Write it as"),
        (["--config=fim", "--set=tokens.stepz=1"], "--set has the unknown key 'tokens.stepz'"),
        (["--config=fim", "--dry-run", "--mfu=0"], "--mfu 0 is no share"),
        (["--config=fim", "--steps=0"], "0 steps train nothing"),
        (["--config=fim", "--out=x"], "--corpus, --tokenizer missing"),
        (["--config=fim", "--schema=head", "--corpus=a", "--tokenizer=b", "--out=c"], "--schema head is for --print"),
    ],
)
def test_a_mistake_on_the_command_line_is_named(capsys, words, message):
    """One line on standard error, exit code 2."""
    assert 2 == run(*words)
    said = capsys.readouterr().err
    assert said.startswith("hf-santa train: ")
    assert message in said
    assert 1 == said.count("\n")


@pytest.fixture(scope="module")
def data(tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    save_tokenizer(tokenizer, folder / "tokenizer", n_positions=32)
    pack([f"def f_{n}(a):\n    return a + {n}\n" for n in range(200)], tokenizer, folder / "corpus")
    return folder


def start(data, out, *words):
    given_paths = [f"--corpus={data / 'corpus'}", f"--tokenizer={data / 'tokenizer'}", f"--out={out}"]
    return run(*given_paths, *words)


def test_gpus_that_are_not_there_are_missed(data, tmp_path, capsys, monkeypatch):
    """A configuration for 8 GPUs on a machine with none says so, and what else to do; nothing is written."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert 2 == start(data, tmp_path / "run", "--config=fim")
    said = capsys.readouterr().err
    assert "asks for 8 GPUs (parallelism.dp), this machine has 0. Use --dry-run here" in said
    assert not (tmp_path / "run").exists()


def test_data_that_does_not_fit_is_refused(data, tokenizer, tmp_path, capsys):
    """Another vocabulary, too few tokens, and an unfinished or cut corpus each have their message."""
    size = tokenizer.get_vocab_size(with_added_tokens=True)
    fits = ["--config=cpu", "--device=cpu", f"--set=model.model_config.vocab_size={size}"]
    assert 2 == start(data, tmp_path / "run", "--config=cpu")
    assert f"has {size} tokens, the configuration's vocab_size is 4101" in capsys.readouterr().err
    assert 2 == start(data, tmp_path / "run", *fits, "--steps=200")
    assert re.search(r"200 steps take 409,600 tokens, .* times the same text", capsys.readouterr().err)
    tokens = data / "corpus" / "tokens-00000.bin"
    whole = tokens.read_bytes()
    try:
        tokens.write_bytes(whole[:-2])
        assert 2 == start(data, tmp_path / "run", *fits)
        assert "Pack it again" in capsys.readouterr().err
        tokens.unlink()
        assert 2 == start(data, tmp_path / "run", *fits)
        assert "is missing" in capsys.readouterr().err
    finally:
        tokens.write_bytes(whole)


def test_a_slurm_script_names_nodes_and_the_run(data, tokenizer, tmp_path, capsys):
    """96 GPUs are 12 nodes of 8; the script starts the worker on the configuration that was written."""
    size = tokenizer.get_vocab_size(with_added_tokens=True)
    words = ["--config=fim", "--gpus=96", "--slurm", "--max-epochs=1e9", f"--set=model.model_config.vocab_size={size}"]
    assert 0 == start(data, tmp_path / "run", *words)
    script = capsys.readouterr().out
    assert "#SBATCH --nodes=12\n" in script
    assert "#SBATCH --gpus-per-node=8\n" in script
    assert f"nanotron.worker {tmp_path / 'run' / 'config.yaml'} --corpus" in script
    assert "@" not in script
    written = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert str(tmp_path / "run" / "checkpoints") == written["checkpoints"]["resume_checkpoint_path"]


@given(st.integers(1, 300), st.integers(0, 5), st.integers(0, 3))
def test_an_epoch_is_a_permutation(size, seed, epoch):
    """Every sample comes once an epoch."""
    assert list(range(size)) == sorted(shuffled(place, size, seed=seed, epoch=epoch) for place in range(size))


def test_epochs_and_seeds_differ():
    """Another epoch or seed is another order."""
    orders = {(s, e): tuple(shuffled(p, 50, seed=s, epoch=e) for p in range(50)) for s in (0, 1) for e in (0, 1)}
    assert 4 == len(set(orders.values()))


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(0, 2))
def test_ranks_share_a_step_and_resumption_skips_none(size, accumulation, dp, first):
    """The ranks' samples of the steps from `first` on are all of them, each once."""
    settings = {"size": size, "accumulation": accumulation, "dp": dp, "steps": 4, "first_step": first}
    ranks = [list(MicroBatches(rank=rank, **settings)) for rank in range(dp)]
    assert {len(MicroBatches(rank=0, **settings))} == {len(rank) for rank in ranks} == {(4 - first) * accumulation}
    step = size * accumulation * dp
    numbers = sorted(number for rank in ranks for batch in rank for number in batch)
    assert list(range(first * step, 4 * step)) == numbers


def test_samples_go_on_into_the_next_epoch_and_count_tokens(data, tokenizer):
    """Sample n + len is of the next epoch; the counters that nanotron's head asks for follow the steps."""
    fim = FimDataset(read_tokens(data / "corpus"), tokenizer, seq_len=32, seed=3, fim_rate=0.0)
    samples = Samples(fim, seed=3, vocab_size=tokenizer.get_vocab_size(with_added_tokens=True), folder="c")
    first = [samples[n]["input_ids"] for n in range(len(samples))]
    second = [samples[n + len(samples)]["input_ids"] for n in range(len(samples))]
    assert sorted(map(torch.Tensor.tolist, first)) == sorted(map(torch.Tensor.tolist, second))
    assert not all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    item = samples[0]
    assert {"input_ids", "input_mask", "label_ids", "label_mask"} == set(item)
    assert torch.equal(item["input_ids"][1:], item["label_ids"][:-1])
    samples.update_consumption_metrics(0, 8, 32)
    assert {"c": {"tokens": 256}} == samples.get_consumption_stats()
    with pytest.raises(ValueError, match="run backwards"):
        samples.update_consumption_metrics(8, 0, 32)


def test_every_recipe_is_listed(capsys):
    """--list has a line a recipe; --dry-run prints the figures and warns of too little memory."""
    assert 0 == run("--list")
    assert list(RUN_RECIPES) == [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert 0 == run("--config=santacoder-1.1b", "--dry-run", "--gpu=v100")
    said = capsys.readouterr().out
    assert "1,124,886,528 parameters" in said
    assert "235,929,600,000 in 600,000 steps" in said
    assert "warning: more than the 32 GB of one v100" in said


def test_the_corpus_must_be_of_the_tokenizer_and_the_recipe(data, tokenizer, tmp_path, capsys):
    """A corpus that says it was packed with another tokenizer, or from another recipe, is refused."""
    about = data / "corpus" / "corpus.json"
    text = about.read_text()
    size = tokenizer.get_vocab_size(with_added_tokens=True)
    try:
        about.write_text(json.dumps({**json.loads(text), "tokenizer_digest": "0" * 64}))
        assert 2 == start(data, tmp_path / "run", "--config=cpu", f"--set=model.model_config.vocab_size={size}")
        assert "was packed with the tokenizer 000000000000… of" in capsys.readouterr().err
        about.write_text(json.dumps({**json.loads(text), "recipe": "stars"}))
        assert 2 == start(data, tmp_path / "run", "--config=cpu", f"--set=model.model_config.vocab_size={size}")
        assert "was packed from recipe 'stars', the configuration trains on 'base'" in capsys.readouterr().err
    finally:
        about.write_text(text)
