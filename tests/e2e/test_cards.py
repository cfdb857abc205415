"""The code on each staged card runs as it stands there, on a machine without this package."""

import re

import pytest

from hf_santa.repositories.clean_process import run_lines
from hf_santa.repositories.kinds import KINDS


def code_of(staged, kind):
    """The Python on a card, one block after the other."""
    return "\n".join(
        re.findall(r"```python\n(.*?)```", (staged / KINDS[kind].folder / "README.md").read_text(), re.DOTALL)
    )


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("model", r"<\|endoftext\|>|def hello_world"),
        ("dataset", r"^$"),
        ("metric", r"0\.5 \{'programs': 2, 'OK': 1, 'AssertionError': 1\}"),
    ],
)
def test_the_code_of_a_card_runs(staged, kind, says):
    """Whoever copies it beside the folder gets what the card promises."""
    assert re.search(says, run_lines(code_of(staged, kind), staged, {}))
