"""The commands `hf-santa eval doctor` and `hf-santa eval run`."""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


def add_commands(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `eval` with its commands; each parser's default `func` takes the arguments and returns an exit code."""
    parser = subparsers.add_parser("eval", help="run and score programs (MultiPL-E)")
    commands = parser.add_subparsers(dest="eval_command", required=True, metavar="COMMAND")
    doctor = commands.add_parser("doctor", help="show the toolchains and the sandbox of this machine")
    doctor.add_argument("--json", action="store_true", help="print JSON instead of a table")
    doctor.set_defaults(func=_doctor)
    run = commands.add_parser("run", help="score completions of problems (set HF_ALLOW_CODE_EVAL=1)")
    run.add_argument("problems", type=Path, help="problems in MultiPL-E's schema, JSON lines")
    run.add_argument("completions", type=Path, help="rows of name, language and completions, JSON lines")
    run.add_argument("--out", type=Path, required=True, help="where results.json goes")
    run.add_argument(
        "--k", type=int, nargs="+", help="the ks of pass@k; those of 1, 10, 100 that are possible if left out"
    )
    run.add_argument("--mode", choices=("strict", "compat"), default="strict", help="compat gives MultiPL-E's statuses")
    run.add_argument(
        "--sandbox",
        choices=("auto", "namespaces", "bwrap", "none"),
        default="auto",
        help="none keeps only resource limits",
    )
    run.add_argument("--workers", type=int, help="programs run side by side; one a core if left out")
    run.add_argument("--timeout-s", type=float, help="time limit of a run; MultiPL-E's of each language if left out")
    run.add_argument("--cache-dir", help="keep outcomes there; a program that was run before is not run again")
    run.add_argument("--speed", choices=("warm", "cold"), default="warm", help="cold builds with MultiPL-E's commands")
    run.add_argument("--seed", type=int, default=0, help="of the bootstrap intervals")
    run.add_argument("--json", action="store_true", help="print the scores as JSON instead of a table")
    run.set_defaults(func=_run)


def _doctor(args: argparse.Namespace) -> int:
    from concurrent.futures import ThreadPoolExecutor

    from .execution import toolchain_problem
    from .languages import LANGUAGES
    from .sandbox import available
    from .toolchains import missing_tool, toolchain_version

    way = available()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        problems = pool.map(lambda code: toolchain_problem(code, "auto" if way else "none"), LANGUAGES)
        rows = [
            {
                "language": row.code,
                "name": row.name,
                "version": toolchain_version(row.code),
                "problem": problem,
                "install": row.install,
                "was_run": row.is_run_here,
            }
            for row, problem in zip(LANGUAGES.values(), problems, strict=True)
        ]
    if args.json:
        print(json.dumps({"toolchains": rows, "sandbox": way}, indent=2))
        return 0 if way and not any(row["problem"] for row in rows) else 1
    for row in rows:
        print(f"{row['language']:<8}{row['name']:<12}{row['version'] or 'missing: ' + str(row['install'])}")
        if row["problem"] and not missing_tool(LANGUAGES[str(row["language"])]):
            print(f"        {row['problem']}")
    lacking = [str(row["language"]) for row in rows if row["problem"]]
    if lacking:
        print(f"left out of every score here: {', '.join(lacking)}")
    print(f"sandbox: {way or 'none works here; allow user namespaces, or pass --sandbox none for trusted programs'}")
    return 0 if way and not lacking else 1


def _run(args: argparse.Namespace) -> int:
    from .completions import read_completions, read_problems  # keeps --help fast
    from .scoring import score  # keeps --help fast

    def work() -> dict[str, Any]:
        rows = _joined(read_problems(args.problems), read_completions(args.completions))
        result = score(
            [row["completions"] for row in rows],
            [row["tests"] for row in rows],
            [row["language"] for row in rows],
            prompts=[row["prompt"] for row in rows],
            k=args.k,
            num_workers=args.workers,
            timeout_s=args.timeout_s,
            mode=args.mode,
            sandbox=args.sandbox,
            cache_dir=args.cache_dir,
            speed=args.speed,
            seed=args.seed,
        )
        names = [row["name"] for row in rows]
        return {**result, "results": [{"name": names[row["problem"]], **row} for row in result["results"]]}

    return _said(args, work)


def _said(args: argparse.Namespace, work: Callable[[], dict[str, Any]]) -> int:
    try:
        result = work()
        _write(args.out, json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    except (OSError, RuntimeError, ValueError) as error:
        print(f"hf-santa eval run: {error}", file=sys.stderr)
        return 2
    scores = {key: value for key, value in result.items() if key.startswith("pass@")}
    if args.json:
        print(json.dumps({**scores, "intervals": result["intervals"], "counts": result["counts"]}, indent=2))
    else:
        for key, value in scores.items():
            low, high = result["intervals"][key]
            print(f"{key:<14}{value:8.4f}   95 % {low:.4f} to {high:.4f}")
        print(f"counts: {', '.join(f'{name} {count}' for name, count in result['counts']['all'].items())}")
    # A score from which a language is absent must not pass unseen in a script.
    return 3 if result["missing_toolchains"] else 0


def _joined(problems: list[dict[str, Any]], completions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The problems that have completions, in the problems' order."""
    texts = {(row["language"], row["name"]): row["completions"] for row in completions}
    unknown = sorted(texts.keys() - {(row["language"], row["name"]) for row in problems})
    if unknown:
        raise ValueError(
            f"{len(unknown)} completions are of no known problem, first {unknown[0]}. Use the same problems."
        )
    if len(texts) < len(completions):
        raise ValueError("A problem has more than one row of completions. Give one row a problem.")
    lacking = [row["name"] for row in problems if (row["language"], row["name"]) not in texts]
    if lacking:
        raise ValueError(
            f"{len(lacking)} problems have no completions, first {lacking[0]}. Complete all, or drop them."
        )
    return [{**row, "completions": texts[row["language"], row["name"]]} for row in problems]


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
