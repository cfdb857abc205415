"""The choice between compiled code and NumPy."""

import subprocess
import sys

import pytest

from data_recipes.engine.jit import VARIABLE, engine_name, kernel
from data_recipes.errors import DataError


def test_numba_is_taken_where_it_is(choose_engine):
    """Without a choice the engine is numba, which gives compiled modules; NumPy gives none."""
    choose_engine("")
    assert (engine_name(), kernel("tokens").__name__) == ("numba", "data_recipes.engine.jit_tokens")
    choose_engine("numpy")
    assert kernel("tokens") is None


def test_an_unknown_engine_is_named(choose_engine):
    """A misspelt engine is an error that lists the engines."""
    choose_engine("cython")
    with pytest.raises(DataError, match=r"'cython' is unknown\. Set it to one of numba, numpy"):
        engine_name()


_SCRIPT = """
import sys
sys.modules["numba"] = sys.modules["llvmlite"] = None  # as if they were not installed
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "numba" else found(name, *rest)
from data_recipes import decontaminate, near_duplicates
from data_recipes.engine.jit import engine_name
text = " ".join(f"word{n}" for n in range(40))
print(engine_name(), near_duplicates([text, text + " end"])["is_kept"].to_pylist().count(True))
print(len(decontaminate([text], [{"benchmark": "b", "string": "word1 word2 word3 word4"}])))
"""


def test_without_numba_everything_works(monkeypatch):
    """A process in which numba can't be imported deduplicates and decontaminates."""
    monkeypatch.delenv(VARIABLE, raising=False)
    done = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["numpy", "1", "1"]
