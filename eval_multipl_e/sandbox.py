"""The wall round a program: namespaces, a private read-only view of the machine, a call filter and resource limits.

Inside the wall a program sees the system folder (/usr), its own source at /program (read-only while it runs), a
private /tmp, a /dev of five harmless devices, and a /proc of its own processes. There is no network, not even
loopback; no home folder; no environment of the user; and no way to another process. It has no capability and cannot
gain one, and the calls that `seccomp` lists are refused. All its processes end with it.

Two ways lead there. "namespaces" is ours: a fork server (`forkserver`) clones each program into namespaces of its own;
it works for root and for an ordinary user whose kernel allows user namespaces. "bwrap" is bubblewrap, for machines
that allow namespaces only to it; it costs each program some 30 ms more, so it comes second.
"""

import atexit
import contextlib
import functools
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from . import bare
from .capture import Capture, Step
from .forkserver import INSIDE_ID, receive, send
from .view import ETC, PROGRAM, STATE, SYSTEM

WAYS = ("namespaces", "bwrap", "none")
SANDBOXES = ("auto", *WAYS)
_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
_MIB = 1 << 20
_GRACE_S = 10.0
# The fork server's modules, as a package without the files of this one that need more than the standard library.
_BOOT = (
    "import sys, types; box = types.ModuleType('box'); box.__path__ = [sys.argv[1]]; sys.modules['box'] = box; "
    "import box.forkserver; box.forkserver.main()"
)


@dataclass(frozen=True)
class Limits:
    """What a program may use: processor time, memory and files for one process, memory and processes for all."""

    cpu_s: int
    data_bytes: int
    processes: int
    memory_bytes: int = min(4 << 30, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2)
    file_bytes: int = 64 << 20
    own_s: float = 0.0  # where set, the run ends after this much processor time, or this much time of doing nothing


class SandboxError(RuntimeError):
    """No sandbox works here, or one could not be set up; the program was not run and is not scored."""


def available() -> str | None:
    """The way that works on this machine for this user: "namespaces", "bwrap", or None.

    >>> available() in ("namespaces", "bwrap", None)
    True
    """
    return next((way for way in ("namespaces", "bwrap") if not _failure(way)), None)


def resolve(sandbox: str) -> str:
    """The way that a `sandbox` argument means here; "auto" is a refusal where no way works, never "none"."""
    if sandbox not in SANDBOXES:
        known = ", ".join(map(repr, SANDBOXES))
        raise ValueError(f"eval_multipl_e: sandbox={sandbox!r} is unknown. Use one of {known}.")
    if sandbox == "none":
        return "none"
    wanted = ("namespaces", "bwrap") if sandbox == "auto" else (sandbox,)
    failures = []
    for way in wanted:
        why = _failure(way)
        if not why:
            return way
        failures.append(f"{way}: {why}")
    raise SandboxError(
        f"eval_multipl_e: no sandbox works on this machine ({'; '.join(failures)}). Allow user namespaces or install "
        "bubblewrap; or, for programs you trust, pass sandbox='none', which keeps only resource limits."
    )


@functools.cache
def _failure(way: str) -> str:
    """Why a way does not work here; empty where it does. Asked once a process."""
    try:
        with _probe(way) as box:
            limits = Limits(cpu_s=10, data_bytes=1 << 30, processes=16)
            step = box.run(["/bin/sh", "-c", "exit 42"], limits, 30.0)
    except (OSError, RuntimeError, EOFError) as error:
        return " ".join(str(error).split()) or repr(error)
    said = step.stderr.text().strip()
    return "" if step.exit_code == 42 else f"a probe ended with {step.exit_code}: {said or 'no words'}"


@contextlib.contextmanager
def _probe(way: str) -> "Iterator[Box]":
    if way == "bwrap":
        with _bubblewrap(()) as box:
            yield box
        return
    server = _ForkServer(())  # its own, for what programs need to see is not known here
    try:
        with server.open_box(512 * _MIB, 64 * _MIB) as box:
            yield box
    finally:
        server.close()


def environment(paths: Sequence[str], home: str = "/tmp") -> dict[str, str]:  # noqa: S108  # the private one
    """The whole environment of a program; `paths` are folders of tools outside the system's."""
    tools = os.pathsep.join([*(str(Path(path, "bin")) for path in paths), _PATH])
    return {"PATH": tools, "HOME": home, "TMPDIR": home, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}


def tool_prefix(tool: str) -> tuple[str, ...]:
    """The folder to show for an executable outside /usr, as a tuple of none or one.

    >>> tool_prefix("/usr/bin/env")
    ()
    """
    real = Path(os.path.realpath(tool))
    if real.parts[1] in SYSTEM:
        return ()
    prefix = real.parent.parent
    home = Path.home()
    # A tool in ~/bin must not open the home folder.
    return (str(real.parent if prefix == home or prefix in home.parents else prefix),)


def open_box(
    way: str, paths: tuple[str, ...], *, program_bytes: int = 512 * _MIB, scratch_bytes: int = 64 * _MIB
) -> "Box | bare.BareBox":
    """A wall for one program; `paths` are folders to show beside the system's, read-only."""
    if way == "none":
        return bare.BareBox()
    paths = tuple(path for path in paths if Path(path).is_dir())
    if way == "bwrap":
        return _bubblewrap(paths)
    return _fork_server(paths).open_box(program_bytes, scratch_bytes)


class Box:
    """One wall, and the first process inside it, which does what it is told; close it and all inside ends."""

    program_dir = PROGRAM

    def __init__(self, channel: socket.socket, handle: int, paths: tuple[str, ...], owner: Any = None) -> None:
        self._channel = channel
        self._handle = handle
        self._owner = owner
        self.env = environment(paths)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends every process behind the wall."""
        if self._handle < 0:
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        os.close(self._handle)
        self._handle = -1
        self._channel.close()
        if self._owner is not None:
            self._owner.wait()

    def write(self, files: Mapping[str, bytes]) -> None:
        """Puts files into the program's folder."""
        with self._honest():
            send(
                self._channel,
                {"do": "write", "files": [[name, len(body)] for name, body in files.items()]},
                b"".join(files.values()),
            )

    def seal(self) -> None:
        """Makes the program's folder read-only (not behind bubblewrap, where it is the program's own all along)."""
        with self._honest():
            send(self._channel, {"do": "seal"})

    def read(self, path: str) -> bytes:
        """A plain file's bytes; empty where there is none."""
        with self._honest():
            send(self._channel, {"do": "read", "path": path})
            answer = receive(self._channel)
        return answer[1] if answer else b""

    def run(
        self,
        argv: Sequence[str],
        limits: Limits,
        timeout_s: float,
        *,
        word: bytes = b"",
        env: Mapping[str, str] | None = None,
    ) -> Step:
        """Runs one command to its end or to the deadline, reads all it prints, and leaves no process of it."""
        reads, writes = zip(os.pipe(), os.pipe(), strict=True)
        try:
            try:
                with self._honest():
                    self._order(argv, limits, {**self.env, **(env or {})}, writes)
            finally:
                for fd in writes:
                    os.close(fd)
            readers = dict(zip(reads, (Capture(word), Capture()), strict=True))
            answer = _listen(self._channel, readers, timeout_s)
            if answer is None:
                answer = self._stop(readers, timeout_s)
            for fd, capture in readers.items():
                capture.drain(fd)
        finally:
            for fd in reads:
                os.close(fd)
        return _step(answer, list(readers.values()))

    def adopt(
        self, enter: Callable[[tuple[int, ...], Limits], None], limits: Limits, timeout_s: float, *, word: bytes = b""
    ) -> Step | None:
        """Runs a copy of a warm interpreter, which `enter` has fork itself in here; None where that failed.

        `enter` is given the files that go with the request: six namespaces, two streams, the pipe of its report.
        """
        reads, writes = zip(os.pipe(), os.pipe(), os.pipe(), strict=True)
        try:
            try:
                with self._honest():
                    send(self._channel, {"do": "adopt", **vars(limits)}, fds=(reads[2],))
                    invitation = receive(self._channel)
                if invitation is None:
                    return None
                try:
                    enter((*invitation[2], *writes), limits)
                finally:
                    for fd in invitation[2]:
                        os.close(fd)
            finally:
                for fd in writes:
                    os.close(fd)
            readers = dict(zip(reads[:2], (Capture(word), Capture()), strict=True))
            answer = _listen(self._channel, readers, timeout_s)
            if answer is None:
                answer = self._stop(readers, timeout_s)
            for fd, capture in readers.items():
                capture.drain(fd)
        finally:
            for fd in reads:
                os.close(fd)
        return None if answer.get("has_failed") else _step(answer, list(readers.values()))

    def _order(self, argv: Sequence[str], limits: Limits, env: dict[str, str], fds: tuple[int, ...]) -> None:
        order = {"do": "run", "argv": list(argv), "env": env, "cwd": "/tmp", **vars(limits)}  # noqa: S108  # the private one
        send(self._channel, order, fds=fds)

    def start(self, argv: Sequence[str], limits: Limits, env: Mapping[str, str], fds: tuple[int, int, int]) -> None:
        """Starts a command that serves on the given standard streams until the box is closed."""
        with self._honest():
            self._order(argv, limits, {**self.env, **env}, fds)

    def _stop(self, readers: dict[int, Capture], timeout_s: float) -> dict[str, Any]:
        with contextlib.suppress(OSError):
            send(self._channel, {"do": "stop", "limit_s": timeout_s})
        answer = _listen(self._channel, readers, _GRACE_S)
        if answer is None:  # its first process does not answer: the kernel ends it from outside
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            return {"wall_s": timeout_s}
        return answer

    @contextlib.contextmanager
    def _honest(self) -> Iterator[None]:
        try:
            yield
        except (OSError, EOFError) as error:
            raise _not_set_up(_last_words(self._channel) or str(error)) from error


def _last_words(channel: socket.socket) -> str:
    channel.setblocking(False)
    try:
        answer = receive(channel)
    except (OSError, EOFError, ValueError):
        return ""
    return str(answer[0].get("error", "")) if answer else ""


def _not_set_up(said: str) -> SandboxError:
    return SandboxError(
        f"eval_multipl_e: the sandbox could not be set up: {said or 'no answer'}. The program was not run and "
        "is not scored. Check that the machine has memory and free process ids, then run again."
    )


def _listen(channel: socket.socket, readers: dict[int, Capture], timeout_s: float) -> dict[str, Any] | None:
    """Reads all streams until the wall's first process answers; None when the time is over."""
    deadline = time.monotonic() + timeout_s
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    for fd in readers:
        os.set_blocking(fd, False)
        poll.register(fd, select.POLLIN)
    while True:
        left = deadline - time.monotonic()
        for fd, _ in poll.poll(max(0.0, left * 1000)):
            if fd in readers:
                if not readers[fd].read_from(fd):
                    poll.unregister(fd)
                continue
            try:
                answer = receive(channel)
            except (OSError, EOFError):
                answer = None
            if answer is None or "error" in answer[0]:
                raise _not_set_up(answer[0]["error"] if answer else "it ended before the program did")
            return answer[0]
        if left <= 0:
            return None


def _step(answer: Mapping[str, Any], captures: list[Capture]) -> Step:
    return Step(
        answer.get("exit"),
        captures[0],
        captures[1],
        answer["wall_s"],
        cpu_s=answer.get("cpu_s", 0.0),
        delay_s=answer.get("delay_s", 0.0),
        memory_bytes=answer.get("memory_bytes", 0),
    )


class _ForkServer:
    """Our side of the fork server."""

    def __init__(self, paths: tuple[str, ...]) -> None:
        self.pid = os.getpid()
        self.paths = paths
        self._lock = threading.Lock()
        self._next_id = random.randrange(40_000)
        self.channel, theirs = socket.socketpair()
        root = tempfile.mkdtemp(prefix="santa-view-")
        try:
            with theirs:
                self.process = _start_python("serve", theirs, root)
            send(self.channel, {"root": root, "paths": list(paths)})
            self._answer()
        except BaseException:
            self.channel.close()
            raise
        finally:
            os.rmdir(root)  # noqa: PTH106  # the view hangs at the server's own root by now

    def _answer(self) -> list[int]:
        try:
            answer = receive(self.channel)
        except (OSError, EOFError):
            answer = None
        if answer is None:
            raise SandboxError("the fork server ended")
        if "error" in answer[0]:
            raise SandboxError(answer[0]["error"])
        return answer[2]

    def open_box(self, program_bytes: int, scratch_bytes: int) -> Box:
        """A new wall."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                handle = self._start(theirs, program_bytes, scratch_bytes)
            except BaseException:
                ours.close()
                raise
        return Box(ours, handle, self.paths)

    def start_warm(self, argv: Sequence[str], env: Mapping[str, str], fds: tuple[int, int]) -> int:
        """Starts an interpreter that will fork itself into walls, with a socket and its script; a handle to end it."""
        with self._lock:
            send(self.channel, {"argv": list(argv), "env": {**environment(self.paths), **env}}, fds=fds)
            return self._answer()[0]

    def _start(self, theirs: socket.socket, program_bytes: int, scratch_bytes: int) -> int:
        """A new wall, which takes orders on this socket: the handle to end it."""
        with self._lock:
            self._next_id = (self._next_id + 1) % 40_000
            request = {
                "is_root": os.geteuid() == 0,
                "outer_id": 20_000 + self._next_id,
                "program_bytes": program_bytes,
                "scratch_bytes": scratch_bytes,
            }
            send(self.channel, request, fds=(theirs.fileno(),))
            return self._answer()[0]

    def close(self) -> None:
        self.channel.close()
        # A forked copy of this process has the exit handler as well, and must not wait for what is not its child.
        if self.pid == os.getpid():
            self.process.wait()


def _start_python(role: str, channel: socket.socket, root: str) -> "subprocess.Popen[bytes]":
    python = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    command = [python, "-I", "-S", "-c", _BOOT, str(Path(__file__).parent), role, str(channel.fileno())]
    return subprocess.Popen(
        command,
        env=environment(()),
        cwd=root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=(channel.fileno(),),
    )


_servers: dict[int, _ForkServer] = {}
_servers_lock = threading.Lock()


def _fork_server(paths: tuple[str, ...]) -> _ForkServer:
    """This process's fork server; one that shows too few folders, or has died, is replaced."""
    with _servers_lock:
        server = _servers.get(os.getpid())
        if server and server.process.poll() is None and set(paths) <= set(server.paths):
            return server
        if server:
            # Programs behind its walls go on until their boxes are closed: the old server is closed at exit.
            atexit.register(server.close)
            paths = tuple(dict.fromkeys((*server.paths, *paths)))
        else:
            atexit.register(_close_servers)
        _servers[os.getpid()] = _ForkServer(paths)
        return _servers[os.getpid()]


def start_warm(paths: tuple[str, ...], argv: Sequence[str], env: Mapping[str, str], fds: tuple[int, int]) -> int:
    """Starts a warm interpreter outside any wall, with the view that walls have; a handle to end it."""
    shown = tuple(path for path in paths if Path(path).is_dir())
    return _fork_server(shown).start_warm(argv, env, fds)


def _close_servers() -> None:
    if server := _servers.pop(os.getpid(), None):
        server.close()


def _bubblewrap(paths: tuple[str, ...]) -> Box:
    if os.geteuid() == 0:
        # It maps the program's user to its caller's, and root's may write to the kernel's settings without a capability.
        raise SandboxError("behind bubblewrap a program of root would be root's outside; use another user")
    tool = shutil.which("bwrap", path=f"{os.environ.get('PATH', '')}:{_PATH}")
    if tool is None:
        raise SandboxError("'bwrap' is not on PATH (apt-get install bubblewrap)")
    own = Path(__file__).parent
    python = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    command = [tool, *["--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]]
    command += ["--uid", str(INSIDE_ID), "--gid", str(INSIDE_ID), "--hostname", "santa", "--as-pid-1"]
    command += ["--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"]
    command += ["--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--tmpfs", PROGRAM]  # noqa: S108  # private
    for name in (*SYSTEM, *STATE):
        source = Path("/", name)
        if source.is_symlink():
            command += ["--symlink", str(source.readlink()), f"/{name}"]
        elif source.is_dir():
            command += ["--ro-bind", f"/{name}", f"/{name}"]
    etc = sorted(str(path) for pattern in ETC for path in Path("/etc").glob(pattern) if path.exists())
    for path in dict.fromkeys((*etc, *paths, *tool_prefix(python), str(own))):
        command += ["--ro-bind", path, path]
    ours, theirs = socket.socketpair()
    with theirs:
        command += ["--", python, "-I", "-S", "-c", _BOOT, str(own), "obey", str(theirs.fileno())]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=(theirs.fileno(),), env={}
        )
    return Box(ours, os.pidfd_open(process.pid), paths, process)
