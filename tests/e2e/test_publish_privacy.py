"""Nobody sees what should not be seen, a refused Space stops nothing else, and a lost answer is told as it is."""

import json
import shutil

import pytest
from huggingface_hub import HfApi

from hf_santa.publishing.commit import GaveUpError, RefusedByHubError, Retry, Target, bring
from hf_santa.publishing.plan import make_plan
from hf_santa.repositories.kinds import KINDS, ReleaseError
from hf_santa.repositories.write import space_source
from modeling_santa.gguf_export import export_gguf

from .hub_server import CUT, LOST
from .hub_store import Account
from .release_driver import TOKEN, copied, publish

KIND = KINDS["dataset"]
FILES = {"README.md": b"# Rows\n", "release.json": KIND.marker}
COMMIT = "POST /api/datasets/.*/commit/"
SETTINGS = "PUT /api/datasets/.*/settings"


@pytest.fixture
def push(hub):
    """Bring me/rows to FILES on the Hub; return the outcome."""
    api = HfApi(endpoint=hub.url, token=TOKEN)
    hub.accounts[TOKEN] = Account("me", ("org",))

    def pushed(*, visibility=None, repo="me/rows", attempts=1, files=FILES, by_pull_request=False):
        target = Target(KIND, repo, "main", files, visibility=visibility, by_pull_request=by_pull_request)
        return bring(api, target, "Rows", Retry(attempts, 0.01), lambda _line: None)

    return pushed


@pytest.mark.parametrize("namespace", ["me", "org"])
def test_nothing_is_said_of_visibility_unless_asked(hub, push, namespace):
    """A creation without --private or --public leaves the choice to the Hub, where an organisation may prefer private."""
    hub.private_by_default = {"org"}
    push(repo=f"{namespace}/rows")
    assert {f"{namespace}/rows": None} == hub.visibility_asked
    assert (namespace == "org") == hub.store.repos["dataset", f"{namespace}/rows"].private


@pytest.mark.parametrize("visibility", ["private", "public"])
def test_a_failed_first_commit_leaves_no_public_repository(hub, push, visibility):
    """Where a visibility is asked for, the repository is private until its commit is there."""
    hub.fail(COMMIT, 503)
    with pytest.raises(GaveUpError, match="The head is as it was"):
        push(visibility=visibility)
    assert hub.store.repos["dataset", "me/rows"].private
    push(visibility=visibility)
    assert (visibility == "private") == hub.store.repos["dataset", "me/rows"].private


def test_private_is_never_put_into_public(hub, push):
    """A public repository is refused before a commit where --private is given, empty or not."""
    hub.store.create("dataset", "me/rows")
    with pytest.raises(ReleaseError, match="me/rows is public, and --private was given"):
        push(visibility="private")
    assert [] == hub.commit_requests()
    assert hub.store.repos["dataset", "me/rows"].head.title == "initial commit"


def test_a_private_history_is_never_opened(hub, push):
    """A private repository with files stays private where --public is given, and is refused before a commit."""
    push(visibility="private")
    hub.forget()
    with pytest.raises(ReleaseError, match="me/rows is private and holds files, and --public was given"):
        push(visibility="public", files={**FILES, "README.md": b"# New\n"})
    assert ([], True) == (hub.writes(), hub.store.repos["dataset", "me/rows"].private)


def test_a_repository_that_cannot_be_opened_says_where_its_files_are(hub, push):
    """A refused change of visibility after the commit is told with the commit; the repository stays private."""
    hub.fail(SETTINGS, 403)
    with pytest.raises(RefusedByHubError, match="the repository is still private: make it public in its settings"):
        push(visibility="public")
    repo = hub.store.repos["dataset", "me/rows"]
    assert (True, "Rows") == (repo.private, repo.head.title)


@pytest.mark.parametrize("visibility", [None, "public"])
@pytest.mark.parametrize("attempts", [1, 3])
def test_a_commit_whose_answer_is_lost_is_found(hub, push, attempts, visibility):
    """However few tries there are, the head is looked at before anything is said of it."""
    hub.fail(COMMIT, LOST)
    outcome = push(attempts=attempts, visibility=visibility)
    repo = hub.store.repos["dataset", "me/rows"]
    assert (repo.head.oid, True, 2) == (outcome.sha, outcome.is_new_commit, outcome.operations)
    assert not repo.private


def test_a_pull_request_whose_answer_is_lost_is_found(hub, push):
    """The pull request with this content is named, and there is one of it."""
    push()
    hub.fail(COMMIT, LOST)
    outcome = push(files={**FILES, "README.md": b"# New\n"}, by_pull_request=True)
    assert f"{hub.url}/datasets/me/rows/discussions/1" == outcome.pull_request
    assert "refs/pr/2" not in hub.store.repos["dataset", "me/rows"].refs


def test_a_head_that_cannot_be_read_is_said_to_be_unknown(hub, push):
    """After a lost answer and a Hub that is gone, nothing is claimed of the head."""
    hub.fail(COMMIT, LOST)
    hub.before(COMMIT, lambda: hub.fail("GET /api/datasets/", CUT, times=1000))
    with pytest.raises(GaveUpError, match="Whether the commit came through is not known"):
        push()


def test_the_plan_knows_who_sees_a_repository(hub):
    """None where there is no repository, else whether it is private."""
    api = HfApi(endpoint=hub.url, token=TOKEN)
    seen = [make_plan(api, KIND, "me/rows", "main", FILES).is_private]
    for private in (True, False):
        hub.store.create("dataset", "me/rows", private=private)
        seen.append(make_plan(api, KIND, "me/rows", "main", FILES).is_private)
    assert [None, True, False] == seen


def test_refused_spaces_stop_nothing_else(hub, staged, tmp_path):
    """Dataset, model and the static metric are there; the refused Space has a line with the Hub's reason; 3."""
    hub.refused_kinds = {"space"}
    done = publish(hub, "all", staged, "--tag", "v1", "--private", home=tmp_path)
    assert 3 == done.returncode, done.stderr
    assert ["me/santa-data", "me/santa", "me/eval_multipl_e"] == [name for _, name in hub.store.repos]
    assert [["v1"]] * 3 == [list(repo.tags) for repo in hub.store.repos.values()]
    assert "hint=space a page that runs in the browser is free for every account" in done.stdout
    assert "refused=space me/santa-demo: the Hub refuses this to the account or its token (403: A space" in done.stdout
    page = hub.store.blobs[hub.store.repos["space", "me/eval_multipl_e"].head.tree["index.html"]]
    assert b'evaluate.load("me/eval_multipl_e")' in page
    assert "3 of 4 repositories are published" in done.stderr
    assert 1 == len(done.stderr.strip().splitlines())
    assert all(repo.private for repo in hub.store.repos.values())


def test_a_free_account_gets_all_four_with_the_static_space(hub, staged, tmp_path):
    """Where the Hub refuses every Space that needs a machine, dataset, model, metric and the browser's page are there."""
    pytest.importorskip("gguf", reason="the package gguf is not installed: pip install 'hf-santa[gguf]'")
    out = copied(staged, tmp_path / "repos")
    shutil.rmtree(out / "space")
    shutil.copytree(space_source().parent / "santa_static", out / "space")
    shutil.copy(space_source() / "colours.js", out / "space")
    for name in ("wllama.js", "wllama.wasm"):
        (out / "space" / name).write_text("")
    export_gguf(out / "model", out / "space" / "model.gguf")
    (out / "space" / "page.json").write_text('{"name": "tiny", "context": 64, "type": "f16", "megabytes": 0.1}')
    hub.refused_kinds = {"space"}
    done = publish(hub, "all", out, home=tmp_path / "home")
    assert 0 == done.returncode, done.stderr
    assert ["me/santa-data", "me/santa", "me/eval_multipl_e", "me/santa-demo"] == [name for _, name in hub.store.repos]


def test_a_space_is_not_tried_without_its_model(hub, staged, tmp_path):
    """A model that the Hub refuses takes its Space with it; dataset and metric are published."""
    hub.refused_kinds = {"model"}
    done = publish(hub, "all", staged, home=tmp_path)
    assert 3 == done.returncode, done.stderr
    assert ["me/santa-data", "me/eval_multipl_e"] == [name for _, name in hub.store.repos]
    assert "refused=space me/santa-demo not tried: it runs the model, which was refused" in done.stdout


def test_a_dry_run_compares_visibility(hub, staged, tmp_path):
    """The plan refuses a public repository for --private, without a write; both flags at once are a usage error."""
    hub.store.create("dataset", "me/santa-data")
    done = publish(hub, "dataset", staged, "--private", "--dry-run", "--json", home=tmp_path)
    assert (2, "", []) == (done.returncode, done.stdout, hub.writes())
    assert "me/santa-data is public, and --private was given" in done.stderr
    assert 2 == publish(hub, "dataset", staged, "--private", "--public", home=tmp_path).returncode
    done = publish(hub, "dataset", staged, "--public", "--dry-run", "--json", home=tmp_path)
    assert json.loads(done.stdout)["dry_run"]
