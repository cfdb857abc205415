"""`hf-santa data …`: rows, run, stats and redact."""

import argparse
import sys
from collections.abc import Callable
from typing import Any


def add_commands(subparsers: "argparse._SubParsersAction[Any]") -> None:
    """Add the `data` command and its subcommands; each sets `func`, which takes the arguments and returns an exit code."""
    parser = subparsers.add_parser("data", help="filtered, redacted, deduplicated source code as a dataset folder")
    commands = parser.add_subparsers(dest="data_command", required=True, metavar="COMMAND")
    _add_rows(commands.add_parser("rows", help="rows of source trees and .zip archives of sources"))
    _add_run(commands.add_parser("run", help="rows in, dataset folder out"))
    stats = commands.add_parser("stats", help="the funnel of a dataset folder as a table")
    stats.add_argument("out", metavar="OUT", help="a folder that `data run` wrote")
    stats.set_defaults(func=_guarded(_stats))
    _add_redact(commands.add_parser("redact", help="replace e-mail addresses, public IP addresses and keys in files"))


def _add_rows(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("roots", metavar="TREE", nargs="+", help="folders or .zip archives of sources")
    parser.add_argument("out", metavar="OUT", help="folder to write rows-*.parquet, rejects.parquet, rows.json to")
    parser.add_argument(
        "--limit-mb",
        metavar="LANGUAGE=MB",
        action="append",
        default=[],
        help="take a sample of at most so many MB of a language; may be repeated",
    )
    parser.set_defaults(func=_guarded(_rows))


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", help="a parquet file, or a folder of them")
    parser.add_argument("out", metavar="OUT", help="dataset folder to write")
    parser.add_argument("--recipe", default="near_dedup", help="name of the recipe (default: near_dedup)")
    parser.add_argument("--threads", type=int, default=None, help="threads for near-duplicates (default: all cores)")
    parser.add_argument("--seed", type=int, default=0, help="key of the replacements of personal data (default: 0)")
    parser.add_argument(
        "--benchmark",
        metavar="JSONL",
        action="append",
        default=[],
        help="drop files that hold a string of this benchmark; may be repeated",
    )
    parser.set_defaults(func=_guarded(_run))


def _add_redact(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", metavar="FILE", nargs="+", help="text files, changed in place; binary ones are skipped"
    )
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 on a find")
    parser.add_argument("--diff", action="store_true", help="change nothing; print what would change")
    parser.add_argument("--report", metavar="HTML", help="write a page that shows every find in its lines")
    parser.add_argument("--log", metavar="JSONL", help="write the audit log, which holds no value")
    parser.add_argument(
        "--style",
        default="santacoder",
        help="santacoder (the report's formats), starcoder (tags) or preserve (same length); default: santacoder",
    )
    parser.add_argument(
        "--types",
        metavar="TYPE,TYPE",
        help="of EMAIL_ADDRESS, IP_ADDRESS, KEY (default: these three), PASSWORD, USERNAME",
    )
    parser.add_argument("--seed", type=int, default=0, help="key of the replacements (default: 0)")
    parser.set_defaults(func=_guarded(_redact))


def _guarded(command: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """The command, with the room's errors as one line on stderr and exit code 2."""

    def guarded(args: argparse.Namespace) -> int:
        from data_recipes.errors import DataError, StoreError

        try:
            return command(args)
        except (DataError, StoreError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2

    return guarded


def _rows(args: argparse.Namespace) -> int:
    from data_recipes.errors import DataError
    from data_recipes.rows_step import write_rows

    limits = {}
    for given in args.limit_mb:
        lang, _, megabytes = given.partition("=")
        if not megabytes.replace(".", "", 1).isdigit():
            raise DataError(f"--limit-mb {given}: expected LANGUAGE=MB, for example Python=20.")
        limits[lang] = int(float(megabytes) * 1e6)
    write_rows(args.roots, args.out, limit_bytes_per_language=limits or None)
    return 0


def _run(args: argparse.Namespace) -> int:
    from data_recipes.run import run

    run(args.source, args.out, args.recipe, args.threads, benchmarks=args.benchmark, seed=args.seed)
    return 0


def _stats(args: argparse.Namespace) -> int:
    import json
    from pathlib import Path

    from data_recipes.errors import DataError
    from data_recipes.funnel import funnel_rows

    path = Path(args.out) / "funnel.json"
    if not path.is_file():
        raise DataError(f"{path}: no such file. Pass a folder that `hf-santa data run` wrote.")
    rows = funnel_rows(json.loads(path.read_text("utf-8")))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print(
            "  ".join(
                cell.rjust(width) if i else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
        )
    return 0


def _redact(args: argparse.Namespace) -> int:
    from data_recipes.redact_files import Options, redact_files

    types = None if args.types is None else tuple(name.strip() for name in args.types.split(",") if name.strip())
    options = Options(
        seed=args.seed,
        style=args.style,
        types=types,
        is_check=args.check,
        is_diff=args.diff,
        report=args.report,
        log=args.log,
    )
    return redact_files(args.files, options)
