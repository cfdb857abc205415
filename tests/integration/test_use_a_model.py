"""docs/guides/use-a-model.md: its Python runs as it stands there, block after block, on a model folder."""

import re
from pathlib import Path

import pytest
import torch

from modeling_santa.configuration_santa import SantaConfig
from modeling_santa.modeling_santa import SantaForCausalLM
from modeling_santa.tokenizer.train import padded_vocab_size, save_tokenizer, train_tokenizer

PAGE = (Path(__file__).parents[2] / "docs" / "guides" / "use-a-model.md").read_text()


@pytest.mark.filterwarnings("ignore:.*generation flags.*")
def test_the_python_of_the_page_runs(tmp_path, monkeypatch, capsys):
    """All blocks in one program; a session's answers are printed and the prompt is the page's."""
    tokenizer = train_tokenizer(["def area(w, h):\n    return w * h\n"] * 20, vocab_size=300)
    end = tokenizer.token_to_id("<|endoftext|>")
    config = SantaConfig(
        vocab_size=padded_vocab_size(tokenizer),
        n_positions=128,
        n_embd=64,
        n_layer=2,
        n_head=4,
        bos_token_id=end,
        eos_token_id=end,
    )
    torch.manual_seed(0)
    SantaForCausalLM(config).save_pretrained(tmp_path / "out" / "model")
    save_tokenizer(tokenizer, tmp_path / "out" / "model", n_positions=128)
    monkeypatch.chdir(tmp_path)
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
    names = {}
    exec(compile(code, "use-a-model.md", "exec"), names)  # the page's own
    said = capsys.readouterr().out
    assert "<fim-prefix>def f(x):\n    return <fim-suffix>\n<fim-middle>" in said
    assert re.search(r"(length|stop|end) \d+\n", said)
    assert names["session"].cached_tokens()
