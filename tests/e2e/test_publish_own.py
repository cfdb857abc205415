"""One's own work on a Hub: linked cards, what was written there by hand, a Collection, and a gate."""

import json

import pytest

from hf_santa.repositories.kinds import repo_ids, split_card

from .release_driver import copied, publish

IDS = repo_ids("me")


def _card(hub, kind, repo):
    return hub.store.blobs[hub.store.repos[kind, repo].head.tree["README.md"]].decode()


def test_cards_link_to_each_other_and_to_the_project(hub, staged, tmp_path):
    """Every card names the other three repositories and the project's address; a second run changes nothing."""
    out = copied(staged, tmp_path / "repos")
    how = ("--project", "https://example.org/mine", "--collection", "My SantaCoder", "--gated", "manual", "--preload")
    done = publish(hub, "all", out, *how, home=tmp_path / "home")
    assert 0 == done.returncode, done.stderr
    repos = {"dataset": IDS["dataset"], "model": IDS["model"], "space": IDS["space"]}
    for kind, repo in repos.items():
        card = _card(hub, kind, repo)
        others = [other for other in IDS.values() if other != repo]
        assert all(f"]({_address(other)})" in card for other in others), kind
        assert "[https://example.org/mine](https://example.org/mine)" in card
    (preloaded,) = split_card(_card(hub, "space", IDS["space"]))[0]["preload_from_hub"]
    model, files, sha = preloaded.split(" ")
    head = hub.store.repos["model", IDS["model"]].head
    assert (IDS["model"], head.oid) == (model, sha)
    assert {name for name in head.tree if not name.startswith(".")} == set(files.split(","))
    (collection,) = hub.collections.values()
    assert set(IDS.values()) == {item["id"] for item in collection["items"]}
    assert json.loads((out / "published.json").read_text())["collection"].endswith(collection["slug"])
    assert {"manual"} == {hub.store.repos[kind, repos[kind]].gated for kind in ("dataset", "model")}
    assert False is hub.store.repos["space", IDS["space"]].gated
    hub.forget()
    again = publish(hub, "all", out, *how, home=tmp_path / "home")
    assert 0 == again.returncode, again.stderr
    assert [] == hub.commit_requests()
    assert ["POST /api/collections"] == hub.writes()  # the client asks for it by making it


def _address(repo):
    kind = next(kind for kind, name in IDS.items() if name == repo)
    path = {"model": "", "dataset": "datasets/"}.get(kind, "spaces/")
    return f"https://huggingface.co/{path}{repo}"


def test_a_gate_stands_before_the_files_do(hub, staged, tmp_path):
    """A repository is gated before its commit: nobody reads a file that was to be asked for."""
    seen = []
    hub.before("POST .*/commit/", lambda: seen.append(hub.store.repos["dataset", IDS["dataset"]].gated))
    done = publish(hub, "dataset", copied(staged, tmp_path / "repos"), "--gated", "auto", home=tmp_path / "home")
    assert (0, ["auto"]) == (done.returncode, seen), done.stderr


def test_what_was_written_on_the_hub_is_kept(hub, staged, tmp_path):
    """A section added above or below the last line stays, in every later publication, and is counted in a line."""
    out = copied(staged, tmp_path / "repos")
    assert 0 == publish(hub, "dataset", out, home=tmp_path / "home").returncode
    card = _card(hub, "dataset", IDS["dataset"])
    edited = card.replace("\n## ", "\n## My notes\n\nWritten by hand.\n\n## ", 1) + "\n## Thanks\n\nTo all.\n"
    hub.store.put("dataset", IDS["dataset"], {"README.md": edited.encode()})
    done = publish(hub, "dataset", out, home=tmp_path / "home")
    assert 0 == done.returncode, done.stderr
    assert "kept=dataset README.md: 2 sections written on the Hub" in done.stdout
    made, _, kept = _card(hub, "dataset", IDS["dataset"]).partition("is kept by the next publication -->\n")
    assert "My notes" not in made
    assert "\n## My notes\n\nWritten by hand.\n\n## Thanks\n\nTo all.\n" == kept
    hub.forget()
    publish(hub, "dataset", out, home=tmp_path / "home")
    assert [] == hub.writes()


def test_a_card_that_is_edited_during_a_publication_is_kept(hub, staged, tmp_path):
    """An edit on the Hub between the plan and the commit makes the commit fail; the next try reads the card anew."""
    out = copied(staged, tmp_path / "repos")
    assert 0 == publish(hub, "dataset", out, home=tmp_path / "home").returncode
    card = _card(hub, "dataset", IDS["dataset"])

    def edit():
        hub.store.put("dataset", IDS["dataset"], {"README.md": f"{card}\n## Just now\n\nWritten meanwhile.\n".encode()})

    hub.before("POST .*/commit/", edit)
    how = ("--project", "https://example.org/mine")
    done = publish(hub, "dataset", out, *how, home=tmp_path / "home")
    assert 0 == done.returncode, done.stderr
    text = _card(hub, "dataset", IDS["dataset"])
    assert text.endswith("\n## Just now\n\nWritten meanwhile.\n")
    assert "https://example.org/mine" in text


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (("--collection", "x" * 60), "--collection has 60 characters. Give a title of 1 to 59."),
        (("--project", "javascript:alert(1)"), "is no address. Give one that begins with https://."),
    ],
)
def test_what_the_hub_would_refuse_is_named_before_it_is_asked(hub, staged, tmp_path, how, words):
    """A title that is too long and an address that is none: exit code 2, and no request."""
    done = publish(hub, "model", staged, *how, home=tmp_path / "home")
    assert (2, True, []) == (done.returncode, words in done.stderr, hub.log)
