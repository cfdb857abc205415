"""`hf-santa data redact`: find or replace personal data and secrets in files."""

import argparse
from collections.abc import Sequence


def add_redact_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `data redact` to its parser."""
    parser.add_argument(
        "files",
        metavar="PATH",
        nargs="*",
        help="text files and folders, changed in place, or - for standard input; binary files are skipped",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--staged", action="store_true", help="check what Git has staged for the next commit")
    what.add_argument("--since", metavar="COMMIT", help="check what the commits after this one brought")
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 on a find")
    parser.add_argument("--diff", action="store_true", help="change nothing; print what would change")
    parser.add_argument("--report", metavar="HTML", help="write a page that shows every find in its lines")
    parser.add_argument("--log", metavar="JSONL", help="write the audit log, which holds no value")
    add_detector_arguments(parser, "--types")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--sarif", metavar="FILE", help="write the finds as SARIF 2.1.0, for code hosts")
    parser.add_argument("--baseline", metavar="FILE", help="leave out the finds that this file knows")
    parser.add_argument("--write-baseline", metavar="FILE", help="write the finds of today to such a file")
    parser.add_argument("--allow", metavar="TXT", help="a file with values, one a line, that are no finds")
    parser.add_argument("--jobs", type=int, metavar="N", help="processes (default: all cores from 200 files on)")
    parser.add_argument(
        "--key-file", metavar="FILE", help="draw the replacements of personal data with this secret (default: random)"
    )
    parser.add_argument(
        "--seed",
        type=int,
        metavar="N",
        help="draw the replacements from this number: everyone can repeat them, and so guess them; for tests only",
    )


def add_detector_arguments(parser: argparse.ArgumentParser, types: str) -> None:
    """Add the arguments that say what personal data is found and how it is replaced; `types` is the flag for the types."""
    parser.add_argument(
        "--style",
        choices=("santacoder", "starcoder", "preserve"),
        default="santacoder",
        help="how values are replaced: by the report's formats, tags such as <EMAIL>, or values of the same length "
        "(default: santacoder)",
    )
    parser.add_argument(
        types,
        metavar="TYPE,TYPE",
        help="what to find, with commas between: EMAIL_ADDRESS, IP_ADDRESS, KEY (default: these three), PASSWORD, USERNAME, NAME, "
        "or what a --recognizer finds",
    )
    parser.add_argument("--rules", metavar="TOML", help="rules for keys besides those of this package")
    parser.add_argument(
        "--recognizer",
        metavar="MODULE:NAME",
        action="append",
        default=[],
        help="a presidio EntityRecognizer to ask, too (or FILE.py:NAME); may be repeated",
    )


def redact_command(args: argparse.Namespace) -> int:
    """Run `data redact`; return 0, or 1 if `--check` found something."""
    from data_recipes.errors import DataError
    from data_recipes.pii.files import Options, check_git, redact_files
    from data_recipes.pii.redaction_key import key_of_run

    options = Options(
        key=key_of_run(args.seed, args.key_file),
        style=args.style,
        types=wanted_types(args.types, args.recognizer),
        is_check=args.check,
        is_diff=args.diff,
        report=args.report,
        log=args.log,
        rules=args.rules,
        allow=args.allow,
        baseline=args.baseline,
        write_baseline=args.write_baseline,
        is_json=args.json,
        sarif=args.sarif,
        jobs=args.jobs,
        recognizers=tuple(args.recognizer),
    )
    if args.jobs is not None and args.jobs < 1:
        raise DataError(f"--jobs {args.jobs}: expected at least 1.")
    if args.json and args.diff:
        raise DataError("--json and --diff are both given. Choose one.")
    if args.staged or args.since is not None:
        if len(args.files) > 1 or args.diff:
            raise DataError("--staged and --since check a repository. Pass its folder or nothing, without --diff.")
        return check_git(args.files[0] if args.files else ".", args.since, options)
    if not args.files:
        raise DataError("no files. Pass files, folders or - for standard input, or --staged or --since COMMIT.")
    return redact_files(args.files, options)


def wanted_types(given: str | None, recognizers: Sequence[str] = (), flag: str = "--types") -> tuple[str, ...] | None:
    """Return the types that a list with commas names, of this package's and of the recognizers'; None for None.

    Raises:
        DataError: the list is empty or names a type that is not available.
    """
    from data_recipes.errors import DataError
    from data_recipes.pii.finding import TYPES
    from data_recipes.pii.recognizers import other_recognizers

    if given is None:
        return None
    known = (*TYPES, *(kind for other in other_recognizers(recognizers) for kind in other.types))
    names = tuple(name.strip() for name in given.split(",") if name.strip())
    if not names or set(names) - set(known):
        wrong = next((name for name in names if name not in known), "")
        raise DataError(f"{flag} {wrong or repr(given)}: no such type. Name some of {', '.join(dict.fromkeys(known))}.")
    return names
