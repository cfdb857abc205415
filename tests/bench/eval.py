"""Times the metric, end to end, against a plain runner that does what MultiPL-E's evaluator does.

The plain runner takes one problem at a time, its completions side by side, with the evaluator's commands; it looks at a
program every 0.1 s and writes a problem's results after each completion. Both run the same programs with the same
number of workers, in turn, ours from an empty cache and then once more from the full one. Completions are right, right
by a loop, wrong, crashing and not compiling; every mode must count the same number as passed.

    .venv/bin/python tests/bench/eval.py --problems 161 --languages lua sh
"""

import argparse
import json
import os
import runpy
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from eval_multipl_e import LANGUAGES, score
from eval_multipl_e.execution import Job
from eval_multipl_e.execution_verdict import named
from eval_multipl_e.sandbox import open_box, resolve
from eval_multipl_e.sandbox_box import Limits
from eval_multipl_e.sandbox_streams import Capture, FinishedCommand
from eval_multipl_e.toolchains import missing_tool

FIXTURE = runpy.run_path(str(Path(__file__).parents[1] / "fixtures/eval_problems.py"))
KINDS = ("right", "loops", "wrong", "crash", "broken")
# Problems a language, where 161 would take the plain runner more than some five minutes on two cores.
SLOW = {"scala": 10, "ts": 20, "java": 30, "cpp": 24, "clj": 8, "rkt": 30, "elixir": 40, "ada": 40, "hs": 40}
SLOW |= dict.fromkeys(("rs", "go", "d", "cs"), 60)


def rows(code: str, problems: int) -> tuple[list, list, list]:
    """Predictions, tests and prompts."""
    sources = [FIXTURE["problem"](code, number) for number in range(problems)]
    kinds = [kind for kind in KINDS if kind in sources[0]]
    predictions = [[row[kind] for kind in kinds] for row in sources]
    return predictions, [row["tests"] for row in sources], [row["prompt"] for row in sources]


def polled(argv: list, timeout_s: float, env: dict, folder: str) -> FinishedCommand:
    """One command as the evaluator runs most of them: looked at every 0.1 s, 1 KB read of each stream."""
    begun = time.monotonic()
    process = subprocess.Popen(
        argv,
        env=env,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    captures = Capture(), Capture()
    streams = process.stdout, process.stderr
    for stream in streams:
        os.set_blocking(stream.fileno(), False)
    for _ in range(int(timeout_s * 10)):
        for stream, capture in zip(streams, captures, strict=True):
            chunk = stream.read(1024)
            if chunk:
                capture.feed(chunk)
        if process.poll() is not None:
            break
        time.sleep(0.1)
    code = process.poll()
    if code is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for stream in streams:
        stream.close()
    return FinishedCommand(code, *captures, time.monotonic() - begun)


def waited(argv: list, timeout_s: float, env: dict, folder: str) -> FinishedCommand:
    """One command as the evaluator runs the others: `subprocess.run` with a time limit."""
    begun = time.monotonic()
    captures = Capture(), Capture()
    try:
        done = subprocess.run(argv, env=env, cwd=folder, capture_output=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        return FinishedCommand(None, *captures, time.monotonic() - begun)
    captures[0].feed(done.stdout)
    captures[1].feed(done.stderr)
    return FinishedCommand(done.returncode, *captures, time.monotonic() - begun)


def plain_status(code: str, program: str) -> str:
    """Builds and runs one program in a temporary folder, and names the ending by MultiPL-E's rules."""
    language = LANGUAGES[code]
    job = Job(language, program, strict=False)
    run = polled if language.is_polled else waited
    with tempfile.TemporaryDirectory() as folder:
        for name, body in job.files.items():
            path = Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(body)
        env = os.environ | {name: value for name, value in language.env if "{" not in value}
        for command in job.builds:
            built = run(job.argv(command, folder), language.build_timeout_s, env, folder)
            if built.exit_code != 0:
                return "SyntaxError"
        ran = run(job.argv(job.run, folder), language.run_timeout_s, env, folder)
    return named(language, ran, strict=False, timeout_s=language.run_timeout_s)[0]


def plain(code: str, given: tuple, workers: int) -> tuple[float, int]:
    """Seconds and programs passed of the plain runner."""
    begun, passed = time.perf_counter(), 0
    with tempfile.TemporaryDirectory() as folder:
        for number, (completions, tests, prompt) in enumerate(zip(*given, strict=True)):
            results = []
            with ThreadPoolExecutor(workers) as pool:
                programs = [f"{prompt}{completion}\n{tests}" for completion in completions]
                for status in pool.map(lambda program: plain_status(code, program), programs):
                    results.append(status)
                    Path(folder, f"{number}.json").write_text(json.dumps(results))
            passed += results.count("OK")
    return time.perf_counter() - begun, passed


def ours(code: str, given: tuple, workers: int, cache: str | None, mode: str, speed: str) -> tuple[float, int]:
    """Seconds and programs passed of the metric."""
    begun = time.perf_counter()
    result = score(
        given[0],
        given[1],
        [code] * len(given[0]),
        prompts=given[2],
        num_workers=workers,
        mode=mode,
        cache_dir=cache,
        speed=speed,
    )
    return time.perf_counter() - begun, result["counts"]["all"].get("OK", 0)


def overhead(rounds: int = 100) -> None:
    """What the wall adds to a program that does nothing, beside starting it without one."""
    limits = Limits(cpu_s=10, data_bytes=1 << 30, processes=16)
    bare, walled = [], []
    for _ in range(rounds):
        begun = time.perf_counter()
        subprocess.run(["/bin/true"], check=True, capture_output=True)
        bare.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        with open_box(resolve("auto"), ()) as box:
            box.write({"x": b""})
            box.seal()
            box.run(["/bin/true"], limits, 5.0)
        walled.append(time.perf_counter() - begun)
    low, high = statistics.median(bare) * 1000, statistics.median(walled) * 1000
    print(
        f"wall: plain {low:.1f} ms, behind it {high:.1f} ms, added {high - low:.1f} ms a program (median of {rounds})"
    )


def main() -> int:
    """Print a line a language: programs, seconds of each, ratios, and the numbers passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, help="problems a language; 161, and fewer for slow ones, if left out")
    parser.add_argument("--languages", nargs="+", default=[code for code in LANGUAGES if code in FIXTURE["PROBLEMS"]])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--modes", nargs="+", default=["compat"], help="compat, strict, cold")
    args = parser.parse_args()
    os.environ["HF_ALLOW_CODE_EVAL"] = "1"
    overhead()
    totals = [0.0, 0.0]
    for code in args.languages:
        if missing_tool(LANGUAGES[code]):
            print(f"{code:<7}not measured: no toolchain here", flush=True)
            continue
        given = rows(code, args.problems or SLOW.get(code, 161))
        cache = tempfile.mkdtemp(prefix="santa-bench-")
        seconds, passed = plain(code, given, args.workers)
        first, first_passed = ours(code, given, args.workers, cache, "compat", "warm")
        second, second_passed = ours(code, given, args.workers, cache, "compat", "warm")
        counts = [passed, first_passed, second_passed]
        speeds = ["cold" if mode == "cold" else "warm" for mode in args.modes if mode != "compat"]
        counts += [ours(code, given, args.workers, None, "strict", speed)[1] for speed in speeds]
        shutil.rmtree(cache)
        totals[0] += seconds
        totals[1] += first
        same = "same" if len(set(counts)) == 1 else "DIFFERENT"
        print(
            f"{code:<7}{sum(map(len, given[0])):>5} programs  plain {seconds:7.1f} s  ours {first:6.1f} s  "
            f"x{seconds / first:5.2f}  from cache {second * 1000:6.0f} ms x{seconds / second:6.0f}  "
            f"passed {'/'.join(map(str, counts))} {same}",
            flush=True,
        )
    print(f"all    plain {totals[0]:.1f} s  ours {totals[1]:.1f} s  x{totals[0] / totals[1]:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
