"""What memory is left is read from the machine, each container around the process, and its own limit."""

import os

import pytest

from modeling_santa.memory_santa import free_memory, memory_limit

MB = 1_000_000
MACHINE = {"proc/meminfo": "MemTotal: 90000 kB\nMemFree: 1 kB\nMemAvailable:    70000 kB\n"}
SECOND = {"proc/self/cgroup": "0::/user/run.scope\n"}
FIRST = {"proc/self/cgroup": "9:name=systemd:/\n4:memory,hugetlb:/box\n0::/\n"}
LIMITS = "Limit  Soft Limit  Hard Limit  Units\nMax address space         {}            unlimited            bytes\n"


@pytest.fixture
def root(tmp_path):
    """A machine's files, made of the arguments."""

    def make(*groups):
        for files in groups:
            for name, text in files.items():
                path = tmp_path / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        return tmp_path

    return make


def group(folder, limit, used, stat="", *, is_first=False):
    """A control group's files."""
    names = ("memory.limit_in_bytes", "memory.usage_in_bytes") if is_first else ("memory.max", "memory.current")
    top = f"sys/fs/cgroup/memory/{folder}" if is_first else f"sys/fs/cgroup/{folder}"
    return {f"{top}/{names[0]}": f"{limit}\n", f"{top}/{names[1]}": f"{used}\n", f"{top}/memory.stat": stat}


def test_nothing_is_known_without_files(root):
    """No /proc, no /sys: None, so that nothing is refused."""
    assert (None, None) == (free_memory(root()), memory_limit(root()))


@pytest.mark.parametrize(
    ("files", "free", "limit"),
    [
        ((MACHINE,), 71_680_000, 92_160_000),
        ((MACHINE, SECOND, group("user/run.scope", "max", MB)), 71_680_000, 92_160_000),
        ((MACHINE, SECOND, group("user/run.scope", 9 * MB, 4 * MB)), 5 * MB, 9 * MB),
        ((MACHINE, SECOND, group("user", 9 * MB, 4 * MB), group("user/run.scope", "max", MB)), 5 * MB, 9 * MB),
        ((MACHINE, SECOND, group("", 9 * MB, 4 * MB)), 5 * MB, 9 * MB),
        ((group("", 9 * MB, 4 * MB),), 5 * MB, 9 * MB),
        ((group("", 9 * MB, 8 * MB, "anon 1\ninactive_file 2000000\nactive_file 3000000\n"),), 6 * MB, 9 * MB),
        ((MACHINE, FIRST, group("box", 9 * MB, 4 * MB, is_first=True)), 5 * MB, 9 * MB),
        (
            (
                MACHINE,
                FIRST,
                group("", 9 * MB, 8 * MB, "active_file 7\ntotal_active_file 3000000\n", is_first=True),
            ),
            4 * MB,
            9 * MB,
        ),
        ((MACHINE, FIRST, group("", 2**63 - 4096, MB, is_first=True)), 71_680_000, 92_160_000),
        ((group("", 2**63 - 4096, MB, is_first=True),), None, None),
        ((MACHINE, group("", 3 * MB, 4 * MB)), 0, 3 * MB),
        (
            (MACHINE, {"proc/self/limits": LIMITS.format("unlimited"), "proc/self/statm": "100 5 1\n"}),
            71_680_000,
            92_160_000,
        ),
        ((MACHINE, {"proc/meminfo": "nonsense\n\nMemAvailable: much\n", "proc/self/cgroup": "nonsense\n"}), None, None),
    ],
)
def test_the_narrowest_limit_counts(root, files, free, limit):
    """Of the machine and of every container above, of both versions; files kept in memory count as free."""
    assert (free, limit) == (free_memory(root(*files)), memory_limit(root(*files)))


def test_files_that_the_process_has_mapped_are_in_use(root):
    """Weights read from a file are no free memory, on the machine and in a container that counts them as cached."""
    status = {"proc/self/status": "Name: python\nRssFile:\t    1000 kB\n"}
    assert 70_656_000 == free_memory(root(MACHINE, status))
    box = group("", 9 * MB, 8 * MB, "inactive_file 2000000\nactive_file 3000000\n")
    assert 6 * MB - 1_024_000 == free_memory(root(MACHINE, SECOND, status, box))
    few = group("", 9 * MB, 8 * MB, "inactive_file 1000\nactive_file 2000\n")
    assert 0 == free_memory(root(MACHINE, SECOND, status, few))


def test_a_limit_of_the_process_counts(root):
    """`ulimit -v` bounds what is mapped, whatever the machine has."""
    files = {"proc/self/limits": LIMITS.format(9 * MB), "proc/self/statm": "100 5 1\n"}
    assert 9 * MB - 100 * os.sysconf("SC_PAGE_SIZE") == free_memory(root(MACHINE, files))
    assert 9 * MB == memory_limit(root(MACHINE, files))
