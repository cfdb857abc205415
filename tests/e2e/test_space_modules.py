"""The Space's own modules, imported from its folder: which models it trusts, and how it generates."""

import doctest
import threading
import time

import pytest
import torch

from .space_driver import MODULES, SPECIALS, save_tiny_model, space_modules


@pytest.fixture(scope="module")
def demo():
    with space_modules() as modules:
        yield modules


@pytest.fixture(scope="module")
def loaded(demo, tmp_path_factory):
    return demo.loading.load(demo.settings.Source(str(save_tiny_model(tmp_path_factory.mktemp("loaded") / "tiny"))))


def test_only_a_pinned_repo_is_trusted(demo):
    """A repo id needs all 40 digits of a commit, unless a moving one is accepted explicitly."""
    find, sha = demo.settings.find_source, "0123456789" * 4
    assert find({"SANTA_MODEL": "org/santa", "SANTA_REVISION": sha}).revision == sha
    assert find({"SANTA_MODEL": "org/santa", "SANTA_ALLOW_FLOATING": "1"}).revision is None
    for revision in ("main", sha[:39], sha.upper().replace("0", "A"), ""):
        with pytest.raises(demo.settings.StartError, match="not a full commit sha"):
            find({"SANTA_MODEL": "org/santa", "SANTA_REVISION": revision})


def test_pickled_weights_are_refused(demo, tmp_path):
    """A folder whose weights are a pickle is not loaded."""
    model = save_tiny_model(tmp_path / "pickled")
    (model / "model.safetensors").unlink()
    torch.save({}, model / "pytorch_model.bin")
    with pytest.raises(demo.settings.StartError, match=r"cannot be loaded: .*safetensors"):
        demo.loading.load(demo.settings.find_source({"SANTA_MODEL": str(model)}))


def test_damaged_weights_are_refused(demo, tmp_path):
    """A truncated weight file is named as a model that cannot be loaded."""
    model = save_tiny_model(tmp_path / "damaged")
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(demo.settings.StartError, match="cannot be loaded"):
        demo.loading.load(demo.settings.find_source({"SANTA_MODEL": str(model)}))


def test_typed_sentinels_are_plain_text(demo, loaded):
    """An infill prompt holds exactly the three sentinels that frame it, whatever the visitor typed."""
    text = "".join(SPECIALS)
    ids, _ = demo.generation.prompt_ids(demo.prompt.Prompt(text, text), loaded, room=200)
    specials = [token for token in ids if token in loaded.special_ids]
    assert specials == loaded.tokenizer.convert_tokens_to_ids(["<fim-prefix>", "<fim-suffix>", "<fim-middle>"])
    assert loaded.tokenizer.decode(ids) == f"<fim-prefix>{text}<fim-suffix>{text}<fim-middle>"


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [(50, 50, (20, 20)), (50, 5, (35, 5)), (5, 50, (5, 35)), (0, 50, (0, 40)), (50, 0, (40, 0)), (7, 8, (7, 8))],
)
def test_a_long_infill_keeps_the_text_next_to_the_gap(demo, loaded, before, after, kept):
    """Each side gets half of the room, and what the other side leaves over."""
    prefix, suffix = "p" * (before - 1) + "P" * (before > 0), "S" * (after > 0) + "s" * (after - 1)
    ids, whole = demo.generation.prompt_ids(demo.prompt.Prompt(prefix, suffix), loaded, room=43)
    expected = f"<fim-prefix>{prefix[before - kept[0] :]}<fim-suffix>{suffix[: kept[1]]}<fim-middle>"
    assert (loaded.tokenizer.decode(ids), whole) == (expected, before + after + 3)


def test_the_draws_follow_the_nucleus_distribution(demo):
    """Over 4,000 seeds the chosen tokens are as frequent as temperature and top-p say, within four deviations."""
    scores = torch.tensor([[2.0, 1.0, 0.0, -1.0, 9.0]])  # the last row lies past the tokenizer's vocabulary
    settings = demo.prompt.Settings
    picks = [
        int(
            demo.generation.SeededSampling(settings(temperature=0.8, top_p=0.9, seed=seed), 4)(
                None, scores.clone()
            ).argmax()
        )
        for seed in range(4000)
    ]
    wanted = torch.softmax(scores[0, :4] / 0.8, 0)
    wanted[2:] = 0  # 0.72 and 0.20 reach a mass of 0.9
    wanted /= wanted.sum()
    counts = torch.bincount(torch.tensor(picks), minlength=5)
    assert counts[2:].tolist() == [0, 0, 0]
    assert abs(counts[0] / 4000 - wanted[0]) < 4 * (wanted[0] * wanted[1] / 4000) ** 0.5


def test_greedy_equals_generate(demo, loaded):
    """Temperature 0 writes what the model's own greedy generate() writes."""
    prompt = demo.prompt.Prompt("def f(x):\n")
    *_, last = demo.generation.Writer(loaded).stream(prompt, demo.prompt.Settings(max_new_tokens=32, temperature=0))
    ids = loaded.tokenizer("def f(x):\n", return_tensors="pt")["input_ids"]
    expected = loaded.model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=32)[0, ids.shape[1] :]
    assert last.middle == loaded.tokenizer.decode(expected[expected < 256])


def test_an_end_token_ends_the_text(demo, tmp_path):
    """A model that writes a special token has ended, and the token is no part of the text."""
    ending = demo.loading.load(demo.settings.Source(str(save_tiny_model(tmp_path / "ending", ends_at_once=True))))
    (only,) = demo.generation.Writer(ending).stream(demo.prompt.Prompt("x"), demo.prompt.Settings())
    assert (only.middle, only.tokens, only.finish) == ("", 0, "end")


def test_closing_the_stream_stops_the_model(demo, loaded):
    """No thread of the request is left within a second of closing it, long before its tokens are spent."""
    before = threading.active_count()
    chunks = demo.generation.Writer(loaded).stream(demo.prompt.Prompt("x"), demo.prompt.Settings(128, 1.0, 1.0))
    next(chunks)
    started = time.perf_counter()
    chunks.close()
    assert time.perf_counter() - started < 1
    assert threading.active_count() == before


def test_the_doctests_hold(demo):
    """Every example in the Space's docstrings gives what it shows."""
    results = [doctest.testmod(getattr(demo, name)) for name in MODULES]
    assert sum(result.failed for result in results) == 0
    assert sum(result.attempted for result in results) >= 6


def test_examples_fit_their_mode(demo):
    """Every infill example has one gap, no completion example has one, and each language and mode has some."""
    for (mode, language), examples in demo.examples.EXAMPLES.items():
        gaps = [len(demo.prompt.find_markers(example.text)) for example in examples]
        assert gaps == [int(mode == demo.examples.INFILL)] * len(examples)
        assert language in demo.examples.EDITOR_LANGUAGE
    assert len(demo.examples.EXAMPLES) == 6
