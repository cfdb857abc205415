"""How every `kernel_*` function is compiled: without the GIL, kept on disk after the first call.

numba keeps compiled code beside the source, or in the user's cache folder where that can't be written
(`NUMBA_CACHE_DIR` names another). Arguments are annotated `Any`: numba infers their types.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """A function of its own."""
    return cast("Function", njit(nogil=True, cache=True, error_model="numpy")(function))


def inlined(function: Function) -> Function:
    """A function whose body goes to where it is called."""
    return cast("Function", njit(nogil=True, cache=True, error_model="numpy", inline="always")(function))
