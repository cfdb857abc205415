"""The commands of `hf-santa eval`: doctor, complete, score, merge, report."""

import argparse
import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .errors import EvalError


def add_commands(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `eval` with its commands; each parser's default `func` takes the arguments and returns an exit code."""
    parser = subparsers.add_parser("eval", help="complete, run and score programs (MultiPL-E)")
    commands = parser.add_subparsers(dest="eval_command", required=True, metavar="COMMAND")
    doctor = commands.add_parser("doctor", help="show the toolchains and the sandbox of this machine")
    doctor.add_argument(
        "--json", action="store_true", help="print the result as JSON, and nothing else on standard output"
    )
    doctor.set_defaults(func=_doctor)
    _add_complete(commands)
    _add_score(commands)
    merge = commands.add_parser("merge", help="put the shards of completing or scoring together, after checking them")
    merge.add_argument(
        "files", metavar="FILE", type=Path, nargs="+", help="completions (.jsonl) or results (.json) of all shards"
    )
    merge.add_argument("--out", type=Path, required=True, help="the file to write")
    merge.add_argument(
        "--json", action="store_true", help="print the result as JSON, and nothing else on standard output"
    )
    merge.set_defaults(func=_merge)
    report = commands.add_parser("report", help="show scores beside the published ones, with pictures, for the Hub")
    report.add_argument(
        "results", metavar="RESULTS", type=Path, nargs="+", help="results of `score` or `merge` of one model"
    )
    report.add_argument("--model-name", required=True, help="the name shown in the table and in the model index")
    report.add_argument("--out", type=Path, required=True, help="the folder to write, best the model's repository")
    report.add_argument("--card", type=Path, help="a README.md into whose front matter the scores are put")
    report.add_argument(
        "--json", action="store_true", help="print the result as JSON, and nothing else on standard output"
    )
    report.set_defaults(func=_report)


def _add_problems(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--problems", type=Path, help="problems as JSON lines, in place of the task's data set")
    parser.add_argument("--dataset", help="another data set of the task's schema: a repository or a folder")
    parser.add_argument("--dataset-revision", metavar="REV", help="the data set's commit; best pinned")
    parser.add_argument("--shard", default="0/1", metavar="I/N", help="only share I of N, from 0 (default: 0/1, all)")


def _add_complete(commands: Any) -> None:
    parser = commands.add_parser("complete", help="let a model complete the problems of a task; goes on after a kill")
    parser.add_argument("--model", required=True, help="a model folder, or a repository on the Hub")
    parser.add_argument(
        "--task",
        required=True,
        help="humaneval-CODE, mbpp-CODE, humanevalplus-py, mbppplus-py, infill, infill-single-line, infill-multi-line, infill-random-span, docstring or docstring-LANGUAGE",
    )
    _add_problems(parser)
    parser.add_argument("--out", type=Path, required=True, help="completions as JSON lines, a row a sample")
    parser.add_argument("--samples", type=int, help="programs a problem (default: the report's, 200; 1 for the others)")
    parser.add_argument(
        "--temperature", type=float, help="0 is greedy (default: the report's, 0.2 or 0; use 0.8 for pass@10 and 100)"
    )
    parser.add_argument(
        "--top-p", type=float, default=0.95, help="share of the likeliest tokens drawn from (default: 0.95)"
    )
    parser.add_argument(
        "--max-new-tokens", type=int, metavar="N", help="longest answer (default: 512, infill 25, docstring 128)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="with problem and sample, the seed of each draw (default: 0)"
    )
    parser.add_argument("--batch-size", type=int, default=16, metavar="N", help="prompts at a time (default: 16)")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N problems")
    parser.add_argument(
        "--form",
        default="auto",
        metavar="NAME|FILE",
        help="how a gap is told to the model: auto (by the tokenizer's sentinels), a known form, or a YAML file of one",
    )
    parser.add_argument(
        "--base-url", metavar="URL", help="ask an OpenAI-compatible server, whose name of the model is --model"
    )
    parser.add_argument(
        "--chat", action="store_true", help="ask as a chat model is asked, and take the code out of its answer"
    )
    parser.add_argument("--system-prompt", metavar="TEXT", help="what a chat model is told first")
    parser.add_argument(
        "--retries", type=int, default=6, metavar="N", help="times a request is tried again (default: 6)"
    )
    parser.add_argument("--model-revision", metavar="REV", help="the model's commit; best pinned")
    parser.add_argument(
        "--dtype", choices=("auto", "float32", "bfloat16", "float16"), default="auto", help="of weights"
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1 … (default: cuda where there is one)")
    parser.add_argument("--trust-remote-code", action="store_true", help="run the code in the model's repository")
    parser.add_argument(
        "--json", action="store_true", help="print the result as JSON, and nothing else on standard output"
    )
    parser.set_defaults(func=_complete)


def _add_score(commands: Any) -> None:
    parser = commands.add_parser("score", help="score a task's completions (set HF_ALLOW_CODE_EVAL=1)")
    parser.add_argument(
        "completions",
        metavar="COMPLETIONS",
        type=Path,
        help="what `complete` wrote, or rows of name, language and completions",
    )
    parser.add_argument(
        "--task",
        help="humaneval-CODE, mbpp-CODE, humanevalplus-py, mbppplus-py, infill, infill-single-line, infill-multi-line, infill-random-span, docstring or docstring-LANGUAGE; the one the completions were made for if left out",
    )
    _add_problems(parser)
    parser.add_argument("--out", type=Path, required=True, help="where results.json goes")
    parser.add_argument(
        "--k", type=int, nargs="+", help="the ks of pass@k; those of 1, 10, 100 that are possible if left out"
    )
    parser.add_argument("--exact-only", action="store_true", help="compare infilled lines without running programs")
    parser.add_argument(
        "--mode", choices=("strict", "compat"), default="strict", help="compat gives MultiPL-E's statuses"
    )
    parser.add_argument(
        "--sandbox",
        choices=("auto", "namespaces", "bwrap", "none"),
        default="auto",
        help="none keeps only resource limits",
    )
    parser.add_argument("--workers", type=int, help="programs run side by side; one a core if left out")
    parser.add_argument("--timeout-s", type=float, help="time limit of a run; MultiPL-E's of each language if left out")
    parser.add_argument(
        "--cache-dir",
        help="keep outcomes there for later runs; without it they are kept beside --out until it is written",
    )
    parser.add_argument(
        "--speed", choices=("warm", "cold"), default="warm", help="cold builds with MultiPL-E's commands"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap intervals")
    parser.add_argument(
        "--json", action="store_true", help="print the result as JSON, and nothing else on standard output"
    )
    parser.set_defaults(func=_score)


def _doctor(args: argparse.Namespace) -> int:
    from eval_multipl_e.suite.machine import lines_of, look

    found = look()
    print(json.dumps(found, indent=2) if args.json else "\n".join(lines_of(found)))
    return 0 if found["is_complete"] else 3


def _complete(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from eval_multipl_e.suite.shards import Shard
    from eval_multipl_e.suite.tasks import read_task, task_of

    _check(args, limit=1, samples=1, max_new_tokens=1, batch_size=1, temperature=0, retries=0)
    if not 0 < args.top_p <= 1:
        raise EvalError(f"--top-p is {args.top_p}. Give more than 0 and at most 1.")
    task = task_of(args.task)
    shard = Shard.parse(args.shard)
    if args.form != "auto":
        from eval_multipl_e.suite.fim_forms import named_form

        named_form(args.form)
    if args.base_url is None:
        from eval_multipl_e.suite.model import device_of

        device_of(args.device)
    problems = read_task(task, path=args.problems, dataset=args.dataset, revision=args.dataset_revision)
    problems = problems[: args.limit]
    settings = {
        "task": task.name,
        "model": args.model,
        "revision": args.model_revision,
        "dataset": str(args.dataset or task.dataset) if args.problems is None else None,
        "dataset_revision": args.dataset_revision,
        **({} if args.limit is None else {"limit": args.limit}),
        "temperature": task.temperature if args.temperature is None else args.temperature,
        "top_p": args.top_p,
        "max_new_tokens": args.max_new_tokens or task.max_new_tokens,
    }
    continuer, about = _opened(args, settings) if args.base_url is None else _served(args, settings)
    n = task.n if args.samples is None else args.samples
    from eval_multipl_e.suite.completing import complete_to_file

    with tqdm(desc=task.name, unit="sample", disable=None) as bar:
        done = complete_to_file(
            problems,
            continuer,
            args.out,
            settings={**settings, **about},
            n=n,
            batch_size=args.batch_size,
            seed=args.seed,
            shard=shard,
            tell=bar.update,
        )
    if args.json:
        print(json.dumps({"task": task.name, "form": about["form"], "problems": len(problems), **done}))
        return 0
    print(
        f"step=complete task={task.name} form={about['form']} shard={args.shard} problems={len(problems)} "
        f"rows={done['rows']} kept={done['kept']} cut_at_length={done['cut']}"
    )
    return 0


def _served(args: argparse.Namespace, settings: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    from eval_multipl_e.suite.chat import ChatRequest
    from eval_multipl_e.suite.served import ServedModel

    chat = ChatRequest(args.system_prompt) if args.chat else None
    names = ("temperature", "top_p", "max_new_tokens")
    model = ServedModel(
        args.base_url,
        args.model,
        form=args.form,
        chat=chat,
        retries=args.retries,
        api_key=os.environ.get("OPENAI_API_KEY"),
        **{name: settings[name] for name in names},
    )
    model.check()
    about = {"form": model.form_name, "base_url": args.base_url}
    if chat is not None:
        about |= {"instruction": chat.instruction, "system_prompt": args.system_prompt}
    return model, about


def _opened(args: argparse.Namespace, settings: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    import torch
    import transformers
    from transformers.utils import logging

    from eval_multipl_e.suite.chat import ChatRequest
    from eval_multipl_e.suite.model import Continuer, open_model

    logging.disable_progress_bar()
    model, tokenizer = open_model(
        args.model,
        revision=args.model_revision,
        dtype=args.dtype,
        device=args.device,
        trust_remote_code=args.trust_remote_code,
    )
    names = ("temperature", "top_p", "max_new_tokens")
    chat = ChatRequest(args.system_prompt) if args.chat else None
    continuer = Continuer(model, tokenizer, form=args.form, chat=chat, **{name: settings[name] for name in names})
    about = {
        "form": "chat" if chat else continuer.form.name,
        **({"instruction": chat.instruction, "system_prompt": chat.system_prompt} if chat else {}),
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": model.device.type,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    return continuer, about


def _score(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from eval_multipl_e.suite.grade import mark
    from eval_multipl_e.suite.problems import read_completions
    from eval_multipl_e.suite.shards import Shard, digest, read_settings, write_whole
    from eval_multipl_e.suite.tasks import Task, read_task, task_of

    _check(args, workers=1, timeout_s=0.1)
    shard = Shard.parse(args.shard)
    if args.k is not None and min(args.k) < 1:
        raise EvalError(f"--k is {min(args.k)}. Give 1 or more.")
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
    rows = _joined(problems, read_completions(args.completions))
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
    _print_scores(result, is_json=args.json)
    # A score from which a language is absent must not pass unseen in a script.
    return 3 if result.get("missing_toolchains") else 0


def _merge(args: argparse.Namespace) -> int:
    from eval_multipl_e.suite.merge import merge_completions, merge_results
    from eval_multipl_e.suite.shards import write_whole

    _check(args)
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
    _print_scores(result, is_json=args.json)
    return 3 if result.get("missing_toolchains") else 0


def _report(args: argparse.Namespace) -> int:
    from eval_multipl_e.suite.report import write_report

    rows = write_report(args.results, args.model_name, args.out, card=args.card)
    if args.json:
        print(json.dumps([asdict(row) for row in rows]))
        return 0
    print(f"step=report scores={len(rows)} page={args.out / 'report.md'}")
    return 0


def _print_scores(result: dict[str, Any], *, is_json: bool) -> None:
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


def _check(args: argparse.Namespace, **least: float) -> None:
    """Refuse numbers that can't be meant and an --out that can't be written, before any work is done."""
    for name, lowest in least.items():
        value = getattr(args, name)
        if value is not None and not value >= lowest:
            raise EvalError(f"--{name.replace('_', '-')} is {value}. Give {lowest} or more.")
    out = Path(args.out)
    folder = next(parent for parent in out.absolute().parents if parent.exists())
    if out.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise EvalError(f"--out {out} can't be written. Name a file in a folder that you may write to.")


def _joined(problems: list[dict[str, Any]], completions: list[dict[str, Any]]) -> list[dict[str, Any]]:
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
