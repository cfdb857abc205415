"""Tasks by name, their problems from files and folders, and marks that need no program run."""

import json
import math

import pytest

from eval_multipl_e import LANGUAGES
from eval_multipl_e.suite.grade import mark
from eval_multipl_e.suite.infilling import exact_match
from eval_multipl_e.suite.merge import merge_results
from eval_multipl_e.suite.shards import Shard
from eval_multipl_e.suite.tasks import read_task, task_of
from eval_multipl_e.suite.unsatisfiable import unsatisfiable

INFILL = {"language": "py", "prompt": "def f():\n", "suffix": "", "tests": "f()"}
MULTIPL_E = {"name": "p", "language": "java", "prompt": "class", "tests": "}", "stop_tokens": ["\n}"], "doctests": "x"}


def _file(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("benchmark", ["humaneval", "mbpp"])
def test_every_language_has_both_benchmarks(benchmark):
    """Each code of the table is a task of HumanEval and of MBPP, with the report's 200 samples."""
    for code in LANGUAGES:
        task = task_of(f"{benchmark}-{code}")
        assert ("program", "test", 200, 0.2) == (task.kind, task.split, task.n, task.temperature)


def test_other_tasks_have_the_report_settings():
    """One line is infilled with 25 tokens; docstrings are written greedily with 128."""
    assert ("infill", 1, 25) == (task_of("infill").kind, task_of("infill").n, task_of("infill").max_new_tokens)
    docstring = task_of("docstring")
    assert ("python", 0.0, 128) == (docstring.config, docstring.temperature, docstring.max_new_tokens)
    assert "go" == task_of("docstring-go").config


def test_the_hubs_names_and_python_sets_are_tasks(tmp_path):
    """MultiPL-E's configuration names are names of tasks; MBPP's and EvalPlus' rows become Python problems."""
    assert ("humaneval-ada", "humaneval-adb") == (task_of("humaneval-adb").name, task_of("humaneval-ada").config)
    mbpp = {"task_id": 11, "text": "Add.", "test_list": ["assert f(1) == 2"], "test_setup_code": "import math"}
    (problem,) = read_task(task_of("mbpp-py"), path=_file(tmp_path / "m.jsonl", mbpp))
    assert ("mbpp_11", "import math\nassert f(1) == 2\n") == (problem["name"], problem["tests"])
    assert '"""\nAdd.\nassert f(1) == 2\n"""\n' == problem["prompt"]
    plus = {
        "task_id": 2,
        "prompt": "Add.",
        "test_list": ["assert f(1) == 2", "assert f(2) == 3"],
        "test": "assert f(3)",
    }
    (problem,) = read_task(task_of("mbppplus-py"), path=_file(tmp_path / "p.jsonl", plus))
    assert ('"""\nAdd.\nassert f(1) == 2\n"""\n', "assert f(3)\n") == (problem["prompt"], problem["tests"])
    assert "evalplus/humanevalplus" == task_of("humanevalplus-py").dataset


def test_longer_middles_have_more_tokens():
    """OpenAI's sets of many lines and of random spans are tasks of their own, and 25 tokens are the report's set's alone."""
    assert 25 == task_of("infill").max_new_tokens
    names = ("infill-single-line", "infill-multi-line", "infill-random-span", "infill-random-span-light")
    assert [128, 512, 512, 512] == [task_of(name).max_new_tokens for name in names]


@pytest.mark.parametrize("name", ["humaneval", "humaneval-cobol", "mbpp-", "docstring-cobol", "infill-py", ""])
def test_an_unknown_task_is_refused(name):
    """A name that is no task is an error that lists what there is."""
    with pytest.raises(ValueError, match=r"is unknown\. Use humaneval-CODE or mbpp-CODE with a code of java, "):
        task_of(name)


def test_mbpp_and_humaneval_share_their_schema(tmp_path):
    """Rows of MultiPL-E's MBPP are read as HumanEval's are, and fields nothing needs are left out."""
    path = _file(tmp_path / "p.jsonl", MULTIPL_E)
    expected = [{name: value for name, value in MULTIPL_E.items() if name != "doctests"}]
    assert expected == read_task(task_of("mbpp-java"), path=path) == read_task(task_of("humaneval-java"), path=path)


def test_openai_rows_become_python_problems(tmp_path):
    """HumanEval's own rows get MultiPL-E's stop tokens for Python, and tests that call the entry point."""
    row = {"task_id": "HumanEval/0", "prompt": "def f():\n", "test": "def check(c): c()", "entry_point": "f"}
    (problem,) = read_task(task_of("humaneval-py"), path=_file(tmp_path / "p.jsonl", row))
    assert "HumanEval_0" == problem["name"]
    assert "def check(c): c()\ncheck(f)\n" == problem["tests"]
    assert ["\ndef", "\n#", "\nif", "\nclass"] == problem["stop_tokens"]


def test_problems_come_from_a_data_set(tmp_path):
    """`load_dataset` is asked for the task's configuration and split, here of a folder laid out as on the Hub."""
    (tmp_path / "README.md").write_text(
        "---\nconfigs:\n- config_name: mbpp-java\n  data_files:\n  - split: test\n    path: j.jsonl\n---\n"
    )
    _file(tmp_path / "j.jsonl", MULTIPL_E)
    (problem,) = read_task(task_of("mbpp-java"), dataset=str(tmp_path))
    assert ("p", "java", ["\n}"]) == (problem["name"], problem["language"], problem["stop_tokens"])
    with pytest.raises(ValueError, match=r"humaneval-java could not be loaded from .*Give a file with --problems"):
        read_task(task_of("humaneval-java"), dataset=str(tmp_path))


@pytest.mark.parametrize(
    ("task", "row", "message"),
    [
        ("humaneval-java", {"name": "p"}, "Row 1 of .*'language' is absent"),
        ("humaneval-js", MULTIPL_E, "has problems in 'java', and the task is humaneval-js"),
        ("humaneval-java", {**MULTIPL_E, "tests": None}, "Row 1 of .*'tests' is NoneType"),
        ("infill", MULTIPL_E, "Row 1 is no infilling task: it has no text for 'suffix'"),
        ("docstring", MULTIPL_E, "Row 1 is no row of CodeXGLUE"),
    ],
)
def test_a_row_of_another_schema_is_named(tmp_path, task, row, message):
    """Rows of another task are an error with their number."""
    with pytest.raises(ValueError, match=message):
        read_task(task_of(task), path=_file(tmp_path / "p.jsonl", row))


def _infills():
    problems = [{**INFILL, "name": str(i), "middle": f"    return {i}\n", "stop_tokens": []} for i in range(4)]
    texts = [[f"return {i}"] if i % 2 else [f"    return {i}\n    x"] for i in range(4)]
    return problems, texts


def test_infills_are_compared_in_both_modes_without_running():
    """With `is_run` off, both exact matches are given, all and by language, with intervals, and nothing runs."""
    problems, texts = _infills()
    found = mark("infill", problems, texts, is_run=False)
    flat = [row[0] for row in texts], [problem["middle"] for problem in problems]
    assert exact_match(*flat) == found["exact_match/strip"] == found["exact_match/strip/py"] == 0.5
    assert 1.0 == found["exact_match/first_line"]
    assert set(found["intervals"]) == {key for key in found if key.startswith("exact_match")}
    assert "counts" not in found


def test_a_docstring_is_marked_by_its_first_line():
    """The mean of sentence scores, times 100, of the first lines; the interval holds it."""
    problems = [{"name": str(i), "language": "python", "prompt": "", "reference": "Give one ."} for i in range(2)]
    found = mark("docstring", problems, [["\n Give one.\n More."], [""]])
    assert math.isclose(50 * (1 + math.exp(-3)), found["bleu"])
    low, high = found["intervals"]["bleu"]
    assert low <= found["bleu"] <= high <= 100


def _shards(tmp_path, count=3, **changes):
    problems, texts = _infills()
    paths = []
    for i in range(count):
        found = mark("infill", problems, texts, shard=Shard(i, count), is_run=False)
        paths.append(tmp_path / f"{i}.json")
        paths[-1].write_text(json.dumps({**found, **changes.get(str(i), {})}))
    return paths, mark("infill", problems, texts, is_run=False)


def test_three_shards_merge_to_the_unsharded_marks(tmp_path):
    """Scores, intervals and rows of three merged shards are those of one run, in its order."""
    paths, whole = _shards(tmp_path)
    merged = merge_results([paths[2], paths[0], paths[1]])
    assert whole == merged
    assert list(whole["results"]) == list(merged["results"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"1": {"seed": 9}}, r"1\.json has seed=9, and .*0\.json has 0"),
        ({"1": {"completions_sha256": "x"}}, r"1\.json has completions_sha256='x'"),
        ({"1": {"shard": [0, 3]}}, r"both shard 0/3"),
        ({"1": {"results": []}}, "1 problems are in no shard, the first is number 1"),
        ({"1": {"results": 3}}, r"1\.json is no results file"),
        ({"1": {"toolchains": {"py": "3.1"}}, "0": {"toolchains": {"py": "3.2"}}}, "same toolchains"),
    ],
)
def test_results_that_do_not_belong_together_are_refused(tmp_path, changes, message):
    """Results of other runs, shards or toolchains, and incomplete ones, are errors that say what differs."""
    paths, _ = _shards(tmp_path, **changes)
    with pytest.raises(ValueError, match=message):
        merge_results(paths)


def test_a_result_given_twice_under_two_shards_is_refused(tmp_path):
    """A shard whose rows are another's is found by its problems."""
    paths, _ = _shards(tmp_path)
    rows = json.loads(paths[0].read_text())["results"]
    paths[1].write_text(json.dumps({**json.loads(paths[1].read_text()), "results": rows}))
    with pytest.raises(ValueError, match="completion 0 of problem 0 was scored twice"):
        merge_results(paths)


def test_more_shards_than_problems_are_refused():
    """A shard without a problem is an error, not an empty score."""
    problems, texts = _infills()
    with pytest.raises(ValueError, match=r"shard 4/5 of 4 problems is empty"):
        mark("infill", problems, texts, shard=Shard(4, 5), is_run=False)


def test_problems_that_nobody_can_solve_are_named():
    """Two answers wanted of one call are a contradiction where 3 and 3.0 are one number; texts and other calls are none."""
    tests = "assert(f((float)3l, (4.0f)) == (true));\nassert(f((3.0f), (float)4l) == (false));"
    rows = [
        {"name": "a", "language": "java", "tests": tests},
        {"name": "b", "language": "java", "tests": 'assert(f("(") == (true));\nassert(f("((") == (false));'},
        {"name": "c", "language": "py", "tests": "assert f(3, 4) == True\nassert f(3.0, 4) == False"},
        {"name": "d", "language": "java", "tests": "assert(f(1, true));\nassert(f(1, false));"},
        {"name": "e", "language": "rs", "tests": "assert_eq!(f(3.0), true);\nassert_eq!(f(3.0), false);"},
    ]
    assert ["a", "e"] == unsatisfiable(rows)
