"""Cut a stream of tokens into the windows on which a model is measured."""

import numpy as np
import numpy.typing as npt

from modeling_santa.errors_santa import ModelError

HELDOUT_WINDOWS = 200


def windows_of(tokens: npt.ArrayLike, seq_len: int, most: int = HELDOUT_WINDOWS) -> npt.NDArray[np.int64]:
    """Return up to `most` windows of seq_len + 1 tokens, spread evenly over a stream.

    Raises:
        ModelError: the stream does not fill one.
    """
    tokens = np.asarray(tokens)
    count = len(tokens) // (seq_len + 1)
    if not count:
        raise ModelError(
            f"the files held back have {len(tokens)} tokens, fewer than one window of {seq_len + 1}. Hold more back, give "
            "more text, or lower the sequence length."
        )
    chosen = np.linspace(0, count - 1, min(count, most)).astype(int)
    windows: npt.NDArray[np.int64] = tokens[: count * (seq_len + 1)].reshape(count, -1)[chosen].astype(np.int64)
    return windows
