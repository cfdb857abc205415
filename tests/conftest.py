"""What all tests share: on CI a skipped test is a failed one, and properties are tried on the same examples each time."""

import os

import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("searching", deadline=None)
settings.load_profile("repeatable" if os.environ.get("CI") else "searching")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Turn a skip into a failure where HF_SANTA_NO_SKIPS is set: nothing may be missing there."""
    report = yield
    if os.environ.get("HF_SANTA_NO_SKIPS") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, but HF_SANTA_NO_SKIPS is set: {report.longrepr}"
    return report
