"""Which of the two ways a computation takes: compiled by numba, or NumPy alone. Both give the same numbers."""

import os
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from data_recipes.errors import DataError

VARIABLE = "HF_SANTA_ENGINE"
ENGINES = ("numba", "numpy")


@cache
def engine_name() -> str:
    """`numba` where it is installed, else `numpy`; the environment variable HF_SANTA_ENGINE chooses one of them."""
    wanted = os.environ.get(VARIABLE) or ("numba" if find_spec("numba") else "numpy")
    if wanted not in ENGINES:
        raise DataError(f"{VARIABLE}={wanted!r} is unknown. Set it to one of {', '.join(ENGINES)}, or not at all.")
    if wanted == "numba" and not find_spec("numba"):
        raise DataError(f"{VARIABLE}=numba, but numba is not installed. Install it, or set {VARIABLE}=numpy.")
    return wanted


def kernel(name: str) -> ModuleType | None:
    """The compiled module `kernel_<name>`, or None where NumPy is to do the work."""
    return compiled_kernel(name) if engine_name() == "numba" else None


def compiled_kernel(name: str) -> ModuleType:
    """The compiled module `kernel_<name>`, for what runs only where there is one."""
    return import_module(f"data_recipes.kernel_{name}")
