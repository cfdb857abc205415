"""Completing into a file: resumed, sharded and merged, the bytes are the same."""

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval_multipl_e.suite.completing import Continued, complete_to_file
from eval_multipl_e.suite.merge import merge_completions
from eval_multipl_e.suite.problems import read_completions
from eval_multipl_e.suite.shards import Shard, read_settings, settings_path

PROBLEMS = [{"name": f"p{i}", "language": "py", "prompt": f"{i}:", "tests": "", "stop_tokens": []} for i in range(7)]


class Stop(BaseException):
    """Stands for a kill: nothing catches it."""


def _echo(prompts):
    return [Continued(f"{p.text} by {p.key} é\u2028", "token", 0) for p in prompts]


def _dying_after(batches):
    calls = iter(range(batches))

    def continue_batch(prompts):
        if next(calls, None) is None:
            raise Stop
        return _echo(prompts)

    return continue_batch


def _complete(out, continue_batch=_echo, *, n=3, batch_size=4, **changes):
    about = {"task": "humaneval-py", "model": "m", **changes.pop("settings", {})}
    return complete_to_file(
        PROBLEMS, continue_batch, out, settings=about, n=n, batch_size=batch_size, **{"seed": 5, **changes}
    )


def test_every_sample_of_every_problem_is_there_once_in_order(tmp_path):
    """Rows come in the order of problems and samples, each with a key of seed, language, problem and sample."""
    assert {"rows": 21, "kept": 0, "cut": 0} == _complete(tmp_path / "c.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "c.jsonl").read_text("utf-8").split("\n") if line]
    assert [(f"p{i}", j) for i in range(7) for j in range(3)] == [(row["name"], row["sample"]) for row in rows]
    assert "6: by 5/py/p6/2 é\u2028" == rows[-1]["completion"]


@pytest.mark.parametrize("batches", [0, 1, 3, 5])
@pytest.mark.parametrize("torn", [0, 11, 120])
def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path, batches, torn):
    """After a kill between or within batches, a second run writes what one run would have, whole batches kept."""
    whole, torn_file = tmp_path / "whole.jsonl", tmp_path / "torn.jsonl"
    _complete(whole)
    with pytest.raises(Stop):
        _complete(torn_file, _dying_after(batches))
    size = torn_file.stat().st_size
    assert 11 < len(whole.read_bytes().split(b"\n")[0]) < 120  # so that a part of a row, and more than a row, are torn
    torn_file.write_bytes(whole.read_bytes()[: size + torn])
    is_whole = size + torn >= whole.stat().st_size
    assert {"rows": 21, "kept": 21 if is_whole else 4 * batches, "cut": 0} == _complete(torn_file)
    assert whole.read_bytes() == torn_file.read_bytes()


def test_a_finished_file_asks_the_model_nothing(tmp_path):
    """A run that is done gives its counts and calls no model."""
    _complete(tmp_path / "c.jsonl")
    assert {"rows": 21, "kept": 21, "cut": 0} == _complete(tmp_path / "c.jsonl", _dying_after(0))


@settings(max_examples=25)
@given(st.integers(1, 4), st.integers(1, 9), st.integers(1, 7))
def test_shards_merge_to_the_bytes_of_an_unsharded_run(tmp_path_factory, n, batch_size, count):
    """Whatever the numbers of samples, rows a batch and shards, the merged file is the unsharded one."""
    folder = tmp_path_factory.mktemp("shards")
    _complete(folder / "whole.jsonl", n=n, batch_size=batch_size)
    paths = [folder / f"{i}.jsonl" for i in range(count)]
    for i, path in enumerate(paths):
        _complete(path, n=n, batch_size=batch_size, shard=Shard(i, count))
    merge_completions(paths[::-1], folder / "merged.jsonl")
    assert (folder / "whole.jsonl").read_bytes() == (folder / "merged.jsonl").read_bytes()
    assert read_settings(folder / "whole.jsonl") == read_settings(folder / "merged.jsonl")


def test_shards_have_the_batches_of_the_whole(tmp_path):
    """A batch holds the same prompts in a shard as without shards, so that a model rounds the same."""
    seen = {0: [], 1: []}
    for count, shards in ((1, [Shard()]), (2, [Shard(0, 2), Shard(1, 2)])):
        for shard in shards:
            _complete(
                tmp_path / f"{count}-{shard.index}.jsonl",
                lambda prompts, kept=seen[count - 1]: kept.append([p.key for p in prompts]) or _echo(prompts),
                shard=shard,
            )
    assert sorted(seen[0]) == sorted(seen[1])


@pytest.mark.parametrize(
    ("given_shards", "message"),
    [
        ([0, 2], "of 3 shards 1 are missing, first 1/3"),
        ([0, 1, 1], r"1\.jsonl and .*1\.jsonl are both shard 1/3"),
        ([], "no files"),
    ],
)
def test_a_merge_that_is_not_whole_is_refused(tmp_path, given_shards, message):
    """A missing shard, one given twice and none at all are errors that name them, and nothing is written."""
    for i in range(3):
        _complete(tmp_path / f"{i}.jsonl", shard=Shard(i, 3))
    with pytest.raises(ValueError, match=message):
        merge_completions([tmp_path / f"{i}.jsonl" for i in given_shards], tmp_path / "merged.jsonl")
    assert not (tmp_path / "merged.jsonl").exists()


def test_an_unfinished_or_foreign_shard_is_refused(tmp_path):
    """A shard that lacks rows, one of another run and one of another division are errors that say what differs."""
    for i in range(2):
        _complete(tmp_path / f"{i}.jsonl", shard=Shard(i, 2))
    _complete(tmp_path / "other.jsonl", shard=Shard(1, 2), seed=6)
    _complete(tmp_path / "third.jsonl", shard=Shard(1, 3))
    for name, message in (
        ("other", r"other\.jsonl has seed=6, and .* has 5"),
        ("third", r"of \[2, 3\] shards"),
    ):
        with pytest.raises(ValueError, match=message):
            merge_completions([tmp_path / "0.jsonl", tmp_path / f"{name}.jsonl"], tmp_path / "merged.jsonl")
    lines = (tmp_path / "1.jsonl").read_bytes().split(b"\n")
    (tmp_path / "1.jsonl").write_bytes(b"\n".join(lines[:-3]) + b"\n")
    with pytest.raises(ValueError, match=r"holds 7 of the 9 rows of shard 1/2\. Let its run finish"):
        merge_completions([tmp_path / "0.jsonl", tmp_path / "1.jsonl"], tmp_path / "merged.jsonl")


def test_samples_that_stand_in_two_shards_are_refused(tmp_path):
    """A shard with another's rows is found, though its number of rows is right."""
    for i in range(2):
        _complete(tmp_path / f"{i}.jsonl", batch_size=1, n=2, shard=Shard(i, 2))
    (tmp_path / "1.jsonl").write_bytes((tmp_path / "0.jsonl").read_bytes())
    with pytest.raises(ValueError, match=r"both hold \('py', 'p0', 0\)"):
        merge_completions([tmp_path / "0.jsonl", tmp_path / "1.jsonl"], tmp_path / "merged.jsonl")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 6}, "begun with seed=5, and now it is 6"),
        ({"n": 2}, "begun with n=3, and now it is 2"),
        ({"settings": {"model": "x"}}, "begun with model='m', and now it is 'x'"),
        ({"shard": Shard(1, 2)}, r"begun with shard=\[0, 1\], and now it is \[1, 2\]"),
    ],
)
def test_a_file_of_other_settings_is_not_gone_on_with(tmp_path, change, message):
    """A file that was begun otherwise is refused, with the first setting that differs, and stays as it is."""
    _complete(tmp_path / "c.jsonl")
    before = (tmp_path / "c.jsonl").read_bytes()
    with pytest.raises(ValueError, match=message):
        _complete(tmp_path / "c.jsonl", **change)
    assert before == (tmp_path / "c.jsonl").read_bytes()


def test_a_file_that_is_not_ours_is_left_alone(tmp_path):
    """A file without settings, with rows of another order, or going on after its end, is refused unharmed."""
    out = tmp_path / "c.jsonl"
    out.write_text("mine\n")
    with pytest.raises(ValueError, match=r"c\.settings\.json: how it was made is unknown"):
        _complete(out)
    assert "mine\n" == out.read_text()
    out.unlink()
    _complete(out)
    lines = out.read_bytes().split(b"\n")
    for data, message in (
        (b"\n".join([lines[1], lines[0], *lines[2:]]), "Line 1 of .* is not"),
        (out.read_bytes() + b"{}\n", "goes on after its last row"),
        (b"\n".join([b"?", *lines[1:]]), "Line 1 of .* is no JSON"),
    ):
        out.write_bytes(data)
        with pytest.raises(ValueError, match=message):
            _complete(out)
        assert data == out.read_bytes()


def test_two_runs_do_not_write_one_file(tmp_path):
    """While a run writes, another one on the same file is refused."""

    def second(prompts):
        _complete(tmp_path / "c.jsonl")
        return _echo(prompts)

    with pytest.raises(ValueError, match="is being written by another process"):
        _complete(tmp_path / "c.jsonl", second)


def test_broken_settings_are_named(tmp_path):
    """A settings file that holds something else is an error with its name."""
    settings_path(tmp_path / "c.jsonl").write_text("[1]")
    with pytest.raises(ValueError, match=r"c\.settings\.json is no settings file"):
        _complete(tmp_path / "c.jsonl")


def test_samples_are_put_together_by_problem(tmp_path):
    """The file reads as one list of completions a problem; a lacking or double sample is an error."""
    out = tmp_path / "c.jsonl"
    _complete(out, n=2)
    assert [["0: by 5/py/p0/0 é\u2028", "0: by 5/py/p0/1 é\u2028"]] == [read_completions(out)[0]["completions"]]
    lines = out.read_bytes().split(b"\n")
    for data, message in (
        (lines[1:], "lacks sample 0 of 'p0'"),
        ([*lines[:2], *lines], "sample 0 of 'p0', and each may occur once"),
    ):
        out.write_bytes(b"\n".join(data))
        with pytest.raises(ValueError, match=message):
            read_completions(out)


@pytest.mark.parametrize("text", ["3/3", "-1/2", "1", "a/b", "0/0", "", "1/2/3", "\u0661/\u0663x"])
def test_a_share_that_is_none_is_refused(text):
    """A shard is i/n with i below n; anything else is an error with the right way to write it."""
    with pytest.raises(ValueError, match="Write i/n with i from 0 to n-1"):
        Shard.parse(text)


def test_a_full_disk_loses_no_whole_batch(tmp_path, monkeypatch):
    """When a write fails midway, the next run cuts the torn batch off and goes on to the same bytes."""
    _complete(tmp_path / "whole.jsonl")
    write, calls = os.write, []

    def failing(handle, data):
        calls.append(handle)
        if len(calls) == 3:
            write(handle, data[:20])
            raise OSError(28, "No space left on device")
        return write(handle, data)

    monkeypatch.setattr(os, "write", failing)
    with pytest.raises(OSError, match="No space left"):
        _complete(tmp_path / "c.jsonl")
    monkeypatch.undo()
    assert 8 == _complete(tmp_path / "c.jsonl")["kept"]
    assert (tmp_path / "whole.jsonl").read_bytes() == (tmp_path / "c.jsonl").read_bytes()
