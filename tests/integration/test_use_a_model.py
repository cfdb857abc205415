"""docs/guides/use-a-model.md: its Python runs as it stands there, block after block, on a model folder."""

import re
from pathlib import Path

import pytest

from tests.fixtures.tiny import save_tiny_model

PAGE = (Path(__file__).parents[2] / "docs" / "guides" / "use-a-model.md").read_text()


@pytest.mark.filterwarnings("ignore:.*generation flags.*")
def test_the_python_of_the_page_runs(tmp_path, monkeypatch, capsys):
    """All blocks in one program; a session's answers are printed and the prompt is the page's."""
    texts = ["def area(w, h):\n    return w * h\n"] * 20
    save_tiny_model(texts, tmp_path / "out" / "model", vocab_size=300, n_embd=64)
    monkeypatch.chdir(tmp_path)
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
    names = {}
    exec(compile(code, "use-a-model.md", "exec"), names)  # the page's own
    said = capsys.readouterr().out
    assert "<fim-prefix>def f(x):\n    return <fim-suffix>\n<fim-middle>" in said
    assert re.search(r"(length|stop|end) \d+\n", said)
    assert names["session"].cached_tokens()
