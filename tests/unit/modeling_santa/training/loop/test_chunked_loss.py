"""The loss by chunks is cross-entropy, with its gradients."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from modeling_santa.training.loop.chunked_loss import IGNORED, ROWS, chunked_loss


def _tensors(rows, seed=0):
    random = torch.Generator().manual_seed(seed)
    hidden = torch.randn(rows, 8, generator=random, dtype=torch.float64).requires_grad_()
    weight = torch.randn(50, 8, generator=random, dtype=torch.float64).requires_grad_()
    return hidden, weight, torch.randint(50, (rows,), generator=random)


@pytest.mark.parametrize("rows", [1, ROWS - 1, ROWS, ROWS + 1, 2 * ROWS + 5])
@pytest.mark.parametrize("ignored", [0, 1, 3])
def test_loss_and_gradients_are_those_of_cross_entropy(rows, ignored):
    """For any number of rows around the size of a chunk, some labels left out, and a factor behind the loss."""
    hidden, weight, labels = _tensors(rows)
    labels[: min(ignored, rows - 1)] = IGNORED
    expected = cross_entropy(hidden @ weight.T, labels, ignore_index=IGNORED)
    grads = torch.autograd.grad(3 * expected, (hidden, weight))
    found = chunked_loss(hidden, weight, labels)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)
    for mine, theirs in zip(torch.autograd.grad(3 * found, (hidden, weight)), grads, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


def test_a_step_in_parts_has_the_loss_of_the_whole_step():
    """Divided by the labels of all parts, the parts' losses add up to the whole, and so do the gradients."""
    hidden, weight, labels = _tensors(90)
    labels[::4] = IGNORED
    count = int((labels != IGNORED).sum())
    whole = chunked_loss(hidden, weight, labels)
    parts = sum(chunked_loss(hidden[at], weight, labels[at], count) for at in (slice(0, 20), slice(20, 90)))
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-6)
    mine, theirs = (torch.autograd.grad(loss, weight)[0] for loss in (parts, whole))
    torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)


def test_without_a_label_the_loss_is_zero_and_pulls_at_nothing():
    """A batch of padding alone gives no NaN."""
    hidden, weight, labels = _tensors(5)
    loss = chunked_loss(hidden, weight, torch.full_like(labels, IGNORED))
    assert 0 == loss.item()
    assert all(0 == grad.abs().max() for grad in torch.autograd.grad(loss, (hidden, weight)))
