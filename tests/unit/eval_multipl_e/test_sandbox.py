"""The filter of system calls, run row by row; and the rules that name an ending."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval_multipl_e import execution_verdict, sandbox_seccomp
from eval_multipl_e.languages import LANGUAGES
from eval_multipl_e.languages_row import Ending
from eval_multipl_e.sandbox_streams import Capture, FinishedCommand

ALLOW, KILL = 0x7FFF0000, 0x80000000
ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def answer(machine, number, first=0, second=0, third=0, architecture=None):
    """What the filter answers to a call: the rows are run as the kernel runs them."""
    data = struct.pack("=IIQQQQ", number, architecture or ARCH[machine], 0, first, second, third)
    program = [
        struct.unpack_from("=HBBI", sandbox_seccomp.rows(machine), at)
        for at in range(0, len(sandbox_seccomp.rows(machine)), 8)
    ]
    at, value = 0, 0
    while True:
        code, if_true, if_false, operand = program[at]
        at += 1
        if code == 0x20:
            value = struct.unpack_from("=I", data, operand)[0]
        elif code == 0x06:
            return operand
        else:
            holds = value == operand if code == 0x15 else value & operand
            at += if_true if holds else if_false


@pytest.mark.parametrize(("machine", "column"), [("x86_64", 0), ("aarch64", 1)])
def test_every_listed_call_is_refused_and_others_are_not(machine, column):
    """Each call of the table is answered with an error, and no other number below 460 is."""
    for table, number in ((sandbox_seccomp.REFUSED, 1), (sandbox_seccomp.ABSENT, 38)):
        for name, call in table.items():
            assert answer(machine, call[column]) == 0x00050000 | number, name
    listed = {call[column] for table in (sandbox_seccomp.REFUSED, sandbox_seccomp.ABSENT) for call in table.values()}
    others = set(range(460)) - listed - {(41, 198)[column]}
    assert {answer(machine, number) for number in others} == {ALLOW}


@pytest.mark.parametrize(
    ("number", "first", "second", "expected"),
    [
        (56, 0x11, 0, ALLOW),  # clone: a fork
        (56, 0x003D0F00, 0, ALLOW),  # clone: a thread
        (56, 0x10000011, 0, 0x00050001),  # clone: a user namespace
        (56, 0x40000011, 0, 0x00050001),  # clone: a network namespace
        (41, 1, 0, ALLOW),
        (41, 2, 0, ALLOW),
        (41, 10, 0, ALLOW),
        (41, 16, 0, ALLOW),
        (41, 17, 0, 0x00050061),  # packets
        (41, 38, 0, 0x00050061),  # the kernel's ciphers
        (41, 40, 0, 0x00050061),  # the machine's host
        (16, 0, 0x5401, ALLOW),
        (16, 0, 0x5412, 0x00050001),  # typing into a terminal
    ],
)
def test_calls_are_looked_at_by_their_arguments(number, first, second, expected):
    """Namespaces by clone, sockets outside the network namespace, and typing into a terminal are refused."""
    assert answer("x86_64", number, first, second) == expected


@pytest.mark.parametrize(("machine", "number"), [("x86_64", 54), ("aarch64", 208)])
def test_a_socket_keeps_its_size_of_buffer(machine, number):
    """The sizes of a socket's buffers can't be set, its other options can."""
    assert [answer(machine, number, 3, 1, option) for option in (2, 7, 8, 9)] == [ALLOW, 0x0005005C, 0x0005005C, ALLOW]


def test_other_tables_of_calls_are_shut():
    """A call of another architecture ends the program, and one of x32's numbers is unknown."""
    assert answer("x86_64", 1, architecture=0x40000003) == KILL
    assert answer("x86_64", 0x40000000 | 101) == 0x00050026


@pytest.mark.parametrize(
    ("code", "ending", "expected"),
    [
        ("sh", Ending(2, "", "main.sh: line 3: syntax error near"), "SyntaxError"),
        ("js", Ending(1, "SyntaxError", ""), "SyntaxError"),
        ("ts", Ending(1, "SyntaxError", ""), "Exception"),
        ("pl", Ending(0, "ERROR", ""), "Exception"),
        ("php", Ending(None, "", ""), "Exception"),
        ("php", Ending(255, "PHP Parse error: x", ""), "SyntaxError"),
        ("rkt", Ending(None, "", ""), "Exception"),
        ("rkt", Ending(0, "", "FAILURE"), "Exception"),
        ("rkt", Ending(1, "", "x.rkt:3: read-syntax: expected"), "SyntaxError"),
        ("r", Ending(1, "", ""), "AssertionError"),
        ("r", Ending(1, "", "unexpected symbol"), "SyntaxError"),
        ("rb", Ending(1, "F", ""), "Exception"),
        ("rb", Ending(1, "", "anything"), "SyntaxError"),
        ("jl", Ending(1, "", ""), "Exception"),
        ("jl", Ending(1, "", "Test Failed"), "SyntaxError"),
        ("cs", Ending(0, "", "at System.Diagnostics.DefaultTraceListener.Fail"), "Exception"),
        ("cs", Ending(3, "", ""), "OK"),
        ("go", Ending(1, "FAIL x [build failed]", ""), "SyntaxError"),
        ("go", Ending(1, "--- FAIL: TestX", ""), "Exception"),
        ("scala", Ending(0, "", "warning"), "Exception"),
        ("d", Ending(1, "", "main.d(3): Error: found"), "SyntaxError"),
        ("hs", Ending(1, "", ""), "SyntaxError"),
        ("clj", Ending(0, "\n1 failures, 0 errors.\n", ""), "Exception"),
        ("ml", Ending(2, "", "Exception: Assert_failure"), "AssertionError"),
        ("elixir", Ending(2, "Assertion with == failed", ""), "AssertionError"),
        ("swift", Ending(None, "", ""), "Timeout"),
    ],
)
def test_endings_are_named_as_multipl_e_names_them(code, ending, expected):
    """Each language's rule, on the endings that tell it from the others."""
    assert expected == LANGUAGES[code].rule(ending)


def _step(code, out=b"", err=b"", seconds=0.05):
    step = FinishedCommand(code, Capture(b"token"), Capture(), seconds)
    for capture, text in ((step.stdout, out), (step.stderr, err)):
        if text:
            capture.begun -= seconds
            capture.feed(text)
            capture.arrivals[0] = (seconds, len(text))
    return step


def test_a_quick_program_is_seen_once():
    """Of a program that ends within 0.1 s MultiPL-E reads 1 KB, of a longer one up to 2 KB."""
    assert len(execution_verdict.polled(_step(0, b"x" * 9000).stdout, 0.05)) == 1024
    capture = _step(0, b"x" * 9000, seconds=0.05).stdout
    assert len(execution_verdict.polled(capture, 2.0)) == 2048


@given(st.integers(0, 200_000), st.floats(0.01, 3))
def test_what_is_seen_is_a_beginning(length, seconds):
    """Whatever the length and the time, what MultiPL-E reads is a beginning of the stream, and at most 2 KB."""
    seen = execution_verdict.polled(_step(0, b"y" * length, seconds=seconds).stdout, seconds)
    assert seen == "y" * len(seen)
    assert len(seen) <= min(length, 2048)


def test_strict_only_takes_away():
    """Strict mode never turns an ending that MultiPL-E does not pass into a pass, but for output that it would not read."""
    for row in LANGUAGES.values():
        for code, out, err in (
            (0, b"", b""),
            (1, b"", b""),
            (0, b"", b"warning"),
            (3, b"ERROR", b""),
            (None, b"", b""),
        ):
            step = _step(code, out, err)
            strict = execution_verdict.named(row, step, strict=True, timeout_s=5.0)[0]
            compat = execution_verdict.named(row, step, strict=False, timeout_s=5.0)[0]
            assert strict != "OK" or compat == "OK", (row.code, code)


def test_too_much_memory_has_its_own_reason():
    """A program that was ended for its memory is an Exception that says so, in both modes."""
    step = FinishedCommand(None, Capture(), Capture(), 1.0, memory_bytes=5 << 30)
    for strict in (True, False):
        status, reason = execution_verdict.named(LANGUAGES["py"], step, strict=strict, timeout_s=5.0)
        assert (status, reason) == ("Exception", "memory: the program's processes held 5120 MB together")
