"""Bring a repository to its new content in one commit, and try again what fails for the moment.

Every try begins by looking at the head: if a commit came through although its answer was lost, nothing is left to do.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from hf_santa.publishing.card_on_hub import remote_card, with_kept
from hf_santa.publishing.plan import Content, Gated, Plan, Visibility, check_is_ours, check_visibility, make_plan
from hf_santa.repositories.kinds import Kind, ReleaseError, split_card

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

MAX_WAIT_S = 30.0
MAX_WINDOW_S = 900.0
QUIET_TRY = 75  # times the first wait: four such waits of 75 s fill the Hub's window of 300 s
_FOR_A_WHILE = {408, 409, 412, 425, 429, 500, 502, 503, 504}
_PULLS_LOOKED_AT = 10
T = TypeVar("T")


class RefusedByHubError(ReleaseError):
    """The Hub refused a request for good; the same request would be refused again."""


class GaveUpError(ReleaseError):
    """A request failed as often as it may be tried; it may succeed later."""


@dataclass(frozen=True)
class Retry:
    """How often something is tried, and how long is waited before the second try; each wait is twice the last."""

    attempts: int = 5
    wait_s: float = 1.0

    def __call__(self, what: str, work: Callable[[], T], say: Callable[[str], None]) -> T:
        """Do the work, again after a failure that may pass.

        Raises:
            RefusedByHubError: it failed for good; the message says why.
            GaveUpError: it failed too often.
        """
        for attempt in range(1, self.attempts + 1):
            try:
                return work()
            except ReleaseError:
                raise
            except Exception as error:
                reason, may_pass = why(error)
                window = waits_for(error, self.wait_s)
                if reason is None:
                    raise
                if not may_pass:
                    raise RefusedByHubError(f"{what}: {reason}") from error
                if attempt == self.attempts:
                    times = "once" if attempt == 1 else f"{attempt} times"
                    raise GaveUpError(f"{what}: {reason}, {times}") from error
                wait = window if window is not None else min(self.wait_s * 2 ** (attempt - 1), MAX_WAIT_S)
                if wait > MAX_WINDOW_S:
                    raise GaveUpError(f"{what}: {reason}, and asks to wait {wait / 60:.0f} minutes") from error
                say(f"again={what} {reason}; next try in {wait:g} s")
                time.sleep(wait)
        raise AssertionError("unreachable: attempts is at least 1")


@dataclass(frozen=True)
class Target:
    """One repository to be brought to `files`, on a branch or by a pull request to it.

    `visibility` is None where nobody asked: then the Hub's own default holds, which an organisation may have set.
    """

    kind: Kind
    repo_id: str
    revision: str
    files: dict[str, Content]
    visibility: Visibility | None = None
    by_pull_request: bool = False
    may_replace: bool = False
    gated: Gated | None = None
    card: str | None = None  # README.md before what was written on the Hub is added, which each try reads anew


@dataclass(frozen=True)
class CommitOutcome:
    """What became of a repository: its head, whether a commit was made, of how many operations, and where a PR is."""

    sha: str
    is_new_commit: bool
    operations: int
    pull_request: str | None = None
    card: Content | None = None  # README.md as it was sent


def bring(api: "HfApi", target: Target, title: str, retry: Retry, say: Callable[[str], None]) -> CommitOutcome:
    """Bring the repository to its content, by one commit or none.

    Raises:
        ReleaseError: it cannot be done; the message says what became of the repository.
    """
    sent: list[int] = []  # the operations of commits that were sent and may have come through
    try:
        outcome = retry(target.repo_id, lambda: _once(api, target, title, sent), say)
    except GaveUpError as error:
        outcome = _after_giving_up(api, target, sent, error)
    if target.visibility == "public":
        try:
            retry(target.repo_id, lambda: _open_to_all(api, target), say)
        except ReleaseError as error:
            raise type(error)(
                f"{error}. The files are there at {outcome.sha[:12]}, but the repository is still private: "
                "make it public in its settings on the Hub."
            ) from error
    return outcome


def _after_giving_up(api: "HfApi", target: Target, sent: list[int], error: GaveUpError) -> CommitOutcome:
    """Return the outcome where the commit came through and only its answer was lost.

    Raises:
        GaveUpError: it did not, or nobody can tell; the message says which.
    """
    if not sent:
        raise GaveUpError(f"{error}. No commit was sent; publish again later.") from error
    unknown = f"{error}. Whether the commit came through is not known; publish again later, which makes no second one."
    try:
        plan = _plan_with_card(api, target)
        pull = _open_pull(api, target) if plan.todo and target.by_pull_request else None
    except Exception as failure:
        if why(failure)[0] is None:
            raise
        raise GaveUpError(unknown) from error
    if pull:
        return CommitOutcome(pull[0], is_new_commit=True, operations=sent[-1], pull_request=pull[1])
    if plan.todo or plan.head is None:
        raise GaveUpError(f"{error}. The head is as it was; publish again later.") from error
    return CommitOutcome(plan.head, is_new_commit=True, operations=sent[-1])


def _open_to_all(api: "HfApi", target: Target) -> None:
    if api.repo_info(target.repo_id, repo_type=target.kind.repo_type).private:
        api.update_repo_settings(target.repo_id, repo_type=target.kind.repo_type, private=False)


def _once(api: "HfApi", target: Target, title: str, sent: list[int]) -> CommitOutcome:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    _make_sure_it_exists(api, target)
    plan = _plan_with_card(api, target)
    assert plan.head is not None
    if not (sent and target.visibility == "public"):  # a commit of ours in a repository that is opened afterwards
        check_visibility(plan, target.visibility)
    if not plan.todo:
        return CommitOutcome(plan.head, bool(sent), sent[-1] if sent else 0, card=plan.files.get("README.md"))
    check_is_ours(plan, may_replace=target.may_replace)
    if target.by_pull_request and (there := _open_pull(api, target)):
        sha, url = there
        return CommitOutcome(sha, bool(sent), sent[-1] if sent else 0, url)
    operations: list[CommitOperationAdd | CommitOperationDelete] = []
    for change in plan.todo:
        if change.action == "delete":
            operations.append(CommitOperationDelete(change.path, is_folder=False))
        else:
            content = plan.files[change.path]
            operations.append(CommitOperationAdd(change.path, content if isinstance(content, bytes) else str(content)))
    sent.append(len(operations))
    done = api.create_commit(
        target.repo_id,
        operations,
        repo_type=target.kind.repo_type,
        revision=target.revision,
        commit_message=title,
        parent_commit=plan.head,
        create_pr=target.by_pull_request,
    )
    card = plan.files.get("README.md")
    return CommitOutcome(done.oid, is_new_commit=True, operations=len(operations), pull_request=done.pr_url, card=card)


def _plan_with_card(api: "HfApi", target: Target) -> Plan:
    """Plan with the card as it is at the very head that will be the commit's parent, so that no edit in between is lost."""
    plan = make_plan(api, target.kind, target.repo_id, target.revision, target.files)
    if target.card is None or plan.head is None:
        return plan
    text, _ = with_kept(target.card, remote_card(api, target.kind, target.repo_id, plan.head))
    if text.encode() == target.files.get("README.md"):
        return plan
    files = {**target.files, "README.md": text.encode()}
    return make_plan(api, target.kind, target.repo_id, plan.head, files)


def _make_sure_it_exists(api: "HfApi", target: Target) -> None:
    from huggingface_hub.errors import RevisionNotFoundError

    kind = target.kind
    if not api.repo_exists(target.repo_id, repo_type=kind.repo_type):
        # Where public is asked for, the repository is opened after its commit: a failure leaves nothing to be seen.
        private = None if target.visibility is None else True
        api.create_repo(
            target.repo_id, repo_type=kind.repo_type, private=private, space_sdk=_sdk(target), exist_ok=True
        )
    if target.gated and _gate_of(api, target) != target.gated:  # before the files are there
        api.update_repo_settings(target.repo_id, repo_type=kind.repo_type, gated=target.gated)
    if target.revision != "main":
        try:
            api.repo_info(target.repo_id, repo_type=kind.repo_type, revision=target.revision)
        except RevisionNotFoundError:
            api.create_branch(target.repo_id, repo_type=kind.repo_type, branch=target.revision, exist_ok=True)


def _gate_of(api: "HfApi", target: Target) -> object:
    """Return how the Hub lets people into a repository: "auto", "manual", or False for everybody."""
    return api.repo_info(target.repo_id, repo_type=target.kind.repo_type).gated


def _sdk(target: Target) -> str | None:
    """Return what runs a Space, as its card says: a static one is free for every account."""
    card = target.files.get("README.md")
    if target.kind.repo_type != "space" or card is None:
        return None
    text = card.decode() if isinstance(card, bytes) else card.read_text("utf-8")
    return str(split_card(text)[0]["sdk"])


def _open_pull(api: "HfApi", target: Target) -> tuple[str, str] | None:
    """The commit and address of a pull request that has this content already."""
    refs = api.list_repo_refs(target.repo_id, repo_type=target.kind.repo_type, include_pull_requests=True)
    for pull in sorted(refs.pull_requests or [], key=lambda ref: -int(ref.ref.rsplit("/", 1)[-1]))[:_PULLS_LOOKED_AT]:
        plan: Plan = make_plan(api, target.kind, target.repo_id, pull.ref, target.files)
        if not plan.todo and plan.head:
            return plan.head, f"{address(api, target.kind, target.repo_id)}/discussions/{pull.ref.rsplit('/', 1)[-1]}"
    return None


def address(api: "HfApi", kind: Kind, repo_id: str) -> str:
    """Return the page of a repository."""
    return f"{api.endpoint}/{'' if kind.repo_type == 'model' else kind.repo_type + 's/'}{repo_id}"


def why(error: BaseException) -> tuple[str | None, bool]:
    """Return why a request failed, without any token, and whether it may pass; None for a fault of another kind."""
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # its own name for httpx or httpx2

    link: BaseException | None = error
    while link is not None:
        if isinstance(link, HfHubHTTPError):
            return _why_refused(link)
        if isinstance(link, httpx.TransportError | ConnectionError):
            return f"the Hub cannot be reached ({type(link).__name__})", True
        link = link.__cause__ or link.__context__
    return None, False


def _why_refused(error: "HfHubHTTPError") -> tuple[str, bool]:
    status = error.response.status_code
    message = error.response.headers.get("X-Error-Message") or error.server_message or _first_line(error)
    if status == 412:
        return "somebody else committed meanwhile (412), so it is planned anew", True
    if status in _FOR_A_WHILE:
        return f"the Hub answered {status}", True
    if status == 401 and "expired" in message:
        return f"the token has expired (401). {_LOGIN}", False
    if status == 401:
        return f"the Hub does not accept the token (401: {message}). {_LOGIN}", False
    if status in {402, 403}:
        return f"the Hub refuses this to the account or its token ({status}: {message}). {_RIGHTS}", False
    return f"the Hub refused it ({status}: {message})", False


_LOGIN = "Make a token that may write to the namespace in the Hub's settings and log in again (`hf auth login`)."

_RIGHTS = "Check that the token may write to the namespace, and that the account may have such a repository."


def waits_for(error: BaseException, wait_s: float) -> float | None:
    """Return how long a Hub that answered "too many requests" wants to be left alone; None for any other failure.

    It says so in `Retry-After` or in `RateLimit`; where it says nothing, tries are spread over one of its windows.
    """
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import parse_ratelimit_headers  # type: ignore[attr-defined]  # named on its pages

    link: BaseException | None = error
    while link is not None and not isinstance(link, HfHubHTTPError):
        link = link.__cause__ or link.__context__
    if link is None or link.response.status_code != HTTPStatus.TOO_MANY_REQUESTS:
        return None
    told = link.response.headers.get("Retry-After", "").strip()
    if told.isdecimal():
        return float(told)
    try:
        return max(0.0, parsedate_to_datetime(told).timestamp() - time.time())
    except ValueError:  # no date either
        limits = parse_ratelimit_headers(link.response.headers)
    return float(limits.reset_in_seconds) if limits else QUIET_TRY * wait_s


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def tagged_commit(api: "HfApi", kind: Kind, repo_id: str, tag: str) -> str | None:
    """Return the commit that a tag of this name points to already; None if there is none."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        refs: Any = api.list_repo_refs(repo_id, repo_type=kind.repo_type)
    except RepositoryNotFoundError:
        return None
    return next((ref.target_commit for ref in refs.tags if ref.name == tag), None)
