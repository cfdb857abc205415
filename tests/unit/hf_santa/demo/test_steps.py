"""The demo's steps know when they are up to date, and trust nothing but checksums."""

import json

import pytest

from hf_santa.demo import worker
from hf_santa.demo.steps import (
    STEP_NAMES,
    STEPS,
    DemoError,
    DemoStep,
    code_digest,
    manifest,
    stamp_path,
    why_stale,
    with_needs,
    write_stamp,
)

FIRST = DemoStep("first", "", (), ("a.txt", "folder"), ("hf_santa/__init__.py",), ("seed",))
SECOND = DemoStep("second", "", ("first",), ("b.txt",), ("hf_santa/__init__.py",))
SETTINGS = {"seed": 0, "other": 1}


@pytest.fixture
def out(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "folder" / "c.txt").write_text("c")
    write_stamp(tmp_path, FIRST, SETTINGS, "in=1")
    (tmp_path / "b.txt").write_text("b")
    write_stamp(tmp_path, SECOND, SETTINGS, "in=2")
    return tmp_path


def test_what_was_just_written_is_up_to_date(out):
    """A step with its stamp, its files and the same settings need not run."""
    assert [why_stale(out, step, SETTINGS) for step in (FIRST, SECOND)] == [None, None]


def test_a_setting_the_step_does_not_use_changes_nothing(out):
    """Only the step's own settings count."""
    assert why_stale(out, FIRST, {**SETTINGS, "other": 2}) is None
    assert why_stale(out, FIRST, {**SETTINGS, "seed": 1}) == "settings, code or inputs changed"


def test_an_altered_or_missing_file_is_noticed(out):
    """A changed byte, a truncated file and a missing one each have their reason."""
    (out / "folder" / "c.txt").write_text("C")
    assert why_stale(out, FIRST, SETTINGS) == "folder/c.txt is not what was written"
    (out / "a.txt").unlink()
    assert why_stale(out, FIRST, SETTINGS) == "a.txt is missing"


def test_a_step_follows_its_inputs(out):
    """When an earlier step wrote something else, the later one is stale, although its own file is there."""
    (out / "a.txt").write_text("another a")
    write_stamp(out, FIRST, SETTINGS, "in=1")
    assert why_stale(out, SECOND, SETTINGS) == "settings, code or inputs changed"


def test_a_broken_stamp_is_no_stamp(out):
    """A half-written stamp makes the step run again."""
    stamp_path(out, FIRST).write_text('{"fingerprint": "x"')
    assert why_stale(out, FIRST, SETTINGS) == "its stamp cannot be read"
    stamp_path(out, FIRST).unlink()
    assert [why_stale(out, s, SETTINGS) for s in (FIRST, SECOND)] == ["not done yet", "a step it needs is not done"]


def test_other_files_beside_the_outputs_do_no_harm(out):
    """A cache that somebody's loading left in the folder is not the step's business."""
    (out / "folder" / "__pycache__").mkdir()
    (out / "folder" / "__pycache__" / "x.pyc").write_bytes(b"x")
    assert why_stale(out, FIRST, SETTINGS) is None


def test_the_manifest_lists_every_file(out):
    """Paths below the output folder, with their SHA-256."""
    assert list(manifest(out, [FIRST, SECOND])) == ["a.txt", "b.txt", "folder/c.txt"]


def test_named_steps_bring_what_they_need():
    """The order is that of the pipeline, whatever order was asked for."""
    assert [step.name for step in with_needs(["tokenizer", "rows"])] == ["rows", "recipe", "tokenizer"]
    assert list(STEP_NAMES) == [step.name for step in with_needs(STEP_NAMES)]


def test_an_unknown_step_is_named():
    """The message lists the steps there are."""
    with pytest.raises(DemoError, match=r"--only: 'trian' is not a step. Choose from rows, recipe, .*, used-by"):
        with_needs(["trian"])


def test_every_step_has_a_function_and_code():
    """The table of steps and the worker's table name the same steps, and the code they name exists."""
    assert list(STEP_NAMES) == list(worker.RUNS)
    empty = code_digest(())
    for step in STEPS:
        assert set(step.needs) < set(STEP_NAMES)
        assert all(code_digest((place,)) != empty for place in step.code), step.name


def test_stamps_say_what_the_step_said(out):
    """The summary line of an up-to-date step can be shown again."""
    assert json.loads(stamp_path(out, FIRST).read_text())["summary"] == "in=1"
