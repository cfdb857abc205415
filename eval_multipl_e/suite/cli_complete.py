"""The command `hf-santa eval complete`."""

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval_multipl_e.errors import EvalError
from eval_multipl_e.suite.cli_flags import TASK_NAMES, add_json, add_problems, check_flags

if TYPE_CHECKING:
    from eval_multipl_e.suite.completing import AnswerSettings
    from eval_multipl_e.suite.model import Sampling


def add_complete(commands: Any, sampling: Callable[[], "Sampling"]) -> None:
    """Add `eval complete`; `sampling` is called where a model is opened on this machine."""
    parser = commands.add_parser("complete", help="let a model complete the problems of a task; goes on after a kill")
    parser.add_argument("--model", required=True, help="a model folder, or a repository on the Hub")
    parser.add_argument("--task", required=True, help=TASK_NAMES)
    add_problems(parser)
    parser.add_argument("--out", type=Path, required=True, help="completions as JSON lines, a row a sample")
    parser.add_argument(
        "--samples",
        type=int,
        help="completions of each problem (default: the report's, 200; 1 where a task is no pass@k)",
    )
    parser.add_argument(
        "--temperature",
        type=float,
        help="0 takes the likeliest token (default: the report's, 0.2 or 0; use 0.8 for pass@10 and 100)",
    )
    parser.add_argument(
        "--top-p", type=float, default=0.95, help="share of the likeliest tokens drawn from (default: 0.95)"
    )
    parser.add_argument(
        "--max-new-tokens", type=int, metavar="N", help="longest answer (default: 512, infill 25, docstring 128)"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="seed of every draw, together with the problem and the sample's number (default: 0)",
    )
    parser.add_argument("--batch-size", type=int, default=16, metavar="N", help="prompts at a time (default: 16)")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N problems")
    parser.add_argument(
        "--form",
        default="auto",
        metavar="NAME|FILE",
        help="how a model is told what stands before and after a gap: auto (by its tokenizer's special tokens), the name of a known "
        "form, or a YAML file that describes one",
    )
    parser.add_argument(
        "--base-url",
        metavar="URL",
        help="ask an OpenAI-compatible server at this address; --model is the model's name there",
    )
    parser.add_argument(
        "--chat", action="store_true", help="ask by the chat template, and take the code out of the answer"
    )
    parser.add_argument("--system-prompt", metavar="TEXT", help="system prompt of a chat model")
    parser.add_argument(
        "--retries", type=int, default=6, metavar="N", help="times a request is tried again (default: 6)"
    )
    parser.add_argument(
        "--model-revision", metavar="REV", help="the model's commit, so that a later run loads the same"
    )
    parser.add_argument(
        "--dtype",
        choices=("auto", "float32", "bfloat16", "float16"),
        default="auto",
        help="number format of the weights (default: auto, as they were saved)",
    )
    parser.add_argument(
        "--device", default="auto", help="where the model runs: cpu, cuda, cuda:1 … (default: cuda where there is one)"
    )
    parser.add_argument("--trust-remote-code", action="store_true", help="run the code in the model's repository")
    add_json(parser)
    parser.set_defaults(func=_complete, sampling=sampling)


def _complete(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from eval_multipl_e.suite.chat import ChatRequest
    from eval_multipl_e.suite.completing import AnswerSettings, complete_to_file
    from eval_multipl_e.suite.shards import Shard
    from eval_multipl_e.suite.tasks import read_task, task_of

    check_flags(args, limit=1, samples=1, max_new_tokens=1, batch_size=1, temperature=0, retries=0)
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
    asked = AnswerSettings(
        form=args.form,
        chat=ChatRequest(args.system_prompt) if args.chat else None,
        temperature=task.temperature if args.temperature is None else args.temperature,
        top_p=args.top_p,
        max_new_tokens=args.max_new_tokens or task.max_new_tokens,
    )
    problems = read_task(task, path=args.problems, dataset=args.dataset, revision=args.dataset_revision)
    problems = problems[: args.limit]
    settings = {
        "task": task.name,
        "model": args.model,
        "revision": args.model_revision,
        "dataset": str(args.dataset or task.dataset) if args.problems is None else None,
        "dataset_revision": args.dataset_revision,
        **({} if args.limit is None else {"limit": args.limit}),
        "temperature": asked.temperature,
        "top_p": asked.top_p,
        "max_new_tokens": asked.max_new_tokens,
    }
    continuer, about = (_opened if args.base_url is None else _served)(args, asked)
    n = task.n if args.samples is None else args.samples
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


def _served(args: argparse.Namespace, asked: "AnswerSettings") -> tuple[Any, dict[str, Any]]:
    from eval_multipl_e.suite.served import ServedModel

    key = os.environ.get("OPENAI_API_KEY")
    model = ServedModel(args.base_url, args.model, asked, retries=args.retries, api_key=key)
    model.check()
    return model, {"form": model.form_name, "base_url": args.base_url, **_about_chat(asked)}


def _opened(args: argparse.Namespace, asked: "AnswerSettings") -> tuple[Any, dict[str, Any]]:
    import torch
    import transformers
    from transformers.utils import logging

    from eval_multipl_e.suite.model import Continuer, open_model

    logging.disable_progress_bar()
    model, tokenizer = open_model(
        args.model,
        revision=args.model_revision,
        dtype=args.dtype,
        device=args.device,
        trust_remote_code=args.trust_remote_code,
    )
    continuer = Continuer(model, tokenizer, args.sampling(), asked)
    return continuer, {
        "form": "chat" if asked.chat else continuer.form.name,
        **_about_chat(asked),
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": model.device.type,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def _about_chat(asked: "AnswerSettings") -> dict[str, Any]:
    chat = asked.chat
    return {"instruction": chat.instruction, "system_prompt": chat.system_prompt} if chat else {}
