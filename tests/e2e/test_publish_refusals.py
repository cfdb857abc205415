"""What may not be published is refused with words, before anything is written, and a token is never shown."""

import pytest

from .hub_store import Account
from .release_driver import TOKEN, copied, publish

OTHER = "hf_" + "Qw12" * 8 + "zz"


@pytest.mark.parametrize(
    ("account", "token", "namespace", "words"),
    [
        ("nobody", None, "me", "no token found. Log in with `hf auth login`, or set HF_TOKEN"),
        (None, OTHER, "me", "the token has expired (401)"),
        ("unknown", OTHER, "me", "the Hub does not accept the token (401"),
        (Account("me", role="read"), OTHER, "me", "the token of me may only read"),
        (Account("me", ("org",)), OTHER, "theirs", "--namespace theirs: the token belongs to me, who is in org"),
        (Account("me", role="fineGrained"), OTHER, "me", "the Hub refuses this to the account or its token (403"),
    ],
    ids=["none", "expired", "unknown", "read-only", "foreign namespace", "fine-grained without the right"],
)
def test_a_token_without_the_right_is_refused_and_never_shown(hub, staged, tmp_path, account, token, namespace, words):
    """The message says what is wrong with the token; it is in no output and in no address that was asked for."""
    if not isinstance(account, str):
        hub.accounts[OTHER] = account
    done = publish(hub, "dataset", staged, home=tmp_path, token=token, namespace=namespace)
    assert 2 == done.returncode
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert {} == hub.store.repos
    shown = done.stdout + done.stderr + "\n".join(hub.raw_log)
    assert OTHER not in shown
    assert OTHER[3:20] not in shown


def test_the_token_of_a_good_run_is_in_no_address_and_no_file(hub, staged, tmp_path):
    """Neither output, nor the Hub's addresses, nor what was written beside the repositories hold it."""
    out = copied(staged, tmp_path / "repos")
    done = publish(hub, "dataset", out, home=tmp_path / "home")
    assert 0 == done.returncode
    written = "".join(path.read_text() for path in out.glob("*.json"))
    assert TOKEN not in done.stdout + done.stderr + "\n".join(hub.raw_log) + written


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("eval_multipl_e/.env", b"A=1\n", ".env: an environment file holds secrets"),
        ("eval_multipl_e/weights.bin", b"x", "weights.bin: its name is that of a pickle"),
        ("eval_multipl_e/key.py", b"AWS = 'AKIA" + b"Q3EGLXZ2NFKUW7HT'\n", "key.py: line 1 holds a secret"),
        ("eval_multipl_e/README.md", b"---\ntitle: [\n---\n# Broken\n", "the front matter is not YAML (line 3"),
    ],
)
def test_a_seeded_folder_is_refused_before_anything_is_written(hub, staged, tmp_path, name, content, words):
    """The file is named with the reason; a dry run says the same; the Hub is not written to."""
    out = copied(staged, tmp_path / "repos")
    (out / name).write_bytes(content)
    for dry in ([], ["--dry-run"]):
        done = publish(hub, "metric", out, *dry, home=tmp_path / "home")
        assert 2 == done.returncode
        assert words in done.stderr
    assert [] == hub.writes()


def test_a_repository_with_other_content_is_refused(hub, staged, tmp_path):
    """A name that is taken by something else is not written over, unless --replace says so."""
    hub.store.put("model", "me/santa", {"config.json": b"{}", "pytorch_model.bin": b"theirs", "notes.txt": b"theirs"})
    before = hub.store.repos["model", "me/santa"].head.oid
    done = publish(hub, "model", staged, home=tmp_path)
    assert 2 == done.returncode
    assert "me/santa exists and holds 3 files that hf-santa did not publish as a model" in done.stderr
    assert before == hub.store.repos["model", "me/santa"].head.oid
    assert [] == hub.writes()
    assert 0 == publish(hub, "model", staged, "--replace", home=tmp_path).returncode
    assert "notes.txt" in hub.store.repos["model", "me/santa"].head.tree


def test_a_space_runs_a_full_commit_unless_told_otherwise(hub, staged, tmp_path):
    """A branch as the model's revision is refused before the Hub is asked; --allow-floating accepts it."""
    done = publish(hub, "space", staged, "--model-revision", "main", home=tmp_path)
    assert 2 == done.returncode
    assert "--model-revision main is not a full commit sha (40 hex digits)" in done.stderr
    assert [] == hub.log
    done = publish(hub, "space", staged, home=tmp_path)
    assert "me/santa has no revision main, and a Space runs a model's commit. Publish the model first." in done.stderr
    assert {} == hub.store.repos
    assert 0 == publish(hub, "model", staged, home=tmp_path).returncode
    done = publish(hub, "space", staged, "--model-revision", "main", "--allow-floating", home=tmp_path)
    assert 0 == done.returncode, done.stderr
    space = hub.store.repos["space", "me/santa-demo"].head
    assert b'"revision": "main"' in hub.store.blobs[space.tree["model.json"]]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--name", "model=a/b"], "--name model='a/b' is no name on the Hub"),
        (["--name", "modle=x"], "--name modle: there is no such kind. Choose from dataset, model, metric, space"),
        (["--branch", "a" * 40], "--branch is a commit; commits are made on a branch"),
        (["--attempts", "0"], "--attempts is 0. Give 1 or more"),
    ],
)
def test_a_wrong_flag_is_named(hub, staged, tmp_path, arguments, words):
    """The flag, what was seen and what is expected; the Hub is not asked."""
    done = publish(hub, "model", staged, *arguments, home=tmp_path)
    assert (2, []) == (done.returncode, hub.log)
    assert words in done.stderr


def test_a_folder_that_was_never_staged_is_refused(hub, tmp_path):
    """The message names the folder and the command that makes it."""
    done = publish(hub, "model", tmp_path / "nothing", home=tmp_path)
    assert 2 == done.returncode
    assert "is not a folder. Make it with `hf-santa stage`" in done.stderr
