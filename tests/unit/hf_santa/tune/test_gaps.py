"""Gaps are lines that people wrote and that the training side does not have."""

from hf_santa.tune.gaps import HeldText, added_lines, known_lines, literal_copies, make_gaps

OLD = "import os\n\ndef f(x):\n    y = x + 1\n    return y\n"
NEW = "import os\nimport re\n\ndef f(x):\n    y = x + 2\n    return y\n\n\ndef g(x):\n    z = f(x) * 3\n    return z\n"


def held(text, lines, by="time"):
    return HeldText("a.py", "Python", by, text, lines)


def test_the_lines_that_were_added_are_asked_for_and_no_others():
    """Of two states the new and the changed lines are found, by their numbers in the later one."""
    lines = NEW.split("\n")
    assert ["import re", "    y = x + 2", "def g(x):", "    z = f(x) * 3", "    return z"] == [
        lines[at] for at in added_lines(OLD, NEW) if lines[at]
    ]


def test_no_gap_stands_in_the_training_side():
    """A line that is there word for word is left out and counted, a trivial one is not asked for."""
    known = known_lines([OLD, "    return z\n"])
    gaps, counts = make_gaps([held(NEW, added_lines(OLD, NEW))], known, count=30, seed=0)
    assert {"rest_of_line", "line", "block"} == {gap["kind"] for gap in gaps}
    assert 0 == literal_copies(gaps, known)
    assert {"    y = x + 2\n", "def g(x):\n", "    z = f(x) * 3\n"} == {
        g["middle"] for g in gaps if g["kind"] == "line"
    }
    assert 1 == counts.literal
    assert all(gap["prefix"] + gap["middle"] + gap["suffix"] == NEW for gap in gaps)
    assert 1 == literal_copies([{"prefix": "", "middle": "    return y\n"}], known)


def test_a_block_ends_with_a_known_line_and_where_the_indentation_ends():
    """A block holds added lines alone; a line inside that is trivial and known is listed."""
    text = "a = 1\nif a:\n    b = 2\n    )\n    c = 3\nold = 4\nd = 5\n"
    known = known_lines([")\nold = 4\n"])
    gaps, counts = make_gaps([held(text, tuple(range(8)))], known, count=60, seed=0)
    blocks = {gap["middle"] for gap in gaps if gap["kind"] == "block"}
    assert "a = 1\nif a:\n    b = 2\n    )\n    c = 3\n" in blocks
    assert not any("old" in block or "d = 5" in block for block in blocks)
    assert [")"] == list(counts.trivial_inside)


def test_gaps_are_spread_over_files_and_drawn_by_the_seed():
    """Each text gives one before any gives a second; the same seed gives the same gaps."""
    texts = [HeldText(f"{n}.py", "Python", "file", f"value_{n} = {n}\nother_{n} = {n}\n", (0, 1)) for n in range(5)]
    gaps, _ = make_gaps(texts, set(), count=15, seed=1)
    lines = [gap["path"] for gap in gaps if gap["kind"] == "line"]
    assert sorted(set(lines)) == sorted(lines)
    assert gaps == make_gaps(texts, set(), count=15, seed=1)[0]
    assert gaps != make_gaps(texts, set(), count=15, seed=2)[0]
