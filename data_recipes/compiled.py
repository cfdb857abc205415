"""Machine code where numba is installed, plain Python of the same source where it is not: same results, slower."""

from collections.abc import Callable
from typing import Any

try:
    import numba
except ImportError:  # pragma: no cover - the tests run the Python functions themselves
    numba = None

IS_COMPILED = numba is not None
"""Whether functions marked with `compiled` run as machine code."""


def compiled(function: Callable[..., Any]) -> Any:
    """The function as machine code that releases the GIL, cached beside its source; its Python form is `py_func`."""
    if numba is None:
        function.py_func = function  # type: ignore[attr-defined]
        return function
    return numba.njit(cache=True, nogil=True, boundscheck=False)(function)
