"""The demo runs the whole life cycle, redoes nothing, survives a kill, and fails with words."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from hf_santa.demo.steps import STEP_NAMES

from .demo_driver import COMMAND, QUICK, demo, make_corpus, manifest_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def finished(corpus, tmp_path_factory):
    """The output folder of one whole run, and what it said as JSON."""
    out = tmp_path_factory.mktemp("demo") / "out"
    done = demo("--source", corpus, "--out", out, *QUICK, "--json")
    return out, json.loads(done.stdout)


def test_every_step_ran_and_wrote_its_files(finished):
    """The whole life cycle leaves its artefacts in their documented places."""
    out, said = finished
    assert list(STEP_NAMES) == list(said["steps"])
    for name in (
        "rows/rows.json",
        "dataset/funnel.json",
        "dataset/README.md",
        "tokenizer/tokenizer.json",
        "corpus/train/tokens-00000.bin",
        "trained/measures.json",
        "model/model.safetensors",
        "model/modeling_santa.py",
        "model/README.md",
        "completions/infills.jsonl",
        "eval_multipl_e/eval_multipl_e.py",
        "results.json",
        "space/app.py",
        "used_by.json",
        "index.html",
    ):
        assert (out / name).is_file(), name


def test_the_staged_model_is_the_same_for_both_classes(finished):
    """A process without this package opened the folder by remote code and natively, with equal logits."""
    out, _ = finished
    parity = json.loads((out / "parity.json").read_text())
    assert parity["max_abs_logit_difference"] <= 1e-5 * parity["max_abs_logit"]
    assert parity["can_import_hf_santa"] is False
    assert ["SantaForCausalLM", "GPTBigCodeForCausalLM"] == [name.rsplit(".", 1)[-1] for name in parity["classes"]]


def test_bad_files_are_named_rejects(finished):
    """Each unusable file is in rejects/ with its reason; none ends the run, none is in the dataset."""
    out, _ = finished
    rejects = {
        Path(row["path"]).name: row["reason"]
        for path in (out / "dataset" / "rejects").glob("*.parquet")
        for row in pq.read_table(path).to_pylist()
    }
    expected = {
        "latin.py": "not_utf8",
        "nul.py": "nul_bytes",
        "huge.js": "too_large",
        "minified.js": "max_line_length",
    }
    assert expected == {name: rejects.get(name) for name in expected}
    assert "exact_duplicate" in {rejects.get("copy.py"), rejects.get("decoder.py")}
    assert "near_dedup" in {rejects.get("near_copy.py"), rejects.get("encoder.py")}


@pytest.mark.toolchain
def test_our_own_solutions_pass_and_nothing_is_missing(finished):
    """The control through the same metric scores one in all three languages."""
    out, _ = finished
    results = json.loads((out / "results.json").read_text())
    if results["control"]["missing_toolchains"]:
        pytest.skip(f"missing toolchains: {results['control']['missing_toolchains']}")
    assert [1.0] * 4 == [results["control"][key] for key in ("pass@1", "pass@1/py", "pass@1/js", "pass@1/java")]


def test_the_four_lines_really_ran(finished):
    """Model, dataset, metric and Space each gave output, in processes without this package."""
    out, _ = finished
    uses = json.loads((out / "used_by.json").read_text())
    assert 4 == len(uses)
    assert all(use["output"].strip() for use in uses)
    assert "0.5 ['OK', 'AssertionError']\n" == uses[2]["output"]


def test_a_second_run_redoes_nothing(finished, corpus):
    """Every step is up to date and no byte changes."""
    out, _ = finished
    before = manifest_of(out)
    again = json.loads(demo("--source", corpus, "--out", out, *QUICK, "--json").stdout)
    assert {True} == {step["reused"] for step in again["steps"].values()}
    assert before == manifest_of(out)


def test_damage_is_found_and_mended(finished, corpus):
    """A truncated shard is named and its step repeated; the bytes are those of before."""
    out, _ = finished
    before = manifest_of(out)
    shard = next((out / "dataset" / "data").rglob("python-*.parquet"))
    shard.write_bytes(shard.read_bytes()[:1000])
    done = demo("--source", corpus, "--out", out, *QUICK, "--only", "recipe")
    assert f"step=recipe again: dataset/data/{shard.parent.name}/{shard.name} is not what was written" in done.stdout
    demo("--source", corpus, "--out", out, *QUICK)
    assert before == manifest_of(out)


@pytest.mark.parametrize(("step", "sign"), [("recipe", "dataset"), ("train", "checkpoints/*/step-*")])
def test_a_killed_run_goes_on_to_the_same_bytes(finished, corpus, tmp_path, step, sign):
    """SIGKILL to the whole group, in the middle of a step; a new run ends with the bytes of one never killed."""
    out, _ = finished
    arguments = ["--source", corpus, "--out", tmp_path / "out", *QUICK, "--only", "train"]
    process = subprocess.Popen(
        [COMMAND, "demo", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not any((tmp_path / "out").glob(sign)) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    assert -signal.SIGKILL == process.wait()
    assert not (tmp_path / "out" / ".steps" / f"{step}.json").exists()
    demo(*arguments)
    whole = manifest_of(out)
    assert manifest_of(tmp_path / "out") == {name: whole[name] for name in manifest_of(tmp_path / "out")}


def test_ctrl_c_says_how_to_go_on(corpus, tmp_path):
    """Exit code 130 and one line."""
    # A background job would ignore the signal, and so would what it starts.
    process = subprocess.Popen(
        ["env", "--default-signal=INT", COMMAND, "demo", "--source", corpus, "--out", tmp_path / "out", *QUICK],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not (tmp_path / "out" / "rows").exists():
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert 130 == process.returncode
    assert "hf-santa demo: stopped. Run the same command again: what was finished is kept." in said


@pytest.mark.toolchain
def test_a_missing_toolchain_is_named_and_not_scored(finished, corpus, tmp_path):
    """Without node and javac on PATH the two languages are left out by name; Python is scored as before."""
    out, _ = finished
    shutil.copytree(out, tmp_path / "out", symlinks=True)
    programs = tmp_path / "bin"
    programs.mkdir()
    for folder in ("/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin", str(Path(sys.executable).parent)):
        for program in Path(folder).iterdir():
            if program.name not in {"node", "nodejs", "java", "javac"} and not (programs / program.name).is_symlink():
                (programs / program.name).symlink_to(program)
    arguments = ("--source", corpus, "--out", tmp_path / "out", *QUICK, "--only", "score")
    done = demo(*arguments, path=str(programs), JAVA_HOME="")
    assert "missing=js" in done.stdout
    assert "missing=java" in done.stdout
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert 1.0 == results["control"]["pass@1/py"]
    assert "pass@1/js" not in results["control"]
    assert {"js", "java"} == {row["language"] for row in results["control"]["missing_toolchains"]}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--source", "{tmp}/none"], "no such folder or archive"),
        (["--source", "{tmp}"], "no source file found"),
        (["--only", "trian"], "'trian' is not a step. Choose from rows"),
        (["--train-tokens", "0"], "--train-tokens is 0. Give 1 or more."),
        (["--out", "{tmp}/file/out", "--source", "{corpus}"], "Choose a folder that you may write to"),
        (["--out", "/proc/hf-santa", "--source", "{corpus}"], "Choose a folder that you may write to"),
    ],
)
def test_a_wrong_request_is_answered_in_one_line(corpus, tmp_path, arguments, words):
    """Exit code 1, what was seen and what to do, and no traceback."""
    (tmp_path / "file").write_text("")
    filled = [argument.format(tmp=tmp_path, corpus=corpus) for argument in arguments]
    out = [] if "--out" in filled else ["--out", tmp_path / "out"]
    done = demo(*filled, *out, check=False)
    assert 2 == done.returncode
    assert words in done.stderr
    assert 1 == len(done.stderr.strip().splitlines())


def test_a_read_only_folder_is_named(corpus, tmp_path):
    """An ordinary user who may not write gets the folder's name and what to do."""
    (tmp_path / "out").mkdir(mode=0o555)
    ordinary = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.getuid() == 0 else []
    if ordinary:
        for folder in (corpus, tmp_path, *tmp_path.parents):
            if folder.stat().st_uid == 0 and str(folder).startswith("/tmp"):
                folder.chmod(folder.stat().st_mode | 0o055)
        if subprocess.run([*ordinary, sys.executable, "-c", ""], check=False, capture_output=True).returncode:
            pytest.fail(f"an ordinary user cannot run {sys.executable}; put the environment where all may read it")
    done = subprocess.run(
        [*ordinary, COMMAND, "demo", "--source", corpus, "--out", tmp_path / "out"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert 2 == done.returncode
    assert "cannot be written (Permission denied" in done.stderr


def test_a_full_disk_is_named_and_nothing_half_written_counts(corpus, tmp_path):
    """On a disk of 3 MB the first step that does not fit says so; a run with room goes on from there."""
    script = (
        f"mount -t tmpfs -o size=3m tmpfs {tmp_path} && {COMMAND} demo --source {corpus} --out {tmp_path}/out "
        f"--train-tokens 30000; code=$?; ls {tmp_path}/out/.steps; exit $code"
    )
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, check=False)
    assert 2 == done.returncode, done.stdout + done.stderr
    assert re.search(r"No space left on device", done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert "used-by.json" not in done.stdout


def test_a_port_in_use_is_named(finished, corpus):
    """--serve on a taken port ends with exit code 2 and the port's number."""
    out, _ = finished
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = demo("--source", corpus, "--out", out, *QUICK, "--serve", "--port", port, check=False)
    assert 2 == done.returncode
    assert f"Port {port} on 127.0.0.1 cannot be used" in done.stderr
    assert "Traceback" not in done.stderr


def test_two_runs_do_not_share_a_folder(finished, corpus):
    """The second one is told that the folder is in use."""
    import fcntl

    out, _ = finished
    with (out / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = demo("--source", corpus, "--out", out, *QUICK, check=False)
    assert 2 == done.returncode
    assert "another run is using this folder" in done.stderr


def test_rows_may_come_from_parquet(finished, corpus, tmp_path):
    """The rows of a tree, given back as a parquet folder, make the same dataset."""
    out, _ = finished
    demo("--source", out / "rows", "--out", tmp_path / "out", *QUICK, "--only", "recipe")
    whole, again = manifest_of(out), manifest_of(tmp_path / "out")
    data = {name for name in whole if name.startswith("dataset/data/")}
    assert data
    assert {name: whole[name] for name in data} == {name: again[name] for name in data}


def test_python_that_is_too_old_is_named(tmp_path):
    """The Makefile says which version was found and how to name another, before anything is installed."""
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && { echo "Python 3.9.2"; exit 0; }\nexit 1\n')
    old.chmod(0o755)
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    done = subprocess.run(["make", "demo", f"PYTHON={old}"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert 0 != done.returncode
    assert "hf-santa needs Python 3.11 or newer" in done.stdout
    assert "is Python 3.9.2." in done.stdout
    assert not (tmp_path / ".venv").exists()


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_the_report_page_stands_alone(finished, width):
    """In a browser: no request leaves the page, the console is silent, nothing scrolls sideways."""
    chromium = shutil.which("chromium")
    if not chromium:
        pytest.skip("chromium is missing; `make toolchains` installs it")
    from playwright.sync_api import sync_playwright

    out, _ = finished
    requests, errors = [], []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: errors.append(message.text))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto((out / "index.html").as_uri())
        scroll, client = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        browser.close()
    assert ([(out / "index.html").as_uri()], []) == (requests, errors)
    assert scroll <= client
