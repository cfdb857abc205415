"""Shards: the same bytes however often a run was killed, and no damage that goes unnamed."""

import json
import pickle

import numpy as np
import pytest

from modeling_santa.corpus import shards

TEXTS = [f"def f_{n}(a):\n    return a + {n}  # caf\u00e9\n" * (n % 5 + 1) for n in range(80)]


class Killed(BaseException):
    """Stands for the end of a process."""


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def killed_after(count):
    yield from TEXTS[:count]
    raise Killed


@pytest.fixture
def packed(tokenizer, tmp_path):
    shards.pack(TEXTS, tokenizer, tmp_path / "whole", shard_tokens=500)
    return tmp_path / "whole"


@pytest.mark.parametrize("count", [0, 1, 30, 79, 80])
def test_a_killed_pack_goes_on_to_the_same_bytes(tokenizer, packed, tmp_path, monkeypatch, count):
    """Killed at any document; the finished shards are not written again."""
    monkeypatch.setattr(shards, "BATCH_BYTES", 300)
    out = tmp_path / "killed"
    with pytest.raises(Killed):
        shards.pack(killed_after(count), tokenizer, out, shard_tokens=500, resume=True)
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("tokens-*.bin")}
    shards.pack(TEXTS, tokenizer, out, shard_tokens=500, resume=True)
    assert files(packed) == files(out)
    assert before.items() <= {path.name: path.stat().st_mtime_ns for path in out.glob("tokens-*.bin")}.items()


def test_shards_are_one_stream(tokenizer, packed):
    """Length, single tokens, slices across shards and the whole are those of one array; a copy maps the files anew."""
    tokens = shards.read_tokens(packed)
    assert len(tokens.paths) > 3
    whole = np.concatenate([np.fromfile(path, "<u2") for path in tokens.paths])
    assert len(whole) == len(tokens)
    assert np.array_equal(whole, np.asarray(tokens))
    for place in (slice(0, 0), slice(400, 1700), slice(-3, None), slice(505, 510), slice(None, None, 7)):
        assert np.array_equal(whole[place], tokens[place])
    assert (whole[-1], whole[600]) == (tokens[-1], tokens[600])
    assert np.array_equal(tokens[:900], pickle.loads(pickle.dumps(tokens))[:900])
    with pytest.raises(IndexError):
        tokens[len(whole)]


def test_a_damaged_shard_is_named(packed):
    """Changed, cut short, missing: the message has the file, what was found and what was expected."""
    shard = packed / "tokens-00002.bin"
    raw = shard.read_bytes()
    shard.write_bytes(raw[:10] + bytes([raw[10] ^ 1]) + raw[11:])
    with pytest.raises(ValueError, match=r"tokens-00002\.bin is corrupt: its sha256 is"):
        shards.read_tokens(packed)
    shard.write_bytes(raw[:-3])
    with pytest.raises(ValueError, match=rf"tokens-00002\.bin holds .* tokens, expected {len(raw) // 2}"):
        shards.read_tokens(packed)
    shard.unlink()
    with pytest.raises(ValueError, match=r"tokens-00002\.bin is missing"):
        shards.read_tokens(packed)


def test_packing_again_mends_a_damaged_corpus(tokenizer, packed, caplog):
    """From the damaged shard on everything is packed anew, to the same bytes."""
    before = files(packed)
    (packed / "tokens-00002.bin").write_bytes(b"xx")
    shards.pack(TEXTS, tokenizer, packed, shard_tokens=500, resume=True)
    assert "tokens-00002.bin holds 1 tokens" in caplog.text
    assert before == files(packed)


def test_other_documents_or_another_tokenizer_are_refused(tokenizer, packed):
    """Going on with what is not the same would mix two corpora."""
    with pytest.raises(ValueError, match="are not those given now"):
        shards.pack(["x", *TEXTS[1:]], tokenizer, packed, shard_tokens=500, resume=True)
    with pytest.raises(ValueError, match="is finished, but there are more documents"):
        shards.pack([*TEXTS, "x"], tokenizer, packed, shard_tokens=500, resume=True)
    with pytest.raises(ValueError, match="another tokenizer, recipe or shard size"):
        shards.pack(TEXTS, tokenizer, packed, shard_tokens=501, resume=True)


def test_a_finished_pack_is_left_as_it_is(tokenizer, packed):
    """The same command again changes no byte."""
    before = files(packed)
    shards.pack(TEXTS, tokenizer, packed, shard_tokens=500, resume=True)
    assert before == files(packed)


def test_shard_size_changes_no_token(tokenizer, packed, tmp_path):
    """One shard or many: the same stream."""
    about = shards.pack(TEXTS, tokenizer, tmp_path / "one")
    assert (1, 80) == (about["shards"], about["documents"])
    assert np.array_equal(np.asarray(shards.read_tokens(packed)), np.asarray(shards.read_tokens(tmp_path / "one")))
    assert json.loads((tmp_path / "one" / "corpus.json").read_text()) == about


def test_what_cannot_be_packed_is_named(tokenizer, tmp_path):
    """No document, or half of a surrogate pair."""
    with pytest.raises(ValueError, match="no document was given"):
        shards.pack([], tokenizer, tmp_path / "none")
    with pytest.raises(ValueError, match="document 1 holds half of a surrogate pair at character 0"):
        shards.pack(["a", "\udfff"], tokenizer, tmp_path / "half")
