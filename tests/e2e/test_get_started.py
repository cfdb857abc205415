"""The get-started pages: every block is run in order, as a reader runs it, in an empty folder and without a network."""

import pytest

from .page_driver import checkout, environment, run_page, unexplained_fields

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Caches that the pages share, as on one machine."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def after_first_model(home, tmp_path_factory):
    """The folder of the first page about a model, and what its blocks printed."""
    folder = tmp_path_factory.mktemp("model")
    return folder, run_page("first-model", folder, environment(home))


def test_install(home, tmp_path):
    """The commands exist; `make` is asked what it would do, so that nothing is installed."""
    with checkout(tmp_path) as folder:
        outputs = run_page("install", folder, environment(home, MAKEFLAGS="n"))
    assert "hf-santa 0." in outputs[1]
    assert "py      Python" in outputs[2]


def test_first_model(after_first_model):
    """A model is trained, fills a gap on the command line and from Python, and opens in the native class."""
    folder, outputs = after_first_model
    assert (folder / "out" / "model" / "model.safetensors").is_file()
    assert "step=model classes=SantaForCausalLM and GPTBigCodeForCausalLM" in outputs[1]
    assert "GPTBigCodeForCausalLM\n" == outputs[-1]


def test_first_dataset(home, tmp_path):
    """Of two near-copies one is kept; the address is gone and the private IP address stays; three recipes load."""
    outputs = run_page("first-dataset", tmp_path, environment(home))
    shown = outputs[-2]
    assert {"True", "False"} == {line.split()[1] for line in shown.splitlines() if line.endswith(".py")}
    assert "corp-mail" not in shown
    assert "10.0.0.1" in shown
    assert ["base", "near_dedup", "python-final"] == [line.split()[0] for line in outputs[-1].splitlines()]
    assert {} == unexplained_fields(tmp_path)


def test_first_score(home, tmp_path):
    """The metric of the staged folder gives 0.5, the command line what the page shows."""
    outputs = run_page("first-score", tmp_path, environment(home))
    assert "0.5 ['OK', 'AssertionError']\n" == outputs[2]
    assert "pass@1                        0.7500   95 % 0.5000 to 1.0000" in outputs[-1]
    assert {} == unexplained_fields(tmp_path)


def test_first_space(after_first_model, home):
    """The Space of the first model answers a program."""
    folder, _ = after_first_model
    outputs = run_page("first-space", folder, environment(home))
    assert "def add(a, b):" in outputs[-1]
    assert {} == unexplained_fields(folder)
