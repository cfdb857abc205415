"""Memory that runs out is the machine's limit and not a fault: one line, and the exit code for work that was stopped."""

import pytest

from hf_santa.door import INCOMPLETE, _explained
from modeling_santa.errors_santa import TooLittleMemoryError


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        MemoryError("Unable to allocate 9.00 GiB for an array"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
            "allocate 90 bytes.\nmore of it"
        ),
        RuntimeError("CUDA out of memory. Tried to allocate 9.00 GiB."),
    ],
)
def test_too_little_memory_is_one_line(error):
    """Python's, NumPy's and torch's errors alike."""
    line, code = _explained(error, "hf-santa model complete")
    assert INCOMPLETE == code
    assert line.startswith("there is too little memory: ")
    assert "then run again" in line
    assert "\n" not in line


def test_a_mode_that_needs_more_than_is_free_ends_the_command_in_the_same_way():
    """`optimize_for_cpu` says what it needs; both kinds of error that callers may catch catch it."""
    line, code = _explained(TooLittleMemoryError("needs 3 GB"), "hf-santa model complete")
    assert (INCOMPLETE, "needs 3 GB") == (code, line)
    assert issubclass(TooLittleMemoryError, ValueError)
    assert issubclass(TooLittleMemoryError, RuntimeError)
