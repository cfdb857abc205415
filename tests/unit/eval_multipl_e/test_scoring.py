"""What the metric refuses, before anything runs, and the table of languages."""

import pytest

from eval_multipl_e import languages, scoring, toolchains
from eval_multipl_e.execution import run_program
from eval_multipl_e.sandbox import resolve
from eval_multipl_e.sandbox_streams import Capture


@pytest.fixture
def _open_gate(monkeypatch):
    monkeypatch.setenv("HF_ALLOW_CODE_EVAL", "1")


def test_the_gate_is_shut_by_default(monkeypatch):
    """Without HF_ALLOW_CODE_EVAL=1 nothing runs, and the error explains the danger."""
    monkeypatch.delenv("HF_ALLOW_CODE_EVAL", raising=False)
    with pytest.raises(ValueError, match=r"may do harm.*set HF_ALLOW_CODE_EVAL=1"):
        scoring.score([["pass"]], [""], ["py"])


@pytest.mark.usefixtures("_open_gate")
@pytest.mark.parametrize(
    ("columns", "settings", "message"),
    [
        (([["x"]], ["", ""], ["py"]), {}, "1 predictions, 2 references, 1 languages"),
        (([["x"]], [""], ["py"]), {"prompts": []}, "0 prompts"),
        (([["x"]], [""], ["cobol"]), {}, "language 'cobol' is unknown. Use one of MultiPL-E's codes: "),
        (([["x"]], [""], [None]), {}, "language None is unknown"),
        (([], [], []), {}, "predictions is empty"),
        (([[]], [""], ["py"]), {}, r"predictions\[0\] is empty"),
        ((None, [""], ["py"]), {}, "predictions is NoneType"),
        (([None], [""], ["py"]), {}, r"predictions\[0\] is NoneType"),
        ((["x"], [""], ["py"]), {}, r"predictions\[0\] is str, not a list"),
        (([["x", None]], [""], ["py"]), {}, r"predictions\[0\]\[1\] is NoneType"),
        (([["x"]], [None], ["py"]), {}, r"references\[0\] is NoneType"),
        (([["x"]], [""], ["py"]), {"k": 2}, "k=2 exceeds the 1 completions"),
        (([["x"], ["x", "y"]], ["", ""], ["py", "py"]), {"k": (1, 2)}, "k=2 exceeds the 1 completions"),
        (([["x"]], [""], ["py"]), {"k": []}, "k is empty"),
        (([["x"]], [""], ["py"]), {"k": [0]}, "k=0 is no positive whole number"),
        (([["x"]], [""], ["py"]), {"mode": "lenient"}, "mode='lenient' is unknown"),
        (([["x"]], [""], ["py"]), {"sandbox": "docker"}, "sandbox='docker' is unknown"),
        (([["x"]], [""], ["py"]), {"num_workers": 0}, "num_workers=0 is below 1"),
    ],
)
def test_wrong_arguments_are_refused_in_words(columns, settings, message):
    """Each wrong argument is a ValueError that says what was seen and what to give."""
    with pytest.raises(ValueError, match=message):
        scoring.score(*columns, **settings)


@pytest.mark.parametrize(("settings", "message"), [({"timeout_s": 0}, "timeout_s=0"), ({"mode": "x"}, "mode='x'")])
def test_wrong_settings_of_a_program_are_refused(settings, message):
    """run_program refuses what it does not know before it starts anything."""
    with pytest.raises(ValueError, match=message):
        run_program("pass", "py", **settings)


def test_no_sandbox_is_a_refusal_not_a_fallback(monkeypatch):
    """Where no way works, "auto" is an error that names the other choice, and "none" stays possible."""
    monkeypatch.setattr("eval_multipl_e.sandbox._failure", lambda way: f"{way} is forbidden")
    with pytest.raises(RuntimeError, match=r"bwrap is forbidden.*sandbox='none'"):
        resolve("auto")
    assert resolve("none") == "none"


def test_a_missing_toolchain_is_named_with_its_cure(monkeypatch):
    """A program of a language that is not installed is ToolMissing, with the tool and the command to get it."""
    monkeypatch.setattr("eval_multipl_e.toolchains.shutil.which", lambda *_: None)
    outcome = run_program("", "js")
    assert outcome.status == "ToolMissing"
    assert "'node' is not on PATH" in outcome.reason
    assert "apt-get install nodejs" in outcome.reason


def test_a_missing_jar_is_named_with_its_cure(monkeypatch, tmp_path):
    """A Java program that needs javatuples says so where the jar is not found."""
    monkeypatch.setenv("HF_SANTA_JAVATUPLES_JAR", str(tmp_path / "no.jar"))
    said = toolchains.missing_library(languages.LANGUAGES["java"], "import org.javatuples.*;")
    assert said is not None
    assert "apt-get install libjavatuples-java" in said
    assert toolchains.missing_library(languages.LANGUAGES["java"], "import java.util.*;") is None


@pytest.mark.parametrize("code", list(languages.LANGUAGES))
def test_every_language_says_all_that_it_must(code):
    """Each row has a code that is its key, a command, a version command, a time limit and an install command."""
    row = languages.LANGUAGES[code]
    assert code == row.code
    assert row.run
    assert row.version[0] in row.tools
    assert row.run_timeout_s > 0
    assert row.install
    assert "{token}" in row.epilogue + row.driver + row.swap[1] + " ".join(row.strict_run)


def test_a_capture_keeps_both_ends_and_sees_a_word_across_reads():
    """The first megabyte and the last 64 KB are kept, all is counted, and the word is found where two reads meet."""
    capture = Capture(word=b"token")
    for chunk in (b"x" * (3 << 20), b"to", b"ken"):
        capture.feed(chunk)
    assert (len(capture.kept), capture.total, capture.found) == (1 << 20, (3 << 20) + 5, True)
    assert capture.dropped == (2 << 20) + 5 - (1 << 16)
    assert capture.text().endswith("x" * ((1 << 16) - 5) + "token")
