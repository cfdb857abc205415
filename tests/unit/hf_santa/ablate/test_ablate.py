"""The ablation's statistics, stars and page: intervals as tables of Student's t say, verdicts by intervals alone."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

from hf_santa.ablate import intervals, page
from hf_santa.ablate.corpora import with_stars
from hf_santa.ablate.run import cost, summarise
from hf_santa.ablate.variants import BASELINE, PUBLISHED_INFILL, PUBLISHED_PASS, SCALES, VARIANTS
from hf_santa.measures import is_held_back, line_tasks


@pytest.mark.parametrize("values", [[1.0, 2.0], [0.1, 0.4, 0.2], [3.0, 3.5, 2.5, 9.0, 4.0]])
def test_intervals_are_scipys(values):
    """The interval of a mean is Student's, to the three decimals of the table."""
    low, high = stats.t.interval(0.95, len(values) - 1, loc=sum(values) / len(values), scale=stats.sem(values))
    found = intervals.estimate(values)
    assert (pytest.approx(low, rel=1e-3, abs=1e-3), pytest.approx(high, rel=1e-3, abs=1e-3)) == (found.low, found.high)


@pytest.mark.parametrize("level", [0.5, 0.6, 0.95, 0.999])
def test_points_of_t_are_scipys(level):
    """Even and odd degrees of freedom, few and many."""
    for freedom in (*range(1, 20), 99, 500):
        assert pytest.approx(float(stats.t.ppf((1 + level) / 2, freedom))) == intervals.t_point(level, freedom)


def test_so_many_seeds_see_the_difference_in_four_cases_of_five():
    """Drawn a thousand times: with the seeds that it asks for, the interval excludes zero about as often as promised."""
    pilot = [0.01, -0.01, 0.005, -0.005]
    spread, matters = float(np.std(pilot, ddof=1)), 0.008
    n = intervals.seeds_to_see(pilot, 0.95, matters)
    draws = np.random.default_rng(0).normal(matters, spread, (1000, n))
    seen = np.mean([intervals.estimate(list(draw)).excludes_zero for draw in draws])
    assert 0.76 < seen < 0.9
    assert intervals.seeds_to_see(pilot, 0.95, matters / 2) > 3 * n
    assert intervals.seeds_to_see(pilot, 0.95, 1e-6) is None
    assert intervals.seeds_to_see([0.1], 0.95, matters) is None


def test_looking_after_every_seed_is_wrong_in_one_case_of_twenty_at_most():
    """No difference is there: how often some look, of all from the third seed to the twelfth, says there is one."""
    level, wrong = intervals.level_of_looks(12), 0
    for draw in np.random.default_rng(1).normal(0, 1, (1000, 12)):
        wrong += any(intervals.is_decided(list(draw[:n]), level, 1e-9) for n in range(1, 13))
    assert 0 < wrong <= 50


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({0: 1.1, 1: 1.2, 2: 1.15}, "higher"),
        ({0: 0.9, 1: 0.8, 2: 0.85}, "lower"),
        ({0: 1.1, 1: 0.9, 2: 1.0}, "no evidence"),
        ({0: 1.1}, "no evidence"),
        ({7: 5.0}, "no evidence"),
        ({0: 1.0, 1: 1.0, 2: 1.0}, "no evidence"),
    ],
)
def test_only_an_interval_without_zero_is_evidence(values, expected):
    """One seed, no shared seed, no difference or a wide interval are no evidence."""
    assert expected == intervals.verdict(intervals.paired(values, {0: 1.0, 1: 1.0, 2: 1.0}))


def test_pairs_take_out_what_a_seed_has_in_common():
    """Noise that both runs of a seed share does not widen the interval of their difference."""
    noise = {0: 5.0, 1: -3.0, 2: 9.0}
    found = intervals.paired({seed: value + 0.1 + seed * 0.001 for seed, value in noise.items()}, noise)
    assert found.excludes_zero
    assert pytest.approx(0.101) == found.mean


def test_the_variants_are_the_eight_branches():
    """Only mha has several key and value heads, only no-fim has no FIM, and each data filter is a recipe's name."""
    assert ["mha"] == [v.name for v in VARIANTS.values() if not v.multi_query]
    assert ["no-fim"] == [v.name for v in VARIANTS.values() if v.fim_rate == 0]
    assert len(VARIANTS) == 8
    assert VARIANTS.keys() == PUBLISHED_PASS.keys()
    assert {"mha", "no-fim"} == VARIANTS.keys() - PUBLISHED_INFILL.keys()


def fake_runs():
    runs = {}
    for place, name in enumerate(VARIANTS):
        if name != "stars":
            runs[name] = {
                seed: {
                    "bits_per_byte": 2.0 + 0.1 * place + 0.001 * seed * (place + 1),
                    "loss": 3.0,
                    "exact_match": 0.1,
                    "parameters": 1000,
                    "tokens": 300,
                    "epochs": 0.5,
                }
                for seed in range(3)
            }
    return runs


def answer(scored):
    lacking = {"stars": "No <stars> here."}
    volume = {"documents": 3, "tokens": 100, "text_bytes": 400}
    return {
        "seeds": 3,
        "until_decided": True,
        "level": 0.995,
        "matters": 0.2,
        "volumes": {"base": volume, "heldout": volume},
        "lacking": lacking,
        "variants": summarise(fake_runs(), scored, list(VARIANTS), lacking, level=0.995, matters=0.2),
    }


def test_the_page_shows_verdicts_and_what_was_not_run():
    """Differences have their verdict; a variant that was not run says why, escaped; a zero pass@1 is left out."""
    made = answer({name: dict.fromkeys(range(3), 0.0) for name in fake_runs()})
    assert "lower" == made["variants"]["mha"]["bits_per_byte"]["verdict"]
    assert "higher" == made["variants"]["final"]["bits_per_byte"]["verdict"]
    assert "no evidence" == made["variants"]["final"]["exact_match"]["verdict"]
    html, text = page.page(made), page.markdown(made)
    assert "No &lt;stars&gt; here." in html
    assert "<stars>" not in html
    assert "<script" not in html
    assert "Seeds that would show a difference of 0.2" in text
    assert "up to 3 seeds each" in text
    assert "intervals are 99.50 %" in text
    assert "pass@1 is zero everywhere" in text
    assert "| stars | not run | 0.54 / 0.57 / 0.37 |" in text
    assert html == page.page(made)


def test_pass_at_1_appears_where_it_is_above_zero():
    """One program that passes brings the column back."""
    scored = {name: dict.fromkeys(range(3), 0.0) for name in fake_runs()} | {BASELINE: {0: 0.1, 1: 0.0, 2: 0.0}}
    assert "pass@1 |" in page.markdown(answer(scored))


def test_a_gpu_scale_says_its_cost():
    """24 models of the proxy: FLOPs and hours by the formula."""
    said = cost(SCALES["proxy"], 10**9, 24)
    assert "trains 24 models" in said


def test_stars_come_from_the_longest_prefix(tmp_path):
    """A file without a prefix has no stars."""
    rows = tmp_path / "rows"
    rows.mkdir()
    paths = ["a/b/x.py", "a/y.py", "c.py"]
    pq.write_table(pa.table({"path": paths}), rows / "rows-00000.parquet")
    (rows / "rejects.parquet").touch()
    (rows / "rows.json").touch()
    (tmp_path / "stars.json").write_text(json.dumps({"a/": 2, "a/b/": 7}))
    made = pq.read_table(with_stars(rows, tmp_path / "stars.json", tmp_path / "out") / "rows-00000.parquet")
    assert [7, 2, None] == made["stars"].to_pylist()
    (tmp_path / "stars.json").write_text("[1]")
    with pytest.raises(ValueError, match="no JSON object of path prefixes"):
        with_stars(rows, tmp_path / "stars.json", tmp_path / "out")


def test_a_share_of_hashes_is_held_back():
    """Of evenly spread hashes, the share; and the same ones whatever else there is."""
    hashes = [f"{n * 2**32 // 1000 + 1:08x}" for n in range(1000)]
    assert 50 == sum(is_held_back(each, 0.05) for each in hashes)


def test_tasks_are_lines_of_code_of_known_languages():
    """Blank lines and comments are no tasks, and prefix, middle and suffix are the file."""
    content = "# note\n\nx = 1\ny = 2\n"
    files = [{"hexsha": "b", "lang": "Python", "content": content}, {"hexsha": "a", "lang": "COBOL", "content": "z"}]
    tasks = line_tasks(files, count=9, seed=0)
    assert ["x = 1\n", "y = 2\n"] == [task["middle"] for task in tasks]
    assert all(content == task["prefix"] + task["middle"] + task["suffix"] for task in tasks)
    assert [] == line_tasks(files[1:], count=9, seed=0)
