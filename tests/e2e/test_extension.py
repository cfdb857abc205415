"""`hf santa` is `hf-santa`: the command works as an extension of the Hugging Face command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

BIN = Path(sys.executable).parent


def test_hf_santa_answers_through_hf(tmp_path):
    """A folder as `hf extensions install` leaves it makes `hf santa --help` our help."""
    folder = tmp_path / ".local" / "share" / "hf" / "extensions" / "hf-santa"
    folder.mkdir(parents=True)
    manifest = {
        "owner": "owner",
        "repo": "hf-santa",
        "repo_id": "owner/hf-santa",
        "short_name": "santa",
        "executable_path": str(BIN / "hf-santa"),
        "type": "python",
        "installed_at": "2026-11-23T00:00:00+00:00",
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    environment = {**os.environ, "HOME": str(tmp_path), "HF_HUB_DISABLE_UPDATE_CHECK": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([BIN / "hf", "santa", "--help"], env=environment, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    assert "start here: hf-santa demo" in done.stdout


def test_every_command_has_help():
    """Each command of each room explains itself and exits with 0."""
    for command in (
        ["demo"],
        ["stage"],
        ["publish"],
        ["card"],
        ["data"],
        *(["data", name] for name in ("run", "stats", "explain", "load", "am-i-in", "redact")),
        ["eval"],
        *(["eval", name] for name in ("doctor", "complete", "score", "merge", "report")),
        ["model"],
        ["train"],
        *(["model", name] for name in ("info", "convert", "complete", "infill")),
    ):
        done = subprocess.run([BIN / "hf-santa", *command, "--help"], capture_output=True, text=True, check=False)
        assert (0, True) == (done.returncode, done.stdout.startswith("usage: hf-santa"))
