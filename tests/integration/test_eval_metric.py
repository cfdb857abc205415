"""The metric as its users meet it: evaluate.load in a clean process, the command line, the README, the page."""

import http.server
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import eval_multipl_e
from eval_multipl_e import complete, read_problems, score
from eval_multipl_e.languages import LANGUAGES
from eval_multipl_e.sandbox import available
from eval_multipl_e.toolchains import missing_tool
from hf_santa.cli import main

ROOM = Path(eval_multipl_e.__file__).parent
PROBLEMS = ROOM.parent / "hf_santa/problems.jsonl"
LACKING = [said for code in ("py", "js", "java") if (said := missing_tool(LANGUAGES[code]))]

pytestmark = pytest.mark.skipif(
    available() is None, reason="namespaces do not work here: no way of sandbox.available()"
)
all_toolchains = [pytest.mark.toolchain, pytest.mark.skipif(bool(LACKING), reason="; ".join(LACKING))]


@pytest.fixture(autouse=True)
def _open_gate(monkeypatch):
    monkeypatch.setenv("HF_ALLOW_CODE_EVAL", "1")


def _clean_python(code, tmp_path, *args, env=None):
    ours = {"HF_HOME": str(tmp_path / "hf"), "HF_ALLOW_CODE_EVAL": "1", **(env or {"HF_EVALUATE_OFFLINE": "1"})}
    env = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "PYTHON"))} | ours
    command = [sys.executable, "-c", code, *map(str, args)]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


LOADED = """
import json, sys
import evaluate
metric = evaluate.load(sys.argv[1])
given = dict(predictions=[["    return 1\\n", "    return 2\\n"]], references=["assert f() == 1"], languages=["py"])
first = metric.compute(**given, prompts=["def f():\\n"])
for row in zip(*given.values()):
    metric.add(**dict(zip(given, row)))
second = metric.compute(prompts=["def f():\\n"])
errors = []
for settings in (dict(given, languages=["x"]), dict(given, k=[5]), dict(given, predictions=[]), dict(given, predictions=None)):
    try:
        metric.compute(**settings)
    except ValueError as error:
        errors.append(str(error))
print(json.dumps({"first": first, "second": second, "errors": errors, "ours": "eval_multipl_e" in sys.modules}))
"""


@pytest.mark.slow
def test_evaluate_loads_the_folder_in_a_clean_process(tmp_path):
    """From another folder, with an empty cache, compute and add give the same scores, and mistakes are explained."""
    said = json.loads(_clean_python(LOADED, tmp_path, ROOM).splitlines()[-1])
    assert said["first"]["pass@1"] == 0.5
    assert said["first"]["counts"]["py"] == {"programs": 2, "OK": 1, "AssertionError": 1}
    for row in said["first"]["results"] + said["second"]["results"]:
        row.pop("seconds")
    assert said["first"] == said["second"]
    assert [error.split(".")[0].partition(": ")[2] for error in said["errors"]] == [
        "language 'x' is unknown",
        "k=5 exceeds the 2 completions that the problem with the fewest has",
        "0 predictions, 1 references, 1 languages",
        "predictions is NoneType, not a list",
    ]
    assert not said["ours"]


class _Hub(http.server.BaseHTTPRequestHandler):
    """A Hub that holds the metric's folder as the Space org/eval_multipl_e, at `main` only."""

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        found = re.fullmatch(r"/spaces/org/eval_multipl_e/resolve/main/(\w+\.py)", self.path)
        path = ROOM / found[1] if found else ROOM / "nothing"
        body = path.read_bytes() if path.is_file() else b""
        self.send_response(200 if body else 404)
        self.send_header("ETag", f'"{len(body)}"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_):
        """Says nothing."""


@pytest.mark.slow
def test_evaluate_loads_from_a_hub_and_offline_from_its_cache(tmp_path):
    """From a server that answers as the Hub does, and again with the server gone, the metric gives its score."""
    code = LOADED.split("for row in zip", maxsplit=1)[0] + "print(first['pass@1'])"
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        env = {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}"}
        assert _clean_python(code, tmp_path, "org/eval_multipl_e", env=env).split()[-1] == "0.5"
        server.shutdown()
    assert _clean_python(code, tmp_path, "org/eval_multipl_e", env=env).split()[-1] == "0.5"


@pytest.mark.slow
def test_the_readme_s_example_gives_what_it_shows(tmp_path):
    """The README's code prints the line that the README shows below it."""
    text = (ROOM / "README.md").read_text(encoding="utf-8")
    code, shown = re.findall(r"```(?:python)?\n(.*?)```", text, flags=re.DOTALL)[:2]
    assert shown == _clean_python(code.replace('"./eval_multipl_e"', repr(str(ROOM))), tmp_path)


@pytest.mark.parametrize("mode", [pytest.param(mode, marks=all_toolchains) for mode in ("strict", "compat")])
def test_every_solution_passes_and_every_empty_completion_fails(mode):
    """Of the demo's problems each canonical solution is OK and each empty completion is not; pass@1 is a half."""
    rows = read_problems(PROBLEMS)
    solutions = {row["prompt"]: row["canonical_solution"] for row in rows}
    done = complete(rows, lambda prompts, n: [[solutions[prompt], ""][:n] for prompt in prompts], n=2)
    result = score(
        [row["completions"] for row in done],
        [row["tests"] for row in rows],
        [row["language"] for row in rows],
        prompts=[row["prompt"] for row in rows],
        mode=mode,
    )
    passed = {(row["problem"], row["completion"]) for row in result["results"] if row["status"] == "OK"}
    assert passed == {(i, 0) for i in range(len(rows))}
    assert dict.fromkeys(("pass@1", "pass@1/py", "pass@1/js", "pass@1/java"), 0.5) == {
        key: value for key, value in result.items() if key.startswith("pass@")
    }
    assert result["missing_toolchains"] == []
    assert len(result["results"]) == 48


def test_a_missing_toolchain_is_left_out_and_said(monkeypatch):
    """Problems of a missing toolchain do not count; the result and a warning name them."""
    monkeypatch.setattr("eval_multipl_e.toolchains.shutil.which", lambda *_: None)
    with pytest.warns(RuntimeWarning, match="toolchain for 'js' not found"):
        result = score([["1"], ["1"]], ["", ""], ["py", "js"], sandbox="none")
    assert {key: value for key, value in result.items() if "pass@" in key} == {"pass@1": 1.0, "pass@1/py": 1.0}
    assert result["counts"]["js"] == {"programs": 1, "ToolMissing": 1}
    assert [(row["language"], row["problems"], row["whole_language"]) for row in result["missing_toolchains"]] == [
        ("js", 1, True)
    ]
    assert result["toolchains"]["js"] is None


def test_a_broken_toolchain_is_not_counted_as_failure(monkeypatch, tmp_path):
    """Where node fails the simplest program, JavaScript is left out of the score, with what node said."""
    node = tmp_path / "node"
    node.write_text("#!/bin/sh\necho no such library >&2\nexit 127\n")
    node.chmod(0o755)
    monkeypatch.setattr("eval_multipl_e.toolchains.shutil.which", lambda *_: str(node))
    with pytest.warns(RuntimeWarning, match=r"toolchain for 'js' is broken: .* no such library"):
        result = score([["1"]], [""], ["js"], sandbox="none")
    assert "pass@1" not in result
    assert result["counts"]["js"] == {"programs": 1, "ToolMissing": 1}


def test_workers_and_order_change_no_status():
    """One worker and four give the same rows, in the order of the problems, and repeated programs the same row."""
    predictions = [["1", "0/0", "1"], ["assert 0", "(", "exit(0)"]]
    rows = []
    for workers in (1, 4):
        result = score(predictions, ["", ""], ["py", "py"], num_workers=workers)
        rows.append([(r["problem"], r["completion"], r["status"], r["reason"]) for r in result["results"]])
    assert rows[0] == rows[1]
    assert [row[2] for row in rows[0]] == ["OK", "Exception", "OK", "AssertionError", "SyntaxError", "Exception"]


def test_default_ks_are_those_that_fit():
    """With ten completions pass@1 and pass@10 are given, pass@100 is not."""
    result = score([["1"] * 9 + ["0/0"]], [""], ["py"])
    assert {key: value for key, value in result.items() if key in result["intervals"] and "/" not in key} == {
        "pass@1": 0.9,
        "pass@10": 1.0,
    }


def _command(*words):
    return main(["eval", *map(str, words)])


def test_eval_score_writes_the_results(tmp_path, capsys):
    """`eval score` prints the scores and writes all of the result, with the problems' names, into one file."""
    rows = [row for row in read_problems(PROBLEMS) if row["language"] == "py"]
    files = [tmp_path / name for name in ("p.jsonl", "c.jsonl", "results/r.json")]
    files[0].write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    done = complete(rows, lambda prompts, _: [["    pass\n", ""] for _ in prompts], n=2)
    done[0]["completions"][0] = rows[0]["canonical_solution"]
    files[1].write_text("".join(json.dumps(row) + "\n" for row in done), encoding="utf-8")
    words = ("score", files[1], "--problems", files[0], "--out", files[2])
    code = _command(*words, "--k", 1, 2, "--json")
    assert code == 0
    printed = json.loads(capsys.readouterr().out)
    written = json.loads(files[2].read_text(encoding="utf-8"))
    assert printed["pass@2"] == written["pass@2"] == 1 / 8
    assert written["results"][0]["name"] == rows[0]["name"]
    assert [path.name for path in files[2].parent.iterdir()] == ["r.json"]
    assert _command(*words) == 0
    assert capsys.readouterr().out.startswith("pass@1")


def test_doctor_reports_every_language(capsys):
    """The doctor prints one row a language, as a table and as JSON, and 0 only if all that can be installed works."""
    code = _command("doctor")
    table = capsys.readouterr().out
    assert code == _command("doctor", "--json")
    rows = json.loads(capsys.readouterr().out)["toolchains"]
    assert list(eval_multipl_e.LANGUAGES) == [row["language"] for row in rows]
    assert all(row["name"] in table for row in rows)
    is_whole = not any(row["problem"] for row in rows if row["was_run"]) and "none works here" not in table
    assert (0 if is_whole else 3) == code


@pytest.mark.slow
def test_the_page_shows_a_score_that_the_metric_gives(tmp_path):
    """The recorded example of the static page is what a run gives, and its languages are the table's."""
    page = (ROOM / "index.html").read_text()
    recorded = json.loads(re.search(r'id="recorded">(.*?)</script>', page, re.DOTALL)[1])
    problems = recorded["problems"]
    asked = {
        "predictions": [[row["completion"] for row in problem["completions"]] for problem in problems],
        "references": [problem["tests"] for problem in problems],
        "prompts": [problem["prompt"] for problem in problems],
        "languages": [problem["language"] for problem in problems],
        "k": [1, 2],
    }
    code = "import sys, json, evaluate; ask = json.loads(sys.argv[2]); "
    code += "print(json.dumps(evaluate.load(sys.argv[1]).compute(**ask)))"
    scores = json.loads(_clean_python(code, tmp_path, ROOM, json.dumps(asked)).splitlines()[-1])
    assert recorded["scores"] == {name: value for name, value in scores.items() if name.startswith("pass@")}
    statuses = [row["status"] for problem in problems for row in problem["completions"]]
    assert statuses == [row["status"] for row in scores["results"]]
    listed = re.findall(r"<li>(.*?) <code>(\w+)</code></li>", page)
    assert listed == [(row.name, row.code) for row in eval_multipl_e.LANGUAGES.values()]
