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


_CODE = '"""Module {0}."""\n\n\ndef function_{0}(first, second):\n    total = first + second * {0}\n    return [total, first]\n'
_STAR_COUNTS = (None, 3.0, 5.0, 6.0)


def write_stack_shards(folder, *, files=24, shards=2):
    """Write shards in The Stack v1's layout; return their folder."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    records = []
    for number in range(files):
        is_python = number % 3 > 0
        content = _CODE.format(number) * 2 if is_python else f"function f{number}(a) {{\n  return a + {number};\n}}\n"
        records.append(
            {
                "content": content,
                "lang": "Python" if is_python else "JavaScript",
                "max_stars_repo_path": f"src/m{number:03d}.{'py' if is_python else 'js'}",
                "max_stars_repo_name": f"{'octocat' if number % 4 else 'hubot'}/r{number % 5}",
                "max_stars_count": _STAR_COUNTS[number % 4],
                "max_stars_repo_licenses": ["mit"] if number % 8 else [],
            }
        )
    records += [
        {**records[1], "content": records[1]["content"] + "# mail bob@corp.io\n", "max_stars_repo_path": "src/near.py"},
        {**records[2], "content": "x = '" + "a" * 1200 + "'\n", "max_stars_repo_path": "src/long.py"},
    ]
    schema = pa.Table.from_pylist(records).schema.set(4, pa.field("max_stars_count", pa.float64()))
    for shard in range(shards):
        pq.write_table(pa.Table.from_pylist(records[shard::shards], schema=schema), folder / f"{shard:04d}.parquet")
    return folder


@pytest.fixture(scope="session")
def write_stack():
    """Write shards of a source in The Stack v1's layout: files of two languages, repositories, stars and licences."""
    return write_stack_shards


@pytest.fixture
def run_command(capfd):
    """Run `hf-santa WORDS…` in this process; return exit code, standard output and standard error."""
    from hf_santa.cli import main

    def run(*words):
        capfd.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as end:  # argparse
            code = end.code
        out, err = capfd.readouterr()
        return code, out, err

    return run
