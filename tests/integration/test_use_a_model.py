"""The guides to using a model: their Python runs as it stands there, block after block, on a model folder; a repository of the Hub is not asked."""

import re
from pathlib import Path

import pytest

from tests.fixtures.tiny import save_tiny_model

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
SAID = {
    "use-a-model": (r"<fim-prefix>def f\(x\):\n    return <fim-suffix>\n<fim-middle>", r"(length|stop|end) \d+\n"),
    "complete-while-typing": (r"\[\d+(, \d+)*\] \d{3,}\n",),
}


@pytest.mark.filterwarnings("ignore:.*generation flags.*")
@pytest.mark.parametrize("page", SAID)
def test_the_python_of_the_page_runs(tmp_path, monkeypatch, capsys, page):
    """All blocks in one program; what the page says is printed."""
    texts = ["def area(w, h):\n    return w * h\n"] * 20
    save_tiny_model(texts, tmp_path / "out" / "model", vocab_size=300, n_embd=64)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (GUIDES / f"{page}.md").read_text(), re.DOTALL)
    code = "\n".join(block for block in blocks if "OWNER/" not in block)  # a name that stands for one on the Hub
    exec(compile(code, f"{page}.md", "exec"), {})  # the page's own
    said = capsys.readouterr().out
    assert all(re.search(expected, said) for expected in SAID[page])
