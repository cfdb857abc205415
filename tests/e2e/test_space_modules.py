"""The Space's own modules, imported from its folder: which models it trusts, and how it generates."""

import doctest
import shutil
import string
import sys
import threading
import time
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from data_recipes.store.training_index import normalised, passage_hashes
from modeling_santa.modeling_santa import SantaForCausalLM

from .space_driver import MODULES, SPECIALS, save_tiny_model, space_modules, write_index


@pytest.fixture(scope="module")
def demo():
    with space_modules() as modules:
        yield modules


@pytest.fixture(scope="module")
def loaded(demo, tmp_path_factory):
    return demo.loading.load(
        demo.settings.ModelSource(str(save_tiny_model(tmp_path_factory.mktemp("loaded") / "tiny")))
    )


def test_only_a_pinned_repo_is_trusted(demo):
    """A repo id needs all 40 digits of a commit, unless a moving one is accepted explicitly."""
    find, sha = demo.settings.find_source, "0123456789" * 4
    assert find({"HF_SANTA_MODEL": "org/santa", "HF_SANTA_REVISION": sha}).revision == sha
    assert find({"HF_SANTA_MODEL": "org/santa", "HF_SANTA_ALLOW_FLOATING": "1"}).revision is None
    for revision in ("main", sha[:39], sha.upper().replace("0", "A"), ""):
        with pytest.raises(demo.settings.StartError, match="not a full commit sha"):
            find({"HF_SANTA_MODEL": "org/santa", "HF_SANTA_REVISION": revision})


def test_pickled_weights_are_refused(demo, tmp_path):
    """A folder whose weights are a pickle is not loaded."""
    model = save_tiny_model(tmp_path / "pickled")
    (model / "model.safetensors").unlink()
    torch.save({}, model / "pytorch_model.bin")
    with pytest.raises(demo.settings.StartError, match=r"cannot be loaded: .*safetensors"):
        demo.loading.load(demo.settings.find_source({"HF_SANTA_MODEL": str(model)}))


def test_damaged_weights_are_refused(demo, tmp_path):
    """A truncated weight file is named as a model that cannot be loaded."""
    model = save_tiny_model(tmp_path / "damaged")
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(demo.settings.StartError, match="cannot be loaded"):
        demo.loading.load(demo.settings.find_source({"HF_SANTA_MODEL": str(model)}))


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


def test_a_model_of_this_project_streams_by_itself(demo, tmp_path):
    """The Space shows what the model's own engine writes, greedy and drawn, and nothing of its end; closing stops it."""
    native = save_tiny_model(tmp_path / "native", n_positions=128)
    SantaForCausalLM.from_pretrained(native).save_pretrained(tmp_path / "ours")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(native / name, tmp_path / "ours" / name)
    ours = demo.loading.load(demo.settings.ModelSource(str(tmp_path / "ours")))
    prompt = demo.prompt.Prompt("def f(x):\n" * 30, "\nprint(x)\n")
    for numbers in ((32, 0.0, 1.0, 0), (32, 0.9, 0.95, 7)):
        settings = dict(zip(("max_new_tokens", "temperature", "top_p", "seed"), numbers, strict=True))
        *_, last = demo.generation.Writer(ours).stream(prompt, demo.prompt.Settings(**settings))
        pieces = list(ours.model.stream(ours.tokenizer, prompt.prefix, prompt.suffix, **settings))
        assert last.middle == "".join(piece.text for piece in pieces)
        assert (last.finish, last.tokens, last.seen_tokens) == ("length", 32, 96)
        assert last.prompt_tokens == len(prompt.prefix + prompt.suffix) + 3
    chunks = demo.generation.Writer(ours).stream(demo.prompt.Prompt("x"), demo.prompt.Settings(64, 1.0, 1.0))
    next(chunks)
    chunks.close()


def test_an_end_token_ends_the_text(demo, tmp_path):
    """A model that writes a special token has ended, and the token is no part of the text."""
    ending = demo.loading.load(demo.settings.ModelSource(str(save_tiny_model(tmp_path / "ending", ends_at_once=True))))
    (only,) = demo.generation.Writer(ending).stream(demo.prompt.Prompt("x"), demo.prompt.Settings())
    assert (only.middle, only.tokens, only.finish) == ("", 0, "end")


def test_closing_the_stream_stops_the_model(demo, loaded):
    """Closing the stream ends the request's thread in less than half of the time that all its tokens take."""
    before = threading.active_count()

    def stream():
        return demo.generation.Writer(loaded).stream(demo.prompt.Prompt("x"), demo.prompt.Settings(128, 1.0, 1.0))

    started = time.perf_counter()
    *_, _ = stream()
    whole = time.perf_counter() - started
    chunks = stream()
    next(chunks)
    started = time.perf_counter()
    chunks.close()
    assert time.perf_counter() - started < whole / 2
    assert threading.active_count() == before


COPIED = "    total = sum(value * weight for value, weight in zip(values, weights))\n    return total\n"


@pytest.fixture
def index(demo, tmp_path):
    return demo.seen.SeenIndex(
        write_index(tmp_path / "i", COPIED, "x = '<script>alert(1)</script>' + 'abcdefghijklmnop'\n")
    )


@given(st.text("ab<>&\u00e9\U0001f385 \n\t\u2003\x1f\ud800"), st.text(" \n\t", min_size=1))
def test_both_sides_of_the_index_agree(demo, text, gap):
    """The Space's hashes are those of data_recipes, whatever the white space between the words."""
    flat = normalised(text.join((string.ascii_letters, string.ascii_letters)))
    assert len(flat) < 50 or demo.seen.passage_hashes(flat)[:1].tolist() == passage_hashes(flat)[:1].tolist()
    assert normalised(flat.replace(" ", gap)) == flat


def test_a_copy_is_found_where_it_stands(index):
    """Laid out anew inside other text, the copy is found from its first character to its last, and nothing else."""
    copied = "\ttotal  =  sum(value * weight for value, weight\r\n in zip(values, weights))"
    (span,) = index.look_up("def other():" + copied + "# and more").spans
    assert ("def other():" + copied + "# and more")[slice(*span)] == copied.strip()
    assert index.look_up(copied.replace("for", "of")).spans == ()
    assert index.look_up(copied[:40]).checked_chars == 0


def test_what_was_found_is_shown_as_text(demo, index):
    """The page names the number of passages and shows them, with their HTML as text."""
    page = demo.markup.training_data("x = '<script>alert(1)</script>' + 'abcdefghijklmnop'", index)
    assert "1 passage of the generated text found" in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<script" not in page
    assert "no copy of 50 characters" in demo.markup.training_data(string.ascii_letters, index)
    assert "too short" in demo.markup.training_data("x", index)
    assert demo.markup.training_data("x", None) == ""


def test_generated_html_is_text(demo):
    """Tags that the model writes, or that surround the gap, are shown and never become part of the page."""
    chunk = demo.generation.Chunk("<script>alert(1)</script>", 9, 1.0, 3, 3, "end")
    page = demo.markup.view(demo.prompt.Prompt("<img src=x onerror=alert(1)>", "**b** <FILL_HERE>"), chunk)
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;FILL_HERE&gt;" in page


@pytest.mark.parametrize("damage", [b"", b"{}", b"[" * 600, None])
def test_a_damaged_index_is_refused(demo, tmp_path, damage):
    """An index that is empty, something else, or cut off is one sentence that says what to do."""
    path = write_index(tmp_path / "i", COPIED)
    path.write_bytes(path.read_bytes()[:-4] if damage is None else damage)
    with pytest.raises(demo.settings.StartError, match=r"'i' cannot be read: .*hf-santa data index"):
        demo.seen.SeenIndex(path)


def test_a_missing_index_is_refused(demo, tmp_path):
    """HF_SANTA_INDEX without a file is an error before the model is loaded."""
    with pytest.raises(demo.settings.StartError, match="is no file"):
        demo.settings.find_source({"HF_SANTA_MODEL": str(tmp_path), "HF_SANTA_INDEX": str(tmp_path / "none")})


def test_zero_gpu_lends_its_gpu_to_the_writing_alone(monkeypatch):
    """Where SPACES_ZERO_GPU is set, `spaces.GPU` wraps what generates, with a limit, and a bad request never reaches it."""
    limits, calls = [], []

    def lend(duration):
        limits.append(duration)
        return lambda function: lambda request: (calls.append(request), function(request))[1]

    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    monkeypatch.setitem(sys.modules, "spaces", SimpleNamespace(GPU=lend))
    with space_modules() as modules:
        writer = modules.generation.Writer(SimpleNamespace(max_new_tokens=64, n_positions=128))
        with pytest.raises(modules.prompt.RequestError, match="temperature"):
            next(writer.stream(modules.prompt.Prompt("x"), modules.prompt.Settings(temperature=-1)))
    assert (limits, calls) == ([120], [])


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
