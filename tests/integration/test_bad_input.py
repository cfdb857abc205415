"""Bad input of every kind, to every command: one line that begins with the command, the right exit code, no traceback."""

import json

import pytest

from hf_santa.cli import build_parser, commands_of
from modeling_santa.tokenizer.train import save_tokenizer, train_tokenizer
from tests.fixtures.tiny import save_tiny_model

_TEXTS = [f"def f_{n}(a, b):\n    return a + b + {n}\n" for n in range(40)]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with files that are not what they are taken for."""
    root = tmp_path_factory.mktemp("bad")
    (root / "empty").mkdir()
    (root / "file.txt").write_text("x")
    (root / "latin.py").write_bytes("# caf\xe9\n".encode("latin-1"))
    for name, text in {"object": "{}", "word": "x", "list": "[]"}.items():
        (root / f"store-{name}").mkdir()
        (root / f"store-{name}" / "funnel.json").write_text(text)
    for name, text in {
        "word": "x",
        "heads": '{"model_type": "gpt_bigcode", "n_head": "x", "n_embd": 8, "n_layer": 1}',
        "foreign": '{"model_type": "llama"}',
        "bare": '{"model_type": "gpt_bigcode"}',
    }.items():
        (root / f"model-{name}").mkdir()
        (root / f"model-{name}" / "config.json").write_text(text)
    (root / "tokenizer-object").mkdir()
    (root / "tokenizer-object" / "tokenizer.json").write_text("{}")
    save_tokenizer(train_tokenizer(_TEXTS, vocab_size=280), root / "tokenizer", n_positions=32)
    (root / "results-object.json").write_text("{}")
    (root / "results-row.json").write_text(json.dumps({"results": [{}], "shard": [0, 1]}))
    (root / "results-word.json").write_text("x")
    (root / "lines.jsonl").write_text('{"name": 1}\nx\n')
    (root / "deep.jsonl").write_text('{"content": ' + "[" * 100_000 + "\n")
    save_tiny_model(_TEXTS, root / "whole", vocab_size=280)
    (root / "source").mkdir()
    (root / "source" / "a.py").write_text("x = 1\n")
    return root


CASES = [
    ("data rows {p}/none {t}/out", 2, "no such"),
    ("data rows {p}/empty {t}/out", 2, "no source file"),
    ("data rows {p}/source {t}/out --sample Python", 2, "LANGUAGE=MB"),
    ("data rows {p}/source /proc/hf-santa/out", 2, "/proc/hf-santa"),
    ("data run {p}/none {t}/out", 2, "none"),
    ("data run {p}/file.txt {t}/out", 2, "file.txt"),
    ("data run {p}/empty {t}/out", 2, "parquet"),
    ("data run {p}/source {t}/out --threads 0", 2, "--threads"),
    ("data run {p}/source {t}/out --threads -3", 2, "--threads"),
    ("data run {p}/source {t}/out --recipe finest", 2, "finest"),
    ("data run {p}/source {t}/out --compat nobody", 2, "--compat"),
    ("data stats {p}/none", 2, "funnel.json"),
    ("data stats {p}/store-object", 2, "funnel.json"),
    ("data stats {p}/store-word", 2, "funnel.json"),
    ("data stats {p}/store-list", 2, "funnel.json"),
    ("data explain {p}/store-object abc", 2, "funnel.json"),
    ("data load {p}/none base", 2, "none"),
    ("data load {p}/store-object base --head -1", 2, "--head"),
    ("data am-i-in {p}/empty me", 2, "empty"),
    ("data index {p}/store-object {t}/i", 2, "funnel.json"),
    ("data classifier train {p}/none {t}/q.safetensors", 2, "none"),
    ("data classifier train {p}/lines.jsonl {t}/q.safetensors", 2, "lines.jsonl"),
    ("data classifier info {p}/none", 2, "none"),
    ("data classifier info {p}/file.txt", 2, "file.txt"),
    ("data classifier score {p}/none {p}/source", 2, "none"),
    ("data classifier score {p}/file.txt {p}/source", 2, "file.txt"),
    ("data redact {p}/none.py", 2, "none.py"),
    ("data redact {p}/source/a.py --types nothing", 2, "nothing"),
    ("data redact {p}/source/a.py --style red", 2, "--style"),
    ("model info {p}/none", 2, "config.json"),
    ("model info {p}/model-word", 2, "config.json"),
    ("model info {p}/model-heads", 2, "n_head"),
    ("model info {p}/model-foreign", 2, "llama"),
    ("model info {p}/model-bare", 2, "model.safetensors"),
    ("model convert {p}/none {t}/out", 2, "none"),
    ("model complete {p}/none x", 2, "none"),
    ("model complete {p}/none x --top-p 0", 2, "top_p"),
    ("model complete {p}/none x --max-new-tokens 0", 2, "max_new_tokens"),
    ("model export-gguf {p}/none {t}/out.gguf", 2, "config.json"),
    ("model export-gguf {p}/model-word {t}/out.gguf", 2, "config.json"),
    ("model export-gguf {p}/none {t}/out.gguf --type q2", 2, "--type"),
    ("model editor-config {p}/none --client llama.vim", 2, "config.json"),
    ("model editor-config {p}/model-word --client llama.vim", 2, "config.json"),
    ("model editor-config {p}/model-foreign --client emacs", 2, "--client"),
    ("model convert {p}/model-heads {t}/out", 2, "n_head"),
    ("data recipes {p}/none.yaml", 2, "none.yaml"),
    ("data recipes {p}/file.txt", 2, "file.txt"),
    ("data recipes {p}/latin.py", 2, "latin.py"),
    ("data recipes --filter-module {p}/none.py", 2, "none.py"),
    ("data run {p}/source {t}/out --filter nothing", 2, "nothing"),
    ("data run {p}/source {t}/out --opt-outs {p}/none.txt", 2, "none.txt"),
    ("data run {p}/source {t}/out --key-file {p}/none.key", 2, "none.key"),
    ("data run {p}/source {t}/out --benchmark {p}/deep.jsonl", 2, "deep.jsonl"),
    ("data run {p}/deep.jsonl {t}/out", 2, "deep.jsonl"),
    ("data redact {p}/source/a.py --baseline {p}/results-word.json", 2, "results-word.json"),
    ("data redact {p}/source/a.py --rules {p}/file.txt", 2, "file.txt"),
    ("data redact {p}/source/a.py --allow {p}/none.txt", 2, "none.txt"),
    ("data redact {p}/source/a.py --recognizer nothing:Here", 2, "nothing"),
    ("model infill {p}/none {p}/none.py", 2, "none.py"),
    ("model infill {p}/none {p}/latin.py", 2, "UTF-8"),
    ("tokenizer train {p}/none --out {t}/out", 2, "none"),
    ("tokenizer pack {p}/source --tokenizer {p}/none --out {t}/out", 2, "tokenizer.json"),
    ("tokenizer info {p}/none", 2, "none"),
    ("tokenizer info {p}/tokenizer-object", 2, "tokenizer.json"),
    ("train --config fim --out {t}/out", 2, "--corpus"),
    ("train --config nothing", 2, "nothing"),
    ("train --config {p}/file.txt", 2, "file.txt"),
    ("train --config cpu --set a.b=1", 2, "a"),
    ("train --config santacoder-1.1b --gpus 7 --dry-run", 2, "7"),
    ("train --config santacoder-1.1b --dry-run --mfu 2", 2, "--mfu"),
    ("train --config cpu --steps 0", 2, "steps"),
    ("train --config cpu --corpus {p}/none --tokenizer {p}/tokenizer --out {t}/out --device cpu", 2, "tokens"),
    ("eval score {p}/none.jsonl --out {t}/r.json", 2, "none.jsonl"),
    ("eval score {p}/lines.jsonl --out {t}/r.json", 2, "lines.jsonl"),
    ("eval complete --model {p}/none --task nothing --out {t}/c.jsonl", 2, "nothing"),
    ("eval complete --model {p}/none --task humaneval-py --out {t}/c.jsonl --limit -1", 2, "--limit"),
    ("eval complete --model {p}/none --task humaneval-py --out {t}/c.jsonl --max-new-tokens 0", 2, "--max-new-tokens"),
    ("eval complete --model {p}/none --task humaneval-py --out {t}/c.jsonl --temperature -1", 2, "--temperature"),
    ("eval complete --model {p}/none --task humaneval-py --out {t}/c.jsonl --top-p 2", 2, "--top-p"),
    ("eval complete --model {p}/none --task humaneval-py --out {t}/c.jsonl --device cuda:99", 2, "--device"),
    ("eval complete --model {p}/none --task humaneval-py --out {t}/c.jsonl --device nothing", 2, "--device"),
    ("eval score {p}/none.jsonl --task humaneval-py --out {t}/r.json --k 0", 2, "--k"),
    ("eval score {p}/none.jsonl --task humaneval-py --out {t}/r.json --shard 3/2", 2, "3/2"),
    ("eval merge {p}/results-row.json --out {t}", 2, "--out"),
    ("eval report {p}/results-object.json --model-name m --out {t}/out", 2, "results-object.json"),
    ("eval report {p}/results-row.json --model-name m --out {t}/out", 2, "results-row.json"),
    ("eval report {p}/results-word.json --model-name m --out {t}/out", 2, "results-word.json"),
    ("eval merge {p}/results-row.json {p}/results-object.json --out {t}/r.json", 2, "results-"),
    ("tune {p}/source --base {p}/none --out {t}/out", 2, "none"),
    ("tune {p}/source --base {p}/model-foreign --out {t}/out", 2, "model-foreign"),
    ("tune {p}/source --base {p}/none --out {t}/out --gaps 0", 2, "--gaps"),
    ("tune {p}/source --base {p}/none --out {t}/out --heldout 1", 2, "--heldout"),
    ("tune {p}/source --base {p}/none --out {t}/out --fim-rate 2", 2, "--fim-rate"),
    ("tune {p}/source --base {p}/none --out {t}/out --memory 0", 2, "--memory"),
    ("finetune --model {p}/none --source {p}/source --out {t}/out", 2, "none"),
    ("finetune --model {p}/none --source {p}/source --out {t}/out --gaps 0", 2, "--gaps"),
    ("finetune --model {p}/none --source {p}/source --out {t}/out --fim-rate 2", 2, "--fim-rate"),
    ("finetune --model {p}/none --source {p}/source --out {t}/out --keep-adapter", 2, "--lora"),
    ("pretrain --source {p}/source --out {t}/out", 2, "--minutes"),
    ("pretrain --source {p}/source --out {t}/out --minutes 0", 2, "--minutes"),
    ("pretrain --source {p}/source --out {t}/out --minutes 1 --heldout 1", 2, "--heldout"),
    ("pretrain --source {p}/none --out {t}/out --minutes 1", 2, "none"),
    ("ablate --source {p}/source --out {t}/out --variants nothing", 2, "nothing"),
    ("ablate --source {p}/none --out {t}/out", 2, "none"),
    ("ablate --source {p}/source --out {t}/out --seeds 0", 2, "--seeds"),
    ("demo --only nothing --out {t}/out", 2, "nothing"),
    ("demo --source {p}/none --out {t}/out", 2, "none"),
    ("stage model {t}/out --model {p}/none", 2, "none"),
    ("stage model {t}/out --model {p}/whole --measures {p}/results-object.json", 2, "results-object.json"),
    ("stage model {t}/out --model {p}/whole --measures {p}/results-word.json", 2, "results-word.json"),
    ("stage model {t}/out --model {p}/whole --results {p}/results-row.json", 2, "results-row.json"),
    ("stage dataset {t}/out --store {p}/store-object", 2, "store-object"),
    ("stage nothing {t}/out", 2, "nothing"),
    ("publish nothing {p}/empty --namespace me", 2, "nothing"),
    ("publish model {p}/empty --namespace me/you", 2, "me/you"),
    ("publish model {p}/empty --namespace me --attempts 0", 2, "--attempts"),
    ("card model {p}/empty", 1, "README.md"),
    ("data", 2, "COMMAND"),
    ("data stats", 2, "STORE"),
    ("nothing", 2, "nothing"),
    ("doctor nothing", 2, "nothing"),
    ("eval doctor nothing", 2, "nothing"),
    ("data stats {p}/none --jso", 2, "--jso"),
]


def test_every_command_is_given_something_bad():
    """A new command comes with bad input."""
    names = [command.prog.removeprefix("hf-santa ") for command in commands_of(build_parser())]
    assert [] == [name for name in names if not any(f"{words} ".startswith(f"{name} ") for words, _, _ in CASES)]


@pytest.mark.filterwarnings("ignore:::transformers")
@pytest.mark.parametrize(("words", "code", "about"), CASES, ids=[words for words, _, _ in CASES])
def test_bad_input_is_named(place, tmp_path, run_command, words, code, about):
    """The exit code is right, the line names what was seen, and neither a traceback nor a result is printed."""
    found, out, err = run_command(*words.format(p=place, t=tmp_path).split())
    lines = [line for line in err.splitlines() if line.startswith("hf-santa")]
    assert (code, "") == (found, out), err
    assert "Traceback" not in err
    assert 1 == len(lines), err
    assert about in err[err.index(lines[0]) :]
