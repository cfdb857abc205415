"""The reader of funnel.json: nothing that is not a funnel passes."""

import json

import pytest

from data_recipes.errors import StoreError
from data_recipes.store.reading import read_funnel
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


def test_a_folder_without_a_funnel_is_no_store(tmp_path):
    """The missing file is named, and what makes one."""
    with pytest.raises(StoreError, match=r"funnel\.json: no such file\. Pass a folder that `hf-santa data run` wrote"):
        read_funnel(tmp_path)
