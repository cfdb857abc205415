"""Windows of a stream on which a model is measured."""

import numpy as np
import pytest

from modeling_santa.corpus.windows import windows_of
from modeling_santa.errors_santa import ModelError


def test_windows_are_spread_over_the_stream_and_share_no_token():
    """Of ten windows of five tokens three are taken: the first, one in the middle, the last; a rest is left out."""
    found = windows_of(np.arange(53), 4, most=3)
    assert [0, 20, 45] == found[:, 0].tolist()
    assert (found == found[:, :1] + np.arange(5)).all()
    assert (10, 5) == windows_of(np.arange(53), 4).shape


def test_a_stream_that_fills_no_window_is_refused():
    """The message has both lengths."""
    with pytest.raises(ModelError, match="have 4 tokens, fewer than one window of 5"):
        windows_of([1, 2, 3, 4], 4)
