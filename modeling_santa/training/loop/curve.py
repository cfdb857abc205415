"""Show the learning curve during a run: live in a terminal, in lines in a log, in a tracker if asked."""

import shutil
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from typing import Any, TextIO

from modeling_santa.errors_santa import ModelError

BLOCKS = "▁▂▃▄▅▆▇█"
TRACKERS = ("none", "wandb", "trackio")
Record = dict[str, float]


def sparkline(values: list[float], width: int) -> str:
    """Return the values as a line of at most `width` blocks, each the mean of its neighbours.

    >>> sparkline([4.0, 3.0, 2.0, 1.0], 4)
    '█▆▃▁'
    """
    if not values or width < 1:
        return ""
    count = min(width, len(values))
    cuts = [round(at * len(values) / count) for at in range(count + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(cuts)]
    low, high = min(means), max(means)
    span = (high - low) or 1.0
    return "".join(BLOCKS[round((mean - low) / span * (len(BLOCKS) - 1))] for mean in means)


class Curve:
    """Shows a run's records: redraws one line in a terminal, else prints one every `every_s` seconds."""

    def __init__(self, steps: int, *, stream: TextIO | None = None, every_s: float = 30.0) -> None:
        self.steps, self.stream, self.every_s = steps, stream or sys.stderr, every_s
        self.is_live = self.stream.isatty()
        self.losses: list[float] = []
        self.shown_at = 0.0
        self.heldout = ""

    def __call__(self, record: Record) -> None:
        """Take one step's record, as `train` gives it to `on_step`."""
        self.losses.append(record["loss"])
        if "heldout_bits_per_byte" in record:
            self.heldout = f" held-out {record['heldout_bits_per_byte']:.3f} bits/byte"
        now, is_last = time.monotonic(), record["step"] == self.steps
        if now - self.shown_at >= (0.1 if self.is_live else self.every_s) or is_last:
            self.shown_at = now
            self._show(int(record["step"]), is_last=is_last)

    def _show(self, step: int, *, is_last: bool) -> None:
        recent = self.losses[-20:]
        text = f"step {step}/{self.steps} loss {sum(recent) / len(recent):.3f}{self.heldout}"
        if not self.is_live:
            print(text, file=self.stream, flush=True)
            return
        width = max(0, min(48, shutil.get_terminal_size().columns - len(text) - 2))
        line = f"{sparkline(self.losses, width)} {text}"
        print(f"\r\x1b[K{line}", end="\n" if is_last else "", file=self.stream, flush=True)


def tracker(name: str, settings: dict[str, Any]) -> Callable[[Record], None]:
    """Return what sends records to wandb or trackio; `none`, the default everywhere, sends nothing.

    Raises:
        ValueError: the name is unknown, or the package is not installed.
    """
    if name not in TRACKERS:
        raise ModelError(f"report_to={name!r} is unknown. Choose one of {', '.join(TRACKERS)}.")
    if name == "none":
        return lambda _: None
    if not find_spec(name):
        raise ModelError(f"report_to={name!r}, but {name} is not installed. Run `pip install {name}`, or leave it out.")
    package: Any = import_module(name)
    package.init(project="hf-santa", config=settings)
    return lambda record: package.log({key: value for key, value in record.items() if key != "step"})
