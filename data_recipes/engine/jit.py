"""Choose between code compiled by numba and plain Python or NumPy, and compile the functions of the `jit_*` modules.

Both ways give the same numbers. numba keeps compiled code beside the source, or in the user's cache folder where that
can't be written (`NUMBA_CACHE_DIR` names another). Arguments of compiled functions are annotated `Any`: numba infers
their types.
"""

import os
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from data_recipes.errors import DataError

VARIABLE = "HF_SANTA_ENGINE"
ENGINES = ("numba", "numpy")


@cache
def engine_name() -> str:
    """Return `numba` where it is installed, else `numpy`; the environment variable HF_SANTA_ENGINE chooses one.

    Raises:
        DataError: the variable names no engine, or one that is not installed.
    """
    wanted = os.environ.get(VARIABLE) or ("numba" if find_spec("numba") else "numpy")
    if wanted not in ENGINES:
        raise DataError(f"{VARIABLE}={wanted!r} is unknown. Set it to one of {', '.join(ENGINES)}, or not at all.")
    if wanted == "numba" and not find_spec("numba"):
        raise DataError(f"{VARIABLE}=numba, but numba is not installed. Install it, or set {VARIABLE}=numpy.")
    return wanted


def kernel(name: str) -> ModuleType | None:
    """Return the compiled module `jit_<name>`, or None where NumPy is to do the work."""
    return compiled_kernel(name) if engine_name() == "numba" else None


def compiled_kernel(name: str) -> ModuleType:
    """Return the compiled module `jit_<name>`, for work that has no NumPy form."""
    return import_module(f"data_recipes.engine.jit_{name}")


def compiled(function: Callable[..., Any]) -> Any:
    """Return the function as machine code that releases the GIL; without numba it stays Python. `py_func` is the source."""
    return _compiled(function)


def inlined(function: Callable[..., Any]) -> Any:
    """Return the function so that its body is copied to where compiled code calls it; without numba it stays Python."""
    return _compiled(function, inline="always")


def _compiled(function: Callable[..., Any], **settings: Any) -> Any:
    if engine_name() == "numpy":
        function.py_func = function  # type: ignore[attr-defined]
        return function
    from numba import njit

    return njit(nogil=True, cache=True, error_model="numpy", **settings)(function)
