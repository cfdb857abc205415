"""Each family's tiny model goes through planning, training and measuring, in its own form."""

import json

import pytest
from transformers import AutoModelForCausalLM

from hf_santa.tune import memory
from hf_santa.tune.bases import BaseError, open_base
from hf_santa.tune.measuring import measure_the_base, measure_the_model
from hf_santa.tune.memory import MemoryShortError
from hf_santa.tune.samples import FamilySamples, end_of_middle
from hf_santa.tune.training import choose_the_plan, train_the_base
from modeling_santa.corpus.fim_samples import IGNORED
from tests.fixtures.tune_bases import FAMILIES, save_base

FORMS = {"starcoder2": "starcoder", "granite": "starcoder", "qwen2.5": "qwen", "qwen3": "qwen"}
ENDS = {"codellama": "▁<EOT>", "codegemma": "<|file_separator|>"}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_sample_is_in_the_familys_form(family, tmp_path):
    """A cut text has the family's sentinels in their order, and ends with the token that ends its middles."""
    base = open_base(save_base(family, tmp_path))
    assert FORMS.get(family, family) == base.form.name
    assert ENDS.get(family, FAMILIES[family][0][0]) == base.tokenizer.convert_ids_to_tokens(end_of_middle(base))
    text = "def f(x):\n    return x + 1\n"
    samples = FamilySamples([text], base, seq_len=127, seed=0, fim_rate=1.0, line_rate=1.0)
    inputs, labels = samples.sample(0, 0)
    ids = [*inputs[:1].tolist(), *(label for label in labels.tolist() if label != IGNORED)]
    tokens = base.tokenizer.convert_ids_to_tokens(ids)
    assert list(base.form.sentinels) == [token for token in tokens if token in base.form.sentinels]
    assert end_of_middle(base) == ids[-1]
    parts = base.tokenizer.decode(ids, skip_special_tokens=False)
    for token in {*base.form.sentinels, *FAMILIES[family][0]}:
        parts = parts.replace(token, "")
    assert sorted(text) == sorted(parts)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_goes_through_all_steps(family, tmp_path, out, settings):
    """The trained folder opens by the Auto classes, costs fewer bits, and the memory was estimated before."""
    settings |= {"base": str(save_base(family, tmp_path / "base"))}
    assert f"kind={open_base(tmp_path / 'base').kind}" in choose_the_plan(out, settings)
    measure_the_base(out, settings)
    train_the_base(out, settings)
    measure_the_model(out, settings)
    before, after = (json.loads((out / f"{name}.json").read_text()) for name in ("before", "after"))
    assert sum(grade["bits"] for grade in after["grades"]) < sum(grade["bits"] for grade in before["grades"])
    assert 3 == len(after["answers"])
    assert {"estimated_bytes", "peak_bytes", "parts"} == json.loads((out / "memory.json").read_text()).keys()
    assert AutoModelForCausalLM.from_pretrained(out / "model").config.vocab_size == 272
    assert open_base(out / "model").form.name == open_base(tmp_path / "base").form.name


def test_a_base_that_cannot_fill_gaps_is_refused(tmp_path):
    """Without sentinels, with another model's tokenizer, of no known class, without weights: each says what to do."""
    folder = save_base("qwen2.5", tmp_path / "base")
    config = json.loads((folder / "config.json").read_text())
    for change, words in (
        ({"model_type": "t5"}, "no causal language model"),
        ({"vocab_size": 260}, "its tokenizer has 265 tokens, and its model 260"),
        ({"vocab_size": 5000}, "far fewer than the 5000"),
        ({"eos_token_id": 65}, "which is no special token of its tokenizer but"),
        ({"max_position_embeddings": None}, "names no context"),
    ):
        (folder / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(BaseError, match=words):
            open_base(folder)
    (folder / "config.json").write_text(json.dumps(config))
    words = json.loads((folder / "tokenizer.json").read_text())
    for token in words["added_tokens"]:
        token["content"] = token["content"].replace("fim", "no")
    (folder / "tokenizer.json").write_text(json.dumps(words))
    with pytest.raises(BaseError, match=r"no fill-in-the-middle tokens.*Choose a base"):
        open_base(folder)
    for path in folder.glob("*.safetensors"):
        path.unlink()
    with pytest.raises(BaseError, match="no weights in safetensors"):
        open_base(folder)


def test_a_base_that_does_not_fit_is_refused_with_the_estimate(tmp_path, out, settings):
    """A base of seven billion parameters is refused by its configuration, before its weights are read."""
    folder = save_base("qwen2.5", tmp_path / "base")
    config = json.loads((folder / "config.json").read_text())
    shape = {"hidden_size": 3584, "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4}
    large = shape | {"intermediate_size": 18944, "vocab_size": 1000, "layer_types": ["full_attention"] * 28}
    (folder / "config.json").write_text(json.dumps(config | large))
    settings |= {"base": str(folder), "memory_bytes": 8 * 10**9}
    with pytest.raises(MemoryShortError, match=r"takes about \d\d\.\d GB to train.*gives 8\.0 GB.*smaller base"):
        choose_the_plan(out, settings)
    assert not (out / "plan.json").exists()


def test_less_memory_makes_smaller_parts_of_the_same_step(tmp_path, out, settings, monkeypatch):
    """A limit just below the whole step's estimate divides the step; a still lower one computes activations twice."""
    monkeypatch.setattr(memory, "resident_memory", lambda: 0)  # what the program itself takes changes from call to call
    settings |= {"base": str(save_base("starcoder2", tmp_path / "base"))}
    choose_the_plan(out, settings)
    whole = json.loads((out / "memory.json").read_text())["estimated_bytes"]
    assert 4 == json.loads((out / "plan.json").read_text())["micro_batch"]
    choose_the_plan(out, settings | {"memory_bytes": whole - 1})
    plan = json.loads((out / "plan.json").read_text())
    assert (2, False) == (plan["micro_batch"], plan["checkpoint_activations"])
    base = open_base(tmp_path / "base")
    kept, again = (
        [each.peak for each in memory.estimates(base, 128, 4, 2) if each.checkpoint_activations == is_checkpointed]
        for is_checkpointed in (False, True)
    )
    assert all(less < more for less, more in zip(again, kept, strict=True))
