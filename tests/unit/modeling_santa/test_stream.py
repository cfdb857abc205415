"""Streaming a completion: what is read, what is drawn, where it stops, and that no text is lost on the way."""

import copy
import pickle
import threading

import pytest
import torch
from tokenizers import Tokenizer
from transformers import GenerationConfig

from modeling_santa.draw_santa import Draw
from modeling_santa.encode_santa import encode_text
from modeling_santa.errors_santa import ModelError
from modeling_santa.fim_santa import end_ids_of
from modeling_santa.infill_santa import Middle, MiddleStreamer
from modeling_santa.prompt_santa import fit
from modeling_santa.stop_santa import Stop
from modeling_santa.stream_santa import plan_answer
from tests.fixtures.stream_cases import failures

SEEDED = [3, 6, 3, 6, 4, 3, 6, 4, 2, 1, 4, 2]  # of nine tokens, the last twice as likely
PREFIX, SUFFIX = "def add_3(a, b):\n    return ", "\n\nprint(a)\n"


def text_of(chunks):
    return "".join(chunk.text for chunk in chunks)


@pytest.mark.parametrize("room", [0, 1, 2, 7, 20, 500])
@pytest.mark.parametrize("step", [1, 4])
def test_what_stands_nearest_to_the_gap_is_kept(room, step):
    """The kept prefix ends at the gap, the kept suffix begins there, and both together fit into the room."""
    prefix, suffix = list(range(15)), list(range(100, 109))
    before, after = fit(prefix, suffix, room, step=step)
    assert prefix[len(prefix) - len(before) :] == before
    assert suffix[: len(after)] == after
    assert len(before) + len(after) <= room
    assert (len(before) + len(after) == min(24, room)) or step > 1
    assert (len(prefix) - len(before)) % step == 0 or not before


def test_draws_follow_the_distribution_and_the_seed_alone():
    """A row's tokens are the same in any batch, and their shares are the nucleus' probabilities."""
    scores = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]]))
    alone = Draw(["7/1"], temperature=1.0, top_p=0.9, n_tokens=4)
    batch = Draw(["7/0", "7/1"], temperature=1.0, top_p=0.9, n_tokens=4)
    drawn = [int(alone.choose(scores)[0]) for _ in range(2000)]
    assert drawn == [int(batch.choose(scores.expand(2, -1))[1]) for _ in range(2000)]
    assert 3 not in drawn
    assert pytest.approx(0.5 / 0.95, abs=0.05) == drawn.count(0) / 2000


def drawn(shares, seeds, **settings):
    scores = torch.tensor([shares]).log().expand(len(seeds), -1)
    given = {"temperature": 1.0, "top_p": 1.0, "n_tokens": len(shares), **settings}
    return Draw(seeds, **given).choose(scores).tolist()


def test_the_nucleus_is_the_smallest_set_that_holds_top_p():
    """Of probabilities .5, .3, .15, .05 a nucleus of .79 holds the first two, scaled to one."""
    found = drawn([0.15, 0.5, 0.05, 0.3], range(5000), top_p=0.79)
    assert {1, 3} == set(found)
    assert pytest.approx(0.5 / 0.8, abs=0.03) == found.count(1) / 5000


def test_temperature_sharpens():
    """At temperature 0.5 the odds of .8 to .2 are squared; at 0 the likeliest token is taken."""
    assert pytest.approx(0.64 / 0.68, abs=0.02) == drawn([0.8, 0.2], range(5000), temperature=0.5).count(0) / 5000
    assert {0} == set(drawn([0.8, 0.2], range(100), temperature=0))


def test_a_seed_draws_what_it_drew_before():
    """The evaluation's keys draw the same tokens in every version and on every machine."""
    keys = [f"0/py/HumanEval_{i}/0" for i in range(12)]
    assert SEEDED == drawn([0.1] * 8 + [0.2], keys)


@pytest.mark.parametrize(
    ("rule", "prefix", "text", "expected"),
    [
        ("line", "", "\n  x = 1\r\ny", ("\n  x = 1", True)),
        ("line", "", "x = 1\r", ("x = 1", False)),
        ("block", "def f():", "\n    a\n\n    b\n\nc", ("\n    a\n\n    b", True)),
        ("block", "def f():\n    ", "a\n    b\n  c", ("a\n    b", True)),
        ("block", "def f():", "\n    a\n", ("\n    a", False)),
        (("END", "\n\n"), "", "a\n\nEND", ("a", True)),
        (("END",), "", "a EN", ("a ", False)),
    ],
)
def test_an_answer_ends_where_its_rule_says(rule, prefix, text, expected):
    """Text is shown up to the stop, and a stop that may still come is held back."""
    size, is_over = Stop(rule, prefix).decided(text)
    assert expected == (text[:size], is_over)


def test_streamed_text_is_the_returned_text(tiny_model, hf_tokenizer):
    """Greedy chunks joined are what `infill` returns, and each seed and sample gives its text again."""
    middle = tiny_model.infill(hf_tokenizer, PREFIX, SUFFIX, max_new_tokens=12, allow_truncated=True)
    chunks = list(tiny_model.stream(hf_tokenizer, PREFIX, SUFFIX, max_new_tokens=12))
    assert middle == text_of(chunks)
    assert middle.finish == chunks[-1].finish
    settings = {"temperature": 1.0, "top_p": 0.95, "max_new_tokens": 6}
    three = list(tiny_model.stream(hf_tokenizer, PREFIX, SUFFIX, n=3, seed=5, **settings))
    samples = [text_of(chunk for chunk in three if chunk.sample == i) for i in range(3)]
    assert samples[0] == text_of(tiny_model.stream(hf_tokenizer, PREFIX, SUFFIX, seed=5, **settings))
    assert len(set(samples)) > 1


def test_a_text_of_ten_contexts_is_answered(tiny_model, hf_tokenizer):
    """What does not fit is left out and counted; the answer comes all the same."""
    chunks = list(tiny_model.stream(hf_tokenizer, PREFIX * 60, SUFFIX * 60, max_new_tokens=4))
    assert chunks[-1].prompt_tokens == 128 - 4
    assert chunks[-1].left_out > 1000
    assert isinstance(tiny_model.infill(hf_tokenizer, PREFIX * 60, SUFFIX * 60, allow_truncated=True), str)


def test_sentinels_stay_text_while_other_threads_use_the_tokenizer(hf_tokenizer):
    """Other threads' calls switch the tokenizer's shared state; no text of ours gets a control token by it."""
    ends, is_over = set(end_ids_of(hf_tokenizer)), threading.Event()

    def disturb():
        while not is_over.is_set():
            hf_tokenizer("<fim-middle>", split_special_tokens=False)

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        found = [ends & set(encode_text(hf_tokenizer, "a <fim-middle> <|endoftext|>")) for _ in range(300)]
    finally:
        is_over.set()
        thread.join()
    assert [set()] * 300 == found


def test_several_tokens_at_once_lose_no_text(hf_tokenizer):
    """An end token in a step of several ends the text there, and what came before it is passed on."""

    class Collected:
        def __init__(self):
            self.ids = []

        def put(self, value):
            self.ids += value.tolist()

    end = 9
    for steps in ([[4, 5, end]], [[4], [5, end, 6]], [[4, 5], [end], [7]]):
        target = Collected()
        streamer = MiddleStreamer(target, hf_tokenizer, [end], Stop())
        for ids in ([1, 2], *steps):
            streamer.put(torch.tensor([ids]))
        assert [4, 5] == target.ids


def test_a_streamer_gets_what_a_stop_string_leaves(hf_tokenizer):
    """A stop in the middle of a token cuts it; what looked like a stop and was none is passed on at the end."""

    class Collected:
        def __init__(self):
            self.ids = []

        def put(self, value):
            self.ids += value.tolist()

        def end(self):
            self.ids += []

    ids = encode_text(hf_tokenizer, "    return a + b")
    for stop, expected in (("eturn", "    r"), ("+ b!", "    return a + b"), ("    return", "")):
        target = Collected()
        streamer = MiddleStreamer(target, hf_tokenizer, [], Stop([stop]))
        for value in ([[1]], *([token] for token in ids)):
            streamer.put(torch.tensor(value))
        streamer.end()
        assert expected == hf_tokenizer.decode(target.ids)


def test_a_middle_survives_copies_and_pickles():
    """Text and finish come back by copy, deepcopy and pickle."""
    middle = Middle("x", finish="length")
    for other in (copy.copy(middle), copy.deepcopy(middle), pickle.loads(pickle.dumps(middle))):  # ours
        assert ("x", "length", True) == (str(other), other.finish, other.is_truncated)


def test_infill_takes_samples_and_seeds(tiny_model, hf_tokenizer):
    """Samples come as a list for each gap, a seed gives its text again, and generate's dict is understood."""
    settings = {"max_new_tokens": 6, "allow_truncated": True}
    two = tiny_model.infill(hf_tokenizer, ["a", "b"], ["", ""], do_sample=True, num_return_sequences=3, **settings)
    assert [3, 3] == [len(samples) for samples in two]
    drawn = [tiny_model.infill(hf_tokenizer, "a", "b", do_sample=True, seed=1, **settings) for _ in range(2)]
    assert drawn[0] == drawn[1]
    plain = tiny_model.infill(hf_tokenizer, PREFIX, SUFFIX, **settings)
    assert plain == tiny_model.infill(hf_tokenizer, PREFIX, SUFFIX, return_dict_in_generate=True, **settings)


def test_stop_strings_end_a_middle_and_are_no_part_of_it(tiny_model, hf_tokenizer, monkeypatch):
    """`generate` is told when to end, and the middle says that it was stopped."""
    ids = hf_tokenizer("return a + b", add_special_tokens=False)["input_ids"]

    def generate(input_ids, stopping_criteria, **_):
        for end in range(1, len(ids) + 1):
            so_far = torch.cat([input_ids, torch.tensor([ids[:end]])], dim=1)
            assert (" +" in hf_tokenizer.decode(ids[:end])) == bool(stopping_criteria[0](so_far, None)[0])
        return torch.cat([input_ids, torch.tensor([ids])], dim=1)

    monkeypatch.setattr(tiny_model, "generate", generate)
    middle = tiny_model.infill(hf_tokenizer, "x", "y", stop_strings=" +")
    assert ("return a", "stop") == (middle, middle.finish)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "PSM"}, "mode='PSM' is unknown"),
        ({"max_new_tokens": 0}, "max_new_tokens=0 is below 1"),
        ({"temperature": -1}, "temperature=-1 is out of range"),
        ({"top_p": 0}, "top_p=0 is out of range"),
        ({"n": 0}, "n=0 samples"),
        ({"stop": "word"}, "stop='word' is unknown"),
        ({"stop": [""]}, "holds something else than texts"),
    ],
)
def test_a_setting_out_of_range_is_refused_at_once(tiny_model, hf_tokenizer, settings, message):
    """Before anything is read, with what to choose instead."""
    with pytest.raises(ModelError, match=message):
        tiny_model.stream(hf_tokenizer, "a", "b", **settings)


@pytest.mark.filterwarnings("ignore:.*generation.*")
def test_streamed_text_is_returned_text_in_random_cases(tiny_model, hf_tokenizer):
    """The first 24 cases of tests/bench/streaming.py: assistants, stops, cuts, samples, sessions, threads."""
    assert {} == failures(tiny_model, hf_tokenizer, range(24), threads=3)


BAD_TEXTS = {
    "both sides empty": ("", ""),
    "a suffix of many contexts": ("x = ", SUFFIX * 300),
    "1 MB on one line": ("x" * 500_000, "y" * 500_000),
    "sentinels in both sides": ("<fim-prefix><fim-middle>" * 3, "<fim-suffix><|endoftext|>" * 3),
    "a suffix that begins with CR": ("x = (\r\n\t", "\r\ny\r\n"),
    "a name cut in two": ("# \u041f\u0440\u0438 \u4f60\nx = na", "me.strip()\n"),
    "a character cut from its mark": ("'\U0001f469\u200de", "\u0301\U0001f469'\n"),
    "a suffix alone": ("", "def f():\n    pass\n"),
    "control characters": ("\x00\x1b[31m\ufeff", "\u2028\u202e\ufffd"),
}


@pytest.mark.parametrize("name", BAD_TEXTS)
@pytest.mark.parametrize("mode", ["psm", "spm"])
def test_odd_texts_are_answered(tiny_model, hf_tokenizer, name, mode):
    """An answer comes by every way, the prompt fits, and holds three control tokens, its own."""
    prefix, suffix = BAD_TEXTS[name]
    settings = {"max_new_tokens": 3, "mode": mode}
    plan = plan_answer(tiny_model, hf_tokenizer, prefix, suffix, **settings)
    assert 3 == sum(token in plan.ends for token in plan.ids)
    assert len(plan.ids) <= 125
    streamed = text_of(tiny_model.stream(hf_tokenizer, prefix, suffix, **settings))
    assert streamed == tiny_model.infill(hf_tokenizer, prefix, suffix, allow_truncated=True, **settings)
    assert isinstance(tiny_model.completer(hf_tokenizer).complete(prefix, suffix, **settings), str)


def test_a_tokenizer_without_sentinels_is_refused(tiny_model, tokenizer):
    """By every way that fills a gap, with what is missing; going on with a text needs none."""
    from transformers import PreTrainedTokenizerFast

    bare = Tokenizer.from_str(tokenizer.to_str().replace("<fim-", "<other-"))
    theirs = PreTrainedTokenizerFast(tokenizer_object=bare)
    for call in (tiny_model.infill, tiny_model.stream, tiny_model.completer(theirs).complete):
        arguments = ("a", "b") if call.__self__ is not tiny_model else (theirs, "a", "b")
        with pytest.raises(ModelError, match="the tokenizer lacks <fim-prefix>"):
            call(*arguments)
    assert list(tiny_model.stream(theirs, "a", max_new_tokens=1))


def test_a_generation_config_that_samples_is_obeyed(tiny_model, hf_tokenizer):
    """A config of the caller's own samples; without one `infill` is greedy whatever the model's folder says."""
    tiny_model.generation_config.do_sample = True
    settings = {"max_new_tokens": 6, "allow_truncated": True}
    greedy = text_of(tiny_model.stream(hf_tokenizer, PREFIX, SUFFIX, max_new_tokens=6))
    assert greedy == tiny_model.infill(hf_tokenizer, PREFIX, SUFFIX, **settings)
    torch.manual_seed(0)
    config = GenerationConfig(do_sample=True, temperature=5.0, max_new_tokens=6)
    drawn = {
        str(tiny_model.infill(hf_tokenizer, PREFIX, SUFFIX, allow_truncated=True, generation_config=config))
        for _ in range(5)
    }
    assert len(drawn) > 1


def test_text_that_cannot_be_encoded_is_refused(tiny_model, hf_tokenizer):
    """A lone surrogate and an empty prompt have their message."""
    with pytest.raises(ModelError, match="lone surrogate"):
        tiny_model.stream(hf_tokenizer, "a\ud800", "b")
    with pytest.raises(ModelError, match="the prompt is empty"):
        tiny_model.stream(hf_tokenizer, "")
