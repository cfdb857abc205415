"""The secret of a redaction: random, from a file, or a public seed; nothing that is written holds it."""

import hashlib
import json
import os
import pickle
import subprocess
import sys

import pytest

from data_recipes.errors import DataError
from data_recipes.pii.redaction import redact
from data_recipes.pii.redaction_key import RedactionKey, kept_key, key_of_run
from data_recipes.pii.rows import Redactor
from data_recipes.pipeline import run

TEXT = "# bob@corp.io and ann@corp.io\n"


def test_a_process_redacts_alike_and_another_one_otherwise():
    """Without a key the same text gives the same result in a process, and another result in the next process."""
    assert redact(TEXT).text == redact(TEXT).text
    script = f"from data_recipes import redact\nprint(redact({TEXT!r}).text)"
    others = {subprocess.check_output([sys.executable, "-c", script], text=True) for _ in range(2)}
    assert len({redact(TEXT).text + "\n", *others}) == 3


def test_whoever_holds_the_key_file_gets_the_same_result(tmp_path):
    """The same file gives the same replacements, another one others; white space at its end does not count."""
    (tmp_path / "a.key").write_bytes(b"0123456789abcdef0123456789abcdef")
    (tmp_path / "b.key").write_bytes(b"0123456789abcdef0123456789abcdef\r\n")
    (tmp_path / "c.key").write_bytes(b"0123456789abcdef0123456789abcdee")
    one, same, other = (
        redact(TEXT, key=RedactionKey.of_file(tmp_path / name)).text for name in ("a.key", "b.key", "c.key")
    )
    assert (one == same, one == other) == (True, False)


@pytest.mark.parametrize("content", [b"", b"short", b"\n" * 40, b"x" * 70_000])
def test_a_key_that_can_be_guessed_or_is_no_key_is_named(tmp_path, content):
    """Fewer than 16 bytes or more than 64 KiB are an error that says how a key is made."""
    path = tmp_path / "weak.key"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"weak\.key: holds [0-9,]+ bytes, expected 16 to 65,536 .* openssl rand -hex"):
        RedactionKey.of_file(path)


def test_no_key_file_and_a_pipe_are_errors(tmp_path):
    """A missing file is an error, and a FIFO is one that does not hang."""
    os.mkfifo(tmp_path / "pipe")
    for name in ("none", "pipe", "."):
        with pytest.raises(DataError, match="no such file"):
            RedactionKey.of_file(tmp_path / name)


def test_a_key_and_a_seed_are_a_contradiction(tmp_path):
    """Both of them are an error, in the library and for a run."""
    with pytest.raises(DataError, match="got a key and a seed"):
        redact(TEXT, key=RedactionKey.random(), seed=1)
    with pytest.raises(DataError, match="both given"):
        key_of_run(1, tmp_path / "x")


def test_the_secret_is_in_no_representation():
    """Neither the key's nor the redactor's representation shows the secret."""
    key = RedactionKey(b"the secret of them all", "key file")
    assert [part for part in (repr(key), repr(Redactor(key=key)), key.check()) if "secret of" in part] == []


def test_a_redactor_keeps_its_random_key_in_another_process():
    """A pickled redactor gives the same replacements, so all workers of a `datasets.map` agree."""
    redactor = Redactor(key=RedactionKey.random())
    there = pickle.loads(pickle.dumps(redactor))
    assert there({"content": [TEXT]}) == redactor({"content": [TEXT]})


def test_a_store_can_not_be_searched_with_guesses(tmp_path, write_stack):
    """By default no seed among the first thousand gives a replacement that the store holds, and no file tells the key."""
    import pyarrow.parquet as pq

    run(write_stack(tmp_path / "stack"), tmp_path / "store")
    (shard,) = (tmp_path / "store" / "data").rglob("python-*.parquet")
    published = "".join(pq.read_table(shard)["content"].to_pylist())
    assert "@example.com" in published
    guesses = {redact("bob@corp.io", seed=seed).text for seed in range(1000)}
    assert [guess for guess in guesses if guess in published] == []
    funnel = json.loads((tmp_path / "store" / "funnel.json").read_text())
    assert ("seed" in funnel, funnel["redaction_key"]) == (False, "random")


def _published(store):
    """All that the files of a store hold: rows, rejects, funnel and card."""
    import pyarrow.parquet as pq

    files = sorted(path for path in store.rglob("*") if path.is_file() and ".cache" not in path.parts)
    return "".join(
        str(pq.read_table(path).to_pylist()) if path.suffix == ".parquet" else path.read_text() for path in files
    )


def test_an_old_store_is_redacted_anew_from_its_source(tmp_path, write_stack):
    """One of 1,024 guesses answers for a store of seed 0; after a run in its place none does, and no old file is left."""
    source, store = write_stack(tmp_path / "stack"), tmp_path / "store"
    run(source, store, "base", seed=0)
    guesses = [f"{name}{number or ''}@corp.io" for name in ("bob", "ann", "cat", "dan") for number in range(256)]
    mapping = {redact(guess, seed=0).text: guess for guess in guesses}
    before = _published(store)
    answered = {mapping[drawn] for drawn in mapping if drawn in before}
    assert (len(guesses), "bob@corp.io" in answered) == (1024, True)
    run(source, store, "base")
    after = _published(store)
    assert "@example.com" in after
    assert [guess for drawn, guess in mapping.items() if drawn in after] == []
    assert json.loads((store / "funnel.json").read_text())["redaction_key"] == "random"


def test_a_store_is_redacted_anew_by_a_key_file_alike(tmp_path, write_stack):
    """A finished store of a random key changes under a key file, and then holds what any other run with it holds."""
    source, key = write_stack(tmp_path / "stack"), tmp_path / "own.key"
    key.write_bytes(b"0123456789abcdef" * 2)
    stores = [tmp_path / "one" / "store", tmp_path / "two" / "store"]
    run(source, stores[0], "base")
    random = _published(stores[0])
    for store in stores:
        run(source, store, "base", key_file=str(key))
    one, two = map(_published, stores)
    assert (one == two, one == random) == (True, False)


def test_two_key_files_are_two_runs(tmp_path):
    """What a finished part is known by differs between key files, and is no digest of the secret alone."""
    checks = {RedactionKey(secret, "key file").check() for secret in (b"a" * 32, b"b" * 32)}
    assert len(checks) == 2
    assert hashlib.sha256(b"a" * 32).hexdigest()[:16] not in "".join(checks)


def test_the_parts_of_a_run_share_a_random_key(tmp_path, write_stack):
    """A run that is made in parts, by several processes, has one random key, kept beside the output until it is done."""
    from data_recipes.pipeline import planned
    from data_recipes.settings import RunSettings

    source, out = write_stack(tmp_path / "stack"), tmp_path / "store"
    settings = RunSettings(recipe="base", threads=1)
    kept = tmp_path / ".store.key"
    planned(source, out, settings).annotate_shard(0)
    secret = kept.read_bytes()
    before = b"".join(path.read_bytes() for path in (out / ".work").rglob("*") if path.is_file())
    assert (len(secret), kept.stat().st_mode & 0o777) == (32, 0o600)
    said = []
    planned(source, out, settings, progress=said.append).make()
    assert next(line for line in said if line.startswith("step=annotate")).endswith("reused")
    assert (kept.exists(), before.count(secret)) == (False, 0)
    written = [path for path in out.rglob("*") if path.is_file()]
    assert [
        path.name for path in written if secret in path.read_bytes() or secret.hex() in path.read_text("latin-1")
    ] == []


def test_a_run_whose_random_key_is_gone_begins_again(tmp_path, write_stack):
    """Parts that were made with a key that nobody has any more are made again, not mixed with others."""
    from data_recipes.pipeline import planned
    from data_recipes.settings import RunSettings

    source, out = write_stack(tmp_path / "stack"), tmp_path / "store"
    said = []
    made = planned(source, out, RunSettings(recipe="base", threads=1), progress=said.append)
    made.annotate_shard(0)
    (tmp_path / ".store.key").unlink()
    made.annotate_shard(0)
    assert [line for line in said if "reused" in line] == []
    (tmp_path / ".store.key").write_bytes(b"short")
    with pytest.raises(DataError, match=r"\.store\.key: holds 5 bytes, expected the 32 .* Delete it"):
        made.annotate_shard(0)


def test_processes_that_begin_together_agree_on_the_key(tmp_path):
    """Of many that draw a key at once, all end up with the same one."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: kept_key(tmp_path / "new" / ".x.key").secret, range(32)))
    assert (len(keys), [path.name for path in (tmp_path / "new").iterdir()]) == (1, [".x.key"])


def test_a_run_takes_types_style_rules_and_recognizers(tmp_path, write_stack):
    """A StarCoder-style store: tags, names and passwords, and a recognizer's type; all of it is counted in columns."""
    import pyarrow.parquet as pq

    (tmp_path / "mine.py").write_text(
        "import re\nfrom types import SimpleNamespace as N\n"
        "class Mine:\n    supported_entities = ['WORD']\n    def analyze(self, text, entities, artifacts):\n"
        "        return [N(entity_type='WORD', start=m.start(), end=m.end()) for m in re.finditer('bob@', text)]\n"
    )
    funnel = run(
        write_stack(tmp_path / "stack"),
        tmp_path / "store",
        recipe="base",
        pii_types=("EMAIL_ADDRESS", "IP_ADDRESS", "KEY", "NAME", "WORD"),
        style="starcoder",
        recognizers=[f"{tmp_path / 'mine.py'}:Mine"],
    )
    assert funnel["redaction"] == {
        "types": ["EMAIL_ADDRESS", "IP_ADDRESS", "KEY", "NAME", "WORD"],
        "style": "starcoder",
    }
    tables = [pq.read_table(path) for path in (tmp_path / "store" / "data").rglob("*.parquet")]
    text = "".join(text for table in tables for text in table["content"].to_pylist())
    assert ("<EMAIL>" in text, "bob@corp" in text) == (True, False)
    assert {"pii_names", "pii_word"} <= set(tables[0].column_names) & set(funnel["columns"])
    assert funnel["redactions"]["EMAIL_ADDRESS"] > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"style": "plain"}, "style='plain' is unknown"),
        ({"pii_types": ("PHONE",)}, "'PHONE' is not available"),
        ({"pii_types": ()}, "no type is given"),
        ({"recognizers": ["x"]}, "expected MODULE:NAME"),
        ({"rules": "no.toml"}, "not readable"),
    ],
)
def test_what_a_run_can_not_redact_with_is_said_at_once(change, message):
    """A wrong style, type, recognizer or file of rules is an error before anything is read."""
    from data_recipes.settings import RunSettings

    with pytest.raises(DataError, match=message):
        RunSettings(**change)
