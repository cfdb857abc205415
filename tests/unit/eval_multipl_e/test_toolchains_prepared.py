"""What is prepared once for a toolchain: where it lies, and that it is whole or not there."""

import os
from pathlib import Path

import pytest

from eval_multipl_e import toolchains, toolchains_prepared
from eval_multipl_e.languages import ALIASES, LANGUAGES, language_of


@pytest.fixture
def _folder(monkeypatch, tmp_path):
    """Lets a temporary folder be the cache, though it would not be seen behind a wall."""
    monkeypatch.setattr(toolchains_prepared, "_HIDDEN", ("/dev",))
    monkeypatch.setenv("HF_SANTA_EVAL_CACHE", str(tmp_path))


def test_a_cache_that_programs_could_not_see_is_refused(monkeypatch):
    """A cache in /tmp, which every program has of its own, is an error that says so."""
    monkeypatch.setenv("HF_SANTA_EVAL_CACHE", "/tmp/cache")
    with pytest.raises(RuntimeError, match=r"lies in /tmp.*Name a folder elsewhere"):
        toolchains_prepared.root()


def test_the_users_own_cache_is_the_default(monkeypatch):
    """Without a word of the user the folder is in the cache folder, or in /var/tmp where that is not to be seen."""
    monkeypatch.delenv("HF_SANTA_EVAL_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache/someone")
    assert Path("/var/cache/someone/hf-santa/eval") == toolchains_prepared.root()
    monkeypatch.setenv("XDG_CACHE_HOME", "/tmp/someone")
    made = toolchains_prepared.root()
    assert Path(f"/var/tmp/hf-santa-{os.getuid()}") == made
    if not list(made.iterdir()):
        made.rmdir()


@pytest.mark.usefixtures("_folder")
def test_what_is_prepared_is_whole_or_not_there(monkeypatch, tmp_path):
    """A preparation that fails leaves nothing; one that works is made once, and anew for another version."""
    made = []

    def make(work):
        made.append(work)
        (work / "file").write_text("x")
        if len(made) == 1:
            raise OSError(28, "no space")

    version = ["1"]
    monkeypatch.setattr(toolchains_prepared, "_KINDS", {"thing": (lambda: version[0], make)})
    with pytest.raises(OSError, match="no space"):
        toolchains_prepared.folder("thing")
    assert list(tmp_path.iterdir()) == []
    first = toolchains_prepared.folder("thing")
    assert (first / "file").read_text() == "x"
    assert first == toolchains_prepared.folder("thing")
    assert len(made) == 2
    version[0] = "2"
    assert first != toolchains_prepared.folder("thing")


def test_other_names_lead_to_the_same_rows():
    """MultiPL-E's other names of a language give the row of its code."""
    assert {language_of(name).code for name in ALIASES} <= set(LANGUAGES)
    assert language_of("go_test.go") is LANGUAGES["go"]


def test_the_folders_that_are_shown_are_outside_the_system():
    """No folder of the system's is shown twice, and none is the home folder."""
    folders = toolchains.visible_folders()
    assert [folder for folder in folders if folder.startswith("/usr/") or folder == str(Path.home())] == []


@pytest.mark.skipif(toolchains.missing_tool(LANGUAGES["clj"]) is not None, reason="no Clojure: apt-get install clojure")
@pytest.mark.usefixtures("_folder")
def test_clojure_s_classes_are_kept_for_its_jar_and_java():
    """The archive of classes is made once, lies in a folder named by the jar, the version of Java and the flags."""
    made = toolchains_prepared.folder("clj")
    assert (made / "clojure.jsa").stat().st_size > 1 << 20
    assert made == toolchains_prepared.folder("clj")
