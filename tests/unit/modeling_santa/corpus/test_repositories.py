"""Documents of whole repositories: order, headings, size, and samples out of them."""

import itertools
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_recipes.pipeline import run
from hf_santa.cli import main
from modeling_santa.corpus.fim_samples import FimDataset, read_tokens
from modeling_santa.corpus.repositories import RepositoryFile, heading, in_order, repository_documents
from modeling_santa.errors_santa import ModelError
from modeling_santa.tokenizer.train import load_tokenizer, save_tokenizer, train_tokenizer


def order(files):
    """The paths of some files in the order of their imports."""
    return [path for path, _ in in_order(sorted(files.items()))]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"a/main.py": "from .z import f\n", "a/z.py": ""}, ["a/z.py", "a/main.py"]),
        ({"a/b/c.py": "from ..z import f\n", "a/z.py": "", "z.py": ""}, ["a/z.py", "a/b/c.py", "z.py"]),
        ({"a/m.py": "from . import z\n", "a/z.py": ""}, ["a/z.py", "a/m.py"]),
        ({"src/pkg/m.py": "import pkg.z as z, os\n", "src/pkg/z.py": ""}, ["src/pkg/z.py", "src/pkg/m.py"]),
        ({"m.py": "from pkg import x\n", "pkg/__init__.py": ""}, ["pkg/__init__.py", "m.py"]),
        ({"m.py": "from pkg import (x, y)\n", "pkg/y.py": ""}, ["pkg/y.py", "m.py"]),
        ({"a.ts": "import {b} from './z'\n", "z.tsx": ""}, ["z.tsx", "a.ts"]),
        ({"a.ts": "import {b} from './z.js'\n", "z.ts": ""}, ["z.ts", "a.ts"]),
        ({"a.js": "const z = require('../lib')\n", "lib/index.js": ""}, ["a.js", "lib/index.js"]),
        ({"b/a.js": "const z = require('../lib')\n", "lib/index.js": ""}, ["lib/index.js", "b/a.js"]),
        ({"a.c": '#include "inc/z.h"\n#include <stdio.h>\n', "inc/z.h": ""}, ["inc/z.h", "a.c"]),
        ({"x/A.java": "import org.Z;\n", "x/org/Z.java": ""}, ["x/org/Z.java", "x/A.java"]),
        ({"src/lib.rs": "mod z;\n", "src/z.rs": ""}, ["src/z.rs", "src/lib.rs"]),
        ({"a.rb": "require_relative 'z'\n", "z.rb": ""}, ["z.rb", "a.rb"]),
        ({"a.py": "import z\n", "z.js": "", "z.md": ""}, ["a.py", "z.js", "z.md"]),
        ({"a.py": "import a\n"}, ["a.py"]),
    ],
)
def test_a_file_stands_behind_what_it_imports(files, expected):
    """Relative and absolute imports of each family; another language's file of the name is none."""
    assert order(files) == expected


def test_files_that_import_each_other_all_stay():
    """A circle is cut where the fewest imports are left; any order of the input gives the same."""
    files = {"a.py": "import b, c\n", "b.py": "import c\n", "c.py": "import a\n", "d.py": "import a\n"}
    orders = {tuple(path for path, _ in in_order(list(made))) for made in itertools.permutations(files.items())}
    assert orders == {("b.py", "a.py", "c.py", "d.py")}


def test_of_several_candidates_the_nearest_is_meant():
    """`import util` in a package of its own util."""
    files = {"one/a.py": "import util\n", "one/util.py": "", "two/util.py": "import a\n"}
    assert order(files) == ["one/util.py", "one/a.py", "two/util.py"]


def test_documents_are_repositories(tmp_path):
    """One a repository, files with their names; without a repository one a file; the order of rows changes nothing."""
    files = [
        RepositoryFile("me/b", "b.py", "import a\n"),
        RepositoryFile("", "x.py", "x = 1"),
        RepositoryFile("me/b", "z/a.py", "A = 'ä\ud800'\n"),
        RepositoryFile("me/a", "q.go", "package q\n"),
        RepositoryFile("", "x.py", "x = 2"),
    ]
    by_path = list(repository_documents(files, tmp_path, order="path"))
    assert by_path[:2] == ["// q.go\npackage q\n", "# b.py\nimport a\n\n# z/a.py\nA = 'ä\ud800'\n"]
    assert by_path[2:] == ["# x.py\nx = 1\n", "# x.py\nx = 2\n"]
    by_imports = list(repository_documents(files[::-1], tmp_path, order="imports"))
    assert by_imports[1] == "# z/a.py\nA = 'ä\ud800'\n\n# b.py\nimport a\n"
    assert not list(tmp_path.iterdir())
    with pytest.raises(ModelError, match="order 'size'"):
        next(repository_documents(files, tmp_path, order="size"))


def test_a_large_repository_is_cut_between_files(tmp_path):
    """No document is larger than the limit but one of a single file, and nothing is lost."""
    files = [RepositoryFile("me/a", f"{n:02d}.py", f"x = {n}\n" * (9 if n == 5 else 2)) for n in range(12)]
    found = list(repository_documents(files, tmp_path, order="path", max_bytes=64))
    assert all(len(text) <= 64 or text.count("# ") == 1 for text in found)
    assert "\n".join(found) == "\n".join(repository_documents(files, tmp_path, order="path"))


@pytest.mark.parametrize("path", ["Makefile", "a.unknown", "a b\nc.py", "a.HTML"])
def test_a_heading_is_one_line(path):
    """Whatever the name holds."""
    assert "\n" not in heading(path)


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A store of three repositories, and its corpus by imports."""
    root = tmp_path_factory.mktemp("repositories")
    rows = [
        {
            "content": f"from util{n} import helper\n\n\ndef total_{n}(items):\n    return helper(items, {n})\n"
            if is_user
            else f"def helper(items, start):\n    for item in items:\n        start += item * {n}\n    return start\n",
            "path": f"app{n}.py" if is_user else f"util{n}.py",
            "lang": "Python",
            "repo": f"me/tool{n}",
        }
        for n in range(30)
        for is_user in (True, False)
    ]
    pq.write_table(pa.Table.from_pylist(rows), root / "rows.parquet")
    run(root / "rows.parquet", root / "store", "base", progress=str)
    save_tokenizer(
        train_tokenizer([row["content"] for row in rows], vocab_size=320), root / "tokenizer", n_positions=96
    )
    words = [
        "--tokenizer",
        str(root / "tokenizer"),
        "--out",
        str(root / "corpus"),
        "--by-repository",
        "imports",
        "--json",
    ]
    assert main(["tokenizer", "pack", str(root / "store"), *words]) == 0
    return root


def test_a_store_is_packed_by_repository(packed):
    """Thirty documents of two files each, the helper first; the corpus says so, and the same command adds nothing."""
    about = json.loads((packed / "corpus" / "corpus.json").read_text())
    assert (about["documents"], about["by_repository"], about["recipe"]) == (30, "imports", "base")
    tokenizer = load_tokenizer(packed / "tokenizer")
    text = tokenizer.decode(np.asarray(read_tokens(packed / "corpus")).tolist(), skip_special_tokens=False)
    first, *_ = text.split("<|endoftext|>")
    assert first.startswith("# util0.py\ndef helper(items, start):")
    assert "\n\n# app0.py\nfrom util0 import helper" in first
    words = ["--tokenizer", str(packed / "tokenizer"), "--out", str(packed / "corpus"), "--by-repository", "path"]
    assert main(["tokenizer", "pack", str(packed / "store"), *words]) == 2


def test_middles_are_cut_out_of_repositories(packed):
    """A sample has the file before in its prefix: put together again it is the window's own text."""
    tokenizer, tokens = load_tokenizer(packed / "tokenizer"), read_tokens(packed / "corpus")
    samples = FimDataset(tokens, tokenizer, seq_len=300, fim_rate=1.0, spm_rate=0.0, line_rate=1.0)
    whole = tokenizer.decode(np.asarray(tokens).tolist(), skip_special_tokens=False)
    seen = 0
    for index in range(len(samples)):
        text = tokenizer.decode(samples.sample(0, index)[0].tolist(), skip_special_tokens=False)
        for piece in text.split("<|endoftext|>"):
            if piece.startswith("<fim-prefix>") and "<fim-middle>" in piece:
                prefix, _, rest = piece.removeprefix("<fim-prefix>").partition("<fim-suffix>")
                suffix, _, middle = rest.partition("<fim-middle>")
                seen += "# util" in prefix and "# app" in prefix and prefix + middle in whole and suffix[:5] in whole
    assert seen > 3


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"content": ["x"], "path": ["a"]}, "has no columns 'path' and 'repo'. Columns found: content, path"),
        ({"content": ["x"], "path": ["a"], "repo": [None]}, "no row names its repository"),
    ],
)
def test_rows_without_repositories_are_named(columns, message, packed, tmp_path, capsys):
    """Rows that do not say of which repository they are, a folder of sources: an error that says what to give."""
    pq.write_table(
        pa.table({**columns, "repo": pa.array(columns["repo"], pa.string())} if "repo" in columns else columns),
        tmp_path / "a.parquet",
    )
    words = ["--tokenizer", str(packed / "tokenizer"), "--out", str(tmp_path / "out"), "--by-repository", "path"]
    assert main(["tokenizer", "pack", str(tmp_path / "a.parquet"), *words]) == 2
    assert message in capsys.readouterr().err
    assert main(["tokenizer", "pack", str(Path(__file__).parent), *words]) == 2
    assert "holds no rows. --by-repository takes a store" in capsys.readouterr().err
