"""`hf-santa data redact`: find or replace personal data and secrets in files."""

import argparse


def add_redact_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `data redact` to its parser."""
    parser.add_argument(
        "files", metavar="FILE", nargs="+", help="text files, changed in place; binary ones are skipped"
    )
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 on a find")
    parser.add_argument("--diff", action="store_true", help="change nothing; print what would change")
    parser.add_argument("--report", metavar="HTML", help="write a page that shows every find in its lines")
    parser.add_argument("--log", metavar="JSONL", help="write the audit log, which holds no value")
    parser.add_argument(
        "--style",
        choices=("santacoder", "starcoder", "preserve"),
        default="santacoder",
        help="the report's formats, tags such as <EMAIL>, or values of the same length (default: santacoder)",
    )
    parser.add_argument(
        "--types",
        metavar="TYPE,TYPE",
        help="of EMAIL_ADDRESS, IP_ADDRESS, KEY (default: these three), PASSWORD, USERNAME, NAME",
    )
    parser.add_argument(
        "--key-file", metavar="FILE", help="draw the replacements of personal data with this secret (default: random)"
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="draw them so that everyone can repeat, and guess, them: for tests only"
    )


def redact_command(args: argparse.Namespace) -> int:
    """Run `data redact`; return 0, or 1 if `--check` found something."""
    from data_recipes.pii.files import Options, redact_files
    from data_recipes.pii.redaction_key import key_of_run

    options = Options(
        key=key_of_run(args.seed, args.key_file),
        style=args.style,
        types=None if args.types is None else wanted_types(args.types),
        is_check=args.check,
        is_diff=args.diff,
        report=args.report,
        log=args.log,
    )
    return redact_files(args.files, options)


def wanted_types(given: str) -> tuple[str, ...]:
    """Return the types that a list with commas names.

    Raises:
        DataError: the list is empty or names a type that is not available.
    """
    from data_recipes.errors import DataError
    from data_recipes.pii.finding import TYPES

    names = tuple(name.strip() for name in given.split(",") if name.strip())
    if not names or set(names) - set(TYPES):
        wrong = next((name for name in names if name not in TYPES), "")
        raise DataError(f"--types {wrong or repr(given)}: no such type. Name some of {', '.join(TYPES)}.")
    return names
