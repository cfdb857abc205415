"""The flag that every command with a result has."""

import argparse


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add `--json`."""
    parser.add_argument(
        "--json", action="store_true", help="print the result as JSON, and nothing else on standard output"
    )
