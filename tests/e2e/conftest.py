"""Small staged repositories, made once for all tests of publishing, and a Hub on loopback for each test."""

import pytest

from .hub_server import running_hub
from .hub_store import Account
from .release_driver import TOKEN, make_artefacts, stage_all


@pytest.fixture(scope="session")
def artefacts(tmp_path_factory, write_stack):
    """What a run leaves: weights, tokenizer, store."""
    return make_artefacts(tmp_path_factory.mktemp("artefacts"), write_stack)


@pytest.fixture(scope="session")
def staged(artefacts, tmp_path_factory):
    """The four repositories' folders, checked; not to be changed."""
    out = tmp_path_factory.mktemp("staged") / "repos"
    stage_all(artefacts, out)
    return out


@pytest.fixture
def hub():
    """An empty Hub that knows one token."""
    with running_hub() as running:
        running.accounts[TOKEN] = Account("me", ("org",))
        yield running
