"""Every language that is installed: the status of each kind of completion, warm and cold, in both modes."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import eval_multipl_e
from eval_multipl_e import run_program, score
from eval_multipl_e.languages import LANGUAGES
from eval_multipl_e.sandbox import available
from eval_multipl_e.toolchains import missing_tool

FIXTURE = runpy.run_path(str(Path(eval_multipl_e.__file__).parent.parent / "tests/fixtures/eval_problems.py"))

pytestmark = pytest.mark.skipif(available() is None, reason="no sandbox works here: see hf-santa eval doctor")

_A, _E, _S, _R, _OK = "AssertionError", "Exception", "SyntaxError", "ReferenceError", "OK"
# Strict and MultiPL-E's statuses of: wrong, broken, name, crash, leaves. "right" and "loops" are OK in both.
ENDINGS = {
    "py": ((_A, _E), (_S, _S), (_E, _E), (_E, _E), (_E, _OK)),
    "js": ((_A, _A), (_S, _S), (_R, _R), (_E, _E), (_E, _OK)),
    "ts": ((_A, _A), (_S, _S), (_S, _S), (_E, _E), (_E, _OK)),
    "java": ((_A, _E), (_S, _S), (_S, _S), (_E, _E), (_E, _OK)),
    "scala": ((_E, _E), (_S, _S), (_S, _S), (_S, _S), (_E, _OK)),
    "cpp": ((_E, _E), (_S, _S), (_S, _S), (_E, _E), (_E, _OK)),
    "cs": ((_E, _E), (_S, _S), (_S, _S), (_E, _E), (_E, _OK)),
    "d": ((_E, _E), (_S, _S), (_S, _S), (_E, _E), (_E, _OK)),
    "go": ((_E, _E), (_S, _S), (_S, _S), (_E, _E), (_E, _E)),
    "rs": ((_E, _E), (_S, _S), (_S, _S), (_E, _E), (_E, _OK)),
    "sh": ((_E, _E), (_S, _S), (_E, _E), (_E, _E), (_E, _OK)),
    "lua": ((_E, _E), (_E, _E), (_E, _E), (_E, _E), (_E, _OK)),
    "pl": ((_E, _E), (_E, _E), (_E, _E), (_E, _E), (_E, _OK)),
    "php": ((_E, _E), (_E, _E), (_E, _E), (_E, _E), (_E, _OK)),
    "r": ((_E, _E), (_S, _S), (_E, _E), (_E, _E), (_E, _OK)),
    "rb": ((_E, _E), (_S, _S), (_E, _E), (_E, _E), (_E, _OK)),
    "rkt": ((_E, _E), (_S, _S), (_E, _E), (_E, _E), (_E, _OK)),
    "ml": ((_A, _A), (_S, _S), (_E, _E), (_E, _E), (_E, _OK)),
    "hs": ((_S, _S), (_S, _S), (_S, _S), (_S, _S)),
    "clj": ((_E, _E), (_E, _E), (_E, _E), (_E, _E), (_E, _E)),
    "elixir": ((_A, _A), (_S, _S), (_E, _E), (_E, _E), (_E, _OK)),
    "tcl": ((_E, _E), (_E, _E), (_E, _E), (_E, _E), (_E, _OK)),
    "scm": ((_E, _E), (_E, _E), (_E, _E), (_E, _E), (_E, _E)),
    "el": ((_E, _E), (_E, _E), (_E, _E), (_E, _E), (_E, _E)),
    "pas": ((_E, _E), (_S, _S), (_S, _S), (_E, _E), (_E, _OK)),
    "ada": ((_E, _E), (_S, f"{_S} (gnatchop)"), (_S, f"{_S} (gnatmake)"), (_E, _E)),
}
KINDS = ("wrong", "broken", "name", "crash", "leaves")
# Where MultiPL-E has no Timeout.
ENDLESS_IN_COMPAT = {"php": _E, "rkt": _E}
WARM = ("java", "ts", "scala", "cpp", "cs", "rs", "pl", "r", "rb", "rkt", "clj")


def _marked(code):
    lacking = missing_tool(LANGUAGES[code])
    return pytest.param(
        code, marks=[pytest.mark.toolchain, pytest.mark.skipif(lacking is not None, reason=str(lacking))]
    )


@pytest.fixture(autouse=True)
def _open_gate(monkeypatch):
    monkeypatch.setenv("HF_ALLOW_CODE_EVAL", "1")


def _statuses(code, kinds, **settings):
    row = FIXTURE["problem"](code, 3)
    result = score([[row[kind] for kind in kinds]], [row["tests"]], [code], prompts=[row["prompt"]], **settings)
    return dict(zip(kinds, (each["status"] for each in result["results"]), strict=True))


def _expected(code, number):
    found = {kind: pair[number] for kind, pair in zip(KINDS, ENDINGS[code], strict=False)}
    return {"right": _OK, **({"loops": _OK} if "loops" in FIXTURE["PROBLEMS"][code] else {}), **found}


def test_every_language_that_can_be_had_is_here():
    """The table of endings names every language whose toolchain Debian or npm has."""
    assert {code for code, row in LANGUAGES.items() if row.is_run_here} == set(ENDINGS)


@pytest.mark.slow
@pytest.mark.parametrize("code", [_marked(code) for code in ENDINGS])
def test_each_kind_of_completion_has_its_status(code):
    """Right, wrong, broken, crashing and leaving completions get their statuses, strict and MultiPL-E's."""
    for number, mode in enumerate(("strict", "compat")):
        expected = _expected(code, number)
        assert expected == _statuses(code, tuple(expected), mode=mode), mode


@pytest.mark.parametrize("code", [_marked(code) for code in ENDINGS])
def test_an_endless_completion_is_a_timeout(code):
    """Whatever the language, an endless program ends at its limit; MultiPL-E calls it Exception in two of them."""
    program = FIXTURE["program"](code, "endless")
    assert run_program(program, code, timeout_s=1.5).status == "Timeout"
    expected = ENDLESS_IN_COMPAT.get(code, "Timeout")
    if expected != "Timeout":
        assert expected == run_program(program, code, timeout_s=1.5, mode="compat").status


@pytest.mark.slow
@pytest.mark.parametrize("code", [_marked(code) for code in WARM])
def test_cold_says_what_warm_says(code):
    """Built and started with MultiPL-E's own commands, completions have the statuses that they have warm."""
    kinds = ("right", "broken", "crash") if code == "scala" else ("right", *KINDS)
    expected = {kind: status for kind, status in _expected(code, 1).items() if kind in kinds}
    assert expected == _statuses(code, tuple(expected), mode="compat", speed="cold")


@pytest.mark.parametrize("code", [_marked("pl"), _marked("py"), _marked("r"), _marked("rb")])
def test_programs_forked_from_one_interpreter_do_not_meet(code):
    """A program sees neither files, nor definitions, nor processes of the one before; and none of the interpreter's rights."""
    write, read = {
        "py": (
            "import builtins\nbuiltins.x = 1\nopen('/tmp/x', 'w').close()",
            "import builtins, os\nif hasattr(builtins, 'x') or os.path.exists('/tmp/x'): os._exit(1)",
        ),
        "pl": ("our $x = 1; open(F, '>', '/tmp/x'); print F 1; close F;", "exit(defined($main::x) || -e '/tmp/x');"),
        "r": ("x <- 1; cat('1', file = '/tmp/x')", "if (exists('x') || file.exists('/tmp/x')) quit(status = 1)"),
        "rb": ("$x = 1; File.write('/tmp/x', '1')", "exit 1 if $x || File.exist?('/tmp/x')"),
    }[code]
    who = {
        "py": "import os\nif os.getuid() != 1000 or os.path.exists('/etc/shadow'): os._exit(2)",
        "pl": "exit 2 if $< != 1000 || -e '/etc/shadow' || `grep CapEff /proc/self/status` !~ /0{16}/;",
        "r": "if (!any(grepl('CapEff:\\t0000000000000000', readLines('/proc/self/status')))) quit(status = 2)",
        "rb": "exit 2 if Process.uid != 1000 || File.read('/proc/self/status') !~ /CapEff:\\t0{16}/",
    }[code]
    programs = [write, read, f"{read}\n{who}", f"{who}\n{read}", f"{read} # again"]
    result = score([programs], [""], [code], mode="compat", num_workers=1)
    assert [row["status"] for row in result["results"]] == ["OK"] * 5, result["results"]


STATUS_LINES = (
    "CapEff:\t0000000000000000",
    "CapPrm:\t0000000000000000",
    "NoNewPrivs:\t1",
    "Seccomp:\t2",
    "Uid:\t1000\t1000",
)
LOOKS = {
    "pl": "local $/; open(F, '<', '/proc/self/status'); print <F>; opendir(D, '/proc'); print 'pids ', join(' ', grep /^[0-9]+$/, readdir D);",
    "py": "import os\nprint(open('/proc/self/status').read(), 'pids', *filter(str.isdigit, os.listdir('/proc')))",
    "r": "writeLines(readLines('/proc/self/status')); cat('pids', grep('^[0-9]+$', list.files('/proc'), value = TRUE))",
    "rb": "puts File.read('/proc/self/status'), 'pids ' + Dir.children('/proc').grep(/^[0-9]+$/).join(' ')",
    "rkt": '#lang racket\n(display (file->string "/proc/self/status"))\n(display "pids ")\n'
    '(for ([x (directory-list "/proc")]) (when (regexp-match? #px"^[0-9]+$" (path->string x)) (printf "~a " x)))',
}


@pytest.mark.parametrize("code", [_marked(code) for code in LOOKS])
def test_what_is_forked_has_given_everything_up(code):
    """A program run by a forked interpreter has no capability, a filter, the wall's user, and sees its own processes only."""
    notes = {"rkt": ";;"}.get(code, "#")
    programs = [f"{LOOKS[code]}\n{notes} {i}" for i in range(4)]
    result = score([programs], [""], [code], mode="compat", num_workers=1)
    for row in result["results"]:
        assert [line for line in STATUS_LINES if line not in row["stdout"]] == [], row["stdout"] + row["stderr"]
        pids = row["stdout"].partition("pids ")[2].split()
        assert len(pids) == 2, row["stdout"]


def test_bombs_of_forked_interpreters_are_contained():
    """Fork bombs and memory bombs in programs that warm interpreters run end at their limits, like all others."""
    bombs = [
        "while (1) { fork() }",
        "my @x; while (1) { push @x, 'x' x (1 << 24) . scalar(@x); }",
        "while (1) { print 'x' }",
    ]
    result = score([[*bombs, "exit 0;"]], [""], ["pl"], mode="compat", timeout_s=2.0)
    assert [row["status"] for row in result["results"][:3] if row["status"] == "OK"] == []
    assert result["results"][3]["status"] == "OK"
    assert subprocess.run(["true"], timeout=20, check=False).returncode == 0


@pytest.mark.slow
def test_load_changes_no_status():
    """With more busy loops than processors, a program near its limit passes, and an endless one does not."""
    near = [f"import time\nwhile time.process_time() < 0.8: pass\nassert {i} >= 0" for i in range(4)]
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        result = score([[*near, "while True: pass", "import time\ntime.sleep(30)"]], [""], ["py"], timeout_s=1.2)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert [row["status"] for row in result["results"]] == ["OK"] * 4 + ["Timeout"] * 2


def test_outcomes_are_kept_and_found_again(tmp_path):
    """A second evaluation runs nothing, and says the same; another limit or mode is another outcome."""
    given = ([["1", "0/0", "assert 0"]], [""], ["py"])
    first, second = (score(*given, cache_dir=str(tmp_path)) for _ in range(2))
    assert [row.pop("cached") for row in first["results"]] == [False] * 3
    assert [row.pop("cached") for row in second["results"]] == [True] * 3
    assert first == second
    for settings in ({"timeout_s": 3.0}, {"mode": "compat"}):
        assert not any(row["cached"] for row in score(*given, cache_dir=str(tmp_path), **settings)["results"])
    # A line that was cut off, and lines of no meaning, are passed over.
    path = next(tmp_path.glob("py-*.jsonl"))
    path.write_text(path.read_text()[:-20] + '\n[]\n{"key": 1}\n')
    assert sum(row["cached"] for row in score(*given, cache_dir=str(tmp_path))["results"]) >= 2


def test_a_cache_that_cannot_be_is_an_error(tmp_path):
    """A cache folder that is a file is refused in words."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"cache_dir=.* is no folder that can be written"):
        score([["1"]], [""], ["py"], cache_dir=str(tmp_path / "file"))
