"""Every file that a command reads back, damaged in every way: one line that names it and exit code 2, or it does not matter."""

import json
import shutil

import pytest

from data_recipes.pipeline import run
from data_recipes.settings import RunSettings
from eval_multipl_e.suite.shards import digest
from hf_santa.cli import main
from modeling_santa.corpus.shards import pack
from modeling_santa.tokenizer.train import load_tokenizer
from tests.fixtures.tiny import save_tiny_model

_TEXTS = [f"def f_{n}(a, b):\n    return a + b + {n}\n" for n in range(60)]
_WHOLE = [b"", b"x", b"{}", b"[]", b"null", b"1", b'"x"', b"\xff\xfe", b"[" * 100_000, b"[{}]", b"[0]"]
_VALUES = [None, "x", -1, 2.5, [], {}, [0], {"x": 0}]


@pytest.fixture(scope="module")
def made(tmp_path_factory, write_stack):
    """A store, a model, a corpus and results, as the commands leave them."""
    root = tmp_path_factory.mktemp("made")
    run(write_stack(root / "stack"), root / "store", settings=RunSettings(seed=0), progress=lambda _line: None)
    save_tiny_model(_TEXTS, root / "model", vocab_size=280)
    pack(_TEXTS, load_tokenizer(root / "model"), root / "corpus")
    problem = {
        "name": "P_0", "language": "py", "prompt": "def f():\n", "tests": "assert f() == 1\n", "stop_tokens": ["\ndef"]
    }  # fmt: skip
    (root / "problems.jsonl").write_text(json.dumps(problem) + "\n")
    row = {"name": "P_0", "language": "py", "sample": 0, "completion": "    return 1\n", "finish": "stop"}
    (root / "py.jsonl").write_text(json.dumps(row) + "\n")
    (root / "py.settings.json").write_text(
        json.dumps(
            {
                "task": "humaneval-py",
                "dataset": None,
                "temperature": 0.2,
                "n": 1,
                "batch_size": 1,
                "seed": 0,
                "problems": 1,
                "problems_sha256": digest([problem]),
                "shard": [0, 1],
            }
        )
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ALLOW_CODE_EVAL", "1")
        words = ("--problems", root / "problems.jsonl", "--out", root / "r.json")
        assert 0 == main(["eval", "score", str(root / "py.jsonl"), *map(str, words)])
    return root


@pytest.fixture
def place(made, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(made, tmp_path / "made")


def damages(path):
    """Contents that the file should not have: none of JSON, another kind of JSON, a field that lacks or is another."""
    yield from _WHOLE
    lines = path.suffix == ".jsonl"
    texts = path.read_text().splitlines() if lines else [path.read_text()]
    found = [json.loads(text) for text in texts]
    for number, value in enumerate(found):
        for changed in _changed(value):
            parts = [*found[:number], changed, *found[number + 1 :]]
            yield "\n".join(map(json.dumps, parts)).encode()


def _changed(value, depth=2):
    """The object with one field gone, one field of another type, or the same one floor down."""
    if not isinstance(value, dict):
        return
    for name, inner in list(value.items())[:40]:
        others = {key: kept for key, kept in value.items() if key != name}
        yield others
        for other in _VALUES:
            yield {**others, name: other}
        if depth > 1:
            for changed in _changed(inner, depth - 1):
                yield {**others, name: changed}
            if isinstance(inner, list) and inner:
                for changed in _changed(inner[0], depth - 1):
                    yield {**others, name: [changed, *inner[1:]]}


READERS = {
    "data stats": ("store/funnel.json", "data stats {p}/store"),
    "data index": ("store/funnel.json", "data index {p}/store {p}/i"),
    "model info": ("model/config.json", "model info {p}/model"),
    "tokenizer info, tokenizer.json": ("model/tokenizer.json", "tokenizer info {p}/model"),
    "tokenizer info, corpus.json": ("corpus/corpus.json", "tokenizer info {p}/corpus"),
    "tokenizer info, index.jsonl": ("corpus/index.jsonl", "tokenizer info {p}/corpus"),
    "eval report": ("r.json", "eval report {p}/r.json --model-name m --out {p}/report"),
    "eval merge": ("r.json", "eval merge {p}/r.json --out {p}/all.json"),
    "eval score": (
        "py.settings.json",
        "eval score {p}/py.jsonl --problems {p}/problems.jsonl --out {p}/r.json",
    ),
}


@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_named(place, run_command, monkeypatch, name):
    """Nothing that stands in the file gives a traceback."""
    monkeypatch.setenv("HF_ALLOW_CODE_EVAL", "1")
    file, words = READERS[name]
    path, bad = place / file, []
    for content in damages(path):
        path.write_bytes(content)
        code, _, err = run_command(*words.format(p=place).split())
        if code not in {0, 2} or "Traceback" in err or (code and path.parent.name not in err):
            bad.append((code, content[:300], err[-400:]))
    assert [] == bad[:5], len(bad)
