"""Runs `hf-santa demo` as a user would, on a corpus that takes seconds."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

COMMAND = str(Path(sys.executable).with_name("hf-santa"))
QUICK = ("--train-tokens", "30000", "--samples", "1")
PACKAGES = ("asyncio", "collections", "concurrent", "email", "html", "http", "importlib", "json", "logging", "unittest")


def make_corpus(folder):
    """Real Python packages, a few JavaScript and Java files, and the files that must end as named rejects."""
    stdlib = Path(sysconfig.get_path("stdlib"))
    for name in PACKAGES:
        shutil.copytree(stdlib / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for number in range(12):
        body = "\n".join(f"  total_{number}_{line} += values[{line}] * {number + line};" for line in range(30))
        (folder / f"sum_{number}.js").write_text(f"function sum{number}(values) {{\n{body}\n  return total;\n}}\n")
        (folder / f"Sum{number}.java").write_text(
            f"class Sum{number} {{\n  void run(int[] values) {{\n{body}\n  }}\n}}\n"
        )
    bad = folder / "bad"
    bad.mkdir()
    (bad / "latin.py").write_bytes(b"name = 'caf\xe9'\n")
    (bad / "nul.py").write_bytes(b"x = 1\0\n")
    (bad / "minified.js").write_text("var a=1;" * 500)
    (bad / "copy.py").write_text((folder / "json" / "decoder.py").read_text())
    (bad / "near_copy.py").write_text((folder / "json" / "encoder.py").read_text() + "\n# one more line\n")
    with (bad / "huge.js").open("wb") as huge:
        huge.truncate(50_000_000)  # one line of 50 MB; sparse, and never read
    return folder


def demo(*arguments, path=None, check=True, timeout=300, **environment):
    """Run the command; return the finished process."""
    settings = {**os.environ, **({"PATH": path} if path else {}), **environment}
    command = [COMMAND, "demo", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=settings, timeout=timeout, check=False)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def manifest_of(out):
    """What the finished steps wrote, by SHA-256."""
    return json.loads((out / "manifest.json").read_text())
