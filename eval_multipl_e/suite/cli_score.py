"""Define the command `hf-santa eval score`, and print scores."""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from eval_multipl_e.errors import EvalError
from eval_multipl_e.suite.cli_flags import TASK_NAMES, add_json, add_problems, check_flags


def add_score(commands: Any) -> None:
    """Add `eval score`."""
    parser = commands.add_parser("score", help="score a task's completions (set HF_ALLOW_CODE_EVAL=1)")
    parser.add_argument(
        "completions",
        metavar="COMPLETIONS",
        type=Path,
        help="what `complete` wrote, or rows of name, language and completions",
    )
    parser.add_argument(
        "--task",
        help=f"{TASK_NAMES}; the one the completions were made for if left out",
    )
    add_problems(parser)
    parser.add_argument("--out", type=Path, required=True, help="where results.json goes")
    parser.add_argument(
        "--k",
        type=int,
        nargs="+",
        help="the k of pass@k, one or several (default: those of 1, 10 and 100 that the samples allow)",
    )
    parser.add_argument("--exact-only", action="store_true", help="compare infilled lines without running programs")
    parser.add_argument(
        "--mode",
        choices=("strict", "compat"),
        default="strict",
        help="how endings are judged: strict, or compat with MultiPL-E's own statuses (default: strict)",
    )
    parser.add_argument(
        "--sandbox",
        choices=("auto", "namespaces", "bwrap", "none"),
        default="auto",
        help="what programs are shut into: auto takes the best that works here, none keeps only resource limits (default: auto)",
    )
    parser.add_argument("--workers", type=int, help="programs run side by side (default: one a core)")
    parser.add_argument(
        "--timeout-s", type=float, help="seconds that a program may run (default: MultiPL-E's for its language)"
    )
    parser.add_argument(
        "--cache-dir",
        help="keep outcomes there for later runs; without it they are kept beside --out until it is written",
    )
    parser.add_argument(
        "--speed",
        choices=("warm", "cold"),
        default="warm",
        help="warm keeps compilers and interpreters running, cold starts MultiPL-E's commands anew (default: warm)",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the bootstrap intervals (default: 0)")
    add_json(parser)
    parser.set_defaults(func=_score)


def _score(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from eval_multipl_e.suite.grade import mark
    from eval_multipl_e.suite.problems import read_completions
    from eval_multipl_e.suite.shards import Shard, digest, read_settings, write_whole
    from eval_multipl_e.suite.tasks import Task, read_task, task_of

    check_flags(args, workers=1, timeout_s=0.1)
    shard = Shard.parse(args.shard)
    if args.k is not None and min(args.k) < 1:
        raise EvalError(f"--k is {min(args.k)}. Give 1 or more.")
    if not args.completions.is_file():
        raise EvalError(f"{args.completions}: no such file. Give what `hf-santa eval complete` wrote.")
    settings = read_settings(args.completions)
    name = args.task or (settings or {}).get("task")
    if name is None and args.problems is None:
        raise EvalError(f"{args.completions} does not say its task. Give --task, or --problems for programs.")
    task = task_of(name) if name else Task("programs", "program", "", None, "")
    source = args.dataset or (settings or {}).get("dataset")
    revision = args.dataset_revision or (settings or {}).get("dataset_revision")
    problems = read_task(task, path=args.problems, dataset=source, revision=revision)
    if settings is not None:
        problems = problems[: settings["problems"]]  # completed under --limit
        if settings["problems_sha256"] != digest(problems):
            raise EvalError(f"{args.completions} was made for other problems than these. Give the same ones.")
    rows = joined(problems, read_completions(args.completions))
    # After a kill the same command goes on from here.
    kept = Path(f"{args.out}.partial")
    with tqdm(desc="score", unit="program", disable=None) as bar:

        def tell(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        result = mark(
            task.kind,
            problems,
            [row["completions"] for row in rows],
            shard=shard,
            k=args.k,
            seed=args.seed,
            is_run=not args.exact_only,
            num_workers=args.workers,
            timeout_s=args.timeout_s,
            mode=args.mode,
            sandbox=args.sandbox,
            cache_dir=args.cache_dir or str(kept),
            speed=args.speed,
            progress=tell,
        )
    result["task"] = task.name
    result["dataset"] = None if args.problems is not None else source or task.dataset
    if settings is not None:
        result["settings"] = {key: value for key, value in settings.items() if key != "shard"}
    write_whole(args.out, json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    shutil.rmtree(kept, ignore_errors=True)
    print_scores(result, is_json=args.json)
    # A score from which a language is absent must not pass unseen in a script.
    return 3 if result.get("missing_toolchains") else 0


def print_scores(result: dict[str, Any], *, is_json: bool) -> None:
    """Print each score with its 95 % interval, and what was counted; or all of it as JSON."""
    intervals = result["intervals"]
    if is_json:
        scores = {key: result[key] for key in intervals}
        beside = {"counts": result.get("counts", {}), "unsatisfiable": result.get("unsatisfiable", [])}
        print(json.dumps({**scores, "intervals": intervals, **beside}, indent=2))
        return
    for key, (low, high) in intervals.items():
        print(f"{key:<28}{result[key]:8.4f}   95 % {low:.4f} to {high:.4f}")
    if "unsatisfiable" in result:
        print(f"counted as failed, though no program can pass their tests: {', '.join(result['unsatisfiable'])}")
    if "counts" in result:
        print(f"counts: {', '.join(f'{name} {count}' for name, count in result['counts']['all'].items())}")


def joined(problems: list[dict[str, Any]], completions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the problems in their order, each with its completions.

    Raises:
        EvalError: completions of an unknown problem, two rows for one problem, or a problem without completions.
    """
    texts = {(row["language"], row["name"]): row["completions"] for row in completions}
    unknown = sorted(texts.keys() - {(row["language"], row["name"]) for row in problems})
    if unknown:
        raise EvalError(
            f"{len(unknown)} completions are of no known problem, first {unknown[0]}. Use the same problems."
        )
    if len(texts) < len(completions):
        raise EvalError("A problem has more than one row of completions. Give one row a problem.")
    lacking = [row["name"] for row in problems if (row["language"], row["name"]) not in texts]
    if lacking:
        raise EvalError(f"{len(lacking)} problems have no completions, first {lacking[0]}. Complete all, or drop them.")
    return [{**row, "completions": texts[row["language"], row["name"]]} for row in problems]
