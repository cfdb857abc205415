"""The classifier of quality: learned from labels, measured on others, saved, and a step of a recipe."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_recipes import DataError, Recipe, RunSettings, run
from data_recipes.classifier.labels import LabelColumns, Labelled, good_ones, read_labels
from data_recipes.classifier.model import Classifier, load_classifier
from data_recipes.classifier.train import measured, train_classifier
from data_recipes.engine.jit_linear import BINS, BUCKETS, KINDS, SHAPES, features, logistic
from data_recipes.recipe_file import read_recipe
from hf_santa.cli import main

GOOD = "def area_{n}(width, height):\n    '''Return the area.'''\n    return width * height + {n}\n"
BAD = "x{n} = [{n}, 0x{n:x}, 1, 2, 3, 4]\ny{n} = x{n} + [5, 6, 7]; z{n} = y{n}\n"


def labelled(count=120):
    """Texts of two kinds in turn, no two the same, each in a repository of its own."""
    return [Labelled((GOOD if n % 2 else BAD).format(n=n), n % 2, f"owner/{n}") for n in range(count)]


@pytest.fixture(scope="module")
def classifier():
    """One that learned from the two kinds."""
    return train_classifier(labelled())


def jsonl(path, records):
    """A file of JSON lines."""
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return path


def test_it_tells_files_that_it_did_not_see(classifier):
    """The held-out files of both kinds are told apart, and so are new texts."""
    held = classifier.about["held_out"]
    assert (held["accuracy"], held["auc"]) == (1.0, 1.0)
    assert 0 < held["good"] < held["files"] < classifier.about["files"] == 120
    good, bad = classifier.scores([GOOD.format(n=9999), BAD.format(n=9999)])
    assert good > 0.5 > bad


def test_labels_without_a_signal_are_measured_as_such():
    """Drawn labels give no better than chance on files that were held out: nothing leaks from what was learned."""
    drawn = np.random.default_rng(0).integers(0, 2, 600)
    texts = [Labelled(f"value_{n} = {n * 7919 % 997}\n" * 5, int(drawn[n]), f"o/{n}") for n in range(600)]
    assert 0.3 < train_classifier(texts).about["held_out"]["auc"] < 0.7


def test_a_repository_is_held_out_whole():
    """Files of one repository are never on both sides: one of a single repository has nothing to measure with."""
    with pytest.raises(DataError, match=r"0 good and 0 bad files are held out\. Expected 4 of each"):
        train_classifier([replace(item, group="owner/one") for item in labelled()])


def test_the_same_labels_give_the_same_bytes(classifier, tmp_path):
    """Twice the same file; threads change no score; the file gives the same scores."""
    first = classifier.save(tmp_path / "a.safetensors")
    assert first == train_classifier(labelled()).save(tmp_path / "b.safetensors")
    texts = [item.text * 2000 for item in labelled(60)]
    expected = classifier.scores(texts)
    assert classifier.scores(texts, threads=3).tolist() == expected.tolist()
    assert load_classifier(tmp_path / "a.safetensors").scores(texts).tolist() == expected.tolist()
    other = train_classifier(labelled(), seed=1).save(tmp_path / "c.safetensors")
    assert other != first


def test_without_numba_the_scores_are_the_same(classifier, tmp_path):
    """The same source as plain Python gives the same bits."""
    classifier.save(tmp_path / "q.safetensors")
    texts = [item.text for item in labelled(20)] + ["", "\n", "\ud800é中\x00", "A" * 5000]
    code = (
        "import sys, json; from data_recipes.classifier.model import load_classifier; "
        "print(load_classifier(sys.argv[1]).scores(json.loads(sys.argv[2])).tolist())"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "q.safetensors"), json.dumps(texts)]
    found = subprocess.run(command, env={"HF_SANTA_ENGINE": "numpy"}, capture_output=True, text=True, check=True)
    assert json.loads(found.stdout) == classifier.scores(texts).tolist()


def test_a_feature_counts_once_a_text_and_numbers_are_alike():
    """Repetition adds no bucket but the pair at the seam; another number is the same token."""
    stamps, found, bins = np.full(BUCKETS, -1, np.int64), np.empty(BUCKETS, np.int64), np.zeros(SHAPES, np.int64)

    def buckets(text, stamp):
        data = np.frombuffer(text.encode(), np.uint8)
        return found[: features(data, 0, len(data), KINDS, stamps, stamp, found, bins)].tolist()

    assert buckets("a = 1\n", 0) == buckets("a = 27\n", 1) != buckets("b = 1\n", 2)
    assert len(buckets("a a a a", 3)) == len(buckets("a a", 4)) == 3
    assert buckets("", 5) == []
    assert (bins.min() >= 0, bins.max() < BINS) == (True, True)


def test_the_logistic_function_is_that():
    """As numpy has it, to 14 digits, also far out."""
    for z in (-800.0, -29.9, -1.5, 0.0, 1e-9, 0.7, 12.0, 800.0):
        assert logistic(z) == pytest.approx(1 / (1 + np.exp(-np.clip(z, -30, 30))), rel=1e-13)


def test_measures_are_those_of_a_worked_example():
    """Two good, two bad; one pair of four is in the wrong order."""
    found = measured(np.array([0.9, 0.3, 0.4, 0.1]), np.array([True, True, False, False]))
    assert (found["auc"], found["accuracy"], found["majority"]) == (0.75, 0.75, 0.5)
    assert found["thresholds"][2] == {"min_quality": 0.3, "kept": 0.75, "precision": 0.6667, "recall": 1.0}


@pytest.mark.parametrize(
    ("labels", "settings", "expected"),
    [
        ([0.0, 3.5, 5], {"at_least": 3, "good": ()}, [False, True, True]),
        ([True, False], {"at_least": None, "good": ()}, [True, False]),
        (["a", "b", "c"], {"at_least": None, "good": ["c", "a"]}, [True, False, True]),
        ([1, 2, 3], {"at_least": None, "good": ()}, r"numbers \(1, 2, 3\)\. Say from which on .* --at-least"),
        ([1, "a"], {"at_least": None, "good": ()}, "1 of 2 labels are texts"),
        (["a", "b"], {"at_least": None, "good": ()}, "Name the good ones with --good"),
        (["a", "b"], {"at_least": None, "good": ["x"]}, "--good x: no label is that"),
        ([1, 2], {"at_least": 9, "good": ()}, "0 of 2 labels are good"),
        ([1, 1], {"at_least": None, "good": ()}, "2 of 2 labels are good"),
    ],
)
def test_which_labels_are_good_is_clear_or_an_error(labels, settings, expected):
    """Bounds, names, the greater of two values; anything else is asked for."""
    if isinstance(expected, list):
        assert good_ones(labels, **settings) == expected
        return
    with pytest.raises(DataError, match=expected):
        good_ones(labels, **settings)


def test_labels_name_rows_by_hexsha(tmp_path):
    """A label without content takes that of the source's row, and its repository."""
    rows = [{"content": f"x = {n}\n", "path": f"{n}.py", "lang": "Python", "hexsha": f"{n:040x}"} for n in range(4)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    pq.write_table(pa.Table.from_pylist([{"hexsha": f"{2:040x}", "score": 4.5}]), tmp_path / "labels.parquet")
    found = list(read_labels([tmp_path / "labels.parquet"], [tmp_path / "rows.parquet"]))
    assert [(item.text, item.label) for item in found] == [("x = 2\n", 4.5)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 1 is no JSON"),
        ("[1]", "line 1 holds a list"),
        ('{"content": "x"}', r"record 1 has no label \(None\)\. Columns found: content"),
        ('{"content": "x", "label": NaN}', "record 1 has no label"),
        ('{"content": "x", "label": [1]}', "record 1 has no label"),
        ('{"label": 1, "text": "x"}', "record 1 has no text.*--source"),
        ('{"label": 1, "hexsha": "ab"}', "1 labels name files by hexsha. Pass --source"),
    ],
)
def test_bad_labels_are_named(line, message, tmp_path):
    """The record, what it holds and what was expected."""
    (tmp_path / "labels.jsonl").write_text(line + "\n")
    with pytest.raises(DataError, match=message):
        list(read_labels([tmp_path / "labels.jsonl"]))


def test_other_columns_may_be_named(tmp_path):
    """Label, text and group by the names that they have there."""
    jsonl(tmp_path / "a.jsonl", [{"code": "x", "edu": 3, "owner": "me"}])
    (found,) = read_labels([tmp_path / "a.jsonl"], (), LabelColumns("edu", "code", "owner"))
    assert (found.text, found.label, found.group) == ("x", 3, "me")


def test_a_file_that_is_no_classifier_is_named(classifier, tmp_path):
    """Missing, damaged, of other features, not finite: what it is and what to do."""
    with pytest.raises(DataError, match=r"does not exist\. Train one with `hf-santa data classifier train"):
        load_classifier(tmp_path / "none")
    (tmp_path / "a").write_bytes(b"{}")
    with pytest.raises(DataError, match="is not one"):
        load_classifier(tmp_path / "a")
    Classifier(classifier.words[:8], classifier.shapes, classifier.bias, {}).save(tmp_path / "b")
    with pytest.raises(DataError, match="has format 1 and shapes"):
        load_classifier(tmp_path / "b")
    Classifier(classifier.words * np.nan, classifier.shapes, classifier.bias, {}).save(tmp_path / "c")
    with pytest.raises(DataError, match="not finite"):
        load_classifier(tmp_path / "c")


@pytest.fixture
def rows(tmp_path):
    """Ten files of each kind."""
    table = [
        {"content": (GOOD if n % 2 else BAD).format(n=1000 + n), "path": f"{n}.py", "lang": "Python"} for n in range(20)
    ]
    pq.write_table(pa.Table.from_pylist(table), tmp_path / "rows.parquet")
    return tmp_path / "rows.parquet"


def test_a_recipe_keeps_what_the_classifier_calls_good(classifier, rows, tmp_path):
    """Score, threshold, reason, histogram and the card's sentence come from the file; another file redoes the shards."""
    classifier.save(tmp_path / "q.safetensors")
    settings = RunSettings(recipe="quality", classifier=tmp_path / "q.safetensors", seed=0, keep_work=True)
    said = []
    funnel = run(rows, tmp_path / "out", settings=settings, progress=said.append)
    (entry,) = funnel["funnel"]
    assert entry["stages"][-1] == {"name": "quality", "files": 10, "bytes": entry["stages"][-1]["bytes"]}
    assert entry["rejects"] == [
        {"stage": "quality", "reason": "low_quality", "files": 10, "bytes": entry["rejects"][0]["bytes"]}
    ]
    assert (funnel["thresholds"]["min_quality"], sum(entry["histograms"]["quality_score"]["files"])) == (0.5, 20)
    assert funnel["classifier"]["held_out"]["accuracy"] == 1.0
    assert "learned from" in (tmp_path / "out" / "README.md").read_text()
    train_classifier(labelled(), seed=1).save(tmp_path / "q.safetensors")
    said.clear()
    run(rows, tmp_path / "out", settings=settings, progress=said.append)
    assert any(line.startswith("step=annotate shard=rows.parquet in=20") for line in said)


def test_a_recipe_without_a_classifier_says_so(rows, tmp_path):
    """What it needs, and the command that makes one."""
    with pytest.raises(DataError, match=r"recipe 'quality' scores files\. Pass classifier=PATH"):
        run(rows, tmp_path / "out", "quality")
    with pytest.raises(DataError, match="none does not exist"):
        run(rows, tmp_path / "out", "quality", classifier=tmp_path / "none")


def test_a_recipe_file_names_its_classifier(classifier, rows, tmp_path):
    """By a path relative to the file; a path that is no file is an error with its line."""
    classifier.save(tmp_path / "q.safetensors")
    recipe = tmp_path / "clean.yaml"
    recipe.write_text("steps:\n  - quality: {min_quality: 0.99999}\nclassifier: q.safetensors\n")
    made = read_recipe(recipe)
    assert isinstance(made, Recipe)
    funnel = run(rows, tmp_path / "out", made, seed=0)
    assert funnel["thresholds"]["min_quality"] == 0.99999
    assert funnel["funnel"][0]["stages"][-1]["files"] < 10
    recipe.write_text("steps: [quality]\nclassifier: none.safetensors\n")
    with pytest.raises(DataError, match=r"line 2: 'none\.safetensors' is no file"):
        read_recipe(recipe)


def test_the_commands_train_show_and_score(tmp_path, capsys):
    """From JSON lines to scores, the best file first."""
    records = [{"content": item.text, "score": 4 if item.label else 1, "repo": item.group} for item in labelled()]
    labels, made = jsonl(tmp_path / "labels.jsonl", records), str(tmp_path / "deep" / "q.safetensors")
    assert main(["data", "classifier", "train", str(labels), made, "--at-least", "3", "--json"]) == 0
    trained = json.loads(capsys.readouterr().out)
    assert (trained["files"], trained["at_least"], trained["held_out"]["accuracy"]) == (120, 3.0, 1.0)
    assert main(["data", "classifier", "info", made]) == 0
    assert "Accuracy 100.0%" in capsys.readouterr().out
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "good.py").write_text(GOOD.format(n=777))
    (tmp_path / "src" / "bad.py").write_text(BAD.format(n=777))
    assert main(["data", "classifier", "score", made, str(tmp_path / "src"), "--json"]) == 0
    assert [item["path"].rpartition("/")[2] for item in json.loads(capsys.readouterr().out)] == ["good.py", "bad.py"]
    assert main(["data", "classifier", "train", str(labels), made, "--good", "x"]) == 2
    assert "--at-least" in capsys.readouterr().err
