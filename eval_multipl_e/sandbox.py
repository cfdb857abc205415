"""Shut a program in: namespaces, a private read-only view of files, a filter of system calls, limits.

Inside the wall a program sees the system folder (/usr), its own source at /program (read-only while it runs), a
private /tmp, a /dev of five harmless devices, and a /proc of its own processes. There is no network, not even
loopback; no home folder; no environment of the user; and no way to another process. It has no capability and cannot
gain one, and the calls that `seccomp` lists are refused. All its processes end with it.

Two ways lead there. "namespaces" is ours: a launcher in C (`sandbox_native`), or the fork server where no C compiler is,
clones each program into namespaces of its own; it works for root and for an ordinary user whose kernel allows user namespaces. "bwrap" is bubblewrap, for machines
that allow namespaces only to it; it costs each program some 30 ms more, so it comes second.
"""

import atexit
import contextlib
import functools
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from . import sandbox_none, toolchains_prepared
from .errors import EvalError
from .sandbox_box import Box, Limits, SandboxError, environment
from .sandbox_forkserver import INSIDE_ID, receive, send
from .sandbox_mounts import ETC, PROGRAM, STATE, SYSTEM
from .sandbox_native import Zygote, next_outer_id

WAYS = ("namespaces", "bwrap", "none")
SANDBOXES = ("auto", *WAYS)
_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
_MIB = 1 << 20
# What the folder of a program and its /tmp may hold.
FOLDER_BYTES = (512 * _MIB, 64 * _MIB)
# The fork server's modules, as a package without the files of this one that need more than the standard library.
_BOOT = (
    "import sys, types; box = types.ModuleType('box'); box.__path__ = [sys.argv[1]]; sys.modules['box'] = box; "
    "import box.sandbox_forkserver; box.sandbox_forkserver.main()"
)


def available() -> str | None:
    """Return the way that works on this machine for this user: "namespaces", "bwrap", or None.

    >>> available() in ("namespaces", "bwrap", None)
    True
    """
    return next((way for way in ("namespaces", "bwrap") if not _failure(way)), None)


def sandbox_failures() -> dict[str, str]:
    """Return, for each kind of sandbox that does not work here, why.

    >>> set(sandbox_failures()) <= {"namespaces", "bwrap"}
    True
    """
    return {way: why for way in ("namespaces", "bwrap") if (why := _failure(way))}


def resolve(sandbox: str) -> str:
    """Return the way that a `sandbox` argument means here; "auto" raises SandboxError if none works, never gives "none"."""
    if sandbox not in SANDBOXES:
        known = ", ".join(map(repr, SANDBOXES))
        raise EvalError(f"eval_multipl_e: sandbox={sandbox!r} is unknown. Use one of {known}.")
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
    if not Path("/proc/self").exists():
        return "this system shows no /proc, by which walls are built and programs are watched"
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
        with server.open_python_box(*FOLDER_BYTES) as box:
            yield box
    finally:
        server.close()


def tool_prefix(tool: str) -> tuple[str, ...]:
    """Return the folder to show for an executable outside /usr, as a tuple of none or one.

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
    way: str,
    paths: tuple[str, ...],
    *,
    program_bytes: int = FOLDER_BYTES[0],
    scratch_bytes: int = FOLDER_BYTES[1],
) -> "Box | sandbox_none.BareBox":
    """Return a wall for one program; `paths` are folders to show beside the system's, read-only."""
    if way == "none":
        return sandbox_none.BareBox()
    paths = tuple(path for path in paths if Path(path).is_dir())
    if way == "bwrap":
        return _bubblewrap(paths)
    return _fork_server(paths).open_box(program_bytes, scratch_bytes)


class _ForkServer:
    """Our side of the fork server."""

    def __init__(self, paths: tuple[str, ...]) -> None:
        self.pid = os.getpid()
        self.paths = paths
        self._lock = threading.Lock()
        self._launcher_lock = threading.Lock()
        self._launcher: Zygote | None = None
        self._has_launcher = True
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
        """Return a new wall, by the launcher where there is one: it takes a third of the time."""
        launcher = self._started_launcher()
        if launcher is not None:
            with contextlib.suppress(SandboxError):
                return launcher.open_box(program_bytes, scratch_bytes)
            self._has_launcher = False
        return self.open_python_box(program_bytes, scratch_bytes)

    def _started_launcher(self) -> Zygote | None:
        with self._launcher_lock:
            if self._launcher is None and self._has_launcher:
                try:
                    self._launcher = self._new_launcher()
                except (OSError, EvalError, subprocess.SubprocessError):
                    self._has_launcher = False  # no C compiler, say
            return self._launcher if self._has_launcher else None

    def _new_launcher(self) -> Zygote:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, (toolchains_prepared.folder("helper") / "launch").open("rb") as program:
            # By its descriptor: the view of a program need not show where it lies.
            handle = self.start_warm(["/proc/self/fd/4"], {}, (theirs.fileno(), program.fileno()))
        launcher = Zygote(ours, handle, self.paths, "the launcher")
        try:
            _probed(launcher)
        except SandboxError:
            launcher.close()
            raise
        return launcher

    def open_python_box(self, program_bytes: int, scratch_bytes: int) -> Box:
        """Return a new wall, by the fork server itself."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                handle = self._start(theirs, program_bytes, scratch_bytes)
            except BaseException:
                ours.close()
                raise
        return Box(ours, handle, self.paths)

    def start_warm(self, argv: Sequence[str], env: Mapping[str, str], fds: tuple[int, int]) -> int:
        """Start an interpreter that forks itself into walls, with a socket and its script; return a handle to end it."""
        with self._lock:
            send(self.channel, {"argv": list(argv), "env": {**environment(self.paths), **env}}, fds=fds)
            return self._answer()[0]

    def _start(self, theirs: socket.socket, program_bytes: int, scratch_bytes: int) -> int:
        """A new wall, which takes orders on this socket: the handle to end it."""
        with self._lock:
            request = {
                "is_root": os.geteuid() == 0,
                "outer_id": next_outer_id(),
                "program_bytes": program_bytes,
                "scratch_bytes": scratch_bytes,
            }
            send(self.channel, request, fds=(theirs.fileno(),))
            return self._answer()[0]

    def close(self) -> None:
        if self._launcher is not None:
            self._launcher.close()
        self.channel.close()
        # A forked copy of this process has the exit handler as well, and must not wait for what is not its child.
        if self.pid == os.getpid():
            self.process.wait()


def _probed(launcher: Zygote) -> None:
    with launcher.open_box(*FOLDER_BYTES) as box:
        step = box.run(["/bin/sh", "-c", "exit 42"], Limits(10, 1 << 30, 16), 30.0)
    if step.exit_code != 42:
        raise SandboxError("the launcher runs nothing")


def _start_python(role: str, channel: socket.socket, root: str) -> "subprocess.Popen[bytes]":
    python = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    command = [python, "-I", "-S", "-c", _BOOT, str(Path(__file__).parent), role, str(channel.fileno())]
    return subprocess.Popen(
        command,
        start_new_session=True,  # Ctrl-C is for us; the server goes when its channel closes
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
    """Start a warm interpreter outside any wall, with the view that walls have; return a handle to end it."""
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
