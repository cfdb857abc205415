"""Redaction of files: places, diff, report and audit log."""

import json
import re
import shutil
import subprocess
import time

import pytest

from data_recipes.pii.audit_log import audit_lines
from data_recipes.pii.files import Options, redact_files
from data_recipes.pii.finding import Finding
from data_recipes.pii.redaction import redact, redact_with
from data_recipes.pii.redaction_key import RedactionKey
from data_recipes.pii.report import MAX_SHOWN, FindsPage

TOKEN = "ghp_" + "a1B2" * 9
VALUES = ("bob@corp.io", "93.184.216.34", "ann@corp.io")
SOURCE = "# one\n# two 😀 bob@corp.io\r\nx = '93.184.216.34'\n" + "pass\n" * 12 + "y = 'ann@corp.io'; z = 'bob@corp.io'"


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "a.py"
    file.write_bytes(SOURCE.encode())
    return file


def test_check_names_places_and_never_values(path, capsys):
    """`--check` gives path, line, column, type and rule of each find, changes nothing and returns 1."""
    assert redact_files([str(path)], Options(is_check=True)) == 1
    out = capsys.readouterr().out
    assert out.splitlines() == [
        f"{path}:2:9: EMAIL_ADDRESS (email)",
        f"{path}:3:6: IP_ADDRESS (ipv4)",
        f"{path}:16:6: EMAIL_ADDRESS (email)",
        f"{path}:16:25: EMAIL_ADDRESS (email)",
    ]
    assert [value for value in VALUES if value in out] == []
    assert path.read_bytes() == SOURCE.encode()


def test_files_are_redacted_once(path, capsys):
    """A second run finds nothing; line ends and everything else stay."""
    assert redact_files([str(path)], Options()) == 0
    first = path.read_bytes()
    assert (first.count(b"\r\n"), first.count(b"\n")) == (1, SOURCE.count("\n"))
    capsys.readouterr()
    assert redact_files([str(path)], Options(is_check=True)) == 0
    assert (path.read_bytes(), capsys.readouterr().out) == (first, "")


def test_binary_files_are_skipped_with_a_word(tmp_path, caplog):
    """A file with a NUL byte is named on stderr, left alone, and is no failure."""
    (tmp_path / "a.bin").write_bytes(b"bob@corp.io\0")
    assert redact_files([str(tmp_path / "a.bin")], Options(is_check=True)) == 0
    assert caplog.messages == [f"{tmp_path / 'a.bin'}: skipped, a binary file (it holds a NUL byte)"]
    assert (tmp_path / "a.bin").read_bytes() == b"bob@corp.io\0"


def test_what_can_not_be_read_is_named(tmp_path, caplog):
    """Broken UTF-16 and a missing file are errors with their names; the others are still done."""
    (tmp_path / "wide.txt").write_bytes(b"\xff\xfea")
    (tmp_path / "good.py").write_text("# bob@corp.io\n")
    names = [str(tmp_path / name) for name in ("wide.txt", "none.py", "good.py")]
    assert redact_files(names, Options()) == 2
    reasons = [re.fullmatch(r".*: can't be read \((.*)\)\. Check the path.*", line)[1] for line in caplog.messages]
    assert ["it is not UTF-16 text", "No such file or directory"] == reasons
    assert "bob" not in (tmp_path / "good.py").read_text()


def test_other_bytes_than_utf8_and_a_byte_order_mark_stay(tmp_path):
    """A Latin-1 file and one with a byte order mark are redacted, their other bytes are the same."""
    path = tmp_path / "latin.py"
    path.write_bytes(b"\xef\xbb\xbf# caf\xe9 bob@corp.io\xff\n")
    redact_files([str(path)], Options())
    assert re.fullmatch(rb"\xef\xbb\xbf# caf\xe9 [a-z]{5}@example\.com\xff\n", path.read_bytes())


@pytest.mark.skipif(shutil.which("patch") is None, reason="the program 'patch' is not installed")
@pytest.mark.parametrize("end", ["", "\n"])
def test_the_diff_is_one_that_patch_takes(path, capsys, end):
    """`--diff` changes nothing; what it prints turns the file into the redacted one."""
    path.write_bytes(SOURCE.replace("\r", "").encode() + end.encode())
    redact_files([str(path)], Options(is_diff=True))
    diff = capsys.readouterr().out
    assert path.read_bytes() == SOURCE.replace("\r", "").encode() + end.encode()
    assert (diff.count("@@ -"), diff.count("\n-"), diff.count("\n+")) == (2, 3, 4)
    subprocess.run(["patch", "-s", str(path)], input=diff, text=True, check=True)
    assert path.read_bytes().decode() == redact(SOURCE.replace("\r", "") + end).text


def test_the_log_holds_no_value(path, tmp_path):
    """Each find has a line with type, rule, place, digest and policy; equal values share a digest, no value is there."""
    redact_files([str(path)], Options(is_check=True, log=str(tmp_path / "log.jsonl"), key=RedactionKey.of_seed(5)))
    log = (tmp_path / "log.jsonl").read_text()
    lines = [json.loads(line) for line in log.splitlines()]
    assert [SOURCE[x["offset"] : x["offset"] + x["length"]] for x in lines] == [
        "bob@corp.io",
        *VALUES[1:],
        "bob@corp.io",
    ]
    assert {tuple(line) for line in lines} == {("path", "type", "rule", "offset", "length", "digest", "policy")}
    assert [lines[0]["digest"] == line["digest"] for line in lines] == [True, False, False, True]
    assert [value for value in VALUES if value in log] == []


def test_the_digest_needs_the_seed():
    """Another seed gives another digest of the same value; it is sixteen hexadecimal digits."""
    finding = Finding(0, 11, "EMAIL_ADDRESS", "email")
    digests = {json.loads(next(audit_lines("bob@corp.io", [finding], seed=seed)))["digest"] for seed in range(3)}
    assert len(digests) == 3
    assert all(re.fullmatch("[0-9a-f]{16}", digest) for digest in digests)


def test_the_report_shows_finds_and_escapes_everything(tmp_path):
    """The page marks each find in its line, gives its replacement and the counts, and runs no script."""
    path = tmp_path / "<i>.js"
    path.write_text("a = '<script>alert(1)</script>' // bob@corp.io &\n")
    redact_files([str(path)], Options(is_check=True, report=str(tmp_path / "r.html")))
    page = (tmp_path / "r.html").read_text()
    assert '<mark class="email-address" title="EMAIL_ADDRESS: email">bob@corp.io</mark>' in page
    assert re.search(r"<ins>[a-z]{5}@example\.com</ins>", page)
    assert ("<script" in page, "<i>" in page, "&lt;script&gt;" in page) == (False, False, True)
    assert "1 find in 1 file of 1, replaced in style <code>santacoder</code>." in page
    assert (re.findall(r'href="(.)', page), "src=" in page) == (["#"], False)


def test_the_report_of_nothing_says_so():
    """Without a find the page is still a page."""
    report = FindsPage("preserve")
    report.add("a.py", "x = 1", redact("x = 1"))
    assert "Nothing was found." in report.html()
    assert "0 finds in 0 files of 1" in report.html()


def test_the_report_clips_long_lines_and_many_finds():
    """A line of 100 kB is cut around its finds, a file with 500 places shows the first 200."""
    text = "x" * 100_000 + " bob@corp.io " + "y" * 100_000
    report = FindsPage("santacoder")
    report.add("min.js", text, redact(text))
    assert len(report.html()) < 10_000
    text = "\n\n\n\n\n\n".join("bob@corp.io" for _ in range(500))
    report.add("many.txt", text, redact(text))
    assert report.html().count('<div class="hunk">') == 1 + MAX_SHOWN
    assert f"{500 - MAX_SHOWN} more places are not shown." in report.html()


def test_the_report_marks_every_line_of_a_key_block():
    """A find over several lines is marked in each of them."""
    block = "\n".join(
        ["-----BEGIN " + "PRIVATE KEY-----", "QUJDREVGR0hJSktMTU5PUA==", "-----END " + "PRIVATE KEY-----"]
    )

    def find(text):
        return [
            Finding(m.start(), m.end(), "KEY", "private-key") for m in re.finditer(r"(?s)-----BEGIN.*KEY-----", text)
        ]

    report = FindsPage("santacoder")
    report.add("key.pem", f"a\n{block}\nb", redact_with(find, f"a\n{block}\nb"))
    assert report.html().count('<mark class="key"') == 3
    assert "another body in the same lines" in report.html()


def test_fifty_megabytes_are_checked(tmp_path, capsys):
    """A file of 50 MB with finds at both ends takes well under a minute of processor time."""
    path = tmp_path / "large.py"
    path.write_bytes(b"# bob@corp.io\n" + b"value = compute(1, 2)  # a line of code\n" * 1_280_000 + b"# ann@corp.io")
    started = time.process_time()
    assert redact_files([str(path)], Options(is_check=True)) == 1
    assert [line.split(":")[1] for line in capsys.readouterr().out.splitlines()] == ["1", "1280002"]
    assert time.process_time() - started < 120
