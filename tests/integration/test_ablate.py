"""The ablation on real libraries and few steps: two variants, two seeds, gone on with after a stop."""

import json

import pytest

from hf_santa.ablate import training
from hf_santa.cli import main

CODE = (
    "def area_{0}(width, height):\n    # Gives area number {0}.\n    total = width * height + {0}\n    name = '{1}'\n"
    "    return total, name\n\n\nclass Shape{0}:\n    sides = {2}\n\n    def {1}(self):\n        return self.sides * {0}\n"
)


def words(number):
    """A name of letters alone, other for each number, so that no file is a near-duplicate."""
    return "".join("abcdefghij"[int(digit)] for digit in f"{number * 7919 % 100000:05d}")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw") / "tree"
    folder.mkdir()
    for number in range(120):
        text = "".join(CODE.format(number, words(number * 10 + part), part) for part in range(3))
        (folder / f"m{number}.py").write_text(text)
    return folder


def run(tree, out, *more):
    plain = ["ablate", "--source", str(tree), "--out", str(out), "--seeds", "2", "--tokens", "6000", "--gaps", "8"]
    return main([*plain, *more])


@pytest.mark.slow
def test_a_stopped_ablation_goes_on_and_is_shown(tree, tmp_path, monkeypatch, capsys):
    """Stopped before its third model, it keeps the first two, and ends with all four, the verdicts and the page."""
    plain, seen = training.train_one, []

    def counted(variant, seed, *args, **kwargs):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append((variant.name, seed))
        return plain(variant, seed, *args, **kwargs)

    more = ("--variants", "fim,mha,stars", "--samples", "0")
    with monkeypatch.context() as patch:
        patch.setattr(training, "train_one", counted)
        assert 130 == run(tree, tmp_path, *more)
    kept = tmp_path / "runs" / "fim-seed0" / "result.json"
    before = kept.stat().st_mtime_ns
    assert 0 == run(tree, tmp_path, *more)
    said = capsys.readouterr().out
    assert before == kept.stat().st_mtime_ns
    assert "variant=stars not run" in said
    found = json.loads((tmp_path / "ablation.json").read_text())
    assert ["fim", "mha"] == list(found["variants"])
    assert 2 == found["variants"]["mha"]["bits_per_byte"]["difference"]["seeds"]
    assert found["variants"]["mha"]["parameters"] > found["variants"]["fim"]["parameters"]
    assert "has no" in found["lacking"]["stars"]
    assert "Table 5 in small" in (tmp_path / "index.html").read_text()


def test_a_decided_variant_is_trained_no_further(tree, tmp_path, capsys):
    """Without FIM the same text is easier: three seeds say so, or that less than a bit is between them."""
    more = ("--variants", "fim,no-fim", "--samples", "0", "--seeds", "6", "--until-decided", "--matters", "1")
    assert 0 == run(tree, tmp_path, *more)
    assert "variant=no-fim decided after 3 seeds" in capsys.readouterr().out
    found = json.loads((tmp_path / "ablation.json").read_text())
    assert 3 == found["variants"]["fim"]["bits_per_byte"]["seeds"]
    assert "no evidence" != found["variants"]["no-fim"]["bits_per_byte"]["verdict"]
    assert 1 < found["variants"]["no-fim"]["bits_per_byte"]["seeds_to_see"] <= 6
    assert 0.987 < found["level"] < 0.988


def test_stars_from_a_file_make_the_variant(tree, tmp_path):
    """With --stars the variant trains on the files that have five or more."""
    (tmp_path / "stars.json").write_text(json.dumps({"tree/m1": 9, "tree/": 1}))
    more = ("--variants", "fim,stars", "--samples", "1", "--stars", str(tmp_path / "stars.json"), "--seeds", "1")
    assert 0 == run(tree, tmp_path / "out", *more)
    found = json.loads((tmp_path / "out" / "ablation.json").read_text())
    assert 0 < found["volumes"]["stars"]["documents"] < found["volumes"]["base"]["documents"]
    assert {} == found["lacking"]
    assert 0.0 <= found["variants"]["stars"]["pass@1"]["mean"] <= 1.0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--variants", "fim,tall"), "'tall' is unknown"),
        (("--variants", "mha"), "lacks 'fim'"),
        (("--scale", "proxy"), "There is no GPU here: use --scale tiny"),
        (("--seeds", "0"), "--seeds is 0"),
        (("--matters", "0"), "--matters is 0"),
        (("--matters", "nan"), "--matters is nan"),
        (("--until-decided",), "--until-decided looks from the seed number 3 on, and --seeds is 2"),
        (("--source", "/no/such/tree"), "no such folder"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_1(tree, tmp_path, capsys, more, message):
    """What was seen and what to do, and no traceback."""
    assert 2 == run(tree, tmp_path, *more)
    said = capsys.readouterr().err
    assert message in said
    assert said.startswith("hf-santa ablate: ")


def test_too_few_files_to_hold_out_are_named(tmp_path, capsys):
    """Three files hold none out."""
    (tmp_path / "tree").mkdir()
    for number in range(3):
        (tmp_path / "tree" / f"m{number}.py").write_text(CODE.format(number, words(number), 1) * 3)
    assert 2 == run(tmp_path / "tree", tmp_path / "out")
    assert "none of the source's files is held out" in capsys.readouterr().err
