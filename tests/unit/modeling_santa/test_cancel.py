"""An answer is stopped from another thread, between tokens and inside a prompt, and what was cached stays."""

import threading

import pytest

from modeling_santa.cache_santa import CancellableCache

SUFFIX = "\n\ndef add_9(a, b):\n    return a + b + 9\n" * 2


class SetAfter:
    """An event that is set once it was asked a number of times: a cancel at exactly this place."""

    def __init__(self, looks):
        self.looks = looks

    def is_set(self):
        """Count a look."""
        self.looks -= 1
        return self.looks < 0


def test_another_thread_stops_a_running_answer(tiny_model, hf_tokenizer):
    """The reader in one thread, the cancel in another: the last piece says so, and the text before it stays."""
    cancel, seen, has_begun = threading.Event(), [], threading.Event()

    def read():
        for piece in tiny_model.stream(hf_tokenizer, "x = ", SUFFIX, max_new_tokens=60, cancel=cancel):
            seen.append(piece)
            if len(seen) == 2:
                has_begun.set()
                assert cancel.wait(60)

    reader = threading.Thread(target=read)
    reader.start()
    assert has_begun.wait(60)
    cancel.set()
    reader.join(60)
    assert not reader.is_alive()
    assert ("cancelled", "", 2) == (seen[-1].finish, seen[-1].text, seen[-1].tokens)
    whole = [piece.text for piece in tiny_model.stream(hf_tokenizer, "x = ", SUFFIX, max_new_tokens=60)]
    assert whole[:2] == [piece.text for piece in seen[:2]]


@pytest.mark.parametrize("looks", range(8))
def test_a_session_goes_on_after_a_cancel_anywhere(tiny_model, hf_tokenizer, looks):
    """Two layers: in the prompt's first and second layer, and in those of later tokens; the next answer is a fresh one's."""
    settings = {"max_new_tokens": 5}
    expected = tiny_model.completer(hf_tokenizer).complete("x = ab", SUFFIX, **settings)
    session = tiny_model.completer(hf_tokenizer)
    session.complete("x = ", SUFFIX, **settings)
    held = session.cached_tokens()
    pieces = list(session.stream("x = a", SUFFIX, **settings, cancel=SetAfter(looks)))
    assert ("cancelled", looks // 2 + 1) == (pieces[-1].finish, len(pieces))
    assert session.cached_tokens()[0] > held[0] - 9
    assert expected == session.complete("x = ab", SUFFIX, **settings)


@pytest.mark.parametrize("looks", [0, 1])
def test_a_cancel_before_the_first_token_leaves_nothing(tiny_model, hf_tokenizer, looks):
    """A new session holds no half-read cache; every sample of several is told."""
    session = tiny_model.completer(hf_tokenizer)
    assert 0 == session.prepare("x = ", SUFFIX, cancel=SetAfter(looks))
    assert [] == session.cached_tokens()
    pieces = list(tiny_model.stream(hf_tokenizer, "x = ", SUFFIX, n=3, cancel=SetAfter(looks)))
    assert [(0, "cancelled"), (1, "cancelled"), (2, "cancelled")] == [(piece.sample, piece.finish) for piece in pieces]


def test_infill_is_cancelled_between_tokens(tiny_model, hf_tokenizer):
    """Its middles say so; one that ended before keeps its own reason."""
    middle = tiny_model.infill(hf_tokenizer, "x = ", SUFFIX, max_new_tokens=40, cancel=SetAfter(3))
    assert "cancelled" == middle.finish
    cancel = threading.Event()
    free = tiny_model.infill(hf_tokenizer, "x = ", SUFFIX, max_new_tokens=4, allow_truncated=True, cancel=cancel)
    assert "length" == free.finish


def test_a_cache_without_an_event_is_a_growing_cache(tiny_model, hf_tokenizer):
    """`cancel` belongs to one call: the next one on the same cache is not stopped by it."""
    session, cancel = tiny_model.completer(hf_tokenizer), threading.Event()
    text = session.complete("x = ", SUFFIX, max_new_tokens=4, cancel=cancel)
    cancel.set()
    assert text == session.complete("x = ", SUFFIX, max_new_tokens=4)
    assert CancellableCache.cancel is None
