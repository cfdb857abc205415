"""Report a finished step in one line: to the caller's function, or to the logger `hf_santa.data`."""

import logging
from collections.abc import Callable

LOGGER = logging.getLogger("hf_santa.data")

Progress = Callable[[str], None]
"""Takes one line for each finished step."""


def reporter(progress: Progress | None) -> Progress:
    """Return the function that takes the lines: the given one, or the logger's at level INFO."""
    return LOGGER.info if progress is None else progress
