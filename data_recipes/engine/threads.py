"""Run a function in threads, each with its own arrays to work in."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_recipes.engine.processors import usable_processors
from data_recipes.errors import DataError

_RANGE_BYTES = 1 << 20  # what a thread takes at once


@dataclass(frozen=True, slots=True)
class Workers:
    """Threads, and the arrays that each of them works in."""

    pool: ThreadPoolExecutor
    count: int

    def each(self, work: Callable[..., None], jobs: Iterable[tuple[Any, ...]], arrays: Sequence[Any]) -> None:
        """Call `work(*job, arrays[i])` for every job, where no two running calls share an i; one entry a thread.

        A single job runs in the calling thread, and so do all of them where there is one thread: starting and waiting for
        a thread costs a tenth of a millisecond, and a store may have hundreds of small languages.
        """
        jobs = list(jobs)
        if self.count == 1 or len(jobs) == 1:
            for job in jobs:
                work(*job, arrays[0])
            return
        free: SimpleQueue[Any] = SimpleQueue()
        for entry in arrays:
            free.put(entry)

        def run(job: tuple[Any, ...]) -> None:
            own = free.get()
            try:
                work(*job, own)
            finally:
                free.put(own)

        for _ in self.pool.map(run, jobs):
            pass


@contextmanager
def workers(threads: int | None) -> Iterator[Workers]:
    """Give a pool of so many threads, or (None and 0) of one a processor that may be used.

    Raises:
        DataError: `threads` is less than 0.
    """
    if threads is not None and threads < 0:
        raise DataError(f"threads={threads} is less than 0. Choose how many, or None for one a processor.")
    count = threads or usable_processors()
    with ThreadPoolExecutor(count) as pool:
        yield Workers(pool, count)


def ranges(sizes: NDArray[np.int64], limit: int = _RANGE_BYTES) -> Iterator[tuple[int, int]]:
    """Yield neighbouring rows in groups of about `limit` bytes."""
    ends = np.cumsum(sizes + 64)
    start = 0
    while start < len(sizes):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + limit, side="right")))
        yield start, stop
        start = stop
