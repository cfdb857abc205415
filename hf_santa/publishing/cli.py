"""Define the commands `hf-santa stage`, `hf-santa publish` and `hf-santa card`."""

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hf_santa.flags import add_json

WHAT = ("model", "dataset", "metric", "space", "all")


def add_commands(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `stage`, `publish` and `card` to the command line."""
    _add_stage(subparsers)
    _add_publish(subparsers)
    card = subparsers.add_parser(
        "card",
        help="check the card of a repository folder, offline",
        description="Check a repository's README.md: front matter, configs, scores, links. Exit code 1 if something is wrong.",
    )
    card.add_argument("kind", choices=WHAT[:-1], metavar="KIND", help=f"kind of repository: {', '.join(WHAT[:-1])}")
    card.add_argument("folder", type=Path, metavar="FOLDER", help="its folder")
    add_json(card)
    card.set_defaults(func=_card)


def _add_stage(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    stage = subparsers.add_parser(
        "stage",
        help="write complete repository folders and try each as its users will",
        description="Write repository folders from lists of what belongs into them. Each is then opened in a process "
        "without this package, offline and with empty caches, and its logits, rows, score or answer are compared.",
        epilog="example: hf-santa stage all out/repos --from out/demo",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    stage.add_argument("kind", choices=WHAT, metavar="KIND", help=f"kind of repository: {', '.join(WHAT)}")
    stage.add_argument(
        "out", type=Path, metavar="OUT", help="folder for the repositories: model, dataset, eval_multipl_e, space"
    )
    stage.add_argument(
        "--from",
        dest="run",
        type=Path,
        default=Path("out/demo"),
        metavar="DIR",
        help="a demo's output (default: out/demo)",
    )
    stage.add_argument("--model", type=Path, metavar="DIR", help="a model folder, in place of the demo's")
    stage.add_argument(
        "--tokenizer", type=Path, metavar="DIR", help="tokenizer.json or its folder (default: the model's)"
    )
    stage.add_argument("--store", type=Path, metavar="DIR", help="another store of `hf-santa data run`")
    stage.add_argument("--measures", type=Path, metavar="FILE", help="the training's measures.json, for the card")
    stage.add_argument(
        "--results",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="results of `hf-santa eval score`, for the card",
    )
    stage.add_argument("--title", metavar="TEXT", help="the model's name, for its card")
    stage.add_argument(
        "--license",
        default="bigcode-openrail-m",
        metavar="ID",
        help="the weights' licence, any identifier of the Hub's (default: bigcode-openrail-m)",
    )
    stage.add_argument("--license-link", metavar="URL", help="address of the licence's text")
    stage.add_argument("--base-model", metavar="REPO", help="the model that was fine-tuned, as OWNER/NAME")
    stage.add_argument(
        "--gguf",
        choices=("f32", "f16", "q8_0", "q4_k"),
        help="put a GGUF file of this type beside the weights (needs the extra gguf)",
    )
    stage.add_argument(
        "--static",
        action="store_true",
        help="the Space as a page that runs the model in the browser, free for every account (needs npm and the extra gguf)",
    )
    stage.add_argument(
        "--suggested-hardware",
        metavar="NAME",
        help="the machine that the Space's card suggests to whoever duplicates it, such as t4-small",
    )
    stage.add_argument(
        "--start-limit-s",
        type=float,
        default=90,
        metavar="S",
        help="how long the Space may take to start, more for a large model (default: 90)",
    )
    add_json(stage)
    stage.set_defaults(func=_stage)


def _add_publish(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "publish",
        help="publish staged repositories to the Hub, one commit each",
        description="Publish what `hf-santa stage` wrote: dataset, model, metric, Space, each in one commit or none, then "
        "load each from the Hub. The token comes from HF_TOKEN or `hf auth login`. ",
        epilog="example: hf-santa publish all out/repos --namespace me --dry-run",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("kind", choices=WHAT, metavar="KIND", help=f"kind of repository: {', '.join(WHAT)}")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where `hf-santa stage` put the repositories")
    parser.add_argument("--namespace", required=True, metavar="NS", help="user or organisation on the Hub")
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="KIND=NAME",
        help="another repository name (default: santa, santa-data, eval_multipl_e, santa-demo)",
    )
    parser.add_argument("--dry-run", action="store_true", help="only show what would change; nothing is written")
    parser.add_argument("--pr", action="store_true", help="open a pull request in place of a commit on the branch")
    parser.add_argument("--branch", default="main", metavar="BRANCH", help="branch to commit to (default: main)")
    parser.add_argument("--tag", help="tag the commits afterwards; a tag is never moved")
    parser.add_argument("--message", default="Publish with hf-santa", help="first line of the commits")
    seen_by = parser.add_mutually_exclusive_group()
    seen_by.add_argument(
        "--private",
        dest="visibility",
        action="store_const",
        const="private",
        help="make new repositories private; one that exists and is public is refused (default: what the Hub does)",
    )
    seen_by.add_argument(
        "--public",
        dest="visibility",
        action="store_const",
        const="public",
        help="make new repositories private, and public once their files are there",
    )
    parser.add_argument(
        "--gated",
        choices=("auto", "manual"),
        help="let nobody read dataset and model who has not asked: let in at once (auto) or by you (manual)",
    )
    parser.add_argument("--collection", metavar="TITLE", help="put the repositories into a Collection of this title")
    parser.add_argument("--project", metavar="URL", help="address of your project, which the cards then link to")
    parser.add_argument(
        "--preload",
        action="store_true",
        help="have the Hub put the model's files into the Space when it builds it, so that it starts sooner (public models)",
    )
    parser.add_argument("--replace", action="store_true", help="write over a repository that something else made")
    parser.add_argument(
        "--model-revision", metavar="SHA", help="the model's commit (default, for the Space: the published one)"
    )
    parser.add_argument(
        "--allow-floating", action="store_true", help="accept a --model-revision that is not a full commit"
    )
    parser.add_argument("--no-load", action="store_true", help="do not load the repositories from the Hub afterwards")
    parser.add_argument(
        "--attempts",
        type=int,
        default=5,
        metavar="N",
        help="how often a request that fails for the moment is tried (default: 5)",
    )
    add_json(parser)
    parser.set_defaults(func=_publish)


def _card(arguments: argparse.Namespace) -> int:
    from hf_santa.errors import CheckFailedError
    from hf_santa.repositories.kinds import KINDS
    from hf_santa.repositories.lint import lint

    card, problems = arguments.folder / "README.md", list(lint(arguments.folder, KINDS[arguments.kind]))
    if arguments.json:
        print(json.dumps({"card": str(card), "problems": problems}, indent=2))
        return 1 if problems else 0
    if problems:  # what this command looks for; to `stage` and `publish` it is a mistake
        raise CheckFailedError("\n  ".join([f"{card}:", *problems]))
    print(f"{card}: a good card of a {arguments.kind} repository")
    return 0


def _stage(arguments: argparse.Namespace) -> int:
    from hf_santa.repositories.kinds import named
    from hf_santa.repositories.model_card import NAME, CardWords
    from hf_santa.repositories.staging import Sources, stage

    sources = Sources(
        arguments.run,
        arguments.model,
        arguments.tokenizer,
        arguments.store,
        arguments.measures,
        arguments.results,
        CardWords(arguments.title or NAME, arguments.license, arguments.license_link, arguments.base_model),
        arguments.gguf,
        arguments.static,
        arguments.suggested_hardware,
    )
    # The model before the Space, which is tried with it.
    say = _say(sys.stderr if arguments.json else sys.stdout)
    seen = stage(named(arguments.kind), sources, arguments.out, say, start_limit_s=arguments.start_limit_s)
    if arguments.json:
        print(json.dumps({"out": str(arguments.out), "repos": seen}, indent=2))
    return 0


def _publish(arguments: argparse.Namespace) -> int:
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils.tqdm import disable_progress_bars

    from hf_santa.repositories.kinds import ReleaseError

    # Storage that is down is tried again by the client, for minutes and without a word: here it is told and counted.
    for name, value in (("HF_XET_CLIENT_RETRY_MAX_ATTEMPTS", "2"), ("HF_XET_CLIENT_RETRY_MAX_DURATION", "30s")):
        os.environ.setdefault(name, value)
    if not sys.stderr.isatty():
        disable_progress_bars()
    try:
        answer = _published(arguments)
    except HfHubHTTPError as error:
        raise ReleaseError(str(error)) from error
    if arguments.json:
        print(json.dumps(answer, indent=2))
    return 0


def _published(arguments: argparse.Namespace) -> dict[str, Any]:
    from hf_santa.publishing import publish as release
    from hf_santa.publishing.commit import Retry
    from hf_santa.repositories.kinds import ReleaseError, named
    from hf_santa.repositories.staging import checked

    names = dict(pair.partition("=")[::2] for pair in arguments.name)
    if arguments.attempts < 1:
        raise ReleaseError(f"--attempts is {arguments.attempts}. Give 1 or more.")
    request = release.Publication(
        named(arguments.kind),
        arguments.folder,
        arguments.namespace,
        names,
        revision=arguments.branch,
        tag=arguments.tag,
        model_revision=arguments.model_revision,
        is_floating_allowed=arguments.allow_floating,
        visibility=arguments.visibility,
        by_pull_request=arguments.pr,
        may_replace=arguments.replace,
        is_loaded_back=not arguments.no_load,
        message=arguments.message,
        gated=arguments.gated,
        collection=arguments.collection,
        project=arguments.project,
        is_preloaded=arguments.preload,
    )
    release.check_request(request)
    say = _say(sys.stderr if arguments.json else sys.stdout)
    retry = Retry(arguments.attempts, float(os.environ.get("HF_SANTA_RETRY_WAIT_S", "1")))
    hub = release.open_hub(request, retry, say)
    if not arguments.dry_run:
        return release.publish(hub, request)
    for kind in request.kinds:
        checked(kind, request.folder)
    plans = release.plan_all(hub, request)
    model_is_new = any(plan.kind.name == "model" and plan.todo for plan in plans)
    for line in release.plan_lines(plans, model_is_new=model_is_new):
        say(line)
    return {"dry_run": True, "repos": [plan.as_json() for plan in plans]}


def _say(to: "os.PathLike[str] | object") -> Callable[[str], None]:
    def say(line: str) -> None:
        print(line, file=to, flush=True)  # type: ignore[call-overload]  # a text stream

    return say
