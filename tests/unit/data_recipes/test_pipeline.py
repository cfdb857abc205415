"""Rows step and run: files, markers, resumption and errors."""

import json
import resource

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_recipes.disk.files import write_text
from data_recipes.errors import DataError, StoreError
from data_recipes.filters.permissions import Permissions
from data_recipes.pipeline import run, write_rows
from data_recipes.sources.parquet import read_parquet
from data_recipes.sources.row import Reject

_CODE = "def function_{0}(first, second):\n    total = first + second * {0}\n    return [total, '{0}', first]\n"


def _quiet(line):
    """Take a report line and say nothing."""


@pytest.fixture
def rows(tmp_path):
    tree = tmp_path / "src"
    tree.mkdir()
    for number in range(30):
        (tree / f"m{number:02d}.py").write_text(_CODE.format(number) * 2 + f"# file {number}\n")
        (tree / f"m{number:02d}.js").write_text(f"function f{number}(a) {{\n  return a + {number};\n}}\n")
    (tree / "mail.py").write_text("# bob@corp.io and 93.184.216.34\nimport os\nprint(os.sep)\n")
    (tree / "long.py").write_text("x = '" + "a" * 1200 + "'\n")
    (tree / "bad.py").write_bytes(b"\xff\xfe")
    write_rows(tree, tmp_path / "rows", shard_bytes=2000, progress=_quiet)
    return tmp_path / "rows"


def _bytes(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def _shard(out, lang="python"):
    """The first data file of a language; a digest of the rows is in its name."""
    return min((out / "data").glob(f"*/{lang}-00000-????????????.parquet"))


def test_rows_are_written_in_shards_with_their_counts(rows):
    """The shards hold every row once; rows.json counts rows and rejects per language."""
    summary = json.loads((rows / "rows.json").read_text())
    assert len(summary["shards"]) > 3
    assert summary["files"]["Python"]["files"] + summary["files"]["JavaScript"]["files"] == len(
        list(read_parquet(rows))
    )
    assert summary["rejects"] == [{"lang": "Python", "reason": "not_utf8", "files": 1, "bytes": 2}]


def test_rows_are_reused_and_redone_where_damaged(rows):
    """An unchanged tree is not read again; a damaged shard is, with a line that says so, to the same bytes."""
    before, lines = _bytes(rows), []
    tree = rows.parent / "src"
    write_rows(tree, rows, shard_bytes=2000, progress=lines.append)
    (rows / "rows-00001.parquet").write_bytes(b"PAR1")
    write_rows(tree, rows, shard_bytes=2000, progress=lines.append)
    assert [line.rpartition(" ")[0] for line in lines[:1]] == ["step=rows reused"]
    assert lines[1] == "step=rows redone: rows-00001.parquet is damaged (its checksum differs)"
    assert _bytes(rows) == before


def test_the_funnel_accounts_for_every_file(rows, tmp_path):
    """Files of each stage, less the rejects of the next, are the files of the next; the store holds the rest."""
    funnel = run(rows, tmp_path / "out", progress=_quiet, seed=0)
    assert json.loads((tmp_path / "out" / "funnel.json").read_text()) == funnel
    for entry in funnel["funnel"]:
        for before, after in zip(entry["stages"], entry["stages"][1:], strict=False):
            lost = sum(reject["files"] for reject in entry["rejects"] if reject["stage"] == after["name"])
            assert before["files"] - lost == after["files"]
        table = pq.read_table(_shard(tmp_path / "out", entry["lang"].lower()))
        assert table.num_rows == entry["stages"][2]["files"]
        assert sum(table["near_dedup_keep"].to_pylist()) == entry["stages"][3]["files"]
    assert funnel["redactions"] == {"EMAIL_ADDRESS": 1, "IP_ADDRESS": 1, "KEY": 0, "files": 1}


def test_content_is_redacted_and_rejects_hold_none(rows, tmp_path):
    """No original address is in any output file; hexsha and size stay those of the original."""
    run(rows, tmp_path / "out", progress=_quiet, seed=0)
    rejects = pq.read_table(tmp_path / "out" / "rejects" / "python.parquet")
    assert {"not_utf8", "max_line_length"} <= set(rejects["reason"].to_pylist())
    assert "content" not in rejects.column_names
    table = pq.read_table(_shard(tmp_path / "out")).to_pylist()
    (mail,) = [row for row in table if row["path"] == "src/mail.py"]
    (original,) = [r for r in read_parquet(rows) if not isinstance(r, Reject) and r.path == "src/mail.py"]
    assert (mail["hexsha"], mail["size"], mail["pii_emails"]) == (original.hexsha, original.size, 1)
    assert not [row for row in table if "bob@" in row["content"] or "93.184" in row["content"]]


def test_benchmark_strings_are_dropped_with_what_matched(rows, tmp_path):
    """A file with a benchmark string is not in the store; its reject has the string and the benchmark."""
    string = "total = first + second * 7"
    funnel = run(rows, tmp_path / "out", benchmarks=[{"benchmark": "demo", "string": string}], progress=_quiet, seed=0)
    rejects = pq.read_table(tmp_path / "out" / "rejects" / "python.parquet").to_pylist()
    hits = [record for record in rejects if record["stage"] == "decontaminated"]
    assert [(hit["path"], hit["matched"]) for hit in hits] == [("src/m07.py", string)]
    assert funnel["benchmarks"] == {"demo": 1}


def test_shards_threads_and_repetition_change_nothing(rows, tmp_path):
    """The same rows in one shard or in many, with one thread or two, give the same bytes."""
    one, tree = tmp_path / "one", rows.parent / "src"
    write_rows(tree, one, progress=_quiet)
    run(rows, tmp_path / "a", threads=2, progress=_quiet, seed=0)
    run(one, tmp_path / "b", threads=1, progress=_quiet, seed=0)
    names = ("data", "rejects")
    assert [_bytes(tmp_path / "a" / name) for name in names] == [_bytes(tmp_path / "b" / name) for name in names]


class _Killed(BaseException):
    """Stands for a process that ends at once."""


@pytest.mark.parametrize("after", [1, 3, 6, 7, 8])
def test_a_run_that_was_cut_off_goes_on_to_the_same_bytes(rows, tmp_path, after):
    """Whatever line a run ends at, the next one reuses what is finished and gives the same bytes."""
    run(rows, tmp_path / "whole", progress=_quiet, seed=0)
    lines = []

    def until(line):
        lines.append(line)
        if len(lines) == after:
            raise _Killed

    (tmp_path / "cut").mkdir()
    with pytest.raises(_Killed):
        run(rows, tmp_path / "cut" / "whole", progress=until, seed=0)
    again = []
    run(rows, tmp_path / "cut" / "whole", progress=again.append, seed=0)
    assert _bytes(tmp_path / "cut" / "whole") == _bytes(tmp_path / "whole")
    assert [line for line in again if "reused" in line]


def test_a_damaged_finished_shard_is_redone(rows, tmp_path):
    """A shard that lost bytes after the run is found by its checksum and made again."""
    run(rows, tmp_path / "out", progress=_quiet, seed=0)
    before, path, lines = _bytes(tmp_path / "out"), _shard(tmp_path / "out"), []
    path.write_bytes(path.read_bytes()[:100])
    run(rows, tmp_path / "out", progress=lines.append, seed=0)
    assert lines[0] == f"step=store redone: {path.name} is damaged (its checksum differs)"
    assert _bytes(tmp_path / "out") == before


def test_another_recipe_replaces_the_store(rows, tmp_path):
    """A run with another recipe leaves nothing of the earlier one; a finished one is not run again."""
    lines = []
    run(rows, tmp_path / "out", progress=_quiet, seed=0)
    run(rows, tmp_path / "out", "base", progress=_quiet, seed=0)
    run(rows, tmp_path / "out", "base", progress=lines.append, seed=0)
    table = pq.read_table(_shard(tmp_path / "out"))
    assert "near_dedup_keep" not in table.column_names
    assert lines == ["step=store recipe=base reused"]


def test_unfinished_rows_are_an_error(rows, tmp_path):
    """Row shards without rows.json come from a step that did not finish."""
    (rows / "rows.json").unlink()
    with pytest.raises(DataError, match=r"has row shards but no rows\.json: step rows did not finish"):
        run(rows, tmp_path / "out", progress=_quiet, seed=0)


def test_a_source_of_which_nothing_is_left_is_an_error(tmp_path):
    """Where every file is dropped the run says so and points to the reasons."""
    tree = tmp_path / "src"
    tree.mkdir()
    (tree / "a.py").write_text("#" * 500 + "\n")
    write_rows(tree, tmp_path / "rows", progress=_quiet)
    with pytest.raises(DataError, match="none of 1 files is left"):
        run(tmp_path / "rows", tmp_path / "out", progress=_quiet, seed=0)
    assert pq.read_table(tmp_path / "out" / "rejects" / "python.parquet").num_rows == 1


def test_an_output_that_is_no_folder_is_an_error(rows, tmp_path):
    """A path below a file can't be written to, which is said with what to do."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"can't be written .* choose another output folder"):
        run(rows, tmp_path / "file" / "out", progress=_quiet, seed=0)
    with pytest.raises(StoreError, match=r"can't be deleted .* Choose another output folder"):
        write_rows(rows.parent / "src", tmp_path / "file" / "rows", progress=_quiet)


def test_a_full_disk_leaves_nothing_half_written(tmp_path):
    """When the system refuses further bytes, the error names the file and neither name of it is left."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(StoreError, match=r"big\.txt: can't be written \(File too large\)"):
            write_text(tmp_path / "big.txt", "x" * 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def _table_of(folder, **columns):
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), folder / "rows.parquet")
    return folder


def test_spellings_of_a_language_are_one(tmp_path):
    """Go, go and GO make one language, as python does with Python; a language without a table entry, too."""
    langs = ["Go", "go", "GO", "python", "Python", "zig", "Zig"]
    contents = [f"line {number} of a file\nand another\n" for number in range(len(langs))]
    source = _table_of(tmp_path / "in", content=contents, path=[f"f{n}" for n in range(len(langs))], lang=langs)
    funnel = run(source, tmp_path / "out", "base", progress=_quiet, seed=0)
    assert {entry["lang"]: entry["stages"][2]["files"] for entry in funnel["funnel"]} == {
        "Go": 3,
        "Python": 2,
        "Zig": 2,
    }
    assert set(pq.read_table(_shard(tmp_path / "out"))["lang"].to_pylist()) == {"Python"}


def test_another_opt_out_list_redoes_no_shard(tmp_path):
    """With the annotated shards kept, a changed list gives the bytes of a run from nothing, and annotates nothing."""
    contents = [f"def f{number}():\n    return {number}\n" for number in range(6)]
    repos = [f"{name}/code" for name in ("ada", "bob", "cyd") for _ in range(2)]
    source = _table_of(tmp_path / "in", content=contents, path=[f"{n}.py" for n in range(6)], repo=repos)
    how = {"recipe": "base", "seed": 0}
    run(source, tmp_path / "a" / "out", progress=_quiet, keep_work=True, **how)
    lines, permissions = [], Permissions(["bob", "https://github.com/cyd/code"])
    run(source, tmp_path / "a" / "out", progress=lines.append, permissions=permissions, **how)
    run(source, tmp_path / "b" / "out", progress=_quiet, permissions=permissions, **how)
    assert [line for line in lines if "step=annotate" in line] == ["step=annotate shard=rows.parquet reused"]
    assert _bytes(tmp_path / "a" / "out") == _bytes(tmp_path / "b" / "out")
    rejects = pq.read_table(tmp_path / "a" / "out" / "rejects" / "python.parquet").to_pylist()
    assert [(r["reason"], r["path"], r["repo"]) for r in rejects] == [("opt_out", "", None)] * 4


def test_languages_that_a_recipe_can_not_measure_are_named(tmp_path):
    """A language without a lexer is left out by `comments`; the last lines, the funnel and the card say so."""
    langs, contents = ["Python", "Brainfuck", "Brainfuck"], ["# one\nx = 1\n", "MOVE A TO B.\n", "ADD 1 TO C.\n"]
    source = _table_of(tmp_path / "in", content=contents, path=["a.py", "b.cob", "c.cob"], lang=langs)
    lines = []
    funnel = run(source, tmp_path / "out", "comments", progress=lines.append, seed=0)
    sentence = "comments can't be measured for Brainfuck (2 files): recipes with it leave these files out."
    assert funnel["unmeasured"] == {"comments": {"Brainfuck": 2}}
    assert f"step=store {sentence}" in lines
    assert f"- {sentence}" in (tmp_path / "out" / "README.md").read_text()


def test_an_output_inside_its_source_is_refused(tmp_path):
    """The next run would read the first one's rows and rejects; other JSON is answered with what can be read."""
    source = _table_of(tmp_path / "in", content=["x = 1\n"], path=["a.py"])
    for step in (run, write_rows):
        with pytest.raises(DataError, match=r"out lies inside the source .* Choose another folder"):
            step(source, source / "out", progress=_quiet)
    (tmp_path / "a.json").write_text("{}\n")
    with pytest.raises(DataError, match=r"a\.json: not a readable parquet file .*\.jsonl"):
        run(tmp_path / "a.json", tmp_path / "out", progress=_quiet)


def test_a_run_says_a_line_for_each_language_and_one_for_the_others(tmp_path):
    """Languages of which nothing is in the store are counted together, by reason."""
    for name, text in (
        ("a.py", "def f(x):\n    return x + 1\n"),
        ("b.json", '{"a": 1}'),
        ("c.md", "# Title\n"),
        ("d.yaml", "a: b"),
    ):
        (tmp_path / "tree").mkdir(exist_ok=True)
        (tmp_path / "tree" / name).write_text(text)
    said = []
    run(tmp_path / "tree", tmp_path / "out", "near_dedup", languages=["Programming", "yaml"], progress=said.append)
    lines = [line.rpartition(" ")[0] for line in said if line.startswith("step=language")]
    assert lines == [
        "step=language lang=Python base=1 near_dedup=1 in=1 out=1 dropped=0.0%",
        "step=language lang=YAML base=1 near_dedup=1 in=1 out=1 dropped=0.0%",
        "step=language others=2 in=2 out=0",
    ]
    assert "step=language others=2 in=2 out=0 other_language=2" in said
