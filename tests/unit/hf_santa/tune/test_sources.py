"""Two states of sources: by a date of a repository's history, or a later archive."""

import os
import subprocess

import pytest

from data_recipes.sources.git_address import GitAddress
from hf_santa.errors import HfSantaError
from hf_santa.tune.sources import checked_sources, commit_before, place_of, states_of


def git(folder, *words, date="2026-01-01T12:00:00+00:00"):
    names = {f"GIT_{who}_{what}": "ada@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
    done = subprocess.run(
        ["git", "-C", folder, *words], check=True, capture_output=True, text=True, env=os.environ | names | dates
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    """A repository with a commit of January and one of March, and their names."""
    folder = tmp_path / "tool"
    folder.mkdir()
    git(folder, "init", "--quiet")
    commits = []
    for number, month in enumerate(("01", "03")):
        (folder / "a.py").write_text(f"value = {number}\n")
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "-m", "x", date=f"2026-{month}-01T12:00:00+00:00")
        commits.append(git(folder, "rev-parse", "HEAD"))
    return folder, commits


def test_a_date_or_a_commit_divides_a_history(repository):
    """The state before is the last commit before the date; the later one is what is checked out."""
    folder, (first, second) = repository
    wanted = [f"{folder}@{first}"], [f"{folder}@{second}"]
    assert wanted == states_of([str(folder)], "2026-02-01", [])
    assert wanted == states_of([str(folder)], first, [])
    assert ([str(folder)], []) == states_of([str(folder)], None, [])


@pytest.mark.parametrize(
    ("since", "later", "words"),
    [
        ("2025-01-01", [], "the first commit of .* is of 2026-01-01"),
        ("yesterday", [], "is no date .* has no such commit"),
        ("2026-02-01", ["x"], "were both given"),
    ],
)
def test_a_date_that_divides_nothing_is_refused(repository, since, later, words):
    """What was seen and what to give stands in the message."""
    with pytest.raises(HfSantaError, match=words):
        states_of([str(repository[0])], since, later)


def test_sources_without_history_or_commits_are_refused(tmp_path):
    """A folder has no dates; a repository without commits has nothing."""
    with pytest.raises(HfSantaError, match="needs a clone with its history"):
        states_of([str(tmp_path)], "2026-02-01", [])
    git(tmp_path, "init", "--quiet")
    with pytest.raises(HfSantaError, match="there is no commit 'HEAD'"):
        checked_sources([str(tmp_path)])
    with pytest.raises(HfSantaError, match="there is no commit"):
        commit_before(GitAddress(str(tmp_path), is_folder=True), "2026-02-01")


def test_a_file_keeps_its_place_from_release_to_release():
    """Archive, top folder with a version, and the name of a plain folder do not count."""
    for path in ("a-1.0.tar.gz/a-1.0/src/a.py", "a-2.0rc1.zip/a-2.0rc1/src/a.py", "old/src/a.py", "src/a.py"):
        assert ("", "src/a.py") == place_of({"path": path}, frozenset({"old"}))
