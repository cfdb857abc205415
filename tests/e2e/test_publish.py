"""All four repositories reach a Hub, are loaded back, and are used as the README shows, by the unmodified clients."""

import json
import re

import pytest

from hf_santa.demo import used_by
from hf_santa.repositories.clean_process import open_space, run_lines
from hf_santa.repositories.kinds import for_hub, repo_ids

from .hub_server import running_hub
from .hub_store import Account
from .release_driver import TOKEN, copied, publish

IDS = repo_ids("me")
REPOS = [("dataset", IDS["dataset"]), ("model", IDS["model"]), ("space", IDS["metric"]), ("space", IDS["space"])]


@pytest.fixture(scope="module")
def published(staged, tmp_path_factory):
    """A Hub with all four, the folder they came from, what was said, and what the first run sent."""
    home = tmp_path_factory.mktemp("home")
    out = copied(staged, tmp_path_factory.mktemp("published") / "repos")
    with running_hub() as hub:
        hub.accounts[TOKEN] = Account("me", ("org",))
        hub.fail("HEAD .*/resolve/.*")  # loading survives a failure of the Hub, too
        done = publish(hub, "all", out, home=home, load=True, timeout=300)
        assert 0 == done.returncode, done.stderr
        first = list(hub.log)
        hub.forget()
        yield hub, out, done, first, home


def test_all_four_are_published_in_order_and_loaded_back(published):
    """Dataset, model, metric, Space: one commit each, each loaded from the Hub afterwards; published.json says so."""
    hub, out, done, first, _ = published
    sent = [path for method, path, status in first if "/commit/" in path and status == 200]
    assert [f"/api/{kind}s/{name}/commit/main" for kind, name in REPOS] == sent
    report = json.loads((out / "published.json").read_text())["repos"]
    assert ["dataset", "model", "metric", "space"] == list(report)
    assert all(entry["loaded"] and entry["is_new_commit"] for entry in report.values())
    assert [entry["sha"] for entry in report.values()] == [hub.store.repos[key].head.oid for key in REPOS]
    assert "loaded=metric pass@1=0.5" in done.stdout


def test_the_space_pins_the_model_s_full_commit(published):
    """The Space's model.json names the 40 digits of the commit that the model has."""
    hub, *_ = published
    space, model = hub.store.repos["space", IDS["space"]].head, hub.store.repos["model", IDS["model"]].head
    pinned = json.loads(hub.store.blobs[space.tree["model.json"]])
    assert {"model": IDS["model"], "revision": model.oid} == pinned


def test_only_what_is_listed_is_on_the_hub(published):
    """No cache, pickle, note of ours or dot file is in any tree, and no code file of the model was altered."""
    hub, out, *_ = published
    for key in REPOS:
        tree = hub.store.repos[key].head.tree
        assert [] == [
            p for p in tree if re.search(r"(^|/)(\.(?!gitattributes|eval_results)|__pycache__)|\.(bin|pkl)$", p)
        ]
    model = hub.store.repos["model", IDS["model"]].head.tree
    for path in (out / "model").glob("*.py"):
        assert path.read_bytes() == hub.store.blobs[model[path.name]]


def test_a_second_run_makes_no_commit(published, tmp_path):
    """Nothing to do is exit code 0 and no request that writes."""
    hub, out, _, _, home = published
    hub.forget()
    done = publish(hub, "all", out, home=home)
    assert 0 == done.returncode, done.stderr
    assert 4 == done.stdout.count("up to date")
    assert ([], []) == (hub.writes(), hub.commit_requests())


def test_one_changed_file_is_one_commit_of_one_operation(published, tmp_path):
    """The other files are neither sent nor touched, nor are the other repositories."""
    hub, out, _, _, home = published
    changed = copied(out, tmp_path / "changed")
    readme = changed / "dataset" / "README.md"
    readme.write_text(readme.read_text() + "\nOne more line.\n")
    hub.forget()
    done = publish(hub, "all", changed, home=home)
    assert 0 == done.returncode, done.stderr
    assert ["/api/datasets/me/santa-data/commit/main"] == hub.commit_requests()
    assert 1 == hub.store.repos["dataset", IDS["dataset"]].head.operations


def test_a_dry_run_writes_nothing(hub, staged, tmp_path):
    """Its plan names every file, as text or JSON, and it sends nothing but GET and HEAD."""
    done = publish(hub, "all", staged, "--dry-run", "--json", home=tmp_path)
    assert 0 == done.returncode, done.stderr
    plan = json.loads(done.stdout)
    assert list(IDS.values()) == [repo["repo"] for repo in plan["repos"]]
    assert {"add"} == {change["action"] for repo in plan["repos"] for change in repo["changes"]}
    assert {"GET"} == {method for method, _, _ in hub.log}
    assert {} == hub.store.repos


def test_the_four_lines_run_from_the_hub_and_again_offline(published, tmp_path):
    """The README's lines with repositories for folders run from an empty cache, then without a network."""
    hub, _, _, _, _ = published
    home = str(tmp_path / "home")
    online = {"HF_ENDPOINT": hub.url, "HF_HOME": home, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    offline = {**online, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "1"}
    for name, use in (("model", used_by.MODEL), ("dataset", used_by.DATASET), ("metric", used_by.METRIC)):
        code = for_hub(use.code, IDS)
        assert IDS[name] in code
        first = run_lines(code, tmp_path, {**online, **dict(use.environment)})
        assert first.strip()
        assert first == run_lines(code, tmp_path, {**offline, **dict(use.environment)})
    fetch = f"snapshot_download({IDS['space']!r}, repo_type='space', local_dir='space')"
    run_lines(f"from huggingface_hub import snapshot_download\n{fetch}\n", tmp_path, online)
    answers = []
    for where in (online, offline):
        with open_space(tmp_path / "space", where) as url:
            answers.append(run_lines(used_by.SPACE.code.replace("http://127.0.0.1:7860", url), tmp_path, {}))
    assert answers[0] == answers[1]
    assert "length" in answers[0] or "stop" in answers[0]


def test_a_tag_is_set_and_never_moved(published, tmp_path):
    """The tag is on each head; asked for again it is left alone, and other content under it is refused unsent."""
    hub, out, _, _, home = published
    assert 0 == publish(hub, "metric", out, "--tag", "v1", home=home).returncode
    repo = hub.store.repos["space", IDS["metric"]]
    assert repo.head.oid == repo.tags["v1"]
    assert 0 == publish(hub, "metric", out, "--tag", "v1", home=home).returncode
    changed = copied(out, tmp_path / "changed")
    (changed / "eval_multipl_e" / "index.html").write_text("<p>tagged</p>\n")
    hub.forget()
    done = publish(hub, "metric", changed, "--tag", "v1", home=home)
    assert 2 == done.returncode
    assert "has a tag v1 already" in done.stderr
    assert [] == hub.writes()


def test_a_pull_request_leaves_main_alone_and_is_opened_once(published, tmp_path):
    """--pr commits to refs/pr/1; the same content again opens no second one."""
    hub, out, _, _, home = published
    changed = copied(out, tmp_path / "changed")
    (changed / "eval_multipl_e" / "index.html").write_text("<p>pulled</p>\n")
    repo = hub.store.repos["space", IDS["metric"]]
    before = repo.head.oid
    for _ in range(2):
        done = publish(hub, "metric", changed, "--pr", "--json", home=home)
        assert 0 == done.returncode, done.stderr
        entry = json.loads(done.stdout)["repos"]["metric"]
        assert f"{hub.url}/spaces/{IDS['metric']}/discussions/1" == entry["pull_request"]
        assert repo.refs["refs/pr/1"] == entry["sha"]
    assert before == repo.head.oid
    assert "refs/pr/2" not in repo.refs


def test_a_branch_is_made_where_there_is_none(published, tmp_path):
    """--branch commits to a branch and leaves main alone."""
    hub, out, _, _, home = published
    changed = copied(out, tmp_path / "changed")
    (changed / "eval_multipl_e" / "index.html").write_text("<p>branched</p>\n")
    repo = hub.store.repos["space", IDS["metric"]]
    before = repo.head.oid
    assert 0 == publish(hub, "metric", changed, "--branch", "next", home=home).returncode
    assert (before, 1) == (repo.head.oid, repo.commits[repo.refs["next"]].operations)
