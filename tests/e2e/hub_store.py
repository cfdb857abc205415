"""What a Hub keeps: repositories with commits, branches, tags and pull requests, and the files of each commit."""

import fnmatch
import hashlib
import itertools
import threading
from dataclasses import dataclass, field

import yaml

ALWAYS_LFS = ("*.safetensors", "*.parquet", "*.bin", "*.pkl", "*.png")
LFS_BYTES = 10_000_000


@dataclass(frozen=True)
class Account:
    """Who a token belongs to and what it may do."""

    name: str
    orgs: tuple[str, ...] = ()
    role: str = "write"


@dataclass(frozen=True)
class Commit:
    """One commit: its files by path as SHA-256 of their content, and how many operations made it."""

    oid: str
    parent: str | None
    tree: dict[str, str]
    operations: int
    title: str


@dataclass
class Repo:
    """One repository; `refs` are branches and pull requests."""

    kind: str
    name: str
    private: bool
    refs: dict[str, str]
    commits: dict[str, Commit]
    tags: dict[str, str] = field(default_factory=dict)
    gated: str | bool = False

    def find(self, revision):
        """The commit that a branch, tag, pull request or full sha names; None if there is none."""
        oid = self.refs.get(revision) or self.refs.get(revision.removeprefix("refs/heads/")) or self.tags.get(revision)
        return self.commits.get(oid or revision)

    @property
    def head(self):
        """The last commit of main."""
        return self.commits[self.refs["main"]]

    def history(self):
        """The commits of main, newest first."""
        at = self.head
        while at:
            yield at
            at = self.commits.get(at.parent)


class Store:
    """All repositories and file contents of one Hub."""

    def __init__(self):
        self.repos: dict[tuple[str, str], Repo] = {}
        self.blobs: dict[str, bytes] = {}
        self.lock = threading.RLock()
        self.counter = itertools.count()

    def keep(self, content):
        """Store bytes; return their SHA-256."""
        digest = hashlib.sha256(content).hexdigest()
        self.blobs[digest] = content
        return digest

    def create(self, kind, name, *, private=False):
        """Make a repository with a first commit that holds .gitattributes alone, as the Hub does."""
        attributes = "".join(f"{pattern} filter=lfs diff=lfs merge=lfs -text\n" for pattern in ALWAYS_LFS).encode()
        first = Commit(self._oid(), None, {".gitattributes": self.keep(attributes)}, 1, "initial commit")
        repo = Repo(kind, name, private, {"main": first.oid}, {first.oid: first})
        self.repos[kind, name] = repo
        return repo

    def commit(self, repo, ref, operations, title, *, parent=None):
        """Apply operations (path, digest or None to delete) to a ref and return the new commit."""
        old = repo.commits[parent] if parent else repo.find(ref)
        tree = dict(old.tree)
        for path, digest in operations:
            if digest is None:
                for found in [name for name in tree if name == path or name.startswith(path.rstrip("/") + "/")]:
                    del tree[found]
            else:
                tree[path] = digest
        new = Commit(self._oid(), old.oid, tree, len(operations), title)
        repo.commits[new.oid] = new
        repo.refs[ref] = new.oid
        return new

    def put(self, kind, name, files):
        """Commit files to main as somebody else would; return the commit."""
        repo = self.repos.get((kind, name)) or self.create(kind, name)
        return self.commit(repo, "main", [(path, self.keep(content)) for path, content in files.items()], "by hand")

    def entry(self, path, digest):
        """One file as the tree and paths-info routes show it."""
        content = self.blobs[digest]
        shown = {"type": "file", "path": path, "size": len(content), "oid": git_sha1(content)}
        if is_lfs(path, len(content)):
            shown["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 132}
        return shown

    def entries(self, tree, folder="", *, recursive):
        """The files, and the folders, below a folder."""
        start = f"{folder}/" if folder else ""
        below = {path: digest for path, digest in tree.items() if path.startswith(start)}
        folders = {
            "/".join(path.split("/")[:depth])
            for path in below
            for depth in range(start.count("/") + 1, path.count("/") + 1)
        }
        shown = [self.entry(path, digest) for path, digest in below.items()]
        shown += [{"type": "directory", "path": name, "size": 0, "oid": git_sha1(name.encode())} for name in folders]
        depth = start.count("/")
        return sorted((e for e in shown if recursive or e["path"].count("/") == depth), key=lambda e: e["path"])

    def info(self, repo, commit):
        """What the Hub says of a repository at a commit."""
        readme = self.blobs.get(commit.tree.get("README.md", ""), b"")
        return {
            "_id": hashlib.md5(repo.name.encode()).hexdigest()[:24],
            "id": repo.name,
            "author": repo.name.split("/")[0],
            "sha": commit.oid,
            "private": repo.private,
            "gated": repo.gated,
            "disabled": False,
            "tags": [],
            "downloads": 0,
            "likes": 0,
            "lastModified": "2026-01-01T00:00:00.000Z",
            "createdAt": "2026-01-01T00:00:00.000Z",
            "cardData": front_matter(readme.decode("utf-8", "replace")) or {},
            "siblings": [{"rfilename": path} for path in sorted(commit.tree)],
            **({"sdk": "gradio", "runtime": {"stage": "BUILDING"}} if repo.kind == "space" else {}),
        }

    def _oid(self):
        return hashlib.sha1(f"commit {next(self.counter)}".encode()).hexdigest()


def is_lfs(path, size):
    """Whether a file is kept as a large one."""
    return size > LFS_BYTES or any(fnmatch.fnmatch(path, pattern) for pattern in ALWAYS_LFS)


def git_sha1(content):
    """The name that git gives to a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def front_matter(text):
    """The YAML at the head of a card; None without one. Raises yaml.YAMLError."""
    parts = text.split("---\n", 2)
    return yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0] else None
