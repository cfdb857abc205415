"""Completion sessions: what they read again, what they hold, and that nothing that is cached changes a text."""

import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from modeling_santa.cache_santa import full_context_bytes
from modeling_santa.completer_santa import Completer
from modeling_santa.errors_santa import ModelError

TEXTS = [f"def add_{n}(a, b):\n    return a + b + {n}\n" * 2 for n in range(6)]


@pytest.fixture
def reads(tiny_model, monkeypatch):
    """The number of tokens of each forward pass."""
    seen, forward = [], tiny_model.forward
    monkeypatch.setattr(tiny_model, "forward", lambda ids, *a, **k: seen.append(ids.shape[1]) or forward(ids, *a, **k))
    return seen


def fresh(model, tokenizer, prefix, suffix, **settings):
    return Completer(model, tokenizer).complete(prefix, suffix, **settings)


def edits(seed, count):
    """Yield (prefix, suffix) of a text under edits: keystrokes, jumps of the cursor, changes behind it, all replaced."""
    draw, text, at = random.Random(seed), TEXTS[0], 20
    for _ in range(count):
        kind = draw.choices(("type", "delete", "jump", "behind", "replace"), (12, 3, 3, 1, 1))[0]
        if kind == "type":
            text, at = (
                text[:at] + (typed := draw.choice(("a", " ", "\n", "\u00e9", "return"))) + text[at:],
                at + len(typed),
            )
        elif kind == "delete" and at:
            text, at = text[: at - 1] + text[at:], at - 1
        elif kind == "jump":
            at = draw.randint(0, len(text))
        elif kind == "behind":
            text = text[:at] + draw.choice(TEXTS)
        elif kind == "replace":
            text = draw.choice(TEXTS)
            at = draw.randint(0, len(text))
        yield text[:at], text[at:]


def test_every_text_is_a_fresh_session_s(tiny_model, hf_tokenizer):
    """Over keystrokes, jumps, changes of the suffix and of everything, in a text that outgrows the context."""
    session = tiny_model.completer(hf_tokenizer, texts=2)
    for prefix, suffix in edits(0, 60):
        settings = {"max_new_tokens": 3, "stop": "line"}
        assert fresh(tiny_model, hf_tokenizer, prefix, suffix, **settings) == session.complete(
            prefix, suffix, **settings
        )


def test_each_text_keeps_its_own_cache(tiny_model, hf_tokenizer, reads):
    """Two texts in turn: from the second time on a keystroke reads a few tokens of its own text."""
    session = tiny_model.completer(hf_tokenizer, texts=2)
    for suffix in TEXTS[:2]:
        session.complete("x = ", suffix, max_new_tokens=1)
    for suffix in TEXTS[:2]:
        reads.clear()
        session.complete("x = a", suffix, max_new_tokens=1)
        assert reads[0] <= 3


def test_a_long_text_keeps_its_ends_for_many_keystrokes(tiny_model, hf_tokenizer, reads):
    """Ten contexts long on either side, most keystrokes still read a few tokens."""
    session, text = tiny_model.completer(hf_tokenizer), "".join(TEXTS) * 4
    for before, after in ((text, text), (TEXTS[0][:9], text)):
        first = []
        for typed in range(30):
            reads.clear()
            session.complete(before + "ab" * typed, after, max_new_tokens=2)
            first.append(reads[0])
        assert 24 <= sum(count <= 4 for count in first)
        assert max(first) <= 126


def test_a_jump_can_be_prepared(tiny_model, hf_tokenizer, reads):
    """Reading ahead leaves the next keystroke a few tokens; it writes nothing and says how many it read."""
    session = tiny_model.completer(hf_tokenizer)
    assert session.prepare("def f(", TEXTS[1]) > 20
    assert session.prepare("def f(", TEXTS[1]) == 1
    reads.clear()
    session.complete("def f(a", TEXTS[1], max_new_tokens=1)
    assert reads[0] <= 3


def test_memory_is_bounded(tiny_model, hf_tokenizer):
    """No more idle caches than asked for, whatever was open at once; none after `clear`."""
    session = tiny_model.completer(hf_tokenizer, texts=2)
    running = [session.stream("x", suffix, max_new_tokens=4) for suffix in TEXTS]
    for pieces in running:
        next(pieces)
    assert [] == session.cached_tokens()
    for pieces in running:
        pieces.close()
    assert 2 == len(session.cached_tokens())
    session.clear()
    assert [] == session.cached_tokens()


def test_memory_is_bounded_by_bytes(tiny_model, hf_tokenizer):
    """Of four texts only those stay whose caches and texts fit, the last used ones; room for none is refused."""
    one = full_context_bytes(tiny_model.config, 4)
    session = tiny_model.completer(hf_tokenizer, max_bytes=2 * one + 9_000)
    for suffix in TEXTS[:4]:
        session.complete("x = ", suffix, max_new_tokens=1)
        assert session.cached_bytes() <= 2 * one + 9_000
    assert 2 == len(session.cached_tokens())
    assert session.prepare("x = ", TEXTS[3]) == 1
    with pytest.raises(ModelError, match=f"holds no full context, whose cache has {one} bytes"):
        tiny_model.completer(hf_tokenizer, max_bytes=one - 1)


def test_a_text_larger_than_the_bound_is_not_kept(tiny_model, hf_tokenizer):
    """Its cache is, its characters are not; the next answer is a fresh one's."""
    bound, text = full_context_bytes(tiny_model.config, 4) + 100, "".join(TEXTS) * 9
    session = tiny_model.completer(hf_tokenizer, max_bytes=bound)
    for typed in ("a", "ab"):
        expected = fresh(tiny_model, hf_tokenizer, text + typed, TEXTS[0], max_new_tokens=2)
        assert expected == session.complete(text + typed, TEXTS[0], max_new_tokens=2)
        assert 0 < session.cached_bytes() <= bound


def test_an_idle_cache_expires(tiny_model, hf_tokenizer):
    """It goes away by itself, and the next answer is a fresh one's."""
    session = tiny_model.completer(hf_tokenizer, expire_s=0.05)
    session.complete("x = ", TEXTS[0], max_new_tokens=2)
    deadline = time.monotonic() + 60
    while session.cached_tokens() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [] == session.cached_tokens()
    expected = fresh(tiny_model, hf_tokenizer, "x = ", TEXTS[0], max_new_tokens=2)
    assert expected == session.complete("x = ", TEXTS[0], max_new_tokens=2)


def test_a_running_answer_blocks_no_other(tiny_model, hf_tokenizer):
    """In one thread, with the first stream still open, a second one is answered; then the first goes on."""
    session, settings = tiny_model.completer(hf_tokenizer), {"max_new_tokens": 5}
    expected = [fresh(tiny_model, hf_tokenizer, prefix, TEXTS[0], **settings) for prefix in ("a", "b")]
    first = session.stream("a", TEXTS[0], **settings)
    begun = next(first).text
    assert expected[1] == session.complete("b", TEXTS[0], **settings)
    assert expected[0] == begun + "".join(piece.text for piece in first)


def test_a_stream_that_is_left_before_its_first_token_reads_nothing(tiny_model, hf_tokenizer, reads):
    """Closed at once, nothing is computed and nothing is held."""
    session = tiny_model.completer(hf_tokenizer)
    session.stream("a", TEXTS[0]).close()
    assert ([], []) == (reads, session.cached_tokens())


def test_a_cache_is_dropped_where_reading_failed(tiny_model, hf_tokenizer, monkeypatch):
    """After an error in the model the next answer is a fresh one's."""
    session = tiny_model.completer(hf_tokenizer)
    session.complete("a", TEXTS[0], max_new_tokens=2)
    with monkeypatch.context() as patch:
        patch.setattr(tiny_model, "forward", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("no memory")))
        with pytest.raises(RuntimeError, match="no memory"):
            session.complete("a b", TEXTS[0], max_new_tokens=2)
    assert [] == session.cached_tokens()
    expected = fresh(tiny_model, hf_tokenizer, "a b", TEXTS[0], max_new_tokens=2)
    assert expected == session.complete("a b", TEXTS[0], max_new_tokens=2)


def test_two_sessions_in_twenty_threads(tiny_model, hf_tokenizer):
    """Every answer is a fresh session's."""
    sessions = [tiny_model.completer(hf_tokenizer, texts=3) for _ in range(2)]
    places = list(edits(3, 40))
    expected = [fresh(tiny_model, hf_tokenizer, *place, max_new_tokens=3) for place in places]

    def answer(number):
        return sessions[number % 2].complete(*places[number % 40], max_new_tokens=3)

    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(answer, range(80)))
    assert expected * 2 == found
    assert all(len(session.cached_tokens()) <= 3 for session in sessions)


@pytest.mark.parametrize("settings", [{"texts": 0}, {"expire_s": 0}])
def test_a_session_of_nothing_is_refused(tiny_model, hf_tokenizer, settings):
    """Room for no text, or for no time."""
    with pytest.raises(ModelError, match="Give at least one text, and some time"):
        tiny_model.completer(hf_tokenizer, **settings)
    with pytest.raises(ModelError, match="a completion session writes one sample"):
        tiny_model.completer(hf_tokenizer).stream("a", n=2)
