"""Which packages a pretraining run holds back."""

import random

import pytest

from hf_santa.pretrain.run import held_packages


def test_about_the_share_is_held_back():
    """Of a thousand packages of one size, a twentieth, and others for other names."""
    sizes = {f"tree/package_{n}": 100 for n in range(1000)}
    held = held_packages(sizes, 0.05)
    assert len(held) == 50
    assert held != {f"tree/package_{n}" for n in range(50)}


def test_a_large_package_is_never_held_back():
    """One that alone has more than twice the share would take the text away from training."""
    sizes = {"large": 1000, **{f"small_{n}": 10 for n in range(100)}}
    held = held_packages(sizes, 0.05)
    assert "large" not in held
    assert 100 <= sum(sizes[name] for name in held) <= 200


@pytest.mark.parametrize("share", [1e-9, 0.01, 0.5, 0.99])
def test_something_is_left_on_both_sides(share):
    """Two packages or more, of any sizes: at least one is held back, and at least one is not."""
    draw = random.Random(7)
    for count in range(2, 40):
        sizes = {f"p{n}": draw.choice((1, 10, 10_000)) for n in range(count)}
        assert 0 < len(held_packages(sizes, share)) < count


def test_one_package_holds_nothing_back():
    """There would be nothing to train on."""
    assert held_packages({"only": 10}, 0.5) == frozenset()
