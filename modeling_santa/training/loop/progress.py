"""Tell how far a run is: by steps or, where they would take too long, by the time that is left.

The learning rate follows this, so that it falls to its end on a slow or busy machine, too. As long as time suffices it
depends on the steps alone, and the same plan gives the same bytes.
"""

import logging
import statistics
from collections import deque
from dataclasses import dataclass, field

logger = logging.getLogger("hf_santa.train")

WATCHED = 20  # steps whose usual time is the pace
SURE_AFTER = 4  # steps without which nothing is said of the pace; the first of a process, which compiles, is left out


@dataclass
class Progress:
    """Counts steps and seconds; `at` is the place in the schedule, in steps, and runs ahead of `step` where time is short."""

    steps: int  # of the plan
    limit_s: float
    step: int = 0
    at: float = 0.0
    seconds: float = 0.0
    paces: deque[float] = field(default_factory=lambda: deque(maxlen=WATCHED))
    is_first: bool = True
    is_late: bool = False

    @property
    def is_over(self) -> bool:
        """Whether the schedule is at its end, or the time is."""
        return self.at >= self.steps or (self.step > 0 and self.seconds >= self.limit_s)

    def go_on(self) -> None:
        """Take up a schedule again that time had brought to its end, where there is more time now."""
        if self.at >= self.steps > self.step and self.seconds < self.limit_s:
            self.at = float(self.step)

    def advance(self, seconds: float) -> bool:
        """Count a step that took so long, and go on in the schedule by as much as the steps left need; tell if it is over."""
        self.step += 1
        self.seconds += seconds
        if not self.is_first:
            self.paces.append(seconds)
        self.is_first = False
        left = float(max(1, self.steps - self.step + 1))
        if len(self.paces) >= SURE_AFTER:
            pace = statistics.fmean(self.paces)
            possible = max(1.0, 1 + (self.limit_s - self.seconds) / max(pace, 1e-9))
            if possible < left:
                self._tell(possible, pace)
                left = possible
        self.at += (self.steps - self.at) / left
        if self.step == self.steps:
            self.at = float(self.steps)
        return self.is_over

    def _tell(self, possible: float, pace: float) -> None:
        if not self.is_late:
            logger.warning(
                "train: %d more steps at %.2f s would take longer than the %.0f s that are left; there is time for about %d. "
                "The learning rate falls by the time from here on.",
                *(self.steps - self.step, pace, max(0.0, self.limit_s - self.seconds), possible - 1),
            )
        self.is_late = True
