"""The demo's own problems, in MultiPL-E's schema: eight ideas in Python, JavaScript and Java."""

from pathlib import Path

PROBLEMS = Path(__file__).with_name("problems.jsonl")
