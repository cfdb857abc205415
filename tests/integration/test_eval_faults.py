"""What a machine may do to a score: load, kills, tools in odd places, containers; and what programs may not do to it."""

import os
import random
import shutil

import pytest

from eval_multipl_e import run_program, score
from eval_multipl_e.execution import toolchain_problem
from eval_multipl_e.execution_batch import usable_processors
from eval_multipl_e.languages import LANGUAGES
from eval_multipl_e.sandbox import available
from eval_multipl_e.sandbox_forkserver import _has_had_its_time
from eval_multipl_e.sandbox_seccomp import rows
from eval_multipl_e.toolchains import find_tool, missing_tool

walled = pytest.mark.skipif(available() is None, reason="no sandbox works here: see hf-santa eval doctor")


def _needs(code):
    lacking = missing_tool(LANGUAGES[code])
    return pytest.mark.skipif(lacking is not None, reason=str(lacking))


@pytest.fixture(autouse=True)
def _open_gate(monkeypatch):
    monkeypatch.setenv("HF_ALLOW_CODE_EVAL", "1")


@pytest.mark.parametrize(
    ("cpu_s", "delay_s", "ended_cpu_s", "elapsed_s", "is_over"),
    [
        (0.9, 0.0, 0.0, 0.9, False),  # its limit has not come
        (2.0, 0.0, 0.0, 2.0, True),  # busy all the time
        (0.0, 0.0, 0.0, 2.0, True),  # asleep
        (0.6, 0.0, 0.0, 2.0, True),  # 30 % busy, and nothing held it up
        (1.0, 1.0, 0.0, 2.0, False),  # it waited for half of its time
        (1.0, 1.0, 0.0, 3.0, True),  # and has made up for it
        (1.0, 0.0, 0.9, 2.0, False),  # many short processes, whose waiting is not known
        (2.0, 9.0, 1.9, 11.0, True),
    ],
)
def test_a_limit_is_of_time_that_a_program_had(cpu_s, delay_s, ended_cpu_s, elapsed_s, is_over):
    """A limit of 2 s ends a program after 2 s of processor time, or of not waiting for a processor."""
    usage = {"cpu_s": cpu_s, "delay_s": delay_s, "ended_cpu_s": ended_cpu_s}
    assert _has_had_its_time(usage, 2.0, elapsed_s) is is_over


@walled
def test_a_program_that_is_busy_now_and_then_ends_at_its_limit():
    """A loop that is busy for 30 % of the time is a Timeout, and is run once."""
    program = (
        "import time\nwhile True:\n    t = time.time()\n    while time.time() - t < .03: pass\n    time.sleep(.07)\n"
    )
    outcome = run_program(program, "py", timeout_s=1.0)
    assert (outcome.status, outcome.is_starved) == ("Timeout", False)


def test_a_container_s_share_of_processors_counts(tmp_path):
    """The number of workers is that of the processors this process is bound to, or of its container's share."""
    bound = len(os.sched_getaffinity(0))
    assert usable_processors(tmp_path) == bound
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert usable_processors(tmp_path) == bound
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert usable_processors(tmp_path) == 1
    (tmp_path / "cpu.max").unlink()
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("-1\n")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")
    assert usable_processors(tmp_path) == bound
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("100000\n")
    assert usable_processors(tmp_path) == 1


def test_another_machine_s_filter_is_an_error_in_words():
    """Where the numbers of system calls are not known, the sandbox says which machines it knows."""
    with pytest.raises(OSError, match="knows x86_64 and aarch64, not riscv64"):
        rows("riscv64")


@walled
def test_memory_that_belongs_to_no_process_is_refused():
    """Files in memory and shared segments, which no count of a process's memory holds, can't be had."""
    program = (
        "import ctypes, os\n"
        "try:\n    os.memfd_create('a')\nexcept OSError as error:\n    print('refused', error.errno)\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "print(libc.shmget(0, 1 << 30, 0o1600), ctypes.get_errno())\n"
    )
    assert run_program(program, "py").stdout == "refused 38\n-1 38\n"


@walled
def test_memory_of_queues_and_buffers_is_refused():
    """Queues and semaphores of System V can't be had, and a socket keeps its own size of buffer."""
    program = (
        "import ctypes, socket\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "print(libc.msgget(0, 0o1600), ctypes.get_errno(), libc.semget(0, 32000, 0o1600), ctypes.get_errno())\n"
        "try:\n    socket.socketpair()[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)\n"
        "except OSError as error:\n    print('refused', error.errno)\n"
    )
    assert run_program(program, "py").stdout == "-1 38 -1 38\nrefused 92\n"


@walled
def test_buffers_of_sockets_count_as_memory():
    """Many sockets, whose buffers are in no process's count, end a program as too much memory does."""
    program = (
        "import os, socket, time\n"
        "for _ in range(30):\n    if not os.fork():\n"
        "        kept = [socket.socketpair() for _ in range(400)]\n        time.sleep(20)\n        os._exit(0)\n"
        "time.sleep(20)\n"
    )
    outcome = run_program(program, "py", timeout_s=15)
    assert (outcome.status, "memory: the program's processes held" in outcome.reason) == ("Exception", True)


@walled
@_needs("lua")
def test_a_tool_that_the_sandbox_hides_costs_its_language_only(tmp_path, monkeypatch):
    """A toolchain below the folder for temporary files is named as one that can't be used; the others are scored."""
    if not str(tmp_path).startswith("/tmp/"):
        tmp_path = tmp_path.__class__("/tmp", f"santa-tool-{os.getpid()}")
    tool = tmp_path / "bin/lua"
    tool.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(find_tool("lua"), tool)
    monkeypatch.setenv("PATH", f"{tool.parent}{os.pathsep}{os.environ['PATH']}")
    assert f"{tool} lies below a folder" in toolchain_problem("lua")
    with pytest.warns(RuntimeWarning, match="lies below a folder"):
        result = score([["x = 1"], ["true"]], ["", ""], ["lua", "sh"])
    assert [row["status"] for row in result["results"]] == ["ToolMissing", "OK"]
    shutil.rmtree(tool.parent)


@walled
def test_a_score_that_is_cut_off_goes_on(tmp_path):
    """Progress is told program by program; what was done before a break is there afterwards."""
    given = ([[f"true {i}" for i in range(8)]], [""], ["sh"])
    told = []

    def break_at_five(done, total):
        told.append((done, total))
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(*given, cache_dir=str(tmp_path), num_workers=1, progress=break_at_five)
    assert told[:5] == [(i, 8) for i in range(1, 6)]
    told.clear()
    result = score(*given, cache_dir=str(tmp_path), progress=lambda *words: told.append(words))
    assert sum(row["cached"] for row in result["results"]) >= 5
    assert told == [(done, len(told)) for done in range(1, len(told) + 1)]
    assert len(told) == 8 - sum(row["cached"] for row in result["results"])


@walled
def test_a_loud_program_s_row_holds_both_ends():
    """Of a long output a row has the beginning and the end."""
    result = score([["printf %0500000d 1; echo end"]], [""], ["sh"])["results"][0]
    assert len(result["stdout"]) <= 4000
    assert result["stdout"].startswith("000")
    assert result["stdout"].endswith("end\n")


@walled
@_needs("rb")
def test_ruby_is_warm_only_where_it_makes_no_difference():
    """DATA is there, and Test::Unit is not there before it is asked for, in a batch that is run warm."""
    programs = [
        "exit 1 unless DATA.read.strip == 'x'\n__END__\nx",
        "exit 1 if defined?(Test)\nrequire 'test/unit'",
        "Test::Unit",
    ]
    for speed in ("warm", "cold"):
        result = score([[*programs, *(f"x = {i}" for i in range(4))]], [""], ["rb"], mode="compat", speed=speed)
        assert [row["status"] for row in result["results"][:3]] == ["OK", "OK", "SyntaxError"], speed


@walled
@_needs("rkt")
def test_racket_draws_other_numbers_in_every_program():
    """Programs forked from one warm Racket do not draw the same numbers."""
    programs = [f"#lang racket\n(display (random 1000000000)) ; {i}" for i in range(5)]
    random.shuffle(programs)
    result = score([programs], [""], ["rkt"], mode="compat")
    assert len({row["stdout"] for row in result["results"]}) == 5
