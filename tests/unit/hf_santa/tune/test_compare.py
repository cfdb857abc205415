"""Grades, the comparison of two models on the same gaps, and answers without a model."""

import random

import pytest

from hf_santa.tune.compare import distance, graded_gap, keystrokes, paired_difference
from hf_santa.tune.lookup import LineIndex
from hf_santa.tune.measuring import memorised


def plain_distance(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row, last = [i], row
        for j, y in enumerate(b, 1):
            row.append(min(last[j] + 1, row[-1] + 1, last[j - 1] + (x != y)))
    return row[-1]


def test_the_distance_is_levenshteins():
    """Rows of numbers give what the plain table gives, for random and for empty texts."""
    draw = random.Random(0)
    texts = ["", "a", *("".join(draw.choices("abcé😀", k=draw.randint(1, 12))) for _ in range(40))]
    for one in texts:
        other = draw.choice(texts)
        assert plain_distance(one, other) == distance(one, other)


@pytest.mark.parametrize(
    ("answer", "middle", "keys"),
    [("x = 1", "x = 1\n", 1), ("x = 2", "x = 1", 4), ("xy", "x y", 3), ("", "", 0), ("long wrong", "ab", 2)],
)
def test_keystrokes_are_what_a_person_presses(answer, middle, keys):
    """A whole right answer takes one key, a right word one, the rest is typed; a wrong suggestion costs nothing more."""
    assert keys == keystrokes(answer, middle)


def test_a_gain_has_an_interval_over_files():
    """A model that is right in each of ten files is better beyond doubt; one that changed nothing is not."""
    gaps = [{"middle": f"value {n}", "path": f"{n % 10}"} for n in range(40)]
    wrong = [graded_gap(gap, "x") | {"bits": 8.0, "bytes": 4.0} for gap in gaps]
    right = [graded_gap(gap, gap["middle"]) | {"bits": 4.0, "bytes": 4.0} for gap in gaps]
    files = [gap["path"] for gap in gaps]
    found = paired_difference(wrong, right, files, "exact_match", seed=0)
    assert {"before": 0.0, "after": 1.0, "gain": 1.0, "low": 1.0, "high": 1.0, "gaps": 40, "files": 10} == found
    same = paired_difference(right, right, files, "characters_saved", seed=0)
    assert (0.0, 0.0, 0.0) == (same["gain"], same["low"], same["high"])
    assert sum(len(gap["middle"]) - 1 for gap in gaps) / 40 == pytest.approx(same["after"])
    assert -1.0 == paired_difference(wrong, right, files, "bits_per_byte", seed=0)["gain"]


def test_the_nearest_line_is_found_by_its_surroundings():
    """The line after the most similar lines answers; a typed start must fit; a block goes on while it is indented."""
    index = LineIndex(
        ["def area(w, h):\n    size = w * h\n    return size\n", "def name():\n    for x in y:\n        z()\n    k\n"]
    )
    gap = {"kind": "line", "prefix": "def area(w, d):\n    size = w * d\n"}
    assert "    return size" == index.answer(gap)
    assert "urn size" == index.answer({"kind": "rest_of_line", "prefix": "def other():\n    ret"})
    assert "    for x in y:\n        z()" == index.answer({"kind": "block", "prefix": "def name():\n"})
    assert not index.answer({"kind": "rest_of_line", "prefix": "    unheard"})


def test_training_lines_said_by_heart_are_counted():
    """A long training line where another was asked for counts; the right answer and trivial lines do not."""
    line = "    connection = pool.acquire(timeout=30)"
    gaps = [{"prefix": "x\n", "middle": "    y = 1\n"}, {"prefix": "x\n", "middle": f"{line}\n"}]
    assert {"answers": 1, "lines": 1, "passages": 0} == memorised(gaps, [line, line], [f"a\n{line}\nb\n"])
    assert 0 == memorised(gaps[:1], ["}"], ["}\n"])["answers"]
