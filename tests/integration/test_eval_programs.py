"""Programs of each language, run for real: the status, the output and the time of each kind of ending."""

import doctest
import importlib
import itertools
import time
from pathlib import Path

import pytest

import eval_multipl_e
from eval_multipl_e import run_program
from eval_multipl_e.execution import Outcome
from eval_multipl_e.languages import LANGUAGES
from eval_multipl_e.sandbox import available
from eval_multipl_e.suite.infilling import single_line_tasks
from eval_multipl_e.suite.problems import read_problems
from eval_multipl_e.toolchains import find_jar, missing_tool

PROBLEMS = read_problems(Path(eval_multipl_e.__file__).parent.parent / "hf_santa/problems.jsonl")
WALL = pytest.param("auto", marks=pytest.mark.skipif(available() is None, reason="namespaces do not work here"))


def _needs(code):
    lacking = missing_tool(LANGUAGES[code])
    return [pytest.mark.toolchain, pytest.mark.skipif(lacking is not None, reason=str(lacking))]


def _rows(rows):
    return [pytest.param(*row, id=f"{row[0]}-{row[1]}", marks=_needs(row[0])) for row in rows]


def _java(body, before=""):
    return f"class Problem {{ {before} public static void main(String[] args) {{ {body} }} }}"


ENDINGS = [
    # code, what happens, program, strict status, compat status
    ("py", "passes", "assert 1 + 1 == 2", "OK", "OK"),
    ("py", "asserts", "assert 1 + 1 == 3", "AssertionError", "Exception"),
    ("py", "raises", "1 / 0", "Exception", "Exception"),
    ("py", "does not parse", "def f(:", "SyntaxError", "SyntaxError"),
    ("py", "is ill indented", "def f():\nreturn 1", "SyntaxError", "Exception"),
    ("py", "leaves early", "exit(0)\nassert False", "Exception", "OK"),
    ("py", "leaves with 3", "exit(3)", "Exception", "Exception"),
    ("py", "crashes", "import os\nos.abort()", "Exception", "Exception"),
    ("py", "takes stdout away", "import sys\nsys.stdout = None\nprint = None", "OK", "OK"),
    ("py", "holds a NUL", "x = '\0'", "SyntaxError", "SyntaxError"),
    ("py", "holds a lone surrogate", "x = '\ud800'", "SyntaxError", "SyntaxError"),
    ("js", "passes", "require('node:assert').deepEqual([1], [1])", "OK", "OK"),
    ("js", "asserts", "require('node:assert').deepEqual(1, 2)", "AssertionError", "AssertionError"),
    ("js", "throws", "throw new Error('x')", "Exception", "Exception"),
    ("js", "does not parse", "function f( {", "SyntaxError", "SyntaxError"),
    ("js", "lacks a name", "nothing()", "ReferenceError", "ReferenceError"),
    ("js", "leaves early", "process.exit(0)", "Exception", "OK"),
    ("js", "shadows process", "function process(x) { return x }", "OK", "OK"),
    ("js", "crashes", "process.abort()", "Exception", "Exception"),
    ("java", "passes", _java("assert 1 + 1 == 2;"), "OK", "OK"),
    ("java", "asserts", _java("assert 1 + 1 == 3;"), "AssertionError", "Exception"),
    ("java", "throws", _java("int[] a = {}; a[1] = 2;"), "Exception", "Exception"),
    ("java", "does not parse", _java("int ;"), "SyntaxError", "SyntaxError"),
    ("java", "has a wrong type", _java('int x = "a";'), "SyntaxError", "SyntaxError"),
    ("java", "leaves early", _java("System.exit(0);"), "Exception", "OK"),
    ("java", "declares an exception", _java("", "static { } ").replace(") {", ") throws Exception {"), "OK", "OK"),
    ("java", "has another class", "class Other { public static void main(String[] a) { } }", "Exception", "Exception"),
]


@pytest.mark.parametrize(("code", "ending", "program", "strict", "compat"), _rows(ENDINGS))
def test_each_ending_has_its_status(code, ending, program, strict, compat):
    """A program gets the status of its ending, in strict mode and by MultiPL-E's rules."""
    outcomes = {mode: run_program(program, code, mode=mode) for mode in ("strict", "compat")}
    assert {"strict": strict, "compat": compat} == {mode: outcome.status for mode, outcome in outcomes.items()}
    for outcome in outcomes.values():
        assert (outcome.status == "OK") == (outcome.reason == "")
        assert "santa_" not in outcome.stdout
    if ending == "leaves early":
        assert outcomes["strict"].reason.startswith("no_sentinel")


LOOPS = [
    ("py", "loops", "while True: pass"),
    ("py", "sleeps", "import time\ntime.sleep(60)"),
    ("py", "prints for ever", "while True: print('x' * 1000)"),
    ("py", "closes its output", "import os, time\nos.close(1)\nos.close(2)\ntime.sleep(60)"),
    ("js", "loops", "for (;;) { }"),
    ("js", "waits", "setInterval(() => 0, 1000)"),
    ("java", "loops", _java("while (true) { }")),
]


@pytest.mark.parametrize(("code", "kind", "program"), _rows(LOOPS))
@pytest.mark.parametrize("mode", ["strict", "compat"])
def test_a_program_without_end_is_a_timeout_at_its_limit(code, kind, program, mode):
    """A program that does not end is Timeout, with exit code -1, long before the program's own minute."""
    begun = time.monotonic()
    outcome = run_program(program, code, timeout_s=1.0, mode=mode)
    assert (outcome.status, outcome.exit_code) == ("Timeout", -1)
    assert outcome.seconds >= 1.0
    assert time.monotonic() - begun < 55


@pytest.mark.parametrize("sandbox", [WALL, "none"])
def test_much_output_passes_and_is_capped(sandbox):
    """400 KB of output do not stop a program; of 3 MB the beginning and the end are kept and the rest counted."""
    assert run_program("print('x' * 400_000)", "py", sandbox=sandbox).status == "OK"
    outcome = run_program("print('x' * 3_000_000 + 'end')", "py", sandbox=sandbox)
    assert outcome.status == "OK"
    head, gap, end = outcome.stdout.partition(f"\n[{outcome.dropped_bytes} bytes left out]\n")
    assert (len(head), end.strip("x")) == (1 << 20, "end\n")
    # What was left out, or taken out, is but the line that strict mode looks for.
    assert 0 <= len(head) + len(end) + outcome.dropped_bytes - 3_000_004 <= 100
    assert gap


@pytest.mark.parametrize(("code", "program"), _rows([(c, p) for c, _, p, s, _ in ENDINGS if s == "OK"]))
def test_both_ways_of_running_agree(code, program):
    """Without the wall a passing program passes as well."""
    assert run_program(program, code, sandbox="none").status == "OK"


def test_upstream_stops_long_output_and_compat_says_so():
    """In compat mode a program that prints more than upstream reads in its time is Timeout, as it is there."""
    program = "print('x' * 400_000)"
    assert run_program(program, "py", mode="compat").status == "Timeout"
    assert run_program(program.replace("400_000", "40_000"), "py", mode="compat").status == "OK"


def test_a_program_of_ten_megabytes_runs():
    """A source of 10 MB is written and run like any other."""
    assert run_program("x = 1\n" + "# " + "y" * 10_000_000 + "\nassert x == 1", "py").status == "OK"


def test_output_of_any_bytes_is_kept_as_text():
    """NUL bytes stay, and bytes that are not UTF-8 become U+FFFD."""
    outcome = run_program(r"import os; os.write(1, b'a\0b\xff\n')", "py")
    assert (outcome.status, outcome.stdout) == ("OK", "a\0b\ufffd\n")


def test_standard_input_is_closed():
    """A program that reads its input finds it at its end."""
    assert run_program("import sys; print(repr(sys.stdin.read()))", "py").stdout == "''\n"


def test_one_program_gives_one_outcome():
    """Two runs of a program differ in their seconds only."""
    first, second = (run_program("import sys; sys.exit('end')", "py") for _ in range(2))
    assert Outcome(**{**vars(first), "seconds": second.seconds}) == second


@pytest.mark.parametrize(("code", "kind"), _rows([("java", "javatuples")]))
def test_javatuples_are_used_or_named(code, kind):
    """MultiPL-E's own Java header runs where the jar is, and is ToolMissing where it is not."""
    outcome = run_program("import org.javatuples.*;\n" + _java("assert Pair.with(1, 2).getValue0() == 1;"), code)
    assert ("OK" if find_jar("javatuples") else "ToolMissing") == outcome.status


@pytest.mark.parametrize(("code", "kind"), _rows([(code, "solved problems") for code in ("py", "js", "java")]))
def test_a_solution_passes_and_a_changed_one_does_not(code, kind):
    """Each demo problem passes with its solution put together from an infilling task, and fails with a line lost."""
    for problem in [row for row in PROBLEMS if row["language"] == code][:3]:
        task = single_line_tasks([problem], per_problem=1)[0]
        whole, lost = (
            task["prefix"] + middle + task["suffix"] + "\n" + task["tests"] for middle in (task["middle"], "")
        )
        assert run_program(whole, code).status == "OK"
        assert run_program(lost, code).status != "OK"


@pytest.mark.parametrize(
    "name",
    ["execution", "languages", "sandbox", "sandbox_seccomp", "scoring_estimator", "suite.infilling", "suite.problems"],
)
def test_the_examples_in_the_words_are_true(name):
    """Every example in a docstring gives what it shows."""
    module = importlib.import_module(f"eval_multipl_e.{name}")
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


def test_nothing_is_left_in_the_temporary_folder(tmp_path, monkeypatch):
    """Every kind of ending leaves the temporary folder as it was; only the view of the system lives as long as we."""
    ways = ["auto", "none"] if available() else ["none"]
    programs = ["1", "while True: pass", "open('x', 'w').write('y')"]
    run_program("1", "py", sandbox=ways[0])
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for program, sandbox in itertools.product(programs, ways):
        run_program(program, "py", timeout_s=0.5, sandbox=sandbox)
    assert list(tmp_path.iterdir()) == []
