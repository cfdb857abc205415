"""Complete a task on several devices, a process for each, and merge what they wrote."""

import logging
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from eval_multipl_e.suite.merge import merge_completions
from eval_multipl_e.suite.shards import settings_path

_log = logging.getLogger("hf_santa.eval")


def part_path(out: Path, index: int, count: int) -> Path:
    """Return where a device's share lies until all are done.

    >>> part_path(Path("runs/a.jsonl"), 1, 2).name
    'a.part1of2.jsonl'
    """
    return out.with_suffix(f".part{index}of{count}{out.suffix}")


def on_devices(run: Callable[[str, str, Path], Any], devices: Sequence[str], out: Path) -> tuple[list[Any], int]:
    """Call `run(device, shard, part)` in a process for each device and merge the parts; returns the answers and rows.

    `run` must be found by its name in another process. The merged file is, byte for byte, what one device would have written with
    the same draws. Parts of a run that was stopped are gone on with, and are deleted once they are merged.
    """
    count = len(devices)
    parts = [part_path(out, index, count) for index in range(count)]
    # Not forked: a copy of a process that has opened a GPU can't use it.
    with ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn")) as pool:
        futures = [
            pool.submit(run, device, f"{index}/{count}", part)
            for index, (device, part) in enumerate(zip(devices, parts, strict=True))
        ]
        answers = [future.result() for future in futures]
    rows = merge_completions(parts, out)
    for part in parts:
        part.unlink()
        settings_path(part).unlink()
    _log.info("step=merge devices=%s rows=%d", ",".join(devices), rows)
    return answers, rows
