"""Define the commands `hf-santa eval`: doctor, merge and report here; complete and score are in `suite`."""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from eval_multipl_e.errors import EvalError
from eval_multipl_e.suite.cli_complete import add_complete
from eval_multipl_e.suite.cli_flags import add_json, check_flags
from eval_multipl_e.suite.cli_score import add_score, print_scores

if TYPE_CHECKING:
    from eval_multipl_e.suite.model import Sampling


def add_commands(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]", sampling: Callable[[], "Sampling"]
) -> None:
    """Add `eval` with its commands; each parser's default `func` takes the arguments and returns an exit code.

    Args:
        subparsers: Where the command goes.
        sampling: Called by `eval complete` for the way tokens are drawn, since this package imports no other of ours.
    """
    parser = subparsers.add_parser("eval", help="let models complete programs, run these and score them (MultiPL-E)")
    commands = parser.add_subparsers(dest="eval_command", required=True, metavar="COMMAND")
    doctor = commands.add_parser("doctor", help="show the toolchains and the sandbox of this machine")
    add_json(doctor)
    doctor.set_defaults(func=_doctor)
    add_complete(commands, sampling)
    add_score(commands)
    merge = commands.add_parser("merge", help="put the shards of completing or scoring together, after checking them")
    merge.add_argument(
        "files", metavar="FILE", type=Path, nargs="+", help="completions (.jsonl) or results (.json) of all shards"
    )
    merge.add_argument("--out", type=Path, required=True, help="the file to write")
    add_json(merge)
    merge.set_defaults(func=_merge)
    report = commands.add_parser(
        "report", help="write a page of scores beside the published ones, with pictures, for the Hub"
    )
    report.add_argument(
        "results", metavar="RESULTS", type=Path, nargs="+", help="results of `score` or `merge` of one model"
    )
    report.add_argument("--model-name", required=True, help="the name shown in the table and in the model index")
    report.add_argument("--out", type=Path, required=True, help="the folder to write, best the model's repository")
    report.add_argument("--card", type=Path, help="a README.md into whose front matter the scores are put")
    add_json(report)
    report.set_defaults(func=_report)


def _doctor(args: argparse.Namespace) -> int:
    from eval_multipl_e.suite.machine import lines_of, look

    found = look()
    print(json.dumps(found, indent=2) if args.json else "\n".join(lines_of(found)))
    return 0 if found["is_complete"] else 3


def _merge(args: argparse.Namespace) -> int:
    from eval_multipl_e.suite.merge import merge_completions, merge_results
    from eval_multipl_e.suite.shards import write_whole

    check_flags(args)
    if args.out in args.files:
        raise EvalError(f"{args.out} is one of the shards. Give another --out.")
    if all(path.suffix == ".jsonl" for path in args.files):
        rows = merge_completions(args.files, args.out)
        if args.json:
            print(json.dumps({"shards": len(args.files), "rows": rows}))
        else:
            print(f"step=merge shards={len(args.files)} rows={rows}")
        return 0
    result = merge_results(args.files)
    write_whole(args.out, json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    print_scores(result, is_json=args.json)
    return 3 if result.get("missing_toolchains") else 0


def _report(args: argparse.Namespace) -> int:
    from eval_multipl_e.suite.report import write_report

    rows = write_report(args.results, args.model_name, args.out, card=args.card)
    if args.json:
        print(json.dumps([asdict(row) for row in rows]))
        return 0
    print(f"step=report scores={len(rows)} page={args.out / 'report.md'}")
    return 0
