"""Define the commands `hf-santa data`: rows, run, recipes, stats, explain, load, am-i-in, index, classifier, redact."""

import argparse
import json
from collections.abc import Callable
from typing import Any

from data_recipes.classifier.cli import add_classifier_commands
from data_recipes.filters.filter import COMPATS
from data_recipes.filters.registry import filters
from data_recipes.pii.cli import add_detector_arguments, add_redact_arguments, redact_command, wanted_types
from data_recipes.recipes import ALL, RECIPES

_EXECUTORS = ("local", "slurm", "ray")


def add_commands(subparsers: "argparse._SubParsersAction[Any]") -> None:
    """Add the `data` command and its subcommands; each sets `func`, which takes the arguments and returns an exit code."""
    parser = subparsers.add_parser(
        "data", help="make, look into and redact datasets of source code", allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="data_command", required=True, metavar="COMMAND")

    def command(name: str, about: str) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = commands.add_parser(name, help=about, allow_abbrev=False)
        return made

    _add_rows(command("rows", "read source code into rows, the first step of a dataset"))
    _add_run(command("run", "filter, redact, decontaminate and deduplicate rows into a dataset folder"))
    _add_recipes(command("recipes", "show the recipes that there are, and the filters and numbers of their steps"))
    _add_stats(command("stats", "show how many files each step kept and dropped"))
    _add_explain(command("explain", "say why a file was kept or left out"))
    _add_load(command("load", "show or export the rows of a recipe, as load_dataset gives them"))
    _add_am_i_in(command("am-i-in", "tell whether files of a user or repository are in a dataset"))
    _add_index(command("index", "write the index by which the Space marks output that is in the training data"))
    add_classifier_commands(command("classifier", "train a classifier of quality from labels, and score files with it"))
    redact = command("redact", "find or replace e-mail addresses, public IP addresses and keys in files")
    add_redact_arguments(redact)
    redact.set_defaults(func=redact_command)


def _add_rows(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "roots",
        metavar="SOURCE",
        nargs="+",
        help="git repositories (folder[@COMMIT] or git+https://…[@COMMIT]), folders or archives of sources, parquet files or "
        "folders of them, JSON lines, datasets on the Hub",
    )
    parser.add_argument("out", metavar="OUT", help="folder to write rows-*.parquet, rejects.parquet, rows.json to")
    parser.add_argument(
        "--sample",
        metavar="LANGUAGE=MB",
        type=_sample,
        action="append",
        default=[],
        help="take a sample of at most so many MB of a language, and no other languages; may be repeated",
    )
    parser.add_argument("--data-dir", metavar="DIR", help="the part of a dataset to read, for example data/python")
    _add_json(parser)
    parser.set_defaults(func=_rows)


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a parquet file or a folder of them; or a git repository (folder[@COMMIT] or git+https://…[@COMMIT]), a folder "
        "or archive of sources, JSON lines, a dataset on the Hub",
    )
    parser.add_argument("out", metavar="OUT", help="dataset folder to write")
    parser.add_argument(
        "--recipe",
        metavar="NAME",
        action="append",
        help=f"a recipe of the store; may be repeated, the first is the default: {', '.join(RECIPES)}, a YAML file with "
        f"your own, or {ALL} (default: near_dedup)",
    )
    parser.add_argument("--threads", metavar="N", type=_at_least(1), help="threads (default: all cores)")
    parser.add_argument(
        "--key-file", metavar="FILE", help="draw the replacements of personal data with this secret (default: random)"
    )
    parser.add_argument(
        "--seed",
        type=int,
        metavar="N",
        help="draw the replacements from this number: everyone can repeat them, and so guess them; for tests only",
    )
    add_detector_arguments(parser, "--pii-types")
    parser.add_argument(
        "--benchmark",
        metavar="JSONL",
        action="append",
        default=[],
        help="drop files that hold a string of this benchmark; may be repeated",
    )
    parser.add_argument(
        "--tokenizer", metavar="PATH", help="tokenizer.json or its folder, by which recipe fertility counts tokens"
    )
    parser.add_argument(
        "--classifier",
        metavar="FILE",
        help="what `data classifier train` wrote, by which recipe quality scores files",
    )
    parser.add_argument(
        "--filter",
        metavar="NAME",
        action="append",
        default=[],
        help="apply this filter, too, and drop what it rejects; may be repeated: "
        f"{', '.join(filters('store'))}, or one of your own",
    )
    _add_filter_module(parser)
    parser.add_argument(
        "--languages",
        metavar="NAME",
        nargs="+",
        default=[],
        help="take only files of these languages, in any case, or of a kind: programming, markup, data, prose",
    )
    parser.add_argument(
        "--include",
        metavar="GLOB",
        action="append",
        default=[],
        help="take only files whose path matches, written as in a .gitignore; may be repeated",
    )
    parser.add_argument(
        "--exclude",
        metavar="GLOB",
        action="append",
        default=[],
        help="leave out files whose path matches, written as in a .gitignore; may be repeated",
    )
    parser.add_argument("--opt-outs", metavar="TXT", help="owners and owner/repository names to leave out, one a line")
    parser.add_argument("--licenses", metavar="TXT", help="the licences that a file may have, one a line")
    parser.add_argument("--keep-unlicensed", action="store_true", help="keep files for which the source has no licence")
    parser.add_argument(
        "--compat",
        choices=COMPATS,
        default="report",
        help="follow the paper (report), or BigCode's released code where they differ (bigcode); default: report",
    )
    parser.add_argument("--data-dir", metavar="DIR", help="the part of a dataset to read, for example data/python")
    parser.add_argument(
        "--keep-work",
        action="store_true",
        help="keep the annotated shards in OUT/.work, so that a run with other opt-outs redoes no shard",
    )
    _add_executor(parser)
    _add_json(parser)
    parser.set_defaults(func=_run)


def _add_executor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--executor",
        choices=_EXECUTORS,
        help="split the work into datatrove tasks, on this machine (local), by Slurm or by Ray",
    )
    parser.add_argument(
        "--parts", metavar="N", type=_at_least(1), help="parts to split the work into (default: one a shard)"
    )
    parser.add_argument("--parts-at-once", metavar="N", type=_at_least(1), help="parts at the same time (default: all)")
    parser.add_argument("--partition", metavar="NAME", help="Slurm partition")
    parser.add_argument(
        "--time", metavar="H:M:S", default="24:00:00", help="Slurm time limit of a part (default: 24 h)"
    )


def _add_stats(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("store", metavar="STORE", help="a folder that `data run` wrote")
    _add_json(parser)
    parser.set_defaults(func=_stats)


def _add_filter_module(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--filter-module",
        metavar="PY",
        action="append",
        default=[],
        help="a Python file that defines filters of your own, which is run; may be repeated",
    )


def _add_recipes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", metavar="FILE", nargs="*", help="YAML files with recipes of your own, to check and show"
    )
    _add_filter_module(parser)
    _add_json(parser)
    parser.set_defaults(func=_recipes)


def _add_explain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("store", metavar="STORE", help="a folder that `data run` wrote")
    parser.add_argument("hexsha", metavar="HEXSHA", help="the file's hexsha, or its first digits")
    _add_json(parser)
    parser.set_defaults(func=_explain)


def _add_load(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "store", metavar="STORE", help="a dataset folder or dataset on the Hub, or your own Stack parquet"
    )
    parser.add_argument("recipe", metavar="RECIPE", help="a recipe, or one of a language: python-final")
    parser.add_argument("--streaming", action="store_true", help="read as a stream, without a copy in the cache")
    parser.add_argument("--head", metavar="N", type=_at_least(0), default=5, help="rows to show (default: 5)")
    parser.add_argument("--to", metavar="FILE", help="write the rows to this .parquet or .jsonl file")
    _add_json(parser)
    parser.set_defaults(func=_load)


def _add_am_i_in(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("store", metavar="STORE", help="a folder that `data run` wrote, or a dataset on the Hub")
    parser.add_argument("user", metavar="USER", help="a user or organisation, or USER/REPOSITORY")
    parser.add_argument("--paths", action="store_true", help="list every file")
    _add_json(parser)
    parser.set_defaults(func=_am_i_in)


def _add_index(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("store", metavar="STORE", help="a folder that `data run` wrote")
    parser.add_argument("out", metavar="OUT", help="file to write, for example training.index")
    parser.add_argument("--recipe", metavar="NAME", help="a recipe of the store (default: the store's default)")
    parser.add_argument("--max-mb", metavar="MB", type=float, default=16, help="size of the file at most (default: 16)")
    _add_json(parser)
    parser.set_defaults(func=_index)


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json", action="store_true", help="print the result as JSON, and nothing else on standard output"
    )


def _at_least(least: int) -> Callable[[str], int]:
    """Return a reader of whole numbers that are at least so large."""

    def whole_number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number of {least} or more")
        return value

    return whole_number


def _sample(text: str) -> tuple[str, int]:
    """Return the language and the bytes that LANGUAGE=MB stands for."""
    lang, _, megabytes = text.partition("=")
    if not lang or not megabytes.replace(".", "", 1).isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not LANGUAGE=MB, for example Python=20")
    return lang, int(float(megabytes) * 1e6)


def _rows(args: argparse.Namespace) -> int:
    from data_recipes.sources.write_rows import write_rows

    limits = dict(args.sample)
    about = write_rows(args.roots, args.out, limit_bytes_per_language=limits or None, data_dir=args.data_dir, bars=None)
    if args.json:
        _print_json(about)
    return 0


def _run(args: argparse.Namespace) -> int:
    from data_recipes.filters.permissions import Permissions
    from data_recipes.pipeline import run
    from data_recipes.settings import RunSettings

    settings = RunSettings(
        recipe=tuple(args.recipe or ["near_dedup"]) if args.recipe != [ALL] else ALL,
        threads=args.threads,
        benchmarks=tuple(args.benchmark),
        filters=tuple(args.filter),
        filter_modules=tuple(args.filter_module),
        languages=tuple(args.languages),
        include=tuple(args.include),
        exclude=tuple(args.exclude),
        permissions=Permissions(args.opt_outs or (), args.licenses, args.keep_unlicensed),
        tokenizer=args.tokenizer,
        classifier=args.classifier,
        compat=args.compat,
        seed=args.seed,
        key_file=args.key_file,
        pii_types=wanted_types(args.pii_types, args.recognizer, "--pii-types"),
        style=args.style,
        rules=args.rules,
        recognizers=tuple(args.recognizer),
        keep_work=args.keep_work,
    )
    if args.executor is None:
        funnel = run(args.source, args.out, settings=settings, data_dir=args.data_dir, bars=None)
        if args.json:
            _print_json(funnel)
        return 0
    from data_recipes.errors import DataError
    from data_recipes.pipeline_at_scale import Cluster, run_at_scale
    from data_recipes.store.reading import read_funnel

    if args.data_dir is not None:
        raise DataError(
            "--executor takes shards on a disk. Write them first: `hf-santa data rows SOURCE ROWS --data-dir DIR`."
        )
    cluster = Cluster(args.executor, args.parts, args.parts_at_once, args.partition, args.time)
    run_at_scale(args.source, args.out, cluster=cluster, settings=settings)
    if args.json:  # Slurm's jobs go on after this
        is_done = args.executor != "slurm"
        _print_json(read_funnel(args.out) if is_done else {"out": args.out, "executor": args.executor})
    return 0


def _recipes(args: argparse.Namespace) -> int:
    from data_recipes.recipe_table import recipe_facts, recipe_lines

    facts = recipe_facts(args.files, args.filter_module)
    if args.json:
        _print_json(facts)
        return 0
    print("\n".join(recipe_lines(facts)))
    return 0


def _print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=2))


def _stats(args: argparse.Namespace) -> int:
    from data_recipes.store.reading import read_funnel
    from data_recipes.store.tables import funnel_rows, recipe_rows, unmeasured_lines

    funnel = read_funnel(args.store)
    if args.json:
        _print_json(funnel)
        return 0
    print("Volume of each recipe, and how much less than base that is:")
    _print_table(recipe_rows(funnel))
    print("\nStages of the default recipe, and the change from one to the next:")
    _print_table(funnel_rows(funnel))
    for line in unmeasured_lines(funnel):
        print(f"\n{line}")
    for name, reason in funnel["unavailable"].items():
        print(f"\n{name} is not in this store: {reason}")
    return 0


def _print_table(rows: list[list[str]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = zip(row, widths, strict=True)
        print("  ".join(cell.rjust(width) if i else cell.ljust(width) for i, (cell, width) in enumerate(cells)))


def _explain(args: argparse.Namespace) -> int:
    from data_recipes.store.explain import explain
    from data_recipes.store.reading import read_funnel

    funnel, found = read_funnel(args.store), explain(args.store, args.hexsha)
    if args.json:
        _print_json([explanation.facts(funnel) for explanation in found])
        return 0 if found else 1
    for explanation in found:
        print("\n".join(explanation.lines(funnel)))
    if not found:
        print(f"No file with hexsha {args.hexsha} in the store or among the rejects: the source did not hold it.")
    return 0 if found else 1


def _load(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from data_recipes.load import load_rows

    found = load_rows(args.store, args.recipe, streaming=args.streaming, head=args.head, to=args.to)
    if args.json:
        _print_json(asdict(found))
        return 0
    print(f"{args.recipe}: {'a stream of rows' if found.rows is None else f'{found.rows:,} rows'}")
    for row in found.head:
        print(f"  {row['hexsha']}  {row['lang']}  {row['size']:,} bytes  {row['path']}")
    if found.written:
        print(f"written: {found.written}")
    return 0


def _am_i_in(args: argparse.Namespace) -> int:
    from data_recipes.store.explain import extensions, files_of_user

    found = files_of_user(args.store, args.user)
    total = sum(map(len, found.values()))
    if args.json:
        repositories = [
            {"repo": repo, "files": len(paths), **({"paths": paths} if args.paths else {})}
            for repo, paths in found.items()
        ]
        _print_json({"user": args.user, "store": args.store, "files": total, "repositories": repositories})
        return 0
    print(f"{args.user}: {total:,} files of {len(found):,} repositories are in {args.store}.")
    for repo, paths in found.items():
        print(f"  {repo}: {extensions(paths)}")
        for path in paths if args.paths else ():
            print(f"    {path}")
    if found:
        print("To have them removed, open a discussion on the dataset's repository: see Opt-out on its card.")
    return 0


def _index(args: argparse.Namespace) -> int:
    from data_recipes.store.training_index import write_seen_index

    about = write_seen_index(args.store, args.out, recipe=args.recipe, max_mb=args.max_mb)
    if args.json:
        _print_json(about)
        return 0
    print(" ".join(["step=index", *(f"{name}={value}" for name, value in about.items())]))
    return 0
