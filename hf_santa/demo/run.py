"""Run steps one after another, each in its own process; finished ones are not run again."""

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from data_recipes.store.reading import mismatch
from hf_santa.demo.steps import DemoError, DemoStep, manifest, stamp_path, why_stale, write_stamp
from hf_santa.files import write_json
from hf_santa.interrupt import deaf_children, end_descendants
from hf_santa.repositories.clean_process import clean_environment

MIB = 1024  # ru_maxrss counts KiB
UNKNOWN = {"seconds": 0.0, "peak_rss_mb": 0}  # for a step whose timings were deleted


def run_steps(
    out: Path,
    steps: list[DemoStep],
    settings: Mapping[str, Any],
    lines_to: TextIO,
    worker: str = "hf_santa.demo.worker",
) -> dict[str, Any]:
    """Run the steps that are not up to date and return what each one said, took and used; lines go to `lines_to`.

    `worker` is the module that is run with a step's name, the folder and the settings.

    `OUT/timings.json` keeps seconds and peak memory of each step's last real run; `OUT/manifest.json` lists the
    SHA-256 of everything written.

    Raises:
        DemoError: a step failed, or another run holds the folder.
    """

    def say(line: str) -> None:
        print(line, file=lines_to, flush=True)

    with locked(out):
        timings: dict[str, dict[str, float]] = _read_json(out / "timings.json")
        report: dict[str, Any] = {}
        for step in steps:
            reason = why_stale(out, step, settings)
            if reason is None:
                report[step.name] = {**timings.get(step.name, UNKNOWN), "reused": True}
            else:
                if stamp_path(out, step).exists():
                    say(f"step={step.name} again: {reason}")
                say(f"step={step.name} … {step.about}")
                measured = _run(out, step, settings, lines_to, worker)
                timings[step.name] = measured
                write_json(out / "timings.json", timings)
                report[step.name] = {**measured, "reused": False}
            summary = json.loads(stamp_path(out, step).read_text())["summary"]
            report[step.name]["summary"] = f"step={step.name} {summary}"
            took = "up to date" if reason is None else f"{report[step.name]['seconds']:.0f}s"
            say(f"step={step.name} {summary} {took}")
        write_json(out / "manifest.json", manifest(out, steps))
        return report


def _run(out: Path, step: DemoStep, settings: Mapping[str, Any], lines_to: TextIO, worker: str) -> dict[str, float]:
    """Run one step in a child process; return its seconds and the peak memory of its largest process."""
    stamp_path(out, step).unlink(missing_ok=True)
    environment = {
        **clean_environment((out / ".cache").resolve()),
        "PYTHONHASHSEED": "0",
        "TRANSFORMERS_VERBOSITY": "error",
    }
    started = time.monotonic()
    command = [sys.executable, "-P", "-m", worker, step.name, str(out.resolve()), json.dumps(settings)]
    with deaf_children():
        child = subprocess.Popen(command, env=environment, stdout=lines_to)
    try:
        _, status, usage = os.wait4(child.pid, 0)
    except KeyboardInterrupt:
        end_descendants(child.pid)
        child.kill()
        child.wait()
        raise
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise DemoError(_failure(step.name, child.returncode))
    note = out / ".steps" / f"{step.name}.summary"
    write_stamp(out, step, settings, note.read_text())
    note.unlink()
    return {"seconds": round(time.monotonic() - started, 2), "peak_rss_mb": usage.ru_maxrss // MIB}


def _failure(name: str, code: int) -> str:
    if code < 0:
        return f"step {name} was killed by signal {-code}. Run the same command again: it goes on from there."
    return f"step {name} failed; the reason stands above. What earlier steps wrote is kept."


@contextlib.contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold the output folder for this run alone.

    Raises:
        DemoError: the folder cannot be made or written, or another run holds it.
    """
    try:
        (out / ".steps").mkdir(parents=True, exist_ok=True)
        lock = (out / ".lock").open("w")
    except OSError as error:
        raise DemoError(
            f"--out {out}: cannot be written ({error.strerror}: {error.filename}). Choose a folder that you may write to."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoError(
                f"--out {out}: another run is using this folder. Wait for it, or choose another --out."
            ) from None
        yield


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    return found if mismatch(found, {...: {"seconds": float | int, "peak_rss_mb": int}}) is None else {}
