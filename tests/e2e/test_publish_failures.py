"""Publishing fails safely: one commit or none, whatever breaks on the way, and words about it."""

import os
import re
import signal
import subprocess
import sys

import pytest

from .hub_server import CUT, LOST
from .release_driver import COMMAND, copied, environment, publish

COMMIT = r"POST /api/datasets/me/santa-data/commit/"
STAGES = {
    "login": "GET /api/whoami-v2",
    "card": "POST /api/validate-yaml",
    "creation": "POST /api/repos/create",
    "existence": "GET /api/datasets/me/santa-data$",
    "head": "GET /api/datasets/me/santa-data/revision/",
    "files": "GET /api/datasets/me/santa-data/tree/",
    "upload mode": "POST .*/preupload/",
    "large files": r"POST .*\.git/info/lfs/objects/batch",
    "a large file": "PUT /_lfs/",
    "its receipt": "POST /_verify/",
    "commit": COMMIT,
}


def commits(hub, kind="dataset", name="me/santa-data"):
    """The titles of the commits after the one that came with the repository, newest first."""
    repo = hub.store.repos.get((kind, name))
    return [commit.title for commit in repo.history()][:-1] if repo else []


@pytest.mark.parametrize("stage", STAGES)
def test_a_503_at_any_stage_still_ends_in_one_commit(hub, staged, tmp_path, stage):
    """One failure of the Hub, whichever request it meets, is survived without a second commit."""
    hub.fail(STAGES[stage])
    done = publish(hub, "dataset", staged, home=tmp_path)
    assert 0 == done.returncode, done.stderr
    assert [503] == [status for _, _, status in hub.log if status == 503]
    assert ["Publish with hf-santa"] == commits(hub)


@pytest.mark.parametrize("status", [503, CUT])
def test_a_commit_that_never_succeeds_leaves_the_head(hub, staged, tmp_path, status):
    """A Hub that is out of order for good, or gone, ends in exit code 1 and words; the head is as it was."""
    hub.fail(COMMIT, status, times=1000)
    done = publish(hub, "dataset", staged, "--attempts", 3, home=tmp_path)
    assert 2 == done.returncode
    assert re.search(r"me/santa-data: the Hub (answered 503|cannot be reached \(\w+\)), 3 times", done.stderr)
    assert "Traceback" not in done.stderr
    assert [] == commits(hub)
    hub.forget()
    assert 0 == publish(hub, "dataset", staged, home=tmp_path).returncode
    assert 1 == len(commits(hub))


def test_a_commit_whose_answer_is_lost_is_not_made_twice(hub, staged, tmp_path):
    """The next try looks at the head first and finds the commit there."""
    hub.fail(COMMIT, LOST)
    done = publish(hub, "dataset", staged, home=tmp_path)
    assert 0 == done.returncode, done.stderr
    assert 1 == len(commits(hub))
    assert 1 == sum("/commit/" in path for _, path, _ in hub.log)
    assert "commit operations=10" in done.stdout


def test_a_race_is_planned_anew(hub, staged, tmp_path):
    """A commit of somebody else between plan and commit is met with 412; the next plan keeps their file."""
    hub.before(COMMIT, lambda: hub.store.put("dataset", "me/santa-data", {"NOTES.md": b"theirs\n"}))
    done = publish(hub, "dataset", staged, home=tmp_path)
    assert 2 == done.returncode  # the repository is no longer a new one, and says so
    assert "hf-santa did not publish" in done.stderr
    assert 0 == publish(hub, "dataset", staged, "--replace", home=tmp_path).returncode
    hub.forget()
    changed = copied(staged, tmp_path / "changed")
    readme = changed / "dataset" / "README.md"
    readme.write_text(readme.read_text() + "\nOne more line.\n")
    hub.before(COMMIT, lambda: hub.store.put("dataset", "me/santa-data", {"MORE.md": b"theirs\n"}))
    done = publish(hub, "dataset", changed, home=tmp_path)
    assert 0 == done.returncode, done.stderr
    assert [412, 200] == [status for _, path, status in hub.log if "/commit/" in path]
    head = hub.store.repos["dataset", "me/santa-data"].head
    assert {"NOTES.md", "MORE.md"} <= set(head.tree)
    assert 1 == head.operations


@pytest.mark.parametrize("status", [503, 200])
def test_killed_between_repositories_each_is_old_or_new(hub, staged, tmp_path, status):
    """SIGKILL before or after the metric's commit: what came before is whole, the rest untouched; a rerun ends it."""
    command = [COMMAND, "publish", "all", staged, "--namespace", "me", "--no-load"]
    child = subprocess.Popen(command, env=environment(hub, tmp_path), stdout=subprocess.DEVNULL)
    pattern = r"POST /api/spaces/me/eval_multipl_e/commit/" if status == 503 else r"POST /api/repos/create"

    def kill():
        os.kill(child.pid, signal.SIGKILL)

    if status == 503:
        hub.fail(pattern)
        hub.before(pattern, kill)
    else:  # when the Space is created, the metric has its commit
        hub.before("POST .*/spaces/me/eval_multipl_e/commit/", lambda: hub.before(pattern, kill))
    assert -signal.SIGKILL == child.wait(60)
    assert [1, 1] == [len(commits(hub, kind, name)) for kind, name in PUBLISHED[:2]]
    assert (0 if status == 503 else 1) == len(commits(hub, *PUBLISHED[2]))
    assert [] == commits(hub, *PUBLISHED[3])
    hub.forget()
    assert 0 == publish(hub, "all", staged, home=tmp_path).returncode
    assert [1, 1, 1, 1] == [len(commits(hub, kind, name)) for kind, name in PUBLISHED]


PUBLISHED = [
    ("dataset", "me/santa-data"),
    ("model", "me/santa"),
    ("space", "me/eval_multipl_e"),
    ("space", "me/santa-demo"),
]


def test_six_hundred_files_are_one_commit(hub, tmp_path):
    """More files than one request of the client's own upload takes are one commit of ours."""
    script = (
        "from huggingface_hub import HfApi\n"
        "from hf_santa.publishing.commit import Retry, Target, bring\n"
        "from hf_santa.repositories.kinds import KINDS\n"
        "files = {f'data/{n:03d}.parquet': b'PAR1 %d' % n for n in range(598)}\n"
        "files |= {'release.json': KINDS['dataset'].marker, 'README.md': b'# Many\\n'}\n"
        "target = Target(KINDS['dataset'], 'me/many', 'main', files)\n"
        "print(bring(HfApi(), target, 'Many', Retry(), print).operations)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(hub, tmp_path), capture_output=True, text=True, check=False
    )
    assert "600\n" == done.stdout, done.stderr
    assert ["Many"] == commits(hub, "dataset", "me/many")
    assert 1 == len(hub.commit_requests())
