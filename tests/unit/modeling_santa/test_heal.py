"""Token healing: what is left out of the prompt is written first, by whatever tokens, and is no part of the answer."""

import random
from types import SimpleNamespace

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from modeling_santa.encode_santa import encode_text
from modeling_santa.errors_santa import ModelError
from modeling_santa.fim_santa import end_ids_of
from modeling_santa.heal_santa import Healing, last_word_of, token_bytes_of
from modeling_santa.stream_santa import plan_answer

SUFFIX = "\n\nprint(a)\n"


def text_of(pieces):
    return "".join(piece.text for piece in pieces)


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("x = retu", " retu"),
        ("f(retu", "retu"),
        ("x = (\r\n\t\t", "\r\n\t\t"),
        ("x.", "."),
        ("snake_ca", "ca"),
        ("a  b", " b"),
        ("caf\u00e9", "caf\u00e9"),
        ("1 23", " 23"),
        ("a" * 40, "a" * 16),
        ("x\n", "\n"),
        ("", ""),
    ],
)
def test_the_last_word_or_the_blanks_are_left_out(prefix, expected):
    """What GPT-2's rules keep together, so that the tokens before it stay what they are."""
    assert expected == last_word_of(prefix)


@pytest.mark.parametrize(
    "prefix", ["x = retu", "if a:\n    retu", "a  ", "# caf\u00e9", "'\U0001f600", "a+=", "\u4f60\u597d"]
)
def test_the_tokens_before_it_stay_as_they_are(hf_tokenizer, prefix):
    """The shorter prefix has the whole one's first tokens."""
    bare = encode_text(hf_tokenizer, prefix.removesuffix(last_word_of(prefix)))[:]
    assert bare == encode_text(hf_tokenizer, prefix)[:][: len(bare)]


@pytest.mark.parametrize("text", [" return", "\n    ", "\U0001f600\u00e9", "add_"])
def test_whatever_is_drawn_writes_the_text(hf_tokenizer, text):
    """Tokens drawn at random among the allowed ones begin with it, and afterwards all are allowed."""
    table, draw, scores = token_bytes_of(hf_tokenizer), random.Random(text), torch.zeros(512)
    ways = set()
    for _ in range(50):
        healing, written, count = Healing(table, text), b"", 0
        while not written.startswith(text.encode()):
            token = draw.choice(torch.isfinite(healing.allowed(scores)).nonzero()[:, 0].tolist())
            healing.take(token)
            written, count = written + table.by_id[token], count + 1
        ways.add(count)
        assert torch.equal(scores, healing.allowed(scores))
    assert len(ways) > 1


@pytest.mark.parametrize(("prefix", "answer"), [("if a:\n    retu", "rn a + b"), ("if a:\n    ", "return a + b")])
def test_a_cut_word_is_written_by_its_usual_tokens(tiny_model, hf_tokenizer, monkeypatch, prefix, answer):
    """A model that would write the line with the tokens of the whole text needs no other tokens for the rest of it."""
    retold = last_word_of(prefix)
    usual = [*encode_text(hf_tokenizer, retold + answer), *end_ids_of(hf_tokenizer)]
    forward, seen = tiny_model.forward, []

    def writing_usual(ids, *arguments, **settings):
        out = forward(ids, *arguments, **settings)
        logits = torch.zeros_like(out.logits)
        logits[..., usual[len(seen)]] = 9.0
        seen.append(ids)
        return SimpleNamespace(logits=logits)

    monkeypatch.setattr(tiny_model, "forward", writing_usual)
    pieces = list(tiny_model.stream(hf_tokenizer, prefix, SUFFIX, heal=True, max_new_tokens=40))
    assert (answer, "end") == (text_of(pieces), pieces[-1].finish)


def test_a_healed_session_writes_what_a_fresh_call_does(tiny_model, hf_tokenizer):
    """Keystroke by keystroke, for words, blanks, and a text of ten contexts."""
    session, settings = tiny_model.completer(hf_tokenizer), {"heal": True, "max_new_tokens": 5}
    for start in ("def f(", "def f(a):\n    return a\n" * 60):
        for size in range(12):
            prefix = start + "xy = retur\n\t"[:size]
            expected = text_of(tiny_model.stream(hf_tokenizer, prefix, SUFFIX, mode="spm", step=16, **settings))
            assert expected == session.complete(prefix, SUFFIX, **settings)


GAPS = [("if a:\n    retu", " + b\n"), ("x", ""), ("", "x"), ("y = (\n        ", ")\n"), ("# caf\u00e9", "\n")]


@pytest.mark.parametrize("mode", ["psm", "spm"])
def test_infill_heals_as_stream_does(tiny_model, hf_tokenizer, mode):
    """One gap and a batch of different words, greedy, sampled and by beams: the text that was left out is no part of it."""
    prefixes, suffixes = zip(*GAPS, strict=True)
    settings = {"mode": mode, "heal": True, "max_new_tokens": 6}
    expected = [text_of(tiny_model.stream(hf_tokenizer, *gap, **settings)) for gap in GAPS]
    settings["allow_truncated"] = True
    assert expected == [tiny_model.infill(hf_tokenizer, *gap, **settings) for gap in GAPS]
    assert expected == tiny_model.infill(hf_tokenizer, prefixes, suffixes, **settings)
    unhealed = tiny_model.infill(hf_tokenizer, prefixes, suffixes, **{**settings, "heal": False})
    assert expected != unhealed
    for more in ({"num_beams": 3}, {"do_sample": True, "num_return_sequences": 3}):
        torch.manual_seed(0)
        out = tiny_model.generate
        seen = []

        def generate(out=out, seen=seen, **given):
            seen.append((given["input_ids"].shape[1], out(**given)))
            return seen[-1][1]

        tiny_model.generate = generate
        try:
            middles = tiny_model.infill(hf_tokenizer, prefixes, suffixes, **settings, **more)
        finally:
            del tiny_model.generate
        ((start, rows),) = seen
        count = len(rows) // len(GAPS)
        for at, row in enumerate(rows[:, start:].tolist()):
            assert hf_tokenizer.decode(row).startswith(last_word_of(prefixes[at // count]))
        assert len(GAPS) == len(middles)


@pytest.mark.parametrize("most", [1, 124])
@pytest.mark.parametrize("suffix", [None, "", SUFFIX])
@pytest.mark.parametrize(
    "prefix", ["a" * 900, "return", "x \U0001f600\U0001f600\U0001f600\U0001f600\U0001f600", " " * 300]
)
def test_prompt_and_answer_fit_into_the_context(tiny_model, hf_tokenizer, prefix, suffix, most):
    """With the shortest and the longest answer; a continuation of a single word has nothing to leave out."""
    plan = plan_answer(tiny_model, hf_tokenizer, prefix, suffix, heal=True, max_new_tokens=most)
    pieces = list(tiny_model.stream(hf_tokenizer, prefix, suffix, heal=True, max_new_tokens=most))
    assert len(plan.ids) + pieces[-1].tokens <= 128
    assert pieces[-1].finish is not None


def test_a_tokenizer_that_cannot_write_every_byte_is_refused(tiny_model):
    """Words alone, without bytes: a sentence says so."""
    words = Tokenizer(WordLevel({"a": 0, "b": 1}, unk_token="a"))
    theirs = PreTrainedTokenizerFast(tokenizer_object=words)
    with pytest.raises(ModelError, match="needs a byte-level BPE"):
        tiny_model.stream(theirs, "a b", heal=True)
