"""The facts of a store: histograms, licences, an example."""

import pyarrow as pa

from data_recipes.filters.registry import thresholds_for
from data_recipes.store.facts import example_of, histograms_of, license_counts


def test_histograms_count_every_row_once():
    """Values on an edge belong to the bin that begins there; what lies beyond is in the last; nulls are unknown."""
    store = pa.table({"stars": [0, 1, 4, 5, 5000, None], "size": [0, 256, 1 << 20, 1 << 30, 511, 512]})
    found = histograms_of(store, thresholds_for("report"))
    assert found["stars"]["unknown"] == 1
    assert sum(found["stars"]["files"]) == 5
    assert found["stars"]["files"][found["stars"]["edges"].index(5)] == 1
    assert found["stars"]["files"][-1] == 1
    assert found["size"]["files"][-1] == 2
    assert "comment_share" not in found
    assert (found["stars"]["title"], found["stars"]["thresholds"]) == ("Stars of the repository", [5])
    assert license_counts(pa.table({"licenses": [["mit", "b"], ["mit"], None]})) == {"mit": 2, "b": 1, "unknown": 1}


def test_the_example_is_a_readable_part_of_a_file():
    """Lines from a third on are shown, of the first kept row whose lines are narrow and many enough."""
    long = "\n".join(f"line {n}" for n in range(90))
    store = pa.table({"path": ["wide", "short", "left out", "good"], "hexsha": list("abcd")})
    store = store.append_column("content", pa.array(["x" * 200 + "\n" * 9, "a\nb", long, long]))
    found = example_of(store, pa.array([True, True, False, True]))
    assert (found["path"], found["first_line"], found["lines"][0], len(found["lines"])) == ("good", 31, "line 30", 16)
    assert example_of(store, pa.array([True, True, False, False])) is None
