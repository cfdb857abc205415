"""A command takes its share of the machine: threads that soon sleep while they wait, and no more than it may use."""

import json
import os
import subprocess
import sys

import pytest

CODE = """
import json, os, sys
from hf_santa.cli import main
main()
print(json.dumps({name: value for name, value in os.environ.items() if "OMP_" in name}))
"""


OURS = ("OMP_", "GOMP_")


def _told(**changes):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)} | changes
    command = [sys.executable, "-c", CODE, "data", "stats", "nowhere"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_threads_soon_sleep_while_they_wait():
    assert "1000" == _told()["GOMP_SPINCOUNT"]


def test_what_the_user_set_stays():
    told = _told(OMP_WAIT_POLICY="active", OMP_NUM_THREADS="7")
    assert {"OMP_WAIT_POLICY": "active", "OMP_NUM_THREADS": "7"} == told


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity") or (os.cpu_count() or 1) == 1, reason="one processor")
def test_no_more_threads_than_processors():
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert "1" == _told()["OMP_NUM_THREADS"]
    finally:
        os.sched_setaffinity(0, before)
