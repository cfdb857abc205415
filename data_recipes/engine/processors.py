"""How many processors this process may use: fewer than the machine has, in a container or under `taskset`."""

import math
import os
from collections.abc import Iterator
from pathlib import Path


def usable_processors(root: Path = Path("/")) -> int:
    """Return the processors that the scheduler and the container's quota leave to this process, at least 1.

    A quota of half a processor counts as one, 2.5 as three. `root` is where /proc and /sys are.
    """
    has_affinity = hasattr(os, "sched_getaffinity")  # not on macOS and Windows
    count = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    return max(1, min([count, *(math.ceil(quota) for quota in _quotas(root))]))


def _quotas(root: Path) -> Iterator[float]:
    """Yield the processors that each control group above this process allows, of version 2 and of version 1."""
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            for folder in _upwards(root / "sys/fs/cgroup", path):
                yield from _quota(*" ".join(_lines(folder / "cpu.max")).split())
        elif "cpu" in controllers.split(","):
            for folder in _upwards(root / "sys/fs/cgroup/cpu", path):
                yield from _quota(*_lines(folder / "cpu.cfs_quota_us"), *_lines(folder / "cpu.cfs_period_us"))


def _upwards(top: Path, path: str) -> Iterator[Path]:
    """Yield the group's folder and those above it; inside a container the path may name folders of its outside."""
    folder = top / path.strip("/")
    yield from (folder, *(parent for parent in folder.parents if parent.is_relative_to(top)))


def _quota(*words: str) -> Iterator[float]:
    """Yield microseconds a period as processors; "max" or -1 is no limit."""
    if len(words) == 2 and words[0].isdecimal() and words[1].isdecimal() and int(words[1]):
        yield int(words[0]) / int(words[1])


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:  # not Linux, or hidden
        return []
