"""Publish dataset, model, metric and Space, each in one commit, then load them from the Hub.

The order makes every state in between a good one: a Space names a model's commit that is there already. Two of the
four are Spaces, which the Hub refuses to some accounts, so these come last and a refusal does not stop the others.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_santa.errors import IncompleteError
from hf_santa.files import write_json
from hf_santa.publishing.card_on_hub import remote_card, together, with_kept
from hf_santa.publishing.collection import check_title, collect
from hf_santa.publishing.commit import CommitOutcome, RefusedByHubError, Retry, Target, address, bring, tagged_commit
from hf_santa.publishing.plan import (
    Content,
    Gated,
    Plan,
    Visibility,
    check_is_ours,
    check_visibility,
    local_files,
    make_plan,
    sha256_of,
)
from hf_santa.repositories.kinds import KINDS, PINNED, Kind, ReleaseError, repo_ids, split_card, with_header
from hf_santa.repositories.staging import checked
from hf_santa.repositories.verify import hub_environment, verify_on_hub
from hf_santa.repositories.write import StageError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

PUBLISHED = "published.json"
FULL_SHA = re.compile(r"[0-9a-f]{40}")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}")
Say = Callable[[str], None]


class PartlyPublishedError(IncompleteError, ReleaseError):
    """The Hub refused some of the repositories; the others are published."""


@dataclass(frozen=True)
class Hub:
    """The Hub as one token sees it, how often a failure is tried again, and where lines about it go."""

    api: "HfApi"
    retry: Retry
    say: Say

    def ask(self, what: str, work: Callable[[], Any]) -> Any:
        """Do the work, again after a failure that may pass; raises ReleaseError."""
        return self.retry(what, work, self.say)


@dataclass(frozen=True)
class Publication:
    """What to publish, and how."""

    kinds: Sequence[Kind]
    folder: Path  # where `hf-santa stage` put the repositories
    namespace: str
    names: Mapping[str, str] = field(default_factory=dict)
    revision: str = "main"
    tag: str | None = None
    model_revision: str | None = None
    is_floating_allowed: bool = False
    visibility: Visibility | None = None  # None: the Hub's default, which an organisation may have set
    by_pull_request: bool = False
    may_replace: bool = False
    is_loaded_back: bool = True
    message: str = "Publish with hf-santa"
    gated: Gated | None = None  # of the dataset and the model: who may read asks first
    collection: str | None = None  # the title of a Collection to put all into
    project: str | None = None  # an address that the cards link to
    is_preloaded: bool = False  # the Space is built with the model's files in it

    @property
    def ids(self) -> dict[str, str]:
        """The repository of each kind."""
        return repo_ids(self.namespace, self.names)


def open_hub(request: Publication, retry: Retry, say: Say) -> Hub:
    """Return the client, after asking the Hub whose token this is and whether it may write to the namespace.

    Raises:
        ReleaseError: there is no token, or it is refused, may only read, or belongs to somebody else.
    """
    from huggingface_hub import HfApi, get_token

    token = get_token()
    if not token:
        raise ReleaseError("no token found. Log in with `hf auth login`, or set HF_TOKEN to a token that may write.")
    api = HfApi(token=token, library_name="hf-santa")
    who = retry("login", api.whoami, say)
    role = who.get("auth", {}).get("accessToken", {}).get("role")
    if role == "read":
        raise ReleaseError(
            f"the token of {who['name']} may only read. Make one that may write to {request.namespace} and log in again."
        )
    orgs = [org["name"] for org in who.get("orgs", [])]
    if request.namespace not in {who["name"], *orgs}:
        raise ReleaseError(
            f"--namespace {request.namespace}: the token belongs to {who['name']}, who is in "
            f"{', '.join(orgs) or 'no organisation'}. Choose one of these, or log in as somebody else."
        )
    return Hub(api, retry, say)


def check_request(request: Publication) -> None:
    """Refuse names and revisions that cannot be right, before the Hub is asked.

    Raises:
        ReleaseError: names the flag.
    """
    for flag, value in [
        ("--namespace", request.namespace),
        *((f"--name {kind}", name) for kind, name in request.names.items()),
    ]:
        if not _NAME.fullmatch(value):
            raise ReleaseError(f"{flag}={value!r} is no name on the Hub. Use letters, digits, '-', '_' and '.'.")
    if unknown := set(request.names) - set(KINDS):
        raise ReleaseError(f"--name {unknown.pop()}: there is no such kind. Choose from {', '.join(KINDS)}.")
    if request.collection is not None:
        check_title(request.collection)
    if request.project is not None and not re.fullmatch(r"https://[^\s()<>\[\]]+", request.project):
        raise ReleaseError(f"--project {request.project!r} is no address. Give one that begins with https://.")
    if FULL_SHA.fullmatch(request.revision):
        raise ReleaseError("--branch is a commit; commits are made on a branch. Name a branch, such as main.")
    pinned = request.model_revision
    if pinned and not FULL_SHA.fullmatch(pinned) and not request.is_floating_allowed:
        raise ReleaseError(
            f"--model-revision {pinned} is not a full commit sha (40 hex digits), and the Space runs the model's code. "
            "Name the commit, or pass --allow-floating to run whatever that name points to on the day."
        )


def plan_all(hub: Hub, request: Publication) -> list[Plan]:
    """Return what publishing would change; the Hub is only read.

    Raises:
        ReleaseError: a repository of this name is not ours, or the Hub cannot be read.
    """
    plans: list[Plan] = []
    model_sha: str | None = None
    for kind in request.kinds:
        if kind.name == "space":
            model_plan = next((plan for plan in plans if plan.kind.name == "model"), None)
            model_sha = None if model_plan and model_plan.todo else _model_sha(hub, request, model_plan)
        files = _files(hub, request, kind, model_sha)
        repo_id = request.ids[kind.name]
        plan = hub.ask(repo_id, partial(_planned, hub.api, request, kind, files))
        check_visibility(plan, request.visibility)
        check_is_ours(plan, may_replace=request.may_replace)
        if (
            request.tag
            and plan.todo
            and (there := hub.ask(repo_id, partial(tagged_commit, hub.api, kind, repo_id, request.tag)))
        ):
            raise ReleaseError(
                f"{repo_id} has a tag {request.tag} already, at {there[:12]}, and its files differ from those here. "
                "Choose a new tag."
            )
        plans.append(plan)
    return plans


def _files(hub: Hub, request: Publication, kind: Kind, model_sha: str | None) -> dict[str, Content]:
    """The files of a repository as they will be, the card with its links and with what was written on the Hub by hand."""
    files, card = _files_and_card(hub, request, kind, model_sha)
    if card is not None:
        remote = hub.ask(
            request.ids[kind.name], partial(remote_card, hub.api, kind, request.ids[kind.name], request.revision)
        )
        text, kept = with_kept(card, remote)
        if kept:
            hub.say(f"kept={kind.name} README.md: {kept} section{'' if kept == 1 else 's'} written on the Hub")
        files["README.md"] = text.encode()
    return files


def _files_and_card(
    hub: Hub, request: Publication, kind: Kind, model_sha: str | None
) -> tuple[dict[str, Content], str | None]:
    """The files as they are here, and the card with its links."""
    files = local_files(kind, request.folder / kind.folder, request.ids, model_sha)
    if isinstance(card := files.get("README.md"), bytes):
        beside = [other.name for other in KINDS.values() if (request.folder / other.folder).is_dir()]
        told = card.decode()
        if request.is_preloaded and kind.name == "space" and model_sha:
            told = hub.ask(request.ids["model"], partial(_preloading, hub.api, told, request.ids["model"], model_sha))
        return files, told.rstrip() + "\n" + together(kind, request.ids, beside, request.project)
    return files, None


def _preloading(api: "HfApi", card: str, model: str, sha: str) -> str:
    """The Space's card with the model's files of this commit, which the Hub puts into the Space when it builds it."""
    if split_card(card)[0].get("sdk") == "static":
        raise ReleaseError("--preload is for a Space with a machine, and this one is static. Leave it out.")
    loaded = [
        name
        for name in api.list_repo_files(model, revision=sha)
        if not name.startswith(".") and not name.endswith(".gguf")
    ]
    return with_header(card, {"preload_from_hub": [f"{model} {','.join(sorted(loaded))} {sha}"]})


def _planned(api: "HfApi", request: Publication, kind: Kind, files: Mapping[str, Content]) -> Plan:
    from huggingface_hub.errors import RevisionNotFoundError

    try:
        return make_plan(api, kind, request.ids[kind.name], request.revision, files)
    except RevisionNotFoundError:  # a branch that does not exist yet begins where main is
        return make_plan(api, kind, request.ids[kind.name], "main", files)


def _model_sha(hub: Hub, request: Publication, plan: Plan | None) -> str:
    """The commit that the Space runs: the one that was asked for, else the head of the model's repository."""
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    if plan and plan.head and not request.model_revision:
        return plan.head
    repo_id, asked = request.ids["model"], request.model_revision or request.revision

    def found() -> str:
        try:
            return str(hub.api.model_info(repo_id, revision=asked).sha)
        except (RepositoryNotFoundError, RevisionNotFoundError) as error:
            raise ReleaseError(
                f"{repo_id} has no revision {asked}, and a Space runs a model's commit. Publish the model first."
            ) from error

    sha: str = hub.ask(repo_id, found)
    return asked if request.model_revision and request.is_floating_allowed else sha


def publish(hub: Hub, request: Publication) -> dict[str, Any]:
    """Check, plan, commit, load back and tag; write `published.json` after each repository and return what is in it.

    Raises:
        ReleaseError: a folder must not be published, or a repository could not be; those before it are published.
        PartlyPublishedError: the Hub refused some of several repositories; all the others are published.
        StageError: a staged folder, or a repository on the Hub, does not open.
    """
    for kind in request.kinds:
        hub.say(f"checked={kind.name} {checked(kind, request.folder)}")
    plans = plan_all(hub, request)
    report: dict[str, Any] = {"namespace": request.namespace, "revision": request.revision, "tag": request.tag}
    report["repos"] = {}
    refused: dict[str, RefusedByHubError] = {}
    for plan in plans:
        if plan.kind.name == "space" and "model" in refused:
            hub.say(f"refused={plan.kind.name} {plan.repo_id} not tried: it runs the model, which was refused")
            continue
        try:
            _publish_one(hub, request, plan, report)
        except RefusedByHubError as error:
            refused[plan.kind.name] = error
            hub.say(f"refused={plan.kind.name} {error}")
            card = plan.files.get("README.md")
            if plan.kind.name == "space" and isinstance(card, bytes) and b"sdk: gradio" in card:
                hub.say("hint=space a page that runs in the browser is free for every account: stage it with --static")
    if request.tag:
        for plan in plans:
            if plan.kind.name in report["repos"]:
                sha = report["repos"][plan.kind.name]["sha"]
                hub.ask(plan.repo_id, partial(_tag, hub.api, plan, request.tag, sha))
                hub.say(f"tagged={plan.kind.name} {request.tag} {sha}")
    if request.collection and report["repos"]:
        done = [plan for plan in plans if plan.kind.name in report["repos"]]
        work = partial(collect, hub.api, request.collection, request.namespace, done, request.visibility)
        report["collection"] = hub.ask(f"collection {request.collection!r}", work)
        write_json(request.folder / PUBLISHED, report)
        hub.say(f"collected={len(done)} {report['collection']}")
    _raise_refusals(list(refused.values()), published=len(report["repos"]), planned=len(plans))
    return report


def _raise_refusals(refused: Sequence[RefusedByHubError], *, published: int, planned: int) -> None:
    """Raise what the Hub refused, as one error: incomplete where something was published."""
    if not refused:
        return
    if not published:
        raise refused[0]
    reasons = " ".join(str(error) for error in refused)
    raise PartlyPublishedError(f"{published} of {planned} repositories are published. {reasons}")


def _publish_one(hub: Hub, request: Publication, plan: Plan, report: dict[str, Any]) -> None:
    """Commit one repository, enter it in the report, and load it back."""
    for line in plan.lines():
        hub.say(line)
    files, outcome = _apply(hub, request, plan, report)
    entry = {
        "repo": plan.repo_id,
        "sha": outcome.sha,
        "url": f"{address(hub.api, plan.kind, plan.repo_id)}/tree/{outcome.sha}",
        "is_new_commit": outcome.is_new_commit,
        "operations": outcome.operations,
        "pull_request": outcome.pull_request,
        "loaded": None,
    }
    report["repos"][plan.kind.name] = entry
    write_json(request.folder / PUBLISHED, report)
    done = f"commit operations={outcome.operations}" if outcome.is_new_commit else "up to date"
    hub.say(f"published={plan.kind.name} {plan.repo_id} {outcome.sha} {done}")
    if request.is_loaded_back:
        digests = {name: sha256_of(content) for name, content in files.items()}
        entry["loaded"] = _load_back(hub, request, plan, outcome.sha, digests)
        write_json(request.folder / PUBLISHED, report)


def _apply(
    hub: Hub, request: Publication, plan: Plan, report: Mapping[str, Any]
) -> tuple[dict[str, Any], CommitOutcome]:
    """Bring one repository to its files; those of a Space are known only now, when its model has its commit."""
    kind, files, sha = plan.kind, dict(plan.files), None
    if kind.name == "space":
        sha = report["repos"].get("model", {}).get("sha")
        if not sha or request.model_revision:
            sha = _model_sha(hub, request, None)
        files = _files(hub, request, kind, sha)
    target = Target(
        kind,
        plan.repo_id,
        request.revision,
        files,
        visibility=request.visibility,
        by_pull_request=request.by_pull_request,
        may_replace=request.may_replace,
        gated=request.gated if kind.name in {"dataset", "model"} else None,
        card=_files_and_card(hub, request, kind, sha)[1],
    )
    outcome = bring(hub.api, target, request.message, hub.retry, hub.say)
    if outcome.card is not None:  # edited on the Hub since the plan was made
        files["README.md"] = outcome.card
    return files, outcome


def _load_back(hub: Hub, request: Publication, plan: Plan, sha: str, digests: Mapping[str, str]) -> str:
    """Load the repository from the Hub; a load that fails is tried once more, for the Hub may be slow to see a commit."""
    environment = hub_environment(hub.api.endpoint, str(hub.api.token))

    def load() -> str:
        return verify_on_hub(plan.kind, plan.repo_id, sha, request.folder, digests, environment=environment)

    try:
        seen = load()
    except StageError:
        hub.say(f"again={plan.repo_id} it does not load yet")
        seen = load()
    hub.say(f"loaded={plan.kind.name} {seen}")
    return seen


def _tag(api: "HfApi", plan: Plan, tag: str, sha: str) -> None:
    there = tagged_commit(api, plan.kind, plan.repo_id, tag)
    if there is None:
        api.create_tag(plan.repo_id, repo_type=plan.kind.repo_type, tag=tag, revision=sha)
    elif there != sha:
        raise ReleaseError(
            f"{plan.repo_id} has a tag {tag} already, at {there[:12]}, not at {sha[:12]}. Choose another."
        )


def plan_lines(plans: Sequence[Plan], *, model_is_new: bool) -> list[str]:
    """Return the lines of a dry run."""
    lines = [line for plan in plans for line in plan.lines()]
    if model_is_new and any(plan.kind.name == "space" for plan in plans):
        lines.append(f"  {PINNED} of the Space will name the commit that the model gets")
    return [*lines, f"dry run: {sum(len(plan.todo) for plan in plans)} operations, nothing was written"]
