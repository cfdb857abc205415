"""Compare the files here with those on the Hub, and list what publishing would change."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hf_santa.files import json_text
from hf_santa.repositories.kinds import MARKER, PINNED, Kind, ReleaseError, card_for_hub, files_of, for_hub

if TYPE_CHECKING:
    from huggingface_hub import HfApi

Content = Path | bytes
Visibility = Literal["private", "public"]
Gated = Literal["auto", "manual"]
_ON_CREATION = {"README.md"}  # what the Hub itself puts into a new repository


@dataclass(frozen=True)
class Change:
    """One file: what would become of it, and its size."""

    action: Literal["add", "change", "delete", "same", "keep"]
    path: str
    size: int


@dataclass(frozen=True)
class Plan:
    """The changes of one repository, against one commit of it; `head` is None where there is no repository yet."""

    kind: Kind
    repo_id: str
    head: str | None
    changes: tuple[Change, ...]
    files: Mapping[str, Content]
    is_private: bool | None = None  # None where there is no repository yet

    @property
    def todo(self) -> tuple[Change, ...]:
        """The changes that a commit would make."""
        return tuple(change for change in self.changes if change.action in {"add", "change", "delete"})

    def as_json(self) -> dict[str, Any]:
        """Return the plan for `--json`."""
        return {
            "kind": self.kind.name,
            "repo": self.repo_id,
            "head": self.head,
            "changes": [{"action": c.action, "path": c.path, "size": c.size} for c in self.changes],
        }

    def lines(self) -> list[str]:
        """Return the plan as text: a headline, and a line for each file that is not the same."""
        counts = {
            name: sum(c.action == name for c in self.changes) for name in ("add", "change", "delete", "same", "keep")
        }
        told = " ".join(f"{name}={count}" for name, count in counts.items() if count)
        where = "new repository" if self.head is None else f"head={self.head[:12]}"
        return [
            f"plan={self.kind.name} {self.repo_id} {where} {told or 'empty'}",
            *(f"  {c.action:6} {c.path} ({c.size:,} bytes)" for c in self.changes if c.action != "same"),
        ]


def local_files(kind: Kind, folder: Path, ids: Mapping[str, str], model_sha: str | None = None) -> dict[str, Content]:
    """Return the files as they will be on the Hub: the card with repository names, the marker, the pin."""
    files: dict[str, Content] = dict(files_of(folder))
    for name in kind.pages:
        if name in files:
            text = (folder / name).read_text("utf-8")
            files[name] = (card_for_hub(text, kind, ids) if name == "README.md" else for_hub(text, ids)).encode()
    files[MARKER] = kind.marker
    if kind.name == "space":
        files[PINNED] = json_text({"model": ids["model"], "revision": model_sha}).encode()
    return dict(sorted(files.items()))


def make_plan(api: "HfApi", kind: Kind, repo_id: str, revision: str, files: Mapping[str, Content]) -> Plan:
    """Compare with the repository's head at a branch or pull request; only reads.

    Raises:
        RevisionNotFoundError: the repository has no such branch.
    """
    from huggingface_hub import RepoFile
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        info = api.repo_info(repo_id, repo_type=kind.repo_type, revision=revision)
    except RepositoryNotFoundError:
        return Plan(kind, repo_id, None, tuple(Change("add", name, size_of(c)) for name, c in files.items()), files)
    head = info.sha
    tree = api.list_repo_tree(repo_id, repo_type=kind.repo_type, revision=head, recursive=True)
    remote = {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}
    changes = [_change(name, content, remote.get(name)) for name, content in files.items()]
    changes += [
        Change("delete" if kind.allows(name) else "keep", name, entry.size)
        for name, entry in remote.items()
        if name not in files and name != ".gitattributes"  # the Hub's own
    ]
    ordered = tuple(sorted(changes, key=lambda change: change.path))
    return Plan(kind, repo_id, head, ordered, files, is_private=bool(info.private))


def check_visibility(plan: Plan, wanted: Visibility | None) -> None:
    """Refuse a repository that other people can see, or can't see, against what was asked for.

    An empty private repository passes where public is asked for: it is opened after its commit. One that holds files
    does not, because opening it would show its whole history.

    Raises:
        ReleaseError: the repository exists with the other visibility.
    """
    if wanted == "private" and plan.is_private is False:
        raise ReleaseError(
            f"{plan.repo_id} is public, and --private was given. Make it private in its settings on the Hub, choose "
            f"another name (--name {plan.kind.name}=NAME), or leave out --private."
        )
    is_empty = all(change.action == "add" or change.path in _ON_CREATION for change in plan.changes)
    if wanted == "public" and plan.is_private and not is_empty:
        raise ReleaseError(
            f"{plan.repo_id} is private and holds files, and --public was given. Make it public in its settings on the "
            "Hub, where its whole history is then seen, or leave out --public."
        )


def check_is_ours(plan: Plan, *, may_replace: bool) -> None:
    """Refuse to overwrite a repository that something else made.

    Raises:
        ReleaseError: it has files, and not the marker of a repository of this kind.
    """
    remote = {change.path for change in plan.changes if change.action != "add"} - _ON_CREATION
    is_ours = any(change.path == MARKER and change.action == "same" for change in plan.changes)
    if remote and not is_ours and not may_replace:
        raise ReleaseError(
            f"{plan.repo_id} exists and holds {len(remote)} files that hf-santa did not publish as a {plan.kind.name}, "
            f"such as {min(remote)}. Choose another name (--name {plan.kind.name}=NAME), or pass --replace to "
            "write over it."
        )


def size_of(content: Content) -> int:
    """Return the size of a file in bytes."""
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def sha256_of(content: Content) -> str:
    """Return the SHA-256 of a file, its name in LFS."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def git_sha1_of(content: Content) -> str:
    """Return the name that git gives to a file's content."""
    whole = content if isinstance(content, bytes) else content.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(whole) + whole, usedforsecurity=False).hexdigest()


def _change(name: str, content: Content, entry: Any) -> Change:
    size = size_of(content)
    if entry is None:
        return Change("add", name, size)
    is_same = entry.size == size and (
        entry.lfs.sha256 == sha256_of(content) if entry.lfs else entry.blob_id == git_sha1_of(content)
    )
    return Change("same" if is_same else "change", name, size)
