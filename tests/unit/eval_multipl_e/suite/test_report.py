"""The report beside the published numbers: table, pictures, and the Hub's two formats."""

import json
from xml.etree import ElementTree as ET

import pytest
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries
from huggingface_hub.repocard_data import model_index_to_eval_results

from eval_multipl_e.suite.grade import summed
from eval_multipl_e.suite.published import PUBLISHED, published_beside, published_scores
from eval_multipl_e.suite.report import write_report
from eval_multipl_e.suite.report_charts import Range, interval_chart
from eval_multipl_e.suite.tasks import KNOWN_PROBLEMS, task_of

LANGUAGES = ("java", "js", "py")


def _results(path, name="humaneval-java", *, temperature=0.2, n=10, passed=2, **changes):
    """A results file as `eval score` writes it, of twelve problems of which each passes `passed` times."""
    kind = task_of(name).kind
    rows = []
    for i in range(12):
        language = LANGUAGES[i % 3] if kind == "infill" else "java"
        for j in range(1 if kind == "docstring" else n):
            ok = j < passed
            row = {"name": f"p{i}", "language": language, "completion": j, "problem": i}
            marks = {"exact_match/strip": float(ok), "exact_match/first_line": 1.0}
            status = {"status": "OK" if ok else "Exception", "exit_code": int(not ok), "reason": ""}
            rows.append(row | ({"bleu": 0.2} if kind == "docstring" else status | (marks if kind == "infill" else {})))
    ks = [] if kind == "docstring" else [k for k in (1, 10) if k <= n]
    about = {"task": name, "shard": [0, 1], "problems": 12, "problems_sha256": "ab" * 32, "k": ks, "seed": 0}
    settings = {
        "n": n,
        "temperature": temperature,
        "top_p": 0.95,
        "dataset": task_of(name).dataset,
        "dataset_revision": "c0ffee",
    }
    found = {**summed(rows, about, set()), "settings": settings, "mode": "strict", **changes}
    path.write_text(json.dumps(found))
    return path


def test_the_published_numbers_are_the_report_tables():
    """Table 7, table 12 and the card's index are in the file as they were printed, each with its place."""
    rows = {(r.model, r.benchmark, r.metric, r.where): r.value for r in published_scores()}
    assert len(rows) == len(published_scores())
    for model, values in {
        "SantaCoder": (41, 47, 49),
        "InCoder-6.7B": (36, 38, 47),
        "CodeGen-Multi-2.7B": (42, 39, 39),
    }.items():
        found = [rows[model, f"humaneval-{code}", "pass@100", "report, table 7"] for code in LANGUAGES]
        assert [value / 100 for value in values] == found
    assert 18.13 == rows["SantaCoder", "docstring", "bleu", "report, table 12"]
    assert 0.35 == rows["SantaCoder", "mbpp-py", "pass@1", "card, model-index"]
    assert 0.13 == rows["ablation: near-dedup alt", "humaneval-java", "pass@1", "report, tables 8, 9"]


def test_every_table_of_the_file_is_rectangular():
    """Each row of a published table has a number, or a gap, for each of its benchmarks, which are tasks."""
    for table in json.loads(PUBLISHED.read_text())["tables"]:
        assert {len(table["benchmarks"])} == {len(values) for values in table["rows"].values()}
        assert all(task_of(benchmark.partition("/")[0]) for benchmark in table["benchmarks"])


def test_shares_are_shares():
    """All published numbers but BLEU lie between 0 and 1, and pass@k grows with k."""
    scores = {(r.model, r.benchmark, r.metric): r.value for r in published_scores()}
    assert all(0 < value < 1 for (_, _, metric), value in scores.items() if metric != "bleu")
    for model, benchmark, metric in scores:
        if metric == "pass@1" and (model, benchmark, "pass@10") in scores:
            assert scores[model, benchmark, "pass@1"] < scores[model, benchmark, "pass@10"]


def test_ablations_stand_aside():
    """The models that the report trained to compare are left out of the table, and given where they are asked for."""
    assert {"SantaCoder"} == set(published_beside("humaneval-js", "pass@10"))
    assert "ablation: stars" in published_beside("humaneval-js", "pass@10", with_ablations=True)


def test_the_table_sets_ours_beside_theirs(tmp_path):
    """A row has our number with its interval, the published ones, an asterisk outside the interval, and the table."""
    paths = [_results(tmp_path / "p.json"), _results(tmp_path / "d.json", "docstring")]
    write_report(paths, "ours", tmp_path / "out")
    page = (tmp_path / "out" / "report.md").read_text()
    assert "| humaneval-java | pass@1 | **0.200** | 0.200 to 0.200 | 0.150* |" in page
    assert "| docstring | bleu | **20.00** | 20.00 to 20.00 | 18.13* | 16.04* | 20.56* | report, table 12 |" in page
    for link in [part.split(")")[0] for part in page.split("](")[1:]]:
        assert (tmp_path / "out" / link).is_file()


def test_each_score_is_taken_at_the_report_temperature(tmp_path):
    """Of runs at 0.2 and 0.8, pass@1 is the first's and pass@10 the second's."""
    paths = [_results(tmp_path / "a.json", temperature=0.8, passed=5), _results(tmp_path / "b.json")]
    write_report(paths, "ours", tmp_path / "out")
    rows = json.loads((tmp_path / "out" / "report.json").read_text())
    assert {"pass@1": (0.2, 0.2), "pass@10": (0.8, 1.0)} == {
        r["metric"]: (r["temperature"], round(r["value"], 9)) for r in rows
    }


def test_infilling_is_reported_by_language_and_mode(tmp_path):
    """Each language has its exact match in both modes; only the report's own mode has published numbers beside it."""
    write_report([_results(tmp_path / "i.json", "infill", n=1, passed=1)], "ours", tmp_path / "out")
    rows = {(r["benchmark"], r["metric"]): r for r in json.loads((tmp_path / "out" / "report.json").read_text())}
    for code in LANGUAGES:
        assert 4 == rows[f"infill/{code}", "exact_match/strip"]["problems"]
        assert {} == rows[f"infill/{code}", "exact_match/first_line"]["published"]
    assert 0.44 == rows["infill/py", "exact_match/strip"]["published"]["SantaCoder"]["value"]


def test_eval_results_are_what_the_hub_reads(tmp_path):
    """Each file of `.eval_results/` parses with the Hub's own reader, with one value a task of a benchmark."""
    paths = [_results(tmp_path / "p.json"), _results(tmp_path / "i.json", "infill", n=1, passed=1)]
    write_report(paths, "ours", tmp_path / "out")
    found = {
        path.name: parse_eval_result_entries(yaml.safe_load(path.read_text()))
        for path in (tmp_path / "out" / ".eval_results").iterdir()
    }
    (entry,) = found["humaneval-java.yaml"]
    assert ("nuprl/MultiPL-E", "humaneval-java", 0.2, "c0ffee") == (
        entry.dataset_id,
        entry.task_id,
        entry.value,
        entry.dataset_revision,
    )
    assert "pass@1, 95 % interval 0.2 to 0.2, 12 problems, n=10, temperature 0.2, top-p 0.95, strict" in entry.notes
    assert ["infill-java", "infill-js", "infill-py"] == [entry.task_id for entry in found["infill.yaml"]]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("humaneval-java", {"settings": {"dataset": None, "n": 10}}),
        ("humaneval-java", {"settings": {"dataset": "mine/set", "n": 10}}),
        ("humaneval-java", {"settings": {"dataset": "nuprl/MultiPL-E", "limit": 12, "n": 10}}),
        ("infill", {"settings": {}}),
    ],
)
def test_problems_that_are_not_the_benchmark_bear_no_benchmark_name(tmp_path, name, changes):
    """A local file, another data set and a part of one are custom: no published number, no entry on a benchmark's page."""
    write_report([_results(tmp_path / "p.json", name, **changes)], "ours", tmp_path / "out")
    assert not list((tmp_path / "out").glob(".eval_results/*"))
    page = (tmp_path / "out" / "report.md").read_text()
    assert f"| custom: {name}" in page
    assert "0.150" not in page
    assert [] == [row for row in json.loads((tmp_path / "out" / "report.json").read_text()) if row["published"]]
    (index,) = yaml.safe_load((tmp_path / "out/model-index.yaml").read_text())["model-index"]
    assert {"custom"} == {row["dataset"]["type"] for row in index["results"]}


def test_a_local_file_with_the_benchmarks_digest_is_the_benchmark(tmp_path):
    """HumanEval's own rows in a file are HumanEval."""
    sha = KNOWN_PROBLEMS["humaneval-py"]
    path = _results(tmp_path / "p.json", "humaneval-py", settings={"dataset": None, "n": 10}, problems_sha256=sha)
    write_report([path], "ours", tmp_path / "out")
    assert "openai/openai_humaneval" in (tmp_path / "out/.eval_results/humaneval-py.yaml").read_text()
    assert f"sha256 {sha[:12]}" in (tmp_path / "out/.eval_results/humaneval-py.yaml").read_text().replace("\n  ", " ")


CARD = """---
license: bigcode-openrail-m
model-index:
- name: old
  results:
  - task: {type: text-generation}
    dataset: {type: other/set, name: Other}
    metrics: [{type: accuracy, value: 0.5}]
  - task: {type: text-generation}
    dataset: {type: nuprl/MultiPL-E, name: MultiPL-E, config: humaneval-java}
    metrics: [{type: pass@1, value: 0.9}]
programming_language: [Java]
---
# Card

Text with *stars*.
"""


def test_a_card_gets_the_scores_and_keeps_the_rest(tmp_path):
    """Scores of the same data set and metric are replaced; others, other fields and the text stay."""
    card = tmp_path / "README.md"
    card.write_text(CARD)
    for _ in range(2):
        write_report([_results(tmp_path / "p.json")], "ours", tmp_path / "out", card=card)
    loaded = ModelCard.load(card)
    found = {(r.dataset_type, r.metric_type): r.metric_value for r in loaded.data.eval_results}
    assert {
        ("other/set", "accuracy"): 0.5,
        ("nuprl/MultiPL-E", "pass@1"): 0.2,
        ("nuprl/MultiPL-E", "pass@10"): 1.0,
    } == found
    assert 3 == len(loaded.data.eval_results)
    assert ("ours", ["Java"]) == (loaded.data.model_name, loaded.data.programming_language)
    assert CARD.split("---")[2] == "\n" + loaded.text.lstrip("\n")
    name, index = model_index_to_eval_results(
        yaml.safe_load((tmp_path / "out/model-index.yaml").read_text())["model-index"]
    )
    assert ("ours", 2) == (name, len(index))


@pytest.mark.parametrize("front", ["---\na: [\n---\n", "---\nmodel-index: 3\n---\n"])
def test_a_broken_card_is_left_alone(tmp_path, front):
    """A card whose front matter can't be read is an error that names it, and it stays as it was."""
    card = tmp_path / "README.md"
    card.write_text(front)
    with pytest.raises(ValueError, match=r"the front matter of .*README\.md can't be read"):
        write_report([_results(tmp_path / "p.json")], "ours", tmp_path / "out", card=card)
    assert front == card.read_text()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shard": [0, 3]}, r"is shard \[0, 3\] alone. Merge all shards first"),
        ({"task": "programs"}, "can't be reported: .*task 'programs' is unknown"),
        ({"intervals": {}}, "holds no score. Was every toolchain missing"),
        ({"results": []}, "holds no score"),
    ],
)
def test_results_that_can_not_be_reported_are_refused(tmp_path, changes, message):
    """A shard, an unknown task and empty results are errors that say what to do."""
    with pytest.raises(ValueError, match=message):
        write_report([_results(tmp_path / "p.json", **changes)], "ours", tmp_path / "out")


def test_files_that_are_no_results_are_refused(tmp_path):
    """Something else than a results file, two of one run, and a nameless model are errors."""
    (tmp_path / "x.json").write_text("[]")
    path = _results(tmp_path / "p.json")
    for paths, name, message in (
        ([tmp_path / "x.json"], "ours", r"x\.json is no results file"),
        ([path, path], "ours", "both give pass@1 of humaneval-java"),
        ([path], " \n", "name is empty"),
    ):
        with pytest.raises(ValueError, match=message):
            write_report(paths, name, tmp_path / "out")


def test_pictures_are_whole_and_hostile_names_harmless(tmp_path):
    """Each picture is well-formed, has a title and a description, and shows a name's signs as text."""
    name = "<script>alert(1)</script> & | \x00\u202e x\ny"
    write_report([_results(tmp_path / "p.json")], name, tmp_path / "out")
    pictures = list((tmp_path / "out" / "figures").iterdir())
    assert {"pass-at-1.svg", "pass-at-10.svg"} == {path.name for path in pictures}
    for path in pictures:
        root = ET.fromstring(path.read_text())
        assert not [node for node in root.iter() if node.tag.endswith("script")]
        assert "<script>alert(1)</script>" in root[0].text
        assert "humaneval-java" in root[1].text
    assert "<script>" not in (tmp_path / "out" / "report.md").read_text()


def test_marks_stand_where_the_numbers_are():
    """A dot, its whisker and the published mark lie at their shares of the scale, and the legend names the model."""
    drawing = ET.fromstring(interval_chart("t", [Range("row", 0.5, 0.25, 0.75, {"other": 0.0})], ["none", "other"]))
    tag = "{http://www.w3.org/2000/svg}"
    (dot,) = [node for node in drawing.iter(f"{tag}circle") if node.get("cx") != "24"]
    whisker = next(node for node in drawing.iter(f"{tag}line") if node.get("class") == "whisker")
    assert ("440.0", "300.0", "580.0") == (dot.get("cx"), whisker.get("x1"), whisker.get("x2"))
    legend, mark = drawing.iter(f"{tag}path")
    assert legend.get("class") == mark.get("class") == "m1"
    assert mark.get("transform").startswith("translate(160.0 ")
    assert "other" in [node.text for node in drawing.iter(f"{tag}text")]
