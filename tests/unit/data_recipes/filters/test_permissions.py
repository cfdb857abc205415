"""Opt-outs and licences."""

import pytest

from data_recipes.errors import DataError
from data_recipes.filters.permissions import Permissions
from data_recipes.sources.row import Row


def _drop(permissions, **where):
    drop = permissions.drop(Row("x", "a.py", 1, "py", "Python", "0" * 40, 1.0, 1, 1.0, **where))
    return drop and (drop.reason, drop.detail)


@pytest.mark.parametrize(
    ("repo", "reason"),
    [("Octocat/Hello", "opt_out"), ("hubot/one", "opt_out"), ("hubot/two", None), ("octo/cat", None), (None, None)],
)
def test_owners_and_repositories_are_left_out_in_any_case(repo, reason):
    """An owner on the list takes all repositories with it; the reject does not say whose it was."""
    permissions = Permissions(opt_outs=["octocat", "HUBOT/one/"])
    assert _drop(permissions, repo=repo) == (reason and (reason, ""))


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        ("https://github.com/Ada/Code", "ada/code"),
        ("http://www.github.com/ada/code.git/", "ada/code"),
        ("https://github.com/ada/code/tree/main/src?tab=readme", "ada/code"),
        ("github.com/ada", "ada"),
        ("git@github.com:ada/code.git", "ada/code"),
        ("ssh://git@gitlab.com/ada/code", "ada/code"),
        ("- ada/code", "ada/code"),
        ("* @ada", "ada"),
        ("1. ada/*", "ada"),
        ("`ada/co.de`,", "ada/co.de"),
        ("ada/code/", "ada/code"),
    ],
)
def test_entries_are_read_as_people_write_them(entry, name):
    """Addresses, bullets, `@`, `/*`, `.git` and quotes all mean the same owner or repository."""
    assert Permissions([entry]).settings()["opt_outs"] == [name]


@pytest.mark.parametrize("entry", ["a b", "ada/code/src", "https://github.com/", "*"])
def test_an_entry_that_names_nobody_is_an_error(entry):
    """What can't be read is said, and not passed over."""
    with pytest.raises(DataError, match=r"is neither OWNER nor OWNER/REPOSITORY"):
        Permissions([entry])


def test_every_repository_of_a_file_counts():
    """The Stack v1 names three: who owns any of them can opt out."""
    assert _drop(Permissions(["ada"]), repo="bob/x", other_repos=["Ada/x"]) == ("opt_out", "")


def test_lists_are_read_from_files(tmp_path):
    """One name a line; blank lines and comments are passed over."""
    path = tmp_path / "out.txt"
    path.write_text("# who left\noctocat  # in 2022\n\nhubot/one\n")
    assert Permissions(opt_outs=path).settings()["opt_outs"] == ["hubot/one", "octocat"]
    assert Permissions(opt_outs=path).about()["opt_outs"] == 2
    with pytest.raises(DataError, match=r"opt_outs: .*none\.txt is no file\. Pass a text file with one name a line"):
        Permissions(opt_outs=tmp_path / "none.txt")


@pytest.mark.parametrize(
    ("licenses", "expected"),
    [
        (["MIT"], None),
        (["mit", "GPL-3.0"], ("license", "GPL-3.0 not on the licence list")),
        ([], ("unlicensed", "the source names no licence")),
        (None, ("unlicensed", "unknown licence")),
    ],
)
def test_every_licence_must_be_on_the_list(licenses, expected):
    """A file is taken only if all licences found for it are allowed."""
    assert _drop(Permissions(licenses=["mit", "apache-2.0"]), licenses=licenses) == expected


def test_unlicensed_files_are_dropped_where_the_source_knows_licences():
    """Without a list any licence will do, but none at all will not, unless that is asked for."""
    assert _drop(Permissions(), licenses=[]) == ("unlicensed", "the source names no licence")
    assert _drop(Permissions(keep_unlicensed=True), licenses=[]) is None
    assert _drop(Permissions(), licenses=None) is None


def test_what_the_lists_need_is_named():
    """An opt-out list needs repositories, a licence list licences, no list nothing."""
    assert Permissions().needs() == {}
    assert Permissions(["a"], ["mit"]).needs() == {"repo": "the opt-out list", "licenses": "the licence list"}
