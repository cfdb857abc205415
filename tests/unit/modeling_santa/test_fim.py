"""Fill-in-the-middle text: exact for any text, fair by the rates, fixed by seed, epoch and index."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_santa.fim_santa import TOKENS, FimTokens, infill_prompt, permute, split

ANY_TEXT = st.text(max_size=200) | st.sampled_from(
    ["a\r\nb\r\n", "e\u0301\u0302 combining", "👩‍👩‍👧 family", "x = '<fim-middle>'", "<|endoftext|>", "\u2028", "\x00"]
)


def recombined(permuted):
    """The document behind a permuted text, read as the training format defines it."""
    if not permuted.startswith(TOKENS.prefix):
        return permuted
    prefix, rest = permuted.removeprefix(TOKENS.prefix).split(TOKENS.suffix, 1)
    suffix, middle = rest.split(TOKENS.middle, 1)
    return prefix + middle + suffix


@given(text=ANY_TEXT, seed=st.integers(0, 9), epoch=st.integers(0, 3), index=st.integers(0, 10**12))
def test_the_parts_are_the_document(text, seed, epoch, index):
    """Prefix, middle and suffix put together give the document back, character for character."""
    parts = split(text, seed=seed, epoch=epoch, index=index, fim_rate=1.0)
    assert parts is None if text == "" else text == parts.prefix + parts.middle + parts.suffix


@given(text=ANY_TEXT, index=st.integers(0, 10**6), spm_rate=st.sampled_from([0.0, 0.5, 1.0]))
def test_a_permuted_text_gives_its_document_back(text, index, spm_rate):
    """Both orders, PSM and SPM, can be undone; a text that spells a sentinel is left as it is."""
    permuted = permute(text, seed=1, epoch=0, index=index, fim_rate=1.0, spm_rate=spm_rate)
    if TOKENS.find_in(text) is not None:
        assert text == permuted
    else:
        assert text == recombined(permuted)


def test_the_draw_depends_on_seed_epoch_and_index_alone():
    """The same triple gives the same text in any order; another epoch or index gives another."""
    text = "def f(x):\n    return x + 1\n" * 3
    forward = [permute(text, seed=3, epoch=0, index=i, fim_rate=1.0) for i in range(50)]
    backward = [permute(text, seed=3, epoch=0, index=i, fim_rate=1.0) for i in reversed(range(50))]
    assert forward == backward[::-1]
    assert forward != [permute(text, seed=3, epoch=1, index=i, fim_rate=1.0) for i in range(50)]
    assert forward != [permute(text, seed=4, epoch=0, index=i, fim_rate=1.0) for i in range(50)]


@pytest.mark.parametrize(("fim_rate", "spm_rate"), [(0.5, 0.5), (0.9, 0.1), (0.0, 0.5), (1.0, 1.0)])
def test_rates_are_kept(fim_rate, spm_rate):
    """The shares of permuted and of suffix-first documents are within four standard deviations."""
    count = 4000
    drawn = [split("some text", seed=0, epoch=0, index=i, fim_rate=fim_rate, spm_rate=spm_rate) for i in range(count)]
    permuted = [parts for parts in drawn if parts is not None]
    assert abs(len(permuted) - count * fim_rate) <= 4 * (count * fim_rate * (1 - fim_rate)) ** 0.5
    suffix_first = sum(parts.mode == "spm" for parts in permuted)
    expected = len(permuted) * spm_rate
    assert abs(suffix_first - expected) <= 4 * (expected * (1 - spm_rate)) ** 0.5


def test_cuts_are_uniform_over_characters():
    """Each of the positions between characters is drawn as a cut about equally often."""
    text = "abcdefghi"
    cuts = [0] * (len(text) + 1)
    for i in range(5000):
        parts = split(text, seed=0, epoch=0, index=i, fim_rate=1.0)
        cuts[len(parts.prefix)] += 1
        cuts[len(parts.prefix + parts.middle)] += 1
    assert max(cuts) < 1.2 * min(cuts)


def test_a_rate_outside_0_and_1_is_refused():
    """The message names the rate, its value and the range."""
    with pytest.raises(ValueError, match=r"fim_rate=1.5 is not a share. Choose fim_rate between 0 and 1"):
        split("x", seed=0, epoch=0, index=0, fim_rate=1.5)


def test_a_prompt_with_a_sentinel_in_its_text_is_refused():
    """A sentinel in the caller's text would change the prompt's meaning without a word."""
    with pytest.raises(ValueError, match=r"the suffix holds the special token '<fim-pad>'"):
        infill_prompt("a", "b <fim-pad>")
    with pytest.raises(ValueError, match=r"mode='pms' is unknown"):
        infill_prompt("a", "b", mode="pms")


def test_empty_sides_are_a_prompt():
    """Infilling at the start or the end of a file is a normal request."""
    assert infill_prompt("", "") == "<fim-prefix><fim-suffix><fim-middle>"
    assert infill_prompt("a", "b", mode="spm") == "<fim-prefix><fim-suffix>b<fim-middle>a"


def test_tokens_are_spelled_with_hyphens_in_id_order():
    """SantaCoder's spelling and order; StarCoder's underscores are another tokenizer's."""
    expected = ("<|endoftext|>", "<fim-prefix>", "<fim-middle>", "<fim-suffix>", "<fim-pad>")
    assert expected == FimTokens().in_id_order()


CODE = "def f(a):\n    if a:\n        b()\n\n        c()\n    return a\n\n\nx = 1"


@pytest.mark.parametrize("index", range(40))
def test_middles_that_follow_lines(index):
    """At a line rate of 1 a middle is whole lines, or the rest of one; the parts are the text, character for character."""
    parts = split(CODE, seed=0, epoch=0, index=index, fim_rate=1.0, line_rate=1.0)
    assert CODE == parts.prefix + parts.middle + parts.suffix
    is_rest = "\n" not in parts.middle and parts.suffix[:1] in ("", "\n")
    is_lines = parts.prefix[-1:] in ("", "\n") and (parts.middle.endswith("\n") or not parts.suffix)
    assert is_rest or is_lines
    if is_lines and not is_rest and parts.middle.count("\n") > 1:
        first, *others = parts.middle.splitlines()
        assert all(not line or len(line) - len(line.lstrip()) > len(first) - len(first.lstrip()) for line in others)


def test_without_a_line_rate_the_draws_are_the_report_s():
    """The option changes no draw where it is off, and text of blanks alone is cut as ever."""
    plain = [split(CODE, seed=1, epoch=0, index=i) for i in range(20)]
    assert plain == [split(CODE, seed=1, epoch=0, index=i, line_rate=0.0) for i in range(20)]
    assert split("\n \n", seed=1, epoch=0, index=0, fim_rate=1.0, line_rate=1.0) is not None
    with pytest.raises(ValueError, match=r"line_rate=1\.5 is not a share"):
        split(CODE, seed=1, epoch=0, index=0, line_rate=1.5)
