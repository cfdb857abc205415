"""Secrets planted in every place of a repository's files are found, and what is good is not refused."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from hf_santa.repositories.guard import check_folder
from hf_santa.repositories.kinds import KINDS, ReleaseError
from modeling_santa.tokenizer.train import save_tokenizer, train_tokenizer

AWS_KEY = "AKIA" + "Q3EGLXZ2NFKUW7HT"
HOME = "/ho" + "me/alice/weights"
MAIL = "bob@" + "corp.io"
SECRET = f"key = '{AWS_KEY}'"
ROWS = {"content": ["x = 1\n", "y = 2\n"], "path": ["a.py", "b.py"], "size": [6, 6]}


def _table(**columns):
    return pa.table({**ROWS, **columns})


def _parquet(place, table):
    def write(folder):
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)

    return write


def _tensors(folder, name="wte.weight", **metadata):
    save_file({name: np.zeros((2, 2), np.float32)}, folder / "model.safetensors", metadata)


def _appended(folder):
    _tensors(folder)
    with (folder / "model.safetensors").open("ab") as opened:
        opened.write(SECRET.encode())


def _hidden_between(folder):
    """A gap between two tensors, which every reader passes over."""
    header = json.dumps(
        {
            "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
            "b": {"dtype": "F32", "shape": [1], "data_offsets": [44, 48]},
        }
    ).encode()
    path = folder / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 4 + SECRET.encode().ljust(40) + b"\0" * 4)


def _tokenizer(change):
    def write(folder):
        save_tokenizer(train_tokenizer(["def f(a): return a\n"], vocab_size=270), folder, n_positions=32)
        path = folder / "tokenizer.json"
        found = json.loads(path.read_text())
        change(found)
        path.write_text(json.dumps(found))

    return write


def _text(name, content):
    def write(folder):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    return write


def _gguf(folder, name=SECRET, tail=b""):
    gguf = pytest.importorskip("gguf", reason="the package gguf is not installed: pip install 'hf-santa[gguf]'")
    writer = gguf.GGUFWriter(folder / "model-f16.gguf", "starcoder")
    writer.add_name(name)
    writer.add_tensor("output_norm.weight", np.zeros(3, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with (folder / "model-f16.gguf").open("ab") as opened:
        opened.write(tail)


def _index(more="", tail=b""):
    def write(folder):
        header = json.dumps({"format": 1, "width": 50, "stride": 1, "passages": 0, "files": 0, "recipe": more})
        body = header.ljust(511).encode() + b"\n" + bytes(4 * 65_537)
        (folder / "training.index").write_bytes(body + tail)

    return write


_field = pa.field("note", pa.string(), metadata={"by": SECRET})
PLANTED = {
    "a path": ("dataset", _parquet("data/1/p-0.parquet", _table(path=["a.py", f"{HOME}/b.py"])), "row 1, column 'path'"),
    "a mail in a path": ("dataset", _parquet("data/1/p-0.parquet", _table(path=[f"{MAIL}/a.py", "b.py"])), "row 0"),
    "an extra column": ("dataset", _parquet("data/1/p-0.parquet", _table(note=["", SECRET])), "row 1, column 'note'"),
    "a list": ("dataset", _parquet("data/1/p-0.parquet", _table(note=[["a"], ["b", SECRET]])), "row 1, column 'note'"),
    "a struct": ("dataset", _parquet("data/1/p-0.parquet", _table(note=[{"a": SECRET}, {"a": ""}])), "row 0, column"),
    "bytes": ("dataset", _parquet("data/1/p-0.parquet", _table(note=[b"", SECRET.encode()])), "row 1, column 'note'"),
    "a dictionary": (
        "dataset",
        _parquet("data/1/p-0.parquet", _table(note=pa.array(["", SECRET]).dictionary_encode())),
        "row 1, column 'note'",
    ),
    "large strings": (
        "dataset",
        _parquet("data/1/p-0.parquet", _table(note=pa.array(["", SECRET], pa.large_string()))),
        "row 1, column 'note'",
    ),
    "a content": ("dataset", _parquet("data/1/p-0.parquet", _table(content=["", SECRET])), "row 1 holds personal data"),
    "rejects' detail": ("dataset", _parquet("rejects/p.parquet", _table(detail=["", SECRET])), "column 'detail'"),
    "rejects' path": ("dataset", _parquet("rejects/p.parquet", _table(path=[f"{HOME}/a", "b"])), "column 'path'"),
    "the schema": (
        "dataset",
        _parquet("data/1/p-0.parquet", _table().replace_schema_metadata({"made": SECRET})),
        "its schema holds a secret",
    ),
    "a field": (
        "dataset",
        _parquet("data/1/p-0.parquet", pa.table([["a"]], schema=pa.schema([_field]))),
        "its schema holds a secret",
    ),
    "a column's name": ("dataset", _parquet("data/1/p-0.parquet", _table(**{SECRET: ["", ""]})), "its schema holds"),
    "no parquet": ("dataset", _text("data/1/p-0.parquet", SECRET), "it is no parquet file"),
    "funnel.json": ("dataset", _text("funnel.json", json.dumps({"a": SECRET})), "line 1 holds a secret"),
    "a picture": ("dataset", _text("images/a.svg", f"<svg><!-- {SECRET} --></svg>"), "line 1 holds a secret"),
    "weights' metadata": ("model", lambda folder: _tensors(folder, by=SECRET), "its header holds a secret"),
    "weights' home": ("model", lambda folder: _tensors(folder, source=f"{HOME}/x"), "its header holds a secret or a path"),
    "a tensor's name": ("model", lambda folder: _tensors(folder, AWS_KEY), "its header holds a secret"),
    "after the weights": ("model", _appended, "and its tensors end at"),
    "between the weights": ("model", _hidden_between, "bytes from 4 on belong to no tensor"),
    "no weights": ("model", _text("model.safetensors", SECRET), "its header has no possible length"),
    "an added token": (
        "model",
        _tokenizer(lambda found: found["added_tokens"].append({"id": 300, "content": SECRET})),
        "an added token or a setting holds a secret",
    ),
    "a tokenizer's setting": (
        "model",
        _tokenizer(lambda found: found.update(source=HOME)),
        "an added token or a setting holds",
    ),
    "a word": ("model", _tokenizer(lambda found: found["model"]["vocab"].update({AWS_KEY: 300})), "a word of its vocabulary"),
    "the tokenizer's settings": ("model", _text("tokenizer_config.json", json.dumps({"a": SECRET})), "line 1 holds"),
    "a GGUF's field": ("model", _gguf, "a field holds a secret"),
    "a GGUF's short field": ("model", lambda folder: _gguf(folder, f"{HOME[:12]}/x"), "a field holds a secret or a path"),
    "after a GGUF's weights": ("model", lambda folder: _gguf(folder, "a", SECRET.encode()), "belong to no tensor"),
    "fixed bytes": (
        "dataset",
        _parquet("data/1/p-0.parquet", _table(note=pa.array([SECRET.encode()] * 2, pa.binary(len(SECRET))))),
        "row 0, column 'note'",
    ),
    "a file's name": ("dataset", _parquet(f"data/1/{AWS_KEY}.parquet", _table()), "a file *.parquet: its name holds"),
    "a folder's name": ("dataset", _parquet(f"data/{MAIL}/p-0.parquet", _table()), "a file *.parquet: its name holds"),
    "an index's header": ("space", _index(SECRET), "its header holds a secret"),
    "after an index": ("space", _index(tail=SECRET.encode()), "and its passages end at 262660"),
    "no index": ("space", _text("training.index", SECRET), "it is no index of training data"),
    "an engine": ("space", _text("wllama.wasm", SECRET), "line 1 holds a secret"),
    "a parted secret": ("model", _text("README.md", SECRET.replace("Q3", "Q\u200b3")), "line 1 holds a secret"),
    "a file's address": ("model", _text("README.md", f"file://{HOME}/x"), "line 1 holds a path of one machine"),
    "a template": ("model", _text("tokenizer_config.json", json.dumps({"chat_template": f"{{# {SECRET} #}}"})), "line 1 holds"),
    "a notebook": ("model", _text("a.ipynb", SECRET), "it is not on the list"),
    "a photo's comment": ("dataset", _text("images/a.png", SECRET), "it is not on the list"),
    "front matter": ("model", _text("README.md", f"---\nnote: {AWS_KEY}\n---\n"), "line 2 holds a secret"),
    "a result": ("model", _text(".eval_results/a.yaml", f"- note: {SECRET}\n"), "line 1 holds a secret"),
    "a card": ("model", _text("README.md", f"# Card\n\n{SECRET}\n"), "line 3 holds a secret"),
}  # fmt: skip


@pytest.mark.parametrize("place", PLANTED)
def test_a_planted_secret_is_found(tmp_path, place):
    """The refusal names the file and the place, and never shows the secret."""
    kind, write, words = PLANTED[place]
    write(tmp_path)
    with pytest.raises(ReleaseError) as caught:
        check_folder(tmp_path, KINDS[kind])
    assert words in str(caught.value)
    assert AWS_KEY not in str(caught.value)
    assert "alice" not in str(caught.value)


def test_good_files_pass(tmp_path):
    """Rows with hashes and nested columns, weights with their usual metadata, a tokenizer as it is saved."""
    (tmp_path / "dataset").mkdir()
    (tmp_path / "model").mkdir()
    hashes = ["0123456789abcdef" * 4, "89abcdef01234567" * 4]
    table = _table(hexsha=hashes, repos=[["octocat/r1"], []], extra=[{"version": "1.2.3.4"}, {"version": None}])
    _parquet("data/1/p-0.parquet", table)(tmp_path / "dataset")
    _tensors(tmp_path / "model", format="pt")
    _tokenizer(lambda _: None)(tmp_path / "model")
    (tmp_path / "space").mkdir()
    _index()(tmp_path / "space")
    _gguf(tmp_path / "model", "santa")
    check_folder(tmp_path / "dataset", KINDS["dataset"])
    check_folder(tmp_path / "model", KINDS["model"])
    check_folder(tmp_path / "space", KINDS["space"])
