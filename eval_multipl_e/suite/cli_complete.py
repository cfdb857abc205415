"""Define the command `hf-santa eval complete`."""

import argparse
import functools
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
        "--device",
        default="auto",
        help="where the model runs: cpu, cuda, cuda:1 … (default: cuda where there is one); several with commas between them: "
        "a process for each",
    )
    parser.add_argument(
        "--backend",
        choices=("transformers", "vllm"),
        default="transformers",
        help="library that runs the model in this process; vllm is for you to install (default: transformers)",
    )
    parser.add_argument("--trust-remote-code", action="store_true", help="run the code in the model's repository")
    add_json(parser)
    parser.set_defaults(func=_complete, sampling=sampling)


def _complete(args: argparse.Namespace) -> int:
    from eval_multipl_e.suite.shards import Shard
    from eval_multipl_e.suite.tasks import task_of

    check_flags(args, limit=1, samples=1, max_new_tokens=1, batch_size=1, temperature=0, retries=0)
    if not 0 < args.top_p <= 1:
        raise EvalError(f"--top-p is {args.top_p}. Give more than 0 and at most 1.")
    task = task_of(args.task)
    Shard.parse(args.shard)
    if args.form != "auto":
        from eval_multipl_e.suite.fim_forms import named_form

        named_form(args.form)
    devices = _devices(args)
    if len(devices) == 1:
        done = _complete_share(args)
    else:
        from eval_multipl_e.suite.devices import on_devices

        shares, rows = on_devices(functools.partial(_complete_on, args), devices, args.out)
        done = {**shares[0], "rows": rows, **{name: sum(share[name] for share in shares) for name in ("kept", "cut")}}
    if args.json:
        print(json.dumps({"task": task.name, **done}))
        return 0
    print(
        f"step=complete task={task.name} form={done['form']} shard={args.shard} problems={done['problems']} "
        f"rows={done['rows']} kept={done['kept']} cut_at_length={done['cut']}"
    )
    return 0


def _devices(args: argparse.Namespace) -> list[str]:
    """The devices of --device, checked; a server and vLLM choose theirs themselves."""
    names: list[str] = args.device.split(",")
    if args.base_url is not None and args.backend == "vllm":
        raise EvalError("--base-url asks a server, --backend vllm runs the model here. Leave one of them out.")
    if args.base_url is not None or args.backend == "vllm":
        if args.device != "auto":
            raise EvalError(
                f"--device {args.device} has no effect on a server or on vLLM, which take the GPUs that "
                "CUDA_VISIBLE_DEVICES shows them. Leave it out."
            )
        return names
    from eval_multipl_e.suite.model import device_of

    for name in names:
        device_of(name)
    if len(names) > 1 and args.shard != "0/1":
        raise EvalError(
            f"--shard {args.shard} with several devices: a share is not divided again. Leave one of them out."
        )
    return names


def _complete_on(args: argparse.Namespace, device: str, shard: str, out: Path) -> dict[str, Any]:
    return _complete_share(argparse.Namespace(**{**vars(args), "device": device, "shard": shard, "out": out}))


def _complete_share(args: argparse.Namespace) -> dict[str, Any]:
    """Complete one shard on one device; what the summary says of it."""
    from tqdm import tqdm

    from eval_multipl_e.suite.chat import ChatRequest
    from eval_multipl_e.suite.completing import AnswerSettings, complete_to_file
    from eval_multipl_e.suite.shards import Shard
    from eval_multipl_e.suite.tasks import read_task, task_of

    task = task_of(args.task)
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
    opened = _served if args.base_url is not None else _in_vllm if args.backend == "vllm" else _opened
    continuer, about = opened(args, asked)
    with tqdm(desc=task.name, unit="sample", disable=None) as bar:
        done = complete_to_file(
            problems,
            continuer,
            args.out,
            settings={**settings, **about},
            n=task.n if args.samples is None else args.samples,
            batch_size=args.batch_size,
            seed=args.seed,
            shard=Shard.parse(args.shard),
            tell=bar.update,
        )
    return {"form": about["form"], "problems": len(problems), **done}


def _in_vllm(args: argparse.Namespace, asked: "AnswerSettings") -> tuple[Any, dict[str, Any]]:
    from eval_multipl_e.suite.in_vllm import VllmModel

    model = VllmModel(
        args.model,
        args.sampling(),
        asked,
        revision=args.model_revision,
        dtype=args.dtype,
        trust_remote_code=args.trust_remote_code,
    )
    form = "chat" if asked.chat else model.form.name
    return model, {"form": form, **_about_chat(asked), "dtype": args.dtype, "backend": "vllm", "vllm": model.version}


def _served(args: argparse.Namespace, asked: "AnswerSettings") -> tuple[Any, dict[str, Any]]:
    from eval_multipl_e.suite.served import ServedModel

    key = os.environ.get("OPENAI_API_KEY")
    model = ServedModel(args.base_url, args.model, asked, retries=args.retries, api_key=key)
    model.check()
    # Not the address: a run may go on, and shards may run, on other servers of the model, and results are published.
    return model, {"form": model.form_name, **_about_chat(asked), "backend": "server"}


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
