"""Bad input of every kind, to every command: one line that begins with the command, the right exit code, no traceback."""

import json

import pytest

from modeling_santa.tokenizer.train import save_tokenizer, train_tokenizer

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
    ("model infill {p}/none {p}/none.py", 2, "none.py"),
    ("model infill {p}/none {p}/latin.py", 2, "UTF-8"),
    ("tokenizer train {p}/none --out {t}/out", 2, "none"),
    ("tokenizer pack {p}/source --tokenizer {p}/none --out {t}/out", 2, "tokenizer.json"),
    ("tokenizer info {p}/none", 2, "none"),
    ("tokenizer info {p}/tokenizer-object", 2, "tokenizer.json"),
    ("train --config fim --out {t}/out", 2, "--corpus"),
    ("train --config nothing", 2, "nothing"),
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
    ("finetune --model {p}/none --source {p}/source --out {t}/out", 2, "none"),
    ("finetune --model {p}/none --source {p}/source --out {t}/out --gaps 0", 2, "--gaps"),
    ("ablate --source {p}/none --out {t}/out", 2, "none"),
    ("ablate --source {p}/source --out {t}/out --seeds 0", 2, "--seeds"),
    ("demo --only nothing --out {t}/out", 2, "nothing"),
    ("demo --source {p}/none --out {t}/out", 2, "none"),
    ("stage model {t}/out --model {p}/none", 2, "none"),
    ("publish model {p}/empty --namespace me --attempts 0", 2, "--attempts"),
    ("card model {p}/empty", 1, "README.md"),
    ("data", 2, "COMMAND"),
    ("data stats", 2, "STORE"),
    ("nothing", 2, "nothing"),
    ("data stats {p}/none --jso", 2, "--jso"),
]


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
