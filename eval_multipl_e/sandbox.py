"""The wall round a program: namespaces, a private read-only view of the machine, and resource limits.

Inside the wall a program sees the system folder (/usr), its own source at /program (read-only while it runs), a
private /tmp, a /dev of five harmless devices, and a /proc of its own processes. There is no network, not even
loopback; no home folder; no environment of the user; and no way to another process. It has no capability and cannot
gain one. The shell that stands at the head of the process namespace ends with the program, and the kernel then ends
every process that is left. The clock and the reading of output stay outside, in `execution`.

Two ways lead there. "root" (real root) changes to a user id of the program's own; "userns" (an ordinary user) makes
the user root in a namespace of its own, then gives every capability up. Linux and util-linux >= 2.36 are needed.
"""

import atexit
import functools
import os
import random
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PROGRAM = "/program"
_TMPFS = "nosuid,nodev,size=64m"
_READ_ONLY = "rbind,ro,nosuid,nodev"
_DEVICES = ("null", "zero", "full", "random", "urandom")
_SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
# Only what loaders and language runtimes read; never passwd, shadow, hosts or keys.
_ETC = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime", "java*", "ssl/openssl.cnf")
_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
_TOOLS = ("unshare", "mount", "umount", "pivot_root", "setpriv", "sh")

# Standard input is the way back to the caller: "ready" when the wall stands, "exit N" when the program has ended.
# The program itself reads /dev/null, and cannot reach the shell's descriptors.
_SCRIPT = """
{ mount -a -T "$1" && cd "$2" && pivot_root . . && umount -l . && cd /tmp || exit 1; } 1>&0 2>&0
shift 2
ulimit -c 0; ulimit -t "$1"; ulimit -f "$2"; ulimit -d "$3"
{ ulimit -u "$4" || ulimit -p "$4"; } 2>/dev/null
shift 4
unset OLDPWD
echo ready >&0
exec 3>&2 2>/dev/null
setpriv "$@" </dev/null 2>&3 3>&-
echo "exit $?" >&0
"""
_BARE_SCRIPT = 'ulimit -c 0; ulimit -t "$1"; ulimit -f "$2"; ulimit -d "$3"; shift 3; exec "$@"'


@dataclass(frozen=True)
class Limits:
    """What one process of a program may use; the number of processes is counted for each program apart."""

    cpu_s: int
    data_bytes: int
    processes: int
    file_bytes: int = 32 << 20

    def numbers(self) -> list[str]:
        """The values in the units of the shell's ulimit: seconds, blocks of 512 bytes, KiB."""
        return [str(self.cpu_s), str(self.file_bytes // 512), str(self.data_bytes // 1024)]


@dataclass(frozen=True)
class Launch:
    """A command to start, with its environment and folder; `reports` tells whether stdin is the way back."""

    argv: list[str]
    env: dict[str, str]
    cwd: str
    program_dir: str
    reports: bool


def available() -> str | None:
    """The way that works on this machine for this user: "root", "userns", or None.

    >>> available() in ("root", "userns", None)
    True
    """
    return _available()[0]


def resolve(sandbox: str) -> str:
    """The way that a `sandbox` argument means here; "auto" is a refusal where no way works, never "none"."""
    if sandbox == "none":
        return "none"
    if sandbox != "auto":
        raise ValueError(f"eval_multipl_e: sandbox={sandbox!r} is unknown. Use 'auto' or 'none'.")
    way, why = _available()
    if way is None:
        raise RuntimeError(
            f"eval_multipl_e: no sandbox works on this machine ({why}). Allow user namespaces or run on Linux with "
            "util-linux; or, for programs you trust, pass sandbox='none', which keeps only resource limits."
        )
    return way


def launch(
    argv: Sequence[str], *, way: str, work: Path, limits: Limits, writable: bool = False, paths: tuple[str, ...] = ()
) -> Launch:
    """The command that runs argv behind the wall; `work` holds the folder `program` and is private to this program.

    `writable` opens the program's folder for a compiler; `paths` are more folders to show, read-only.
    """
    program = work / "program"
    tool_path = os.pathsep.join([*(str(Path(path) / "bin") for path in paths), _PATH])
    if way == "none":
        cwd = work / "run"
        cwd.mkdir(exist_ok=True)
        command = [*_tied_to_us(), "sh", "-c", _BARE_SCRIPT, "sh", *limits.numbers(), *argv]
        return Launch(command, _environment(tool_path, str(cwd)), str(cwd), str(program), reports=False)
    view = _view(paths)
    table = work / "fstab"
    table.write_text(_mounts(view, program, paths, writable=writable), encoding="utf-8")
    drop = ["--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all", "--no-new-privs"]
    spaces = ["--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--kill-child"]
    if way == "root":
        # A user id of its own: the limit of processes counts by id, and two programs must not share it.
        uid = random.randrange(20_000, 60_000)
        drop += [f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
        if writable:
            os.chown(program, uid, uid)
    else:
        spaces.insert(0, "--map-root-user")
    command = [*_tied_to_us(), _tool("unshare"), *spaces, _tool("sh"), "-c", _SCRIPT, "sh", str(table), str(view)]
    command += [*limits.numbers(), str(limits.processes), *drop, "--", *argv]
    return Launch(command, _environment(tool_path, "/tmp"), str(work), PROGRAM, reports=True)  # noqa: S108  # the private tmpfs


def tool_prefix(tool: str) -> tuple[str, ...]:
    """The folder to show for an executable outside /usr, as a tuple of none or one.

    >>> tool_prefix("/usr/bin/env")
    ()
    """
    real = Path(os.path.realpath(tool))
    if real.parts[1] in _SYSTEM:
        return ()
    prefix = real.parent.parent
    home = Path.home()
    # A tool in ~/bin must not open the home folder.
    return (str(real.parent if prefix == home or prefix in home.parents else prefix),)


def _tied_to_us() -> list[str]:
    # When this process is killed, so is the program; without util-linux (sandbox="none" elsewhere) it may go on.
    setpriv = shutil.which(_tool("setpriv"))
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []


@functools.cache
def _tool(name: str) -> str:
    # An ordinary user's PATH often lacks sbin, where pivot_root lives.
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{_PATH}") or name


def _environment(path: str, home: str) -> dict[str, str]:
    return {"PATH": path, "HOME": home, "TMPDIR": home, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}


@functools.cache
def _available() -> tuple[str | None, str]:
    missing = [name for name in _TOOLS if shutil.which(_tool(name)) is None]
    if missing:
        return None, f"not found: {', '.join(missing)}"
    failures = []
    for way in ("root", "userns") if os.geteuid() == 0 else ("userns",):
        with tempfile.TemporaryDirectory(prefix="santa-probe-") as folder:
            work = Path(folder)
            (work / "program").mkdir(mode=0o755)
            limits = Limits(cpu_s=10, data_bytes=1 << 30, processes=64)
            probe = launch([_tool("sh"), "-c", "exit 42"], way=way, work=work, limits=limits)
            said = _report_of(probe)
        if said.endswith("exit 42\n"):
            return way, ""
        failures.append(f"{way}: {' '.join(said.split()) or 'no answer'}")
    return None, "; ".join(failures)


def _report_of(probe: Launch) -> str:
    read_end, write_end = os.pipe()
    with open(read_end, encoding="utf-8", errors="replace") as report:  # noqa: PTH123  # a descriptor, no path
        try:
            done = subprocess.run(
                probe.argv, env=probe.env, cwd=probe.cwd, stdin=write_end, capture_output=True, timeout=30, check=False
            )
        finally:
            os.close(write_end)
        return done.stderr.decode(errors="replace") + report.read()


_view_lock = threading.Lock()


def _view(paths: tuple[str, ...]) -> Path:
    with _view_lock:
        return _build_view(paths, os.getpid())


@functools.cache
def _build_view(paths: tuple[str, ...], pid: int) -> Path:
    """The empty tree that the mounts fill; one a process, for making it anew costs each program several commands."""
    root = Path(tempfile.mkdtemp(prefix="santa-view-"))
    atexit.register(_remove_view, root, pid)
    root.chmod(0o755)
    for name in ("proc", "tmp", "dev/shm", PROGRAM[1:], *(path[1:] for path in paths)):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in _SYSTEM:
        source = Path("/", name)
        if source.is_symlink():
            (root / name).symlink_to(source.readlink())
        elif source.is_dir():
            (root / name).mkdir(exist_ok=True)
    for name in _DEVICES:
        (root / "dev" / name).touch()
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        (root / "dev" / name).symlink_to(f"/proc/self/fd/{number}")
    (root / "dev/fd").symlink_to("/proc/self/fd")
    for source in sorted(path for pattern in _ETC for path in Path("/etc").glob(pattern) if path.exists()):
        # Copied, not mounted: each mount costs every program about a millisecond.
        target = root / source.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, ignore=_unreadable)
        else:
            shutil.copy(source, target)
    return root


def _unreadable(folder: str, names: list[str]) -> list[str]:
    # Links are copied as links; a file that the user may not read is left out, as it would be of no use.
    return [name for name in names if not (path := Path(folder, name)).is_symlink() and not os.access(path, os.R_OK)]


def _remove_view(root: Path, pid: int) -> None:
    # A forked child inherits the exit handler and must not take its parent's view away.
    if os.getpid() == pid:
        shutil.rmtree(root, ignore_errors=True)


def _mounts(view: Path, program: Path, paths: tuple[str, ...], *, writable: bool) -> str:
    rows = [(str(view), "", "none", "rbind,ro")]
    system = [Path("/", name) for name in _SYSTEM]
    folders = [path for path in system if path.is_dir() and not path.is_symlink()]
    shown = [*folders, *map(Path, paths)]
    rows += [(str(path), str(path), "none", _READ_ONLY) for path in shown]
    rows += [(f"/dev/{name}", f"/dev/{name}", "none", "bind") for name in _DEVICES]
    rows += [("tmpfs", "/tmp", "tmpfs", f"{_TMPFS},mode=1777")]  # noqa: S108  # the private tmpfs
    rows += [("tmpfs", "/dev/shm", "tmpfs", f"{_TMPFS},mode=1777")]  # noqa: S108  # the private tmpfs
    rows.append((str(program), PROGRAM, "none", "rbind,nosuid,nodev" if writable else _READ_ONLY))
    rows.append(("proc", "/proc", "proc", "nosuid,nodev,noexec"))
    return "".join(f"{_field(a)} {_field(str(view) + b)} {kind} {options} 0 0\n" for a, b, kind, options in rows)


def _field(text: str) -> str:
    return "".join(f"\\{ord(char):03o}" if char in " \t\n\\#" else char for char in text)
