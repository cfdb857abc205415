"""Choose how many threads a forward pass uses; a small model is faster with one.

torch's threads wait for each other at the end of every product, and while they wait they spin. A second thread saves a
small model's token a fraction of a millisecond on a quiet machine; beside other programs every wait lasts until the
system gives the other thread its turn, some milliseconds, dozens of times a token.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

SMALL_MODEL = 4_000_000  # numbers read for a token: about a millisecond of one core
SMALL_WORK = 100_000_000  # multiply-adds, as for a short prompt: a few milliseconds of one core


def threads_for_input(config: Any, ids: object) -> AbstractContextManager[None]:
    """Return the context in which to compute a model of `config` on token ids: one thread if that is little work.

    Nothing is changed while gradients are wanted, off the CPU, and under a compiler.
    """
    if torch.compiler.is_compiling() or torch.is_grad_enabled() or not isinstance(ids, torch.Tensor) or not ids.is_cpu:
        return nullcontext()
    width, inner = config.n_embd, config.n_inner or 4 * config.n_embd
    a_token = config.n_layer * 2 * width * (width + inner) + config.vocab_size * width
    return threads_for(ids.numel() * a_token) if a_token <= SMALL_MODEL else nullcontext()


@contextmanager
def threads_for(work: int) -> Iterator[None]:
    """Compute on one thread inside, if `work` (multiply-adds) is small; torch's number of threads is as before afterwards.

    torch keeps the number for each thread of the program, and a thread that first uses torch inherits the last that was
    set: one whose first product falls into another's inside, some milliseconds, stays at one thread until it sets a
    number itself. Whoever sets another number inside keeps it.
    """
    before = torch.get_num_threads()
    if work > SMALL_WORK or before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        if torch.get_num_threads() == 1:
            torch.set_num_threads(before)
