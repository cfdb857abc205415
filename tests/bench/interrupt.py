"""Ctrl-C to every command of the parser: seconds from the signal to the end of the process, and what it took to get there.

Usage: python tests/bench/interrupt.py [COMMAND …], for example: python tests/bench/interrupt.py "data run" demo
"""

import resource
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.conftest import write_stack_shards
from tests.e2e.interrupt_driver import ROWS, interrupt, make_shared


def children_cpu_s() -> float:
    """The CPU seconds of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Print a line for each command."""
    with tempfile.TemporaryDirectory() as folder:
        shared = make_shared(Path(folder) / "shared", write_stack_shards)
        slowest = 0.0
        for number, command in enumerate(sys.argv[1:] or ROWS):
            own, before = Path(folder) / str(number), children_cpu_s()
            own.mkdir()
            ended = interrupt(command, shared, own)
            slowest = max(slowest, ended.seconds)
            print(
                f"{command:22} code={ended.code} seconds={ended.seconds:.2f} cpu_s={children_cpu_s() - before:.1f} "
                f"lines={len(ended.said.splitlines())} processes_left={len(ended.children)}",
                flush=True,
            )
        print(f"slowest={slowest:.2f}s cpu_s={children_cpu_s():.0f}")


if __name__ == "__main__":
    main()
