"""What a store says of a file and of a user, through the command line."""

import json

import pyarrow.parquet as pq
import pytest

from data_recipes.filters.permissions import Permissions
from data_recipes.pipeline import run
from data_recipes.store.explain import explain, files_of_user
from hf_santa.cli import main


def _quiet(_line):
    """Take a report line and say nothing."""


@pytest.fixture(scope="module")
def store(tmp_path_factory, write_stack):
    folder = tmp_path_factory.mktemp("explain")
    source = write_stack(folder / "stack")
    permissions = Permissions(opt_outs=["hubot/r1"])
    benchmark = {"benchmark": "demo", "problem": "p1", "string": "total = first + second * 7"}
    run(source, folder / "store", "all", benchmarks=[benchmark], permissions=permissions, progress=_quiet)
    return folder / "store"


def _command(*arguments):
    try:
        return main(["data", *map(str, arguments)])
    except SystemExit as error:  # what argparse refuses
        return error.code


def _sha(store, path=None, reason=None):
    for name in ("rejects", "data"):
        for file in sorted((store / name).rglob("*.parquet")):
            for row in pq.read_table(file).to_pylist():
                if row.get("reason") == reason if reason else row["path"] == path:
                    return row["hexsha"]
    raise AssertionError(path or reason)


def test_a_kept_file_is_explained_recipe_by_recipe(store, capsys):
    """Its measures are shown, and each recipe says whether it has the file or why not."""
    assert _command("explain", store, _sha(store, path="src/m005.py")) == 0
    out = capsys.readouterr().out
    assert "  in the store: max_line_length 30, avg_line_length" in out
    assert "repository octocat/r0, licences mit" in out
    assert "  stars                out: stars: 3 < 5\n" in out
    assert "  comments             in\n" in out


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("max_line_length", "out: base: max_line_length: 1206 > 1000"),
        ("benchmark_string", "out: decontaminated: benchmark_string: demo: p1, matched 'total = first + second * 7'"),
        ("unlicensed", "out: base: unlicensed: the source names no licence"),
        ("opt_out", "out: base: opt_out"),
    ],
)
def test_a_file_that_was_left_out_is_explained(store, capsys, reason, words):
    """The stage, the reason, what was seen and what matched are said; an opt-out's path is not kept."""
    assert _command("explain", store, _sha(store, reason=reason)) == 0
    out = capsys.readouterr().out
    assert "  not in the store\n" in out
    assert words in out
    assert ("(path not kept)" in out) == (reason == "opt_out")


def test_a_near_duplicate_is_explained_by_the_file_that_is_kept(store):
    """The kept file's hexsha and the similarity of the two are named."""
    removed = [e for e in explain(store, _sha(store, reason="near_dedup_verified")) if e.rejects]
    (reject,) = [r for r in removed[0].rejects if r["stage"] == "near_dedup_verified"]
    assert reject["jaccard"] >= 0.7
    (kept,) = explain(store, reject["kept_hexsha"])
    assert "near_dedup_verified" in kept.recipes
    assert "near_dedup_verified" not in removed[0].recipes


def test_a_prefix_will_do_and_an_unknown_one_is_said(store, capsys):
    """The first digits find every file that begins with them; none found is exit code 1, no digits exit code 2."""
    sha = _sha(store, path="src/m005.py")
    assert [e.hexsha for e in explain(store, sha[:8])] == [sha]
    assert _command("explain", store, "0" * 40) == 1
    assert "the source did not hold it" in capsys.readouterr().out
    assert _command("explain", store, "README") == 2
    assert "'README' is no hexsha. Pass its first 4 or more digits" in capsys.readouterr().err


def test_a_user_finds_the_files(store, capsys):
    """Files are counted by repository, in any case of the name; who opted out has none."""
    found = files_of_user(store, "OctoCat")
    assert set(found) == {f"octocat/r{n}" for n in range(5)}
    assert files_of_user(store, "octocat/r2") == {"octocat/r2": found["octocat/r2"]}
    assert set(files_of_user(store, "hubot")) & {"hubot/r1"} == set()
    assert _command("am-i-in", store, "octocat", "--paths") == 0
    out = capsys.readouterr().out
    assert f"octocat: {sum(map(len, found.values()))} files of 5 repositories" in out
    assert "    src/m005.py\n" in out
    assert "open a discussion on the dataset's repository" in out
    assert _command("am-i-in", store, "nobody") == 0
    assert capsys.readouterr().out == f"nobody: 0 files of 0 repositories are in {store}.\n"


def test_a_store_without_repositories_can_not_answer(tmp_path, capsys):
    """A source tree names no repositories; the answer says so and points to hexsha."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("x = 1\nprint(x)\n")
    assert _command("rows", tmp_path / "src", tmp_path / "rows") == 0
    assert _command("run", tmp_path / "rows", tmp_path / "out", "--recipe", "base") == 0
    assert _command("am-i-in", tmp_path / "out", "octocat") == 2
    assert "has no 'repo' column" in capsys.readouterr().err
    assert _command("explain", tmp_path / "none", "abcd") == 2
    assert "funnel.json: no such file. Pass a folder" in capsys.readouterr().err
    assert _command("am-i-in", tmp_path / "none", "octocat") == 2
    assert "none: neither a dataset folder nor a dataset that can be read" in capsys.readouterr().err


def test_load_shows_the_rows_of_a_recipe(store, tmp_path, capsys, monkeypatch):
    """A config of a store is shown, streamed or written; an unknown one is answered with the known ones."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    assert _command("load", store, "python-stars", "--streaming", "--head", "1") == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "python-stars: a stream of rows"
    assert shown[1].split()[1] == "Python"
    assert _command("load", store, "python-stars", "--to", tmp_path / "rows.jsonl") == 0
    out = capsys.readouterr().out
    rows = (tmp_path / "rows.jsonl").read_text().splitlines()
    assert f"python-stars: {len(rows)} rows\n" in out
    assert _command("load", store, "python-star") == 2
    assert "'python-star' can't be loaded. BuilderConfig 'python-star' not found. Available:" in capsys.readouterr().err
    assert _command("load", store, "base", "--to", "rows.csv") == 2
    assert "expected a name that ends in .parquet or .jsonl" in capsys.readouterr().err
    assert _command("load", store, "base", "--to", "rows.jsonl", "--streaming") == 2
    assert "--to writes all rows: leave out --streaming" in capsys.readouterr().err


def test_load_applies_a_recipe_to_ones_own_files(store, tmp_path, capsys, monkeypatch):
    """A folder of Stack parquet that is no store goes through the builder."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    assert _command("load", store.parent / "stack", "python-stars", "--head", "0", "--to", tmp_path / "r.parquet") == 0
    assert f"written: {tmp_path}/r.parquet" in capsys.readouterr().out
    assert set(pq.read_table(tmp_path / "r.parquet")["lang"].to_pylist()) == {"Python"}


def test_run_takes_lists_filters_and_recipes(store, tmp_path, capsys):
    """The command line hands on what the function takes; a name that is not known is an error with the known ones."""
    (tmp_path / "left.txt").write_text("octocat\n")
    (tmp_path / "allowed.txt").write_text("mit\n")
    source, out = store.parent / "stack", tmp_path / "out"
    lists = ("--opt-outs", tmp_path / "left.txt", "--licenses", tmp_path / "allowed.txt")
    asked = ("--recipe", "comments", "--recipe", "stars", "--compat", "bigcode", "--filter", "xml", "--filter", "html")
    assert _command("run", source, out, *asked, *lists) == 0
    capsys.readouterr()
    assert files_of_user(out, "octocat") == {}
    assert set(files_of_user(out, "hubot")) != set()
    for wrong, message in (
        (("--recipe", "star"), "recipe='star' is unknown. Choose one of base, stars"),
        (("--filter", "csv"), "names ['csv']. Choose of xml, html"),
        (("--compat", "big"), "argument --compat: invalid choice: 'big' (choose from"),
        (("--recipe", "fertility", "--tokenizer", str(tmp_path)), "tokenizer.json does not exist"),
        (("--executor", "dask"), "argument --executor: invalid choice: 'dask' (choose from"),
        (("--threads", "-3"), "argument --threads: '-3' is no whole number of 1 or more"),
        (("--threads", "0"), "argument --threads: '0' is no whole number of 1 or more"),
        (("--parts", "x"), "argument --parts: 'x' is no whole number of 1 or more"),
        (("--recip", "base"), "unrecognized arguments: --recip base"),
        (("--executor", "local", "--data-dir", "data"), "Write them first: `hf-santa data rows SOURCE ROWS"),
    ):
        assert _command("run", source, tmp_path / "wrong", *wrong) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "wrong").exists()


def test_results_as_json_are_nothing_but_json(store, tmp_path, capsys, monkeypatch):
    """With `--json` stdout is one JSON value that holds what the lines say."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    sha = _sha(store, path="src/m005.py")

    def result(*arguments):
        assert _command(*arguments, "--json") == 0
        return json.loads(capsys.readouterr().out)

    assert result("stats", store) == json.loads((store / "funnel.json").read_text())
    (explained,) = result("explain", store, sha)
    assert (explained["row"]["path"], explained["recipes"]["stars"]) == ("src/m005.py", ["stars: 3 < 5"])
    loaded = result("load", store, "python-stars", "--head", "1")
    assert (loaded["recipe"], len(loaded["head"]), loaded["head"][0]["lang"]) == ("python-stars", 1, "Python")
    assert loaded["rows"] > 1
    found = result("am-i-in", store, "octocat/r2", "--paths")
    (repository,) = found["repositories"]
    assert (found["files"], repository["repo"]) == (len(repository["paths"]), "octocat/r2")
    assert result("index", store, tmp_path / "i", "--recipe", "base")["recipe"] == "base"


def test_stats_is_the_reports_table_3(store, capsys):
    """Volume by language and recipe with the change against base, then the stages, then what is missing and why."""
    assert _command("stats", store) == 0
    out = capsys.readouterr().out
    header = next(line for line in out.splitlines() if line.split()[:2] == ["base", "stars"])
    assert header.split()[-2:] == ["final", "final_filtered_first"]
    assert "fertility is not in this store: recipe 'fertility' counts tokens." in out
    assert all(line.split()[0] in out for line in ("JavaScript", "Python", "total"))
