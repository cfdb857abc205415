"""Brings one repository to its new content in one commit; what fails for a while is tried again, a few times.

Every try begins by looking at the head: if a commit came through although its answer was lost, nothing is left to do.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from hf_santa.publishing.plan import Content, Plan, check_is_ours, make_plan
from hf_santa.repositories.kinds import Kind, ReleaseError

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

MAX_WAIT_S = 30.0
_FOR_A_WHILE = {408, 409, 412, 425, 429, 500, 502, 503, 504}
_PULLS_LOOKED_AT = 10
T = TypeVar("T")


@dataclass(frozen=True)
class Retry:
    """How often something is tried, and how long is waited before the second try; each wait is twice the last."""

    attempts: int = 5
    wait_s: float = 1.0

    def __call__(self, what: str, work: Callable[[], T], say: Callable[[str], None]) -> T:
        """Do the work, again after a failure that may pass.

        Raises:
            ReleaseError: it failed for good, or too often; the message says why.
        """
        for attempt in range(1, self.attempts + 1):
            try:
                return work()
            except ReleaseError:
                raise
            except Exception as error:
                reason, may_pass = why(error)
                if reason is None:
                    raise
                if not may_pass:
                    raise ReleaseError(f"{what}: {reason}") from error
                if attempt == self.attempts:
                    raise ReleaseError(
                        f"{what}: {reason}, {attempt} times. The head is as it was; publish again later."
                    ) from error
                wait = min(self.wait_s * 2 ** (attempt - 1), MAX_WAIT_S)
                say(f"again={what} {reason}; next try in {wait:g} s")
                time.sleep(wait)
        raise AssertionError("unreachable: attempts is at least 1")


@dataclass(frozen=True)
class Target:
    """One repository to be brought to `files`, on a branch or by a pull request to it."""

    kind: Kind
    repo_id: str
    revision: str
    files: dict[str, Content]
    is_private: bool = False
    by_pull_request: bool = False
    may_replace: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of a repository: its head, whether a commit was made, of how many operations, and where a PR is."""

    sha: str
    is_new_commit: bool
    operations: int
    pull_request: str | None = None


def bring(api: "HfApi", target: Target, title: str, retry: Retry, say: Callable[[str], None]) -> Outcome:
    """Bring the repository to its content, by one commit or none.

    Raises:
        ReleaseError: it cannot be done; the repository is as it was before.
    """
    sent: list[int] = []  # the operations of commits that were sent and may have come through
    return retry(target.repo_id, lambda: _once(api, target, title, sent), say)


def _once(api: "HfApi", target: Target, title: str, sent: list[int]) -> Outcome:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    _make_sure_it_exists(api, target)
    plan = make_plan(api, target.kind, target.repo_id, target.revision, target.files)
    assert plan.head is not None
    if not plan.todo:
        return Outcome(plan.head, bool(sent), sent[-1] if sent else 0)
    check_is_ours(plan, may_replace=target.may_replace)
    if target.by_pull_request and (there := _open_pull(api, target)):
        sha, url = there
        return Outcome(sha, bool(sent), sent[-1] if sent else 0, url)
    operations: list[CommitOperationAdd | CommitOperationDelete] = []
    for change in plan.todo:
        if change.action == "delete":
            operations.append(CommitOperationDelete(change.path, is_folder=False))
        else:
            content = target.files[change.path]
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
    return Outcome(done.oid, is_new_commit=True, operations=len(operations), pull_request=done.pr_url)


def _make_sure_it_exists(api: "HfApi", target: Target) -> None:
    from huggingface_hub.errors import RevisionNotFoundError

    kind = target.kind
    if not api.repo_exists(target.repo_id, repo_type=kind.repo_type):
        sdk = "gradio" if kind.repo_type == "space" else None
        api.create_repo(
            target.repo_id, repo_type=kind.repo_type, private=target.is_private, space_sdk=sdk, exist_ok=True
        )
    if target.revision != "main":
        try:
            api.repo_info(target.repo_id, repo_type=kind.repo_type, revision=target.revision)
        except RevisionNotFoundError:
            api.create_branch(target.repo_id, repo_type=kind.repo_type, branch=target.revision, exist_ok=True)


def _open_pull(api: "HfApi", target: Target) -> tuple[str, str] | None:
    """The commit and address of a pull request that has this content already."""
    refs = api.list_repo_refs(target.repo_id, repo_type=target.kind.repo_type, include_pull_requests=True)
    for pull in sorted(refs.pull_requests or [], key=lambda ref: -int(ref.ref.rsplit("/", 1)[-1]))[:_PULLS_LOOKED_AT]:
        plan: Plan = make_plan(api, target.kind, target.repo_id, pull.ref, target.files)
        if not plan.todo and plan.head:
            return plan.head, f"{address(api, target.kind, target.repo_id)}/discussions/{pull.ref.rsplit('/', 1)[-1]}"
    return None


def address(api: "HfApi", kind: Kind, repo_id: str) -> str:
    """The page of a repository."""
    return f"{api.endpoint}/{'' if kind.repo_type == 'model' else kind.repo_type + 's/'}{repo_id}"


def why(error: BaseException) -> tuple[str | None, bool]:
    """Why a request failed, in words without any token, and whether it may pass; None for a fault of another kind."""
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
    if status in {401, 403}:
        return f"the Hub does not accept the token for this ({status}: {message}). {_LOGIN}", False
    return f"the Hub refused it ({status}: {message})", False


_LOGIN = "Make a token that may write to the namespace in the Hub's settings and log in again (`hf auth login`)."


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def tagged_commit(api: "HfApi", kind: Kind, repo_id: str, tag: str) -> str | None:
    """The commit that a tag of this name points to already; None if there is none."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        refs: Any = api.list_repo_refs(repo_id, repo_type=kind.repo_type)
    except RepositoryNotFoundError:
        return None
    return next((ref.target_commit for ref in refs.tags if ref.name == tag), None)
