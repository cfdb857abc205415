"""The reader of funnel.json: nothing that is not a funnel passes."""

import contextlib
import json

import pytest

from data_recipes.errors import StoreError
from data_recipes.store.reading import read_funnel, warn_if_guessable
from tests.fixtures.funnel import FUNNEL


def test_a_funnel_is_read_as_it_was_written(tmp_path):
    """What passes the check is the file's own value."""
    (tmp_path / "funnel.json").write_text(json.dumps(FUNNEL))
    assert read_funnel(tmp_path) == json.loads(json.dumps(FUNNEL))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x", "not readable as JSON"),
        ("", "not readable as JSON"),
        ("{}", "it has no 'recipe'"),
        ("[]", "it is \\[\\], expected an object"),
        ("null", "it is None, expected an object"),
        (json.dumps({**FUNNEL, "recipe": 3}), "recipe is 3, expected str"),
        (json.dumps({**FUNNEL, "recipe": "final"}), "definitions has no 'final'"),
        (json.dumps({**FUNNEL, "funnel": [{}]}), r"funnel\[0\] has no 'lang'"),
        (
            json.dumps({**FUNNEL, "totals": {"stages": [1], "recipes": {}}}),
            r"totals\.stages\[0\] is 1, expected an obj",
        ),
        (json.dumps({**FUNNEL, "redactions": {"KEY": True}}), r"redactions\.KEY is True, expected int"),
    ],
)
def test_what_is_no_funnel_is_named(tmp_path, text, words):
    """The place in the file, what stands there and what to do are said."""
    (tmp_path / "funnel.json").write_text(text)
    with pytest.raises(StoreError, match=rf"funnel\.json: .*{words}.* run `hf-santa data run` again"):
        read_funnel(tmp_path)


def test_a_store_of_before_is_named_and_what_to_do(tmp_path):
    """Where recipes were filters there are no steps: that is said, in place of a field that is missing."""
    (tmp_path / "funnel.json").write_text(json.dumps({name: FUNNEL[name] for name in FUNNEL if name != "steps"}))
    with pytest.raises(
        StoreError, match=r"of an older version, whose recipes were filters; .* Run `hf-santa data run`"
    ):
        read_funnel(tmp_path)


@pytest.mark.parametrize(
    ("about", "is_named"),
    [
        ({"redaction_key": "random"}, False),
        ({"redaction_key": "key file"}, False),
        ({"redaction_key": "public seed"}, True),
        ({"redaction_key": ["random"]}, True),
        ({"seed": 0}, True),
    ],
    ids=str,
)
@pytest.mark.parametrize("is_old", [False, True])
def test_a_store_that_can_be_guessed_at_is_named_once(tmp_path, caplog, about, is_named, is_old):
    """A public seed, or an older version's, is warned of with what to do: also where the store is refused for its age."""
    funnel = {name: FUNNEL[name] for name in FUNNEL if name not in {"redaction_key", "steps" if is_old else ""}} | about
    (tmp_path / "funnel.json").write_text(json.dumps(funnel))
    for _ in range(2):
        with pytest.raises(StoreError) if is_old else contextlib.nullcontext():
            read_funnel(tmp_path)
        warn_if_guessable(tmp_path)
    told = [record.getMessage() for record in caplog.records if record.name == "hf_santa.data"]
    assert len(told) == is_named
    assert all("can test guesses" in line and "again from its source, without --seed" in line for line in told)


@pytest.mark.parametrize("text", [None, "", "[]", "3", '{"seed": 0}', "\udcff"])
def test_what_is_no_store_is_not_warned_of(tmp_path, caplog, text):
    """A folder without a funnel, or with another program's file of that name, is passed over."""
    if text is not None:
        (tmp_path / "funnel.json").write_text(text, "utf-8", "surrogateescape")
    warn_if_guessable(tmp_path)
    assert caplog.records == []


def test_a_folder_without_a_funnel_is_no_store(tmp_path):
    """The missing file is named, and what makes one."""
    with pytest.raises(StoreError, match=r"funnel\.json: no such file\. Pass a folder that `hf-santa data run` wrote"):
        read_funnel(tmp_path)
