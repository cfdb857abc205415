"""The flags that training commands share give the settings of the samples, or name what is no share."""

import argparse

import pytest

from hf_santa.errors import HfSantaError
from hf_santa.training_flags import add_fim_flags, fim_settings


def _asked(*words, **settings):
    parser = argparse.ArgumentParser()
    add_fim_flags(parser, **settings)
    return fim_settings(parser.parse_args(words))


def test_the_defaults_are_the_settings_of_the_report_but_for_lines():
    """Half of the texts are reordered, half of those with the suffix first, and half of the middles follow lines."""
    assert {"fim_rate": 0.5, "spm_rate": 0.5, "line_rate": 0.5, "mode": "whole"} == _asked()
    assert "fim_rate" not in _asked(with_rate=False)


@pytest.mark.parametrize("rate", ["0", "1", "0.25"])
@pytest.mark.parametrize("flag", ["fim", "spm", "line"])
def test_a_share_is_taken_as_it_is(flag, rate):
    """Both ends count as shares."""
    assert float(rate) == _asked(f"--{flag}-rate", rate)[f"{flag}_rate"]


@pytest.mark.parametrize("rate", ["-0.01", "1.01", "50", "nan", "inf", "-inf"])
@pytest.mark.parametrize("flag", ["fim", "spm", "line"])
def test_what_is_no_share_is_named(flag, rate):
    """With the flag and the number; a NaN is no share either."""
    with pytest.raises(HfSantaError, match=rf"--{flag}-rate is {float(rate)}\. Give a share between 0 and 1"):
        _asked(f"--{flag}-rate={rate}")
