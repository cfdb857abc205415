"""`hf-santa data …`: rows, run, stats, explain, load, am-i-in, index and redact."""

import argparse
import sys
from collections.abc import Callable
from typing import Any

from data_recipes.pii.cli import add_redact_arguments, redact_command


def add_commands(subparsers: "argparse._SubParsersAction[Any]") -> None:
    """Add the `data` command and its subcommands; each sets `func`, which takes the arguments and returns an exit code."""
    parser = subparsers.add_parser("data", help="filtered, redacted, deduplicated source code as a dataset folder")
    commands = parser.add_subparsers(dest="data_command", required=True, metavar="COMMAND")
    _add_rows(commands.add_parser("rows", help="rows of source trees and .zip archives of sources"))
    _add_run(commands.add_parser("run", help="rows in, dataset folder out"))
    stats = commands.add_parser("stats", help="the funnel of a dataset folder as a table")
    stats.add_argument("out", metavar="OUT", help="a folder that `data run` wrote")
    stats.set_defaults(func=_guarded(_stats))
    explain = commands.add_parser("explain", help="why a file was kept or left out")
    explain.add_argument("out", metavar="OUT", help="a folder that `data run` wrote")
    explain.add_argument("hexsha", metavar="HEXSHA", help="the file's hexsha, or its first digits")
    explain.set_defaults(func=_guarded(_explain))
    _add_load(commands.add_parser("load", help="the rows of a recipe, as load_dataset gives them"))
    am_i_in = commands.add_parser("am-i-in", help="whether files of a user or repository are in a dataset")
    am_i_in.add_argument("out", metavar="OUT", help="a folder that `data run` wrote, or a dataset on the Hub")
    am_i_in.add_argument("user", metavar="USER", help="a user or organisation, or USER/REPOSITORY")
    am_i_in.add_argument("--paths", action="store_true", help="list every file")
    am_i_in.set_defaults(func=_guarded(_am_i_in))
    index = commands.add_parser("index", help="the index with which the Space looks for training data in its output")
    index.add_argument("store", metavar="STORE", help="a folder that `data run` wrote")
    index.add_argument("out", metavar="OUT", help="file to write, for example training.index")
    index.add_argument("--recipe", metavar="NAME", help="a recipe of the store (default: the store's default)")
    index.add_argument("--max-mb", type=float, default=16, help="size of the file at most (default: 16)")
    index.set_defaults(func=_guarded(_index))
    redact = commands.add_parser(
        "redact", help="find or replace e-mail addresses, public IP addresses and keys in files"
    )
    add_redact_arguments(redact)
    redact.set_defaults(func=_guarded(redact_command))


def _add_rows(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "roots",
        metavar="SOURCE",
        nargs="+",
        help="folders or .zip archives of sources; or one parquet file, folder of them, or dataset on the Hub",
    )
    parser.add_argument("out", metavar="OUT", help="folder to write rows-*.parquet, rejects.parquet, rows.json to")
    parser.add_argument(
        "--limit-mb",
        metavar="LANGUAGE=MB",
        action="append",
        default=[],
        help="take a sample of at most so many MB of a language; may be repeated",
    )
    parser.add_argument("--data-dir", metavar="DIR", help="the part of a dataset to read, for example data/python")
    parser.set_defaults(func=_guarded(_rows))


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", help="a parquet file, a folder of them, or a dataset on the Hub")
    parser.add_argument("out", metavar="OUT", help="dataset folder to write")
    parser.add_argument(
        "--recipe",
        metavar="NAME",
        action="append",
        help="a recipe of the store, or 'all'; may be repeated, the first is the default (default: near_dedup)",
    )
    parser.add_argument("--threads", type=int, default=None, help="threads (default: all cores)")
    parser.add_argument(
        "--key-file", metavar="FILE", help="draw the replacements of personal data with this secret (default: random)"
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="draw them so that everyone can repeat, and guess, them: for tests only"
    )
    parser.add_argument(
        "--benchmark",
        metavar="JSONL",
        action="append",
        default=[],
        help="drop files that hold a string of this benchmark; may be repeated",
    )
    parser.add_argument("--tokenizer", metavar="JSON", help="tokenizer.json that recipe fertility counts tokens with")
    parser.add_argument("--filter", metavar="NAME", action="append", default=[], help="drop more files: xml, html")
    parser.add_argument("--opt-outs", metavar="TXT", help="owners and owner/repository names to leave out, one a line")
    parser.add_argument("--licenses", metavar="TXT", help="the licences that a file may have, one a line")
    parser.add_argument("--keep-unlicensed", action="store_true", help="keep files for which the source has no licence")
    parser.add_argument(
        "--compat", default="report", help="report, or bigcode: its code where it differs from it (default: report)"
    )
    parser.add_argument("--data-dir", metavar="DIR", help="the part of a dataset to read, for example data/python")
    _add_executor(parser)
    parser.set_defaults(func=_guarded(_run))


def _add_executor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--executor", metavar="NAME", help="run as datatrove tasks: local, slurm or ray")
    parser.add_argument("--tasks", type=int, default=None, help="tasks to split the work into (default: one a shard)")
    parser.add_argument("--workers", type=int, default=-1, help="tasks at the same time (default: all)")
    parser.add_argument("--partition", metavar="NAME", help="Slurm partition")
    parser.add_argument(
        "--time", metavar="H:M:S", default="24:00:00", help="Slurm time limit of a task (default: 24 h)"
    )


def _add_load(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", metavar="OUT", help="a dataset folder or dataset on the Hub, or your own Stack parquet")
    parser.add_argument("recipe", metavar="RECIPE", help="a recipe, or one of a language: python-final")
    parser.add_argument("--streaming", action="store_true", help="read as a stream, without a copy in the cache")
    parser.add_argument("--head", metavar="N", type=int, default=5, help="rows to show (default: 5)")
    parser.add_argument("--to", metavar="FILE", help="write the rows to this .parquet or .jsonl file")
    parser.set_defaults(func=_guarded(_load))


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
    from data_recipes.sources.write_rows import write_rows

    limits = {}
    for given in args.limit_mb:
        lang, _, megabytes = given.partition("=")
        if not megabytes.replace(".", "", 1).isdigit():
            raise DataError(f"--limit-mb {given}: expected LANGUAGE=MB, for example Python=20.")
        limits[lang] = int(float(megabytes) * 1e6)
    write_rows(args.roots, args.out, limit_bytes_per_language=limits or None, data_dir=args.data_dir)
    return 0


def _run(args: argparse.Namespace) -> int:
    from data_recipes.filters.permissions import Permissions
    from data_recipes.pipeline import run

    settings = {
        "benchmarks": args.benchmark,
        "filters": args.filter,
        "permissions": Permissions(args.opt_outs or (), args.licenses, args.keep_unlicensed),
        "tokenizer": args.tokenizer,
        "compat": args.compat,
        "seed": args.seed,
        "key_file": args.key_file,
    }
    recipes = args.recipe or "near_dedup"
    if args.executor is None:
        run(args.source, args.out, recipes, args.threads, data_dir=args.data_dir, **settings)
        return 0
    from data_recipes.errors import DataError
    from data_recipes.pipeline_at_scale import Cluster, run_at_scale

    if args.data_dir is not None:
        raise DataError(
            "--executor takes shards on a disk. Write them first: `hf-santa data rows SOURCE ROWS --data-dir DIR`."
        )

    cluster = Cluster(args.executor, args.tasks, args.workers, args.partition, args.time)
    run_at_scale(args.source, args.out, recipes, cluster, threads=args.threads, **settings)
    return 0


def _stats(args: argparse.Namespace) -> int:
    from data_recipes.store.explain import read_funnel
    from data_recipes.store.tables import funnel_rows, recipe_rows

    funnel = read_funnel(args.out)
    print("Volume of each recipe, and how much less than base that is:")
    _print_table(recipe_rows(funnel))
    print("\nStages of the default recipe, and the change from one to the next:")
    _print_table(funnel_rows(funnel))
    for name, reason in funnel["unavailable"].items():
        print(f"\n{name} is not in this store: {reason}")
    return 0


def _print_table(rows: list[list[str]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = zip(row, widths, strict=True)
        print("  ".join(cell.rjust(width) if i else cell.ljust(width) for i, (cell, width) in enumerate(cells)))


def _explain(args: argparse.Namespace) -> int:
    from data_recipes.store.explain import explain, read_funnel

    funnel, found = read_funnel(args.out), explain(args.out, args.hexsha)
    for explanation in found:
        print("\n".join(explanation.lines(funnel)))
    if not found:
        print(f"No file with hexsha {args.hexsha} in the store or among the rejects: the source did not hold it.")
    return 0 if found else 1


def _load(args: argparse.Namespace) -> int:
    from data_recipes.load import load_rows

    for line in load_rows(args.out, args.recipe, streaming=args.streaming, head=args.head, to=args.to):
        print(line)
    return 0


def _am_i_in(args: argparse.Namespace) -> int:
    from data_recipes.store.explain import extensions, files_of_user

    found = files_of_user(args.out, args.user)
    total = sum(map(len, found.values()))
    print(f"{args.user}: {total:,} files of {len(found):,} repositories are in {args.out}.")
    for repo, paths in found.items():
        print(f"  {repo}: {extensions(paths)}")
        for path in paths if args.paths else ():
            print(f"    {path}")
    if found:
        print("To have them removed, open a discussion on the dataset's repository: see Opt-out on its card.")
    return 0


def _index(args: argparse.Namespace) -> int:
    from data_recipes.store.training_index import write_seen_index

    print(write_seen_index(args.store, args.out, recipe=args.recipe, max_mb=args.max_mb))
    return 0
