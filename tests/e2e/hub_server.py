"""A Hub on loopback, as far as the unmodified clients of Hugging Face go: it keeps repositories, injects failures, logs.

Large files go through LFS; it has no Xet, so that clients need HF_HUB_DISABLE_XET=1.
"""

import base64
import json
import re
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

from .hub_store import Account, Store, front_matter, git_sha1, is_lfs

KINDS = "(models|datasets|spaces)"
REPO = r"([\w.-]+/[\w.-]+)"
CUT = 0  # as an injected status: the connection is closed without an answer, nothing is done
LOST = -1  # the request is carried out, and its answer gets lost


class RefusedError(Exception):
    """A request that is answered with an error."""

    def __init__(self, status, message, code="", **headers):
        super().__init__(message)
        self.status, self.message = status, message
        self.headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {}), **headers}


class Hub:
    """The server's state, as a test sees it: `store`, `accounts`, `log`; `fail` and `before` change what it does."""

    def __init__(self, url):
        self.url = url
        self.store = Store()
        self.accounts: dict[str, Account | None] = {}  # None: the token has expired
        self.log: list[tuple[str, str, int]] = []
        self.raw_log: list[str] = []
        self.failures: list[list] = []
        self.hooks: list[list] = []
        self.refused_kinds: set[str] = set()  # what no account may create, as a free one may not create Spaces
        self.private_by_default: set[str] = set()  # namespaces whose new repositories are private unless asked
        self.collections: dict[str, dict] = {}
        self.visibility_asked: dict[str, str | None] = {}  # what each creation asked for

    def fail(self, pattern, status=503, times=1):
        """Answer the next `times` requests whose "METHOD path" matches with this status."""
        self.failures.append([re.compile(pattern), status, times])

    def before(self, pattern, action):
        """Call `action` once before the first request that matches is answered."""
        self.hooks.append([re.compile(pattern), action])

    def forget(self):
        """Forget failures, hooks and the log."""
        self.log, self.raw_log, self.failures, self.hooks = [], [], [], []

    def writes(self):
        """The requests that change something."""
        read_only = re.compile(r"/(validate-yaml|paths-info/\S*)$")
        return [f"{m} {path}" for m, path, _ in self.log if m not in {"GET", "HEAD"} and not read_only.search(path)]

    def commit_requests(self):
        """The accepted commits."""
        return [path for method, path, status in self.log if method == "POST" and "/commit/" in path and status == 200]

    def failure_for(self, line):
        """The status to inject for this request; None to answer it."""
        for entry in list(self.hooks):
            if entry[0].search(line):
                self.hooks.remove(entry)
                entry[1]()
        for entry in self.failures:
            if entry[2] > 0 and entry[0].search(line):
                entry[2] -= 1
                return entry[1]
        return None


class Handler(BaseHTTPRequestHandler):
    """Answers one connection's requests by the routes below."""

    protocol_version = "HTTP/1.1"
    hub: Hub
    disable_nagle_algorithm = True

    def log_message(self, *_):
        """Keep standard error for pytest."""

    def do_GET(self):
        """Answer, whatever the method."""
        self._answer()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    def _answer(self):
        parts = urlsplit(self.path)
        self.path_only, self.query = unquote(parts.path), parse_qs(parts.query)
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self._chunks() if self.headers.get("Transfer-Encoding") == "chunked" else self.rfile.read(length)
        self.hub.raw_log.append(f"{self.command} {self.path}")
        status = self.hub.failure_for(f"{self.command} {self.path_only}")
        self.is_lost = status == LOST
        if status == CUT:
            self._cut(CUT)
            return
        try:
            self._route(None if self.is_lost else status)
        except RefusedError as refused:
            self._send(refused.status, {"error": refused.message}, **refused.headers)

    def _cut(self, status):
        self.hub.log.append((self.command, self.path_only, status))
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _chunks(self):
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _route(self, injected):
        if injected:
            raise RefusedError(injected, f"injected {injected}")
        for methods, pattern, action in ROUTES:
            found = re.fullmatch(pattern, self.path_only)
            if found and self.command in methods:
                with self.hub.store.lock:
                    action(self, *found.groups())
                return
        raise RefusedError(404, f"no route for {self.command} {self.path_only}", "RepoNotFound")

    def _send(self, status, content=b"", kind="application/json", **headers):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        if self.is_lost:
            self._cut(LOST)
            return
        self.hub.log.append((self.command, self.path_only, status))
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": len(body), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _account(self):
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if not token:
            raise RefusedError(401, "Invalid username or password.")
        if token not in self.hub.accounts:
            raise RefusedError(401, "Invalid credentials in Authorization header")
        if self.hub.accounts[token] is None:
            raise RefusedError(401, "User Access Token has expired")
        return self.hub.accounts[token]

    def _may_write(self, namespace):
        account = self._account()
        if account.role != "write":
            raise RefusedError(403, "You must use a write token to do that: yours is a read token.")
        if namespace not in {account.name, *account.orgs}:
            raise RefusedError(
                403, f"You don't have the rights to create or change anything under the namespace {namespace!r}"
            )

    def _repo(self, kinds, name):
        repo = self.hub.store.repos.get((kinds.rstrip("s"), name))
        if repo is None or (repo.private and not self.headers.get("Authorization")):
            raise RefusedError(404 if repo is None else 401, "Repository not found", "RepoNotFound")
        return repo

    def _at(self, kinds, name, revision):
        repo = self._repo(kinds, name)
        commit = repo.find(revision)
        if commit is None:
            raise RefusedError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return repo, commit

    def json(self):
        """The request's body."""
        return json.loads(self.body or b"{}")

    # --- who, cards, repositories
    def whoami(self):
        """GET whoami-v2."""
        account = self._account()
        orgs = [{"type": "org", "name": org, "roleInOrg": "write"} for org in account.orgs]
        token = {"accessToken": {"displayName": "test", "role": account.role}, "type": "access_token"}
        self._send(200, {"type": "user", "name": account.name, "fullname": account.name, "orgs": orgs, "auth": token})

    def validate(self):
        """POST validate-yaml."""
        try:
            front_matter(self.json()["content"])
        except yaml.YAMLError as error:
            self._send(400, {"errors": [{"message": str(error)}], "warnings": []})
        else:
            self._send(200, {"errors": [], "warnings": []})

    def create(self):
        """POST repos/create."""
        asked = self.json()
        namespace = asked.get("organization") or self._account().name
        self._may_write(namespace)
        name, kind = f"{namespace}/{asked['name']}", asked.get("type") or "model"
        url = f"{self.hub.url}/{'' if kind == 'model' else kind + 's/'}{name}"
        if (kind, name) in self.hub.store.repos:
            self._send(409, {"error": "You already created this repo", "url": url})
            return
        if kind in self.hub.refused_kinds and asked.get("sdk") != "static":  # static Spaces are free
            raise RefusedError(403, f"A {kind} needs a paid plan")
        visibility = asked.get("visibility") or (asked["private"] and "private" if "private" in asked else None)
        self.hub.visibility_asked[name] = visibility
        default = "private" if namespace in self.hub.private_by_default else "public"
        self.hub.store.create(kind, name, private=(visibility or default) == "private")
        self._send(200, {"url": url, "name": name, "id": name})

    def settings(self, kinds, name):
        """PUT settings: the visibility, and who is let in."""
        self._may_write(name.split("/")[0])
        repo, asked = self._repo(kinds, name), self.json()
        repo.private = asked.get("visibility", "private" if repo.private else "public") == "private"
        repo.gated = asked.get("gated", repo.gated)
        self._send(200, {})

    def make_collection(self):
        """POST collections: one of a title in a namespace, which may be there already."""
        asked = self.json()
        self._may_write(asked["namespace"])
        slug = f"{asked['namespace']}/{asked['title'].lower().replace(' ', '-')}-{len(asked['title']):024x}"
        if slug in self.hub.collections:
            self._send(409, {"error": "You already have a collection of this title", "slug": slug})
            return
        about = {"slug": slug, "title": asked["title"], "owner": {"name": asked["namespace"]}, "items": []}
        about |= {"lastUpdated": "2026-01-01T00:00:00.000Z", "position": 0, "theme": "green", "upvotes": 0}
        self.hub.collections[slug] = {**about, "private": asked["private"]}
        self._send(200, self.hub.collections[slug])

    def collection(self, slug):
        """GET a collection."""
        self._send(200, self.hub.collections[slug])

    def collect(self, slug):
        """POST an item of a collection, a repository that is there."""
        self._may_write(slug.split("/")[0])
        asked, items = self.json()["item"], self.hub.collections[slug]["items"]
        self._repo(asked["type"], asked["id"])
        if any((item["type"], item["id"]) == (asked["type"], asked["id"]) for item in items):
            raise RefusedError(409, "already in the collection")
        items.append({**asked, "_id": f"{len(items):024x}", "position": len(items)})
        self._send(200, self.hub.collections[slug])

    def info(self, kinds, name, revision=None):
        """GET a repository, at a revision."""
        self._send(200, self.hub.store.info(*self._at(kinds, name, revision or "main")))

    def tree(self, kinds, name, revision, folder=None):
        """GET the files below a folder."""
        _, commit = self._at(kinds, name, revision)
        recursive = self.query.get("recursive", ["false"])[0].lower() in {"true", "1"}
        found = self.hub.store.entries(commit.tree, (folder or "").strip("/"), recursive=recursive)
        if folder and folder.strip("/") and not found:
            raise RefusedError(404, f"{folder} does not exist", "EntryNotFound")
        self._send(200, found)

    def paths_info(self, kinds, name, revision):
        """POST paths-info."""
        _, commit = self._at(kinds, name, revision)
        form = self.body.decode()
        paths = self.json()["paths"] if form.startswith("{") else parse_qs(form)["paths"]
        everything = self.hub.store.entries(commit.tree, recursive=True)
        self._send(200, [entry for entry in everything if entry["path"] in paths])

    def refs(self, kinds, name):
        """GET branches, tags and pull requests."""
        repo = self._repo(kinds, name)

        def shown(refs, prefix):
            return [{"name": n.split("/")[-1], "ref": prefix + n, "targetCommit": oid} for n, oid in refs.items()]

        branches = {n: oid for n, oid in repo.refs.items() if not n.startswith("refs/pr/")}
        pulls = {n: oid for n, oid in repo.refs.items() if n.startswith("refs/pr/")}
        answer = {"branches": shown(branches, "refs/heads/"), "tags": shown(repo.tags, "refs/tags/"), "converts": []}
        self._send(200, {**answer, "pullRequests": shown(pulls, "")})

    def make_ref(self, kinds, name, what, ref):
        """POST a branch, or a tag of the revision in the path."""
        self._may_write(name.split("/")[0])
        asked = self.json()
        repo, commit = self._at(kinds, name, ref if what == "tag" else asked.get("startingPoint") or "main")
        refs, ref = (repo.tags, asked["tag"]) if what == "tag" else (repo.refs, ref)
        if ref in refs:
            raise RefusedError(409, f"{what} {ref} exists already")
        refs[ref] = commit.oid
        self._send(200, {})

    # --- upload
    def preupload(self, kinds, name, revision):
        """POST preupload: which files are large, and which are there already."""
        _, commit = self._at(kinds, name, revision)
        self._may_write(name.split("/")[0])
        files = []
        for asked in self.json()["files"]:
            path, large = asked["path"], is_lfs(asked["path"], asked["size"])
            digest = commit.tree.get(path)
            oid = digest and (digest if large else git_sha1(self.hub.store.blobs[digest]))
            mode = "lfs" if large else "regular"
            files.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        self._send(200, {"files": files})

    def lfs_batch(self, _kinds, name):
        """POST the LFS batch: where each object that is not there is to be put."""
        self._may_write(name.split("/")[0])
        objects = []
        for each in self.json()["objects"]:
            link = {"href": f"{self.hub.url}/_lfs/{each['oid']}"}
            verify = {"href": f"{self.hub.url}/_verify/{name}"}
            there = each["oid"] in self.hub.store.blobs
            objects.append({**each, **({} if there else {"actions": {"upload": link, "verify": verify}})})
        self._send(200, {"transfer": "basic", "objects": objects})

    def lfs_put(self, oid):
        """PUT an object."""
        if self.hub.store.keep(self.body) != oid:
            raise RefusedError(422, f"the content is not {oid}")
        self._send(200)

    def lfs_verify(self, _name):
        """POST verify."""
        self._send(200 if self.json()["oid"] in self.hub.store.blobs else 404)

    def commit(self, kinds, name, revision):
        """POST a commit, or a pull request with one."""
        repo, commit = self._at(kinds, name, revision)
        self._may_write(name.split("/")[0])
        title, parent, operations = "", None, []
        for line in filter(None, self.body.split(b"\n")):
            key, value = (entry := json.loads(line))["key"], entry["value"]
            if key == "header":
                title, parent = value["summary"], value.get("parentCommit")
            elif key == "file":
                operations.append((value["path"], self.hub.store.keep(base64.b64decode(value["content"]))))
            elif key == "lfsFile":
                if value["oid"] not in self.hub.store.blobs:
                    raise RefusedError(400, f"{value['path']}: LFS object {value['oid']} was never uploaded")
                operations.append((value["path"], value["oid"]))
            else:
                operations.append((value["path"], None))
        pull = None
        if "create_pr" in self.query:
            number = 1 + sum(ref.startswith("refs/pr/") for ref in repo.refs)
            pull, parent = f"refs/pr/{number}", parent or commit.oid
        elif parent not in {None, commit.oid}:
            raise RefusedError(412, "A commit has happened since. Please refresh and try again.")
        new = self.hub.store.commit(repo, pull or revision, operations, title, parent=parent)
        url = f"{self.hub.url}/{kinds + '/' if kinds != 'models' else ''}{name}"
        request = {"pullRequestUrl": f"{url}/discussions/{pull.split('/')[-1]}"} if pull else {}
        self._send(200, {"success": True, "commitOid": new.oid, "commitUrl": f"{url}/commit/{new.oid}", **request})

    # --- download
    def resolve(self, kinds, name, revision, path):
        """HEAD or GET a file; a large one by a redirect to another host, as on the Hub."""
        _, commit = self._at((kinds or "models/")[:-1], name, revision)
        digest = commit.tree.get(path)
        if digest is None:
            raise RefusedError(404, "Entry not found", "EntryNotFound", X_Repo_Commit=commit.oid)
        content = self.hub.store.blobs[digest]
        large = is_lfs(path, len(content))
        headers = {"X_Repo_Commit": commit.oid, "ETag": f'"{digest if large else git_sha1(content)}"'}
        if large:
            host = self.hub.url.replace("127.0.0.1", "localhost")
            linked = {"X_Linked_Etag": f'"{digest}"', "X_Linked_Size": len(content)}
            self._send(302, **headers, **linked, Location=f"{host}/_lfs/{digest}")
        else:
            self._content(content, **headers)

    def lfs_get(self, digest):
        """GET an object."""
        self._content(self.hub.store.blobs[digest])

    def _content(self, content, **headers):
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if not asked:
            self._send(200, content, "application/octet-stream", Accept_Ranges="bytes", **headers)
            return
        start, end = int(asked[1]), min(int(asked[2] or len(content) - 1), len(content) - 1)
        shown = f"bytes {start}-{end}/{len(content)}"
        self._send(206, content[start : end + 1], "application/octet-stream", Content_Range=shown, **headers)


REVISION = r"((?:refs/(?:pr|heads|convert)/)?[^/]+)"
ROUTES = (
    (("GET",), "/api/whoami-v2", Handler.whoami),
    (("POST",), "/api/validate-yaml", Handler.validate),
    (("POST",), "/api/repos/create", Handler.create),
    (("POST",), "/api/collections", Handler.make_collection),
    (("GET",), f"/api/collections/{REPO}", Handler.collection),
    (("POST",), f"/api/collections/{REPO}/items", Handler.collect),
    (("GET",), f"/api/{KINDS}/{REPO}", Handler.info),
    (("GET",), f"/api/{KINDS}/{REPO}/revision/(.+)", Handler.info),
    (("GET",), f"/api/{KINDS}/{REPO}/tree/{REVISION}(/.*)?", Handler.tree),
    (("POST",), f"/api/{KINDS}/{REPO}/paths-info/{REVISION}", Handler.paths_info),
    (("GET",), f"/api/{KINDS}/{REPO}/refs", Handler.refs),
    (("PUT",), f"/api/{KINDS}/{REPO}/settings", Handler.settings),
    (("POST",), f"/api/{KINDS}/{REPO}/(branch|tag)/(.+)", Handler.make_ref),
    (("POST",), f"/api/{KINDS}/{REPO}/preupload/{REVISION}", Handler.preupload),
    (("POST",), f"/api/{KINDS}/{REPO}/commit/{REVISION}", Handler.commit),
    (("POST",), rf"/(datasets/|spaces/)?{REPO}\.git/info/lfs/objects/batch", Handler.lfs_batch),
    (("PUT",), "/_lfs/([0-9a-f]{64})", Handler.lfs_put),
    (("GET", "HEAD"), "/_lfs/([0-9a-f]{64})", Handler.lfs_get),
    (("POST",), "/_verify/(.+)", Handler.lfs_verify),
    (("GET", "HEAD"), f"/(datasets/|spaces/)?{REPO}/resolve/{REVISION}/(.+)", Handler.resolve),
)


@contextmanager
def running_hub():
    """A Hub on a free port of loopback, stopped afterwards."""
    handler = type("BoundHandler", (Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    handler.hub = hub = Hub(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
