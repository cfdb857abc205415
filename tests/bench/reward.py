"""Rates of the reward in programs a second, beside a plain pool of subprocesses that judges by the exit code alone.

Short Python programs, all distinct; both with the same number of workers, in turn, in one process. The pool starts
`python -I FILE` for each program, with no wall, no token and no control. Where the machine counts processor time by
group (cgroup v1), that is shown too: it is what counts on a machine that others use.

    .venv/bin/python tests/bench/reward.py --programs 400
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from eval_multipl_e.suite.rewarding import Reward
from eval_multipl_e.toolchains import find_tool

TESTS = "def check(f):\n    assert f(1) == {}\n    assert f(-1) == {}\ncheck(f)"


def batch(count: int, start: int, *, right: bool) -> tuple[list[str], list[dict]]:
    """Completions and their problems."""
    numbers = range(start, start + count)
    texts = [f"    return x + {number}" + ("" if right else " + 1") for number in numbers]
    rows = [
        {"prompt": "def f(x):\n", "tests": TESTS.format(number + 1, number - 1), "language": "py"} for number in numbers
    ]
    return texts, rows


def cpu_s() -> float | None:
    """Processor seconds of this process's group, with all that it started."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
        path = next(line.split(":")[2] for line in lines if ":cpuacct:" in line)
        return int(Path(f"/sys/fs/cgroup/cpuacct{path}/cpuacct.usage").read_text()) / 1e9
    except (OSError, StopIteration, ValueError):
        return None


def pooled(texts: list[str], rows: list[dict], workers: int) -> list[float]:
    """The plain pool."""
    python = find_tool("python") or "python3"

    def one(number: int) -> float:
        path = Path(folder, f"{number}.py")
        path.write_text(f"{rows[number]['prompt']}{texts[number]}\n{rows[number]['tests']}")
        done = subprocess.run([python, "-I", path], check=False, capture_output=True, timeout=5)
        return float(done.returncode == 0)

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(workers) as pool:
        return list(pool.map(one, range(len(texts))))


def measure(name: str, texts: list[str], run: Callable[[], list[float]], wanted: float) -> dict:
    """One line of the result."""
    before, begun = cpu_s(), time.perf_counter()
    found = run()
    wall, after = time.perf_counter() - begun, cpu_s()
    assert found == [wanted] * len(texts), name
    row = {"what": name, "programs_per_s": round(len(texts) / wall, 1)}
    if before is not None and after is not None:
        row["cpu_ms_a_program"] = round(1000 * (after - before) / len(texts), 2)
    return row


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--programs", type=int, default=400)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    os.environ["HF_ALLOW_CODE_EVAL"] = "1"
    rows = []
    for mode in ("strict", "compat"):
        rewarding = Reward(mode=mode, num_workers=args.workers)
        rewarding(*batch(8, 10**6, right=True))  # warm
        for number, right in enumerate((True, False)):
            texts, problems = batch(args.programs, 1000 + 10_000 * number, right=right)
            name = f"reward, {mode}, {'right' if right else 'wrong'} programs"
            rows.append(measure(name, texts, lambda t=texts, p=problems, r=rewarding: r(t, p), float(right)))
        rewarding.close()
    texts, problems = batch(args.programs, 50_000, right=True)
    plain = lambda: pooled(texts, problems, args.workers)  # noqa: E731  # one line, used once
    rows.append(measure("plain pool", texts, plain, 1.0))
    print(json.dumps({"workers": args.workers, "load": os.getloadavg()[0], "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
