"""A small model's few tokens are computed on one thread, and nobody else's number of threads changes."""

import threading

import pytest
import torch

from modeling_santa.threads_santa import SMALL_WORK, threads_for, threads_for_input


@pytest.fixture(autouse=True)
def three_threads():
    """The number that a program has chosen, and the old one afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def seen_by(model, ids):
    """The number of threads inside the model's forward pass."""
    seen = []
    handle = model.transformer.register_forward_pre_hook(lambda *_: seen.append(torch.get_num_threads()))
    model(ids)
    handle.remove()
    return seen[0]


def test_few_tokens_of_a_small_model_take_one_thread(tiny_model):
    """A token is computed on one thread and a long batch on all; with gradients nothing changes."""
    token, long = torch.ones(1, 1, dtype=torch.long), torch.ones(40, 120, dtype=torch.long)
    with torch.no_grad():
        assert [seen_by(tiny_model, ids) for ids in (token, long)] == [1, 3]
    assert seen_by(tiny_model, token) == 3
    assert torch.get_num_threads() == 3


def test_a_wide_model_keeps_its_threads():
    """A token of the report's model is worth them."""
    from modeling_santa.configuration_santa import SantaConfig

    with torch.no_grad(), threads_for_input(SantaConfig(), torch.ones(1, 1)):
        assert torch.get_num_threads() == 3


def test_a_failure_inside_restores_the_number(tiny_model):
    """An error leaves no trace."""
    with torch.no_grad(), pytest.raises(ValueError, match="outside the vocabulary"):
        tiny_model(torch.full((1, 1), 10**6))
    assert torch.get_num_threads() == 3


def test_threads_of_a_program_keep_their_own_number():
    """One that is inside changes nothing for another that had its number before, and each gets its own back."""
    is_ready, is_inside, may_go = threading.Event(), threading.Event(), threading.Event()
    seen = []

    def other():
        torch.get_num_threads()  # from here on the thread has a number of its own
        torch.set_num_threads(2)
        is_ready.set()
        is_inside.wait(120)
        seen.append(torch.get_num_threads())
        with threads_for(SMALL_WORK):
            seen.append(torch.get_num_threads())
            may_go.wait(120)
        seen.append(torch.get_num_threads())

    thread = threading.Thread(target=other)
    thread.start()
    is_ready.wait(120)
    torch.set_num_threads(3)
    with threads_for(SMALL_WORK):
        is_inside.set()
        assert torch.get_num_threads() == 1
    may_go.set()
    thread.join()
    assert seen == [2, 1, 2]
    assert torch.get_num_threads() == 3


def test_a_number_that_was_set_meanwhile_is_kept():
    """Whoever changes it inside has the last word; and one thread stays one."""
    with threads_for(1):
        torch.set_num_threads(2)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    with threads_for(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 1


def test_much_work_changes_nothing():
    """Above the limit the threads stay."""
    with threads_for(SMALL_WORK + 1):
        assert torch.get_num_threads() == 3
