"""The processors that a process may use: by affinity, and by control groups of both versions."""

import os

import pytest

from data_recipes.engine.processors import usable_processors

MACHINE = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


@pytest.mark.parametrize(
    ("group", "files", "most"),
    [
        ("0::/", {}, MACHINE),
        ("0::/", {"cpu.max": "max 100000"}, MACHINE),
        ("0::/", {"cpu.max": "50000 100000"}, 1),
        ("0::/", {"cpu.max": "100000 100000"}, 1),
        ("0::/", {"cpu.max": "250000 100000"}, min(3, MACHINE)),
        ("0::/a/b", {"a/cpu.max": "100000 100000", "a/b/cpu.max": "max 100000"}, 1),
        ("4:memory:/\n3:cpu,cpuacct:/x", {"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        ("3:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, MACHINE),
        ("3:cpu:/", {"cpu/cpu.cfs_quota_us": "nonsense", "cpu/cpu.cfs_period_us": "0"}, MACHINE),
    ],
)
def test_a_quota_counts(tmp_path, group, files, most):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(f"{group}\n")
    for name, text in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    assert most == usable_processors(tmp_path)


def test_a_system_without_proc_has_its_processors(tmp_path):
    assert MACHINE == usable_processors(tmp_path)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_affinity_counts():
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert 1 == usable_processors()
    finally:
        os.sched_setaffinity(0, before)
