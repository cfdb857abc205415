"""List the personal data and keys in a repository, by file and rule, and write redacted copies beside it if asked to.

python examples/redact_repo.py ~/code/project
python examples/redact_repo.py ~/code/project --to redacted
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

from data_recipes import redact

SUFFIXES = {".py", ".js", ".ts", ".java", ".go", ".rs", ".c", ".h", ".sh", ".md", ".toml", ".yaml", ".yml", ".json"}

parser = argparse.ArgumentParser()
parser.add_argument("folder", type=Path)
parser.add_argument("--to", type=Path, help="folder for redacted copies of the files with finds")
arguments = parser.parse_args()

rules: Counter[str] = Counter()
for path in sorted(arguments.folder.rglob("*")):
    if path.suffix not in SUFFIXES or not path.is_file() or ".git" in path.parts:
        continue
    try:
        text = path.read_bytes().decode()  # bytes, so that line ends stay as they are
    except UnicodeDecodeError:
        print(f"skipped, not UTF-8: {path}", file=sys.stderr)
        continue
    result = redact(text, style="preserve")
    for finding in result.findings:
        line = text.count("\n", 0, finding.start) + 1
        print(f"{path}:{line}: {finding.type} ({finding.rule})")
        rules[finding.rule] += 1
    if arguments.to and result.findings:
        copy = arguments.to / path.relative_to(arguments.folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(result.text.encode())

print(f"{rules.total()} finds: {dict(rules)}")
sys.exit(1 if rules else 0)
