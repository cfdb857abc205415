"""Hyperscan's database in the user's cache: compiled once, and never trusted."""

import hyperscan
import pytest

from data_recipes.pii import compiled_rules
from data_recipes.pii.compiled_rules import compiled_database

EXPRESSIONS = ["tk_[a-z]{4}", "[0-9]{8}"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_SANTA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def hits(database):
    found = set()
    database.scan(b"a tk_abcd b", match_event_handler=lambda number, *_: found.add(number))
    return found


def count_compilations(monkeypatch):
    done = []
    plain = compiled_rules._compiled
    monkeypatch.setattr(compiled_rules, "_compiled", lambda *words: (done.append(1), plain(*words))[1])
    return done


def test_the_second_process_loads_what_the_first_compiled(folder, monkeypatch):
    """One file is kept, only its owner can write to it, and with it nothing is compiled again."""
    done = count_compilations(monkeypatch)
    assert [hits(compiled_database(EXPRESSIONS)) for _ in range(3)] == [{0}] * 3
    assert len(done) == 1
    (kept,) = folder.iterdir()
    assert kept.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("damage", [b"", b"hf-santa rules 1\n", b"x" * 5000])
def test_a_damaged_file_is_compiled_again(folder, monkeypatch, damage):
    """An empty, cut or foreign file is replaced by a sound one."""
    compiled_database(EXPRESSIONS)
    (kept,) = folder.iterdir()
    sound = kept.read_bytes()
    kept.write_bytes(damage)
    done = count_compilations(monkeypatch)
    assert (hits(compiled_database(EXPRESSIONS)), len(done)) == ({0}, 1)
    assert kept.read_bytes() == sound


def test_a_flipped_bit_is_seen(folder, monkeypatch):
    """The digest in the file tells a change in any place of the database."""
    compiled_database(EXPRESSIONS)
    (kept,) = folder.iterdir()
    data = bytearray(kept.read_bytes())
    data[-3] ^= 1
    kept.write_bytes(data)
    done = count_compilations(monkeypatch)
    assert (hits(compiled_database(EXPRESSIONS)), len(done)) == ({0}, 1)


def test_a_file_that_others_may_write_to_does_not_count(folder, monkeypatch):
    """A file that is group-writable, or a link, may be somebody else's work: it is not loaded."""
    compiled_database(EXPRESSIONS)
    (kept,) = folder.iterdir()
    done = count_compilations(monkeypatch)
    kept.chmod(0o660)
    compiled_database(EXPRESSIONS)
    kept.rename(folder / "elsewhere")
    kept.symlink_to(folder / "elsewhere")
    compiled_database(EXPRESSIONS)
    assert len(done) == 2


def test_other_expressions_have_another_file(folder):
    """A new version of the rules never gets the old database."""
    compiled_database(EXPRESSIONS)
    compiled_database(EXPRESSIONS[:1])
    assert len(list(folder.iterdir())) == 2


def test_a_folder_that_can_not_be_written_to_is_no_error(tmp_path, monkeypatch):
    """Where the cache's place is a file, the database is compiled each time."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HF_SANTA_CACHE", str(tmp_path / "file"))
    assert hits(compiled_database(EXPRESSIONS)) == {0}


def test_a_database_of_another_kind_is_not_loaded():
    """Hyperscan's own check refuses what is no database of this processor and version."""
    assert compiled_rules._loaded(hyperscan.dumpb(compiled_rules._compiled(EXPRESSIONS, ()))[:200]) is None
