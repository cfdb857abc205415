"""Both engines: what is compiled and what NumPy does give the same numbers."""

import pytest

from data_recipes.engine.jit import ENGINES, VARIABLE, engine_name


@pytest.fixture
def choose_engine(monkeypatch):
    """A function that switches the engine until the test ends."""

    def choose(name):
        monkeypatch.setenv(VARIABLE, name)
        engine_name.cache_clear()

    yield choose
    monkeypatch.undo()
    engine_name.cache_clear()


@pytest.fixture(params=ENGINES)
def engine(request, choose_engine):
    """The test runs once with each engine."""
    choose_engine(request.param)
    return request.param
