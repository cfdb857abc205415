"""How much memory a process may have and may still get: what the machine, its containers and its own limit leave.

Read from Linux's files; elsewhere, and where they are hidden, nothing is known and nothing is refused.
"""

import os
from collections.abc import Iterator
from pathlib import Path

NO_LIMIT = 2**60
# Of each version of control groups, by its name in /proc/self/cgroup: the folder, the files for limit and use, and which lines
# of memory.stat are files kept in memory, which are given back when it is needed.
GROUPS = {
    "": ("sys/fs/cgroup", "memory.max", "memory.current", ("inactive_file", "active_file")),
    "memory": (
        "sys/fs/cgroup/memory",
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        ("total_inactive_file", "total_active_file"),
    ),
}


def free_memory(root: Path = Path("/")) -> int | None:
    """Return the bytes that this process can still get, or None where no file says so; `root` is where /proc and /sys are.

    Files that the system keeps in memory count as free, as in MemAvailable, but for those that this process has mapped:
    weights that were read from a file are in use, although the system calls them available.
    """
    mapped = 1024 * next(_numbers(root / "proc/self/status", "RssFile:"), 0)
    found = [1024 * size - mapped for size in _numbers(root / "proc/meminfo", "MemAvailable:")]
    for folder, limit, used, cached in _groups(root):
        kept = sum(size for name in cached for size in _numbers(folder / "memory.stat", f"{name} "))
        use = next(_numbers(folder / used), 0) - kept + mapped
        found += [size - max(0, use) for size in _numbers(folder / limit)]
    pages = next(_numbers(root / "proc/self/statm"), 0)
    found += [size - pages * _page() for size in _numbers(root / "proc/self/limits", "Max address space")]
    return max(0, min(found)) if found else None


def memory_limit(root: Path = Path("/")) -> int | None:
    """Return the bytes that this process may have in all, or None where no file says so."""
    found = [1024 * size for size in _numbers(root / "proc/meminfo", "MemTotal:")]
    for folder, limit, *_ in _groups(root):
        found += _numbers(folder / limit)
    found += _numbers(root / "proc/self/limits", "Max address space")
    return min(found, default=None)


def _groups(root: Path) -> Iterator[tuple[Path, str, str, tuple[str, ...]]]:
    """Yield each control group above this process, with the names of its two files and of the lines of its third.

    Inside a container the path may name folders of its outside, so the topmost folder is always among them.
    """
    paths = dict.fromkeys(GROUPS, "")
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        paths |= {name: path for name in controllers.split(",") if name in paths}
    for name, (top, limit, used, cached) in GROUPS.items():
        folder = root / top / paths[name].strip("/")
        for group in (folder, *folder.parents):
            if group.is_relative_to(root / top):
                yield group, limit, used, cached


def _numbers(path: Path, beginning: str = "") -> Iterator[int]:
    """Yield the first number of each line that begins so; "max" and version 1's largest number are no limit."""
    for line in _lines(path):
        words = line.removeprefix(beginning).split()
        if line.startswith(beginning) and words and words[0].isdecimal() and int(words[0]) < NO_LIMIT:
            yield int(words[0])


def _page() -> int:
    return os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux, or hidden
        return []
