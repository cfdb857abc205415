"""Classification heads equal the native classes', open under trust, and leave other people's classes alone."""

import importlib
import json
import sys

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    GPTBigCodeForSequenceClassification,
    GPTBigCodeForTokenClassification,
)

from modeling_santa.configuration_santa import AUTO_MAP, SantaConfig
from modeling_santa.modeling_santa import SantaForSequenceClassification, SantaForTokenClassification

PAIRS = {
    "sequence": (
        SantaForSequenceClassification,
        GPTBigCodeForSequenceClassification,
        AutoModelForSequenceClassification,
    ),
    "token": (SantaForTokenClassification, GPTBigCodeForTokenClassification, AutoModelForTokenClassification),
}


def config_with(tiny_config, **fields):
    return SantaConfig(**{**tiny_config.to_dict(), "pad_token_id": 0, **fields})


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("labels", [1, 3])
def test_scores_and_losses_are_the_native_class_s(tiny_config, kind, labels):
    """Same weights, a batch padded on the right: the same scores and loss; and the gradient reaches the embedding."""
    ours_class, native_class, _ = PAIRS[kind]
    if kind == "token" and labels == 1:
        labels = 2
    config = config_with(tiny_config, num_labels=labels)
    ours, native = ours_class(config).eval(), native_class(config).eval()
    native.load_state_dict(ours.state_dict())
    ids = torch.randint(1, 300, (2, 12), generator=torch.Generator().manual_seed(0))
    ids[1, 9:] = 0
    wanted = torch.tensor([0.5, 2.0]) if labels == 1 else torch.tensor([1, 0])
    if kind == "token":
        wanted = (ids % 2).masked_fill(ids == 0, -100)
    found, expected = (model(ids, labels=wanted) for model in (ours, native))
    is_text = ids != 0 if kind == "token" else torch.tensor([True, True])
    assert torch.allclose(expected.logits[is_text], found.logits[is_text], atol=1e-5)
    assert torch.allclose(expected.loss, found.loss, atol=1e-5)
    found.loss.backward()
    assert ours.transformer.wte.weight.grad.abs().sum() > 0


def test_a_text_ends_by_its_mask(tiny_config):
    """With a mask the score is the text's own, on either side of padding; with neither mask nor padding token two texts are refused."""
    model = SantaForSequenceClassification(config_with(tiny_config, pad_token_id=None)).eval()
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        alone = model(ids).logits
        for padded, mask in (([[5, 6, 7, 9]], [[1, 1, 1, 0]]), ([[9, 5, 6, 7]], [[0, 1, 1, 1]])):
            found = model(torch.tensor(padded), attention_mask=torch.tensor(mask)).logits
            assert torch.allclose(alone, found, atol=1e-5)
    with pytest.raises(ValueError, match="where 2 texts end is unknown without an attention_mask"):
        model(ids.expand(2, -1))


@pytest.mark.parametrize("kind", PAIRS)
def test_what_opens_without_trust_opens_with_it(tiny_model, tmp_path, kind):
    """From a language model's folder a new head is drawn either way; saved, both classes read the same weights."""
    ours_class, native_class, auto = PAIRS[kind]
    tiny_model.save_pretrained(tmp_path / "lm")
    drawn = auto.from_pretrained(tmp_path / "lm", trust_remote_code=True)
    assert ours_class.__name__ == type(drawn).__name__
    assert torch.equal(tiny_model.transformer.wte.weight, drawn.transformer.wte.weight)
    drawn.save_pretrained(tmp_path / "head")
    assert [native_class.__name__] == json.loads((tmp_path / "head" / "config.json").read_text())["architectures"]
    for model in (auto.from_pretrained(tmp_path / "head"), ours_class.from_pretrained(tmp_path / "head")):
        assert all(torch.equal(weight, model.state_dict()[name]) for name, weight in drawn.state_dict().items())


def test_other_people_s_entries_of_the_auto_map_survive(tiny_config):
    """A class of theirs stays, also for a task of ours; entries that name our files lose the repository before them."""
    theirs = {"AutoModelForCausalLM": "their_file.Theirs", "AutoTokenizer": ["their_tokenizer.Slow", None]}
    ours = {"AutoModel": "somebody/santa--modeling_santa.SantaModel"}
    config = config_with(tiny_config, auto_map={**theirs, **ours})
    assert AUTO_MAP | theirs == config.to_dict()["auto_map"]
    assert AUTO_MAP == tiny_config.to_dict()["auto_map"]


def test_a_transformers_too_old_for_the_code_is_named(monkeypatch):
    """The first file that is read says which version is needed, before another one fails for its own reasons."""
    module = sys.modules["modeling_santa.configuration_santa"]
    versions = importlib.import_module("transformers.utils.versions")
    monkeypatch.setattr(versions.importlib.metadata, "version", lambda _: "4.57.3")
    spec = importlib.util.spec_from_file_location("modeling_santa.read_anew", module.__file__)
    fresh = importlib.util.module_from_spec(spec)
    with pytest.raises(ImportError, match=r"found transformers==4.57.3[\s\S]*needs transformers 5.17 or newer"):
        spec.loader.exec_module(fresh)
