"""Smoothed BLEU-4 against an independent writing of CodeXGLUE's definition, and docstring problems."""

import math
import re
from xml.sax.saxutils import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval_multipl_e.suite.docstrings import (
    docstring_problem,
    first_sentence_line,
    reference_text,
    sentence_bleu,
    smoothed_bleu,
    words_of,
)

# Signs that CodeXGLUE's second pass sets apart: ASCII's, without the apostrophe, the comma, the dash and the dot.
SIGNS = "".join(chr(code) for code in range(32, 127) if not chr(code).isalnum() and chr(code) not in "',-.")


def _first_pass(text):
    """CodeXGLUE's split of words from signs, after the cut at a tab and lower-casing."""
    return " ".join(re.findall(r"\w+|[^\s\w]", text.strip().split("\t")[0].strip().lower()))


def _second_pass(text):
    """NIST's tokenisation as mteval-v11a defines it, step by step."""
    text = text.replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    text = " " + unescape(text, {"&quot;": '"'}) + " "
    text = "".join(f" {char} " if char in SIGNS else char for char in text.lower())
    text = re.sub(r"([^0-9])([.,])", r"\1 \2 ", text)
    text = re.sub(r"([.,])([^0-9])", r" \1 \2", text)
    return re.sub(r"([0-9])(-)", r"\1 \2 ", text).split()


def _reference_bleu(prediction, reference):
    """The definition with counts in dictionaries and products in place of logarithms, where they are not zero."""
    ours, theirs = _second_pass(_first_pass(prediction)), _second_pass(_first_pass(reference))
    product = 1.0
    for n in (1, 2, 3, 4):
        left = [" ".join(ours[i : i + n]) for i in range(len(ours) - n + 1)]
        right = [" ".join(theirs[i : i + n]) for i in range(len(theirs) - n + 1)]
        matches = sum(min(left.count(gram), right.count(gram)) for gram in set(left))
        smooth = int(n > 1)
        tiny = 2.2250738585072014e-308
        product *= ((matches + smooth + tiny) / (len(left) + smooth + tiny)) ** 0.25
    return product * math.exp(min(0.0, 1 - (len(theirs) + 1) / (len(ours) + 1)))


TEXTS = st.one_of(
    st.text(max_size=40),
    st.text("ab 1.,-_'\"&<>;\t\n/\\~{}[]İß", max_size=40),
    st.lists(st.sampled_from(["the", "a", "3.5", "x_1", "&lt;", "<skipped>", "re-\nturn", "don't"]), max_size=12).map(
        " ".join
    ),
)


@given(TEXTS)
def test_words_are_those_of_both_passes(text):
    """One expression finds the words that CodeXGLUE's two passes leave."""
    assert _second_pass(_first_pass(text)) == words_of(text)


@given(TEXTS, TEXTS)
def test_bleu_equals_the_definition(prediction, reference):
    """Smoothed BLEU-4 equals an independent writing of its definition, also for empty and odd texts."""
    assert math.isclose(
        _reference_bleu(prediction, reference), sentence_bleu(prediction, reference), rel_tol=1e-9, abs_tol=1e-70
    )


def test_a_score_worked_by_hand():
    """Three of four words, one of three pairs, no triple: (3/4 · 2/4 · 1/3 · 1/2)^(1/4), and no brevity penalty."""
    score = sentence_bleu("return the old sum", "return the sum")
    assert math.isclose((3 / 4 * 2 / 4 * 1 / 3 * 1 / 2) ** 0.25, score)


def test_a_brevity_penalty_worked_by_hand():
    """Two words of a reference of five: all n-grams match, and the penalty is exp(1 - 6/3)."""
    assert math.isclose(math.exp(1 - 6 / 3), sentence_bleu("the sum", "the sum of two numbers"))


def test_nothing_predicted_leaves_the_penalty_alone():
    """An empty text has no n-grams that could fail: exp(1 - (r + 1) / 1), as CodeXGLUE's own evaluator gives."""
    assert math.isclose(math.exp(-3), sentence_bleu("", "one two three"))


def test_no_word_in_common_scores_next_to_nothing():
    """Without a common word the score is below 1e-70 of 1, not an error."""
    assert sentence_bleu("alpha beta", "gamma delta") < 1e-70


def test_the_score_of_a_set_is_the_mean_of_its_texts():
    """CodeXGLUE means sentence scores; it does not pool n-grams."""
    score = smoothed_bleu(["a b", ""], ["a b", "a b"])
    assert math.isclose(50 * (1 + math.exp(-2)), score)


@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [
        ([], [], "no predictions"),
        (["a"], [], "1 predictions and 0 references"),
        ("a", ["a"], "predictions is str, not a list"),
        (None, ["a"], "predictions is NoneType"),
        (["a"], [None], r"references\[0\] is NoneType"),
    ],
)
def test_wrong_arguments_are_refused(predictions, references, message):
    """Empty, unequal and untyped arguments are errors that say what was seen."""
    with pytest.raises(ValueError, match=message):
        smoothed_bleu(predictions, references)


@pytest.mark.parametrize("quotes", ['"""', "'''", '"', "'"])
def test_every_kind_of_quotes_opens_the_same_prompt(quotes):
    """Whatever quotes the function used, the prompt ends with three double quotes and nothing of the docstring."""
    row = {
        "code": f"def f():\n    {quotes}Give one.{quotes}\n    return 1",
        "docstring": "Give one.",
        "docstring_tokens": ["Give", "one", "."],
    }
    assert 'def f():\n    """' == docstring_problem(row, 3)["prompt"]


def test_other_languages_ask_after_the_function():
    """Outside Python the whole function stands before a comment that asks for its goal, and one line is wanted."""
    row = {"language": "java", "code": "int f() {}", "docstring": "", "docstring_tokens": ["Gives", "one"]}
    problem = docstring_problem(row, 0)
    assert "int f() {}\n/* The goal of this function is to:\n" == problem["prompt"]
    assert ["\n"] == problem["stop_tokens"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"code": "x"}, "Row 7 is no row of CodeXGLUE.*fields found are code"),
        ({"code": "x", "docstring": "y", "docstring_tokens": [], "language": "cobol"}, "Row 7 is in 'cobol'"),
        ({"code": "x", "docstring": "y", "docstring_tokens": []}, "Row 7: its docstring does not stand"),
    ],
)
def test_a_wrong_row_is_named(row, message):
    """A row of another schema, language or content is an error with its number."""
    with pytest.raises(ValueError, match=message):
        docstring_problem(row, 7)


def test_a_word_that_begins_with_r_stays_whole():
    """Only the r of a raw docstring is dropped, never the first letter of a word."""
    assert "returns x" == reference_text(["returns", "x"])
    assert "returns x" == reference_text(["r", "returns", "x"])


@pytest.mark.parametrize("text", ["Gives one.", "\n  Gives one.\n  More.", "Gives one.'''\n x", ' Gives one."""'])
def test_only_the_first_line_of_a_docstring_counts(text):
    """The first line that is not blank counts, up to closing quotes of either kind."""
    assert "Gives one." == first_sentence_line(text)
