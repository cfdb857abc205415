"""ZeroGPU, where a Space runs on it: the package `spaces` lends a GPU to one call at a time.

app.py imports this module before torch, as `spaces` asks. Elsewhere nothing is imported and nothing is wrapped.
"""

import os
from collections.abc import Callable
from importlib import import_module
from typing import Any

MAX_SECONDS = 120.0  # of one request, on any device
IS_ZERO_GPU = bool(os.environ.get("SPACES_ZERO_GPU"))
_spaces = import_module("spaces") if IS_ZERO_GPU else None


def on_gpu(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the generator function, run with a GPU for up to MAX_SECONDS on ZeroGPU."""
    if _spaces is None:
        return function
    wrapped: Callable[..., Any] = _spaces.GPU(duration=int(MAX_SECONDS))(function)
    return wrapped
