"""The process that starts sandboxes, and the first process in each of them.

`python -I -S` runs this once for a whole evaluation: small and with one thread, it can fork in half a millisecond,
which the process that scores, with its threads and its gigabytes, cannot. For every program it forks a child straight
into new user, mount, process, network, IPC and host-name namespaces. That child is the first process of its
namespace: it writes the sources, starts the build and the run as its children, watches their memory, and takes all of
them down. It is told what to do over a socket by the scoring process, which keeps the clock and reads the output.
"""

import contextlib
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import sandbox_mounts, sandbox_seccomp, sandbox_syscalls

INSIDE_ID = 1000
_HEADER = struct.Struct("<II")
_WATCH_S = 0.1
_SOCKET_BYTES = 1 << 18
_COUNTED = (b"VmRSS:", b"VmPTE:", b"VmSwap:")
_NAMESPACES = (
    sandbox_syscalls.NEW_USER
    | sandbox_syscalls.NEW_MOUNTS
    | sandbox_syscalls.NEW_PIDS
    | sandbox_syscalls.NEW_NET
    | sandbox_syscalls.NEW_IPC
    | sandbox_syscalls.NEW_UTS
)


def send(channel: socket.socket, message: dict[str, Any], blob: bytes = b"", fds: tuple[int, ...] = ()) -> None:
    """Send a message, bytes that belong to it, and open files."""
    text = json.dumps(message).encode()
    socket.send_fds(channel, [_HEADER.pack(len(text), len(blob))], fds)
    channel.sendall(text)
    if blob:
        channel.sendall(blob)


def receive(channel: socket.socket) -> tuple[dict[str, Any], bytes, list[int]] | None:
    """Return the next message, or None at the end."""
    head, fds, _, _ = socket.recv_fds(channel, _HEADER.size, 8)
    if not head:
        return None
    while len(head) < _HEADER.size:
        head += _exactly(channel, _HEADER.size - len(head))
    text_bytes, blob_bytes = _HEADER.unpack(head)
    message = json.loads(_exactly(channel, text_bytes))
    return message, _exactly(channel, blob_bytes), fds


def _exactly(channel: socket.socket, count: int) -> bytes:
    kept = bytearray()
    while len(kept) < count:
        chunk = channel.recv(min(count - len(kept), 1 << 20))
        if not chunk:
            raise EOFError("the other side has gone")
        kept += chunk
    return bytes(kept)


def serve(fd: int) -> None:
    """Build the view, then start a wall for each request, until the owner of this fork server goes."""
    channel = socket.socket(fileno=fd)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # its owner decides; a Ctrl-C goes to the whole group
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # programs must not inherit what held it back
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    settings = receive(channel)
    if settings is None:
        return
    try:
        _prepare(settings[0])
    except OSError as error:
        send(channel, {"error": str(error)})
        return
    send(channel, {"ready": True})
    while (request := receive(channel)) is not None:
        message, _, fds = request
        try:
            pid = _warm(message, fds) if "argv" in message else _start(message, channel, fds)
        except OSError as error:
            send(channel, {"error": str(error)})
        else:
            handle = os.pidfd_open(pid)
            send(channel, {}, fds=(handle,))
            os.close(handle)
        for each in fds:
            os.close(each)


def _prepare(settings: dict[str, Any]) -> None:
    # Where the machine runs out of memory, programs, which inherit this, go first; a system without the file has no such order.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("900", encoding="utf-8")
    if os.geteuid() == 0:
        os.setgroups([])
        sandbox_syscalls.unshare(sandbox_syscalls.NEW_MOUNTS)
    else:
        user, group = os.geteuid(), os.getegid()
        sandbox_syscalls.unshare(sandbox_syscalls.NEW_USER | sandbox_syscalls.NEW_MOUNTS)
        _map_ids("self", 0, user, 0, group)
    sandbox_mounts.build(settings["root"], settings["paths"])


def _map_ids(pid: int | str, inner_user: int, outer_user: int, inner_group: int, outer_group: int) -> None:
    folder = Path("/proc", str(pid))
    (folder / "setgroups").write_text("deny", encoding="utf-8")
    (folder / "uid_map").write_text(f"{inner_user} {outer_user} 1", encoding="utf-8")
    (folder / "gid_map").write_text(f"{inner_group} {outer_group} 1", encoding="utf-8")


def _start(message: dict[str, Any], channel: socket.socket, fds: list[int]) -> int:
    go_read, go_write = os.pipe()
    try:
        pid = sandbox_syscalls.clone(_NAMESPACES)
        if pid == 0:
            os.close(go_write)  # else it would wait for itself where the server cannot go on
            _first_process(message, channel, fds[0], go_read)
        # As root each wall has an id of its own outside; an ordinary user has but one, and limits count by namespace.
        outer = message["outer_id"] if message["is_root"] else 0
        _map_ids(pid, INSIDE_ID, outer, INSIDE_ID, outer)
        os.write(go_write, b"g")
        return pid
    finally:
        os.close(go_read)
        os.close(go_write)


def _warm(message: dict[str, Any], fds: list[int]) -> int:
    """Starts an interpreter that will fork itself into walls; until then it runs our lines only, with our rights."""
    pid = os.fork()
    if pid == 0:
        try:
            sandbox_syscalls.die_with_parent()
            # Two devices, so that copies of output and error that a library keeps can be told apart later.
            devices = os.open("/dev/null", os.O_RDWR), os.open("/dev/zero", os.O_RDWR)
            spare = [os.dup2(fd, 10 + i) for i, fd in enumerate((*fds, *devices))]
            for target, source in zip((3, 4, 0, 1, 2), (*spare[:3], *spare[2:]), strict=True):
                os.dup2(source, target)
            os.closerange(5, 64)
            for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            os.setsid()
            os.execve(message["argv"][0], message["argv"], message["env"])  # noqa: S606  # an interpreter, not a shell
        finally:
            os._exit(127)
    return pid


def _first_process(message: dict[str, Any], channel: socket.socket, fd: int, go_read: int) -> None:
    """Never returns."""
    try:
        channel.close()
        own = socket.socket(fileno=fd)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)  # the kernel then drops what a program sends to the first process
        if not os.read(go_read, 1):
            os._exit(1)
        os.close(go_read)
        os.setresgid(INSIDE_ID, INSIDE_ID, INSIDE_ID)
        os.setresuid(INSIDE_ID, INSIDE_ID, INSIDE_ID)
        sandbox_syscalls.die_with_parent()  # after the change of user, which forgets it
        try:
            sandbox_mounts.own_folders(message["program_bytes"], message["scratch_bytes"])
            sandbox_syscalls.set_host_name("santa")
            sandbox_syscalls.hide_memory()
            os.setsid()
            os.umask(0o022)
        except OSError as error:
            send(own, {"error": str(error)})
            os._exit(1)
        with contextlib.suppress(ConnectionError, EOFError):  # the scoring process has closed its end
            obey(own, seal=sandbox_mounts.seal_program)
    except BaseException as error:  # noqa: BLE001  # a forked copy must end here, whatever happens
        with contextlib.suppress(OSError):
            os.write(2, f"eval_multipl_e: inside the wall: {error!r}\n".encode())
    os._exit(1)


def obey(own: socket.socket, seal: Callable[[], None] | None) -> None:
    """Do, as the first process inside a wall, what it is told until the scoring process closes its end."""
    while (request := receive(own)) is not None:
        message, blob, fds = request
        match message["do"]:
            case "write":
                _write(message["files"], blob)
            case "seal" if seal is not None:
                seal()
            case "run":
                _run(own, message, fds)
        for each in fds:
            os.close(each)


def _write(files: list[list[Any]], blob: bytes) -> None:
    at = 0
    for name, size in files:
        path = Path(sandbox_mounts.PROGRAM, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(blob[at : at + size])
        at += size


def _run(own: socket.socket, message: dict[str, Any], fds: list[int]) -> None:
    tool = message["argv"][0]
    if not tool.startswith(f"{sandbox_mounts.PROGRAM}/") and not os.access(tool, os.X_OK):
        # A tool that can't be started is no failure of the program.
        send(own, {"error": f"{tool} is not to be seen or not to be executed behind the wall"})
        return
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.monotonic()
    pid = os.fork()
    if pid == 0:
        _become(message, fds)
    for each in fds:
        os.close(each)
    fds.clear()
    handle = os.pidfd_open(pid)
    try:
        said = _watch(own, handle, lambda: {"status": os.waitpid(pid, 0)[1]}, message, begun)
    finally:
        os.close(handle)
    wall = time.monotonic() - begun
    _end_all()
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    said["cpu_s"] = max(said.get("cpu_s", 0.0), spent.ru_utime + spent.ru_stime - before.ru_utime - before.ru_stime)
    send(own, {"wall_s": wall, **_with_exit(said)})


def _with_exit(said: dict[str, Any]) -> dict[str, Any]:
    status = said.pop("status", None)
    if status is not None:
        said["exit"] = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
    return said


def _watch(
    own: socket.socket, handle: int, ended: Callable[[], dict[str, Any]], message: dict[str, Any], begun: float
) -> dict[str, Any]:
    """Waits for the program's end, for the word to stop it, or for too much memory."""
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    poll.register(own, select.POLLIN | select.POLLHUP)
    limit, own_s = float("inf"), message["own_s"]
    while True:
        elapsed_s = time.monotonic() - begun
        # To the tick at the moment when its time may be over, and every so often before and after.
        left = min(limit, own_s if elapsed_s < own_s else limit) - elapsed_s
        ready = dict(poll.poll(max(0.0, min(_WATCH_S, left)) * 1000))
        if handle in ready:
            return ended()
        if own.fileno() in ready:
            # The clock is outside; under load the program may have begun a little later than that one.
            order = receive(own)
            limit = order[0]["limit_s"] if order else 0.0
        usage, elapsed_s = usage_now(), time.monotonic() - begun
        if elapsed_s >= limit or _has_had_its_time(usage, own_s, elapsed_s):
            return {"cpu_s": usage["cpu_s"], "delay_s": usage["delay_s"]}
        if usage["memory_bytes"] > message["memory_bytes"]:
            return {"memory_bytes": usage["memory_bytes"], "cpu_s": usage["cpu_s"]}


def _has_had_its_time(usage: dict[str, float], own_s: float, elapsed_s: float) -> bool:
    """Whether a program has used its limit in processor time, or in time in which it did not wait for a processor."""
    if not own_s or elapsed_s < own_s:
        return False
    if usage["cpu_s"] >= own_s or usage["cpu_s"] + usage["delay_s"] < 0.25 * elapsed_s:
        return True
    # What processes that have ended waited for is not known: a program of many short ones has its processor time.
    return elapsed_s - usage["delay_s"] >= 0.95 * own_s and usage["ended_cpu_s"] < 0.25 * usage["cpu_s"]


def _in_sockets() -> int:
    """Return the most bytes that the buffers of all sockets in this namespace hold: they are in no process's memory."""
    try:
        words = Path("/proc/self/net/sockstat").read_text(encoding="utf-8").split()
        return int(words[words.index("used") + 1]) * _SOCKET_BYTES
    except (OSError, IndexError, ValueError):
        return 0


def usage_now() -> dict[str, float]:
    """Return memory, processor time and time of waiting for a processor of all processes here but ours."""
    tick = os.sysconf("SC_CLK_TCK")
    memory, cpu, ended, delay = _in_sockets(), 0.0, 0.0, 0.0
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or folder.name == "1":
            continue
        try:
            lines = (folder / "status").read_bytes().splitlines()
            memory += sum(int(line.split()[1]) << 10 for line in lines if line.startswith(_COUNTED))
            # After the command's name, which may hold anything: user, system, and those of children waited for.
            fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()
            cpu += sum(map(int, fields[11:15])) / tick
            ended += sum(map(int, fields[13:15])) / tick
            waited = [
                int(Path(task, "schedstat").read_text(encoding="utf-8").split()[1])
                for task in (folder / "task").iterdir()
            ]
            delay += max(waited, default=0) / 1e9
        except (OSError, IndexError, ValueError):
            continue  # it has ended meanwhile
    return {"memory_bytes": memory, "cpu_s": cpu, "ended_cpu_s": ended, "delay_s": delay}


def _end_all() -> None:
    """Ends every process of this namespace but this one, and waits until they are gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def _become(message: dict[str, Any], fds: list[int]) -> None:
    """The forked child: limits, filter, and the program in its place. Never returns."""
    try:
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)  # Python ignores these two
        os.setsid()
        stdin, stdout, stderr = fds if len(fds) == 3 else (os.open("/dev/null", os.O_RDONLY), *fds)
        for target, source in enumerate((stdin, stdout, stderr)):
            os.dup2(source, target)
        os.closerange(3, 64)
        os.chdir(message["cwd"])
        set_limits(message)
        sandbox_syscalls.forbid(sandbox_seccomp.rows())
        os.execve(message["argv"][0], message["argv"], message["env"])  # noqa: S606  # a program, not a shell
    except BaseException as error:  # noqa: BLE001  # a forked copy must end here, whatever happens
        os.write(2, f"eval_multipl_e: the command could not be started: {error}\n".encode())
    os._exit(127)


def set_limits(message: dict[str, Any]) -> None:
    """Set the hard limits of one process and of the number of processes, before a program takes this one's place."""
    for name, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, message["cpu_s"]),
        (resource.RLIMIT_FSIZE, message["file_bytes"]),
        (resource.RLIMIT_DATA, message["data_bytes"]),
        (resource.RLIMIT_NPROC, message["processes"]),
        (resource.RLIMIT_NOFILE, 1024),
        (resource.RLIMIT_MEMLOCK, 1 << 16),
        (resource.RLIMIT_MSGQUEUE, 1 << 16),
    ):
        resource.setrlimit(name, (value, value))


def main() -> None:
    """Be the fork server (`serve FD`), or the first process inside a wall that bubblewrap has built (`obey FD`)."""
    role, fd = sys.argv[-2:]
    if role == "serve":
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, EOFError):  # its owner has gone: so does it
            serve(int(fd))
        return
    sandbox_syscalls.hide_memory()
    os.umask(0o022)
    obey(socket.socket(fileno=int(fd)), seal=None)


if __name__ == "__main__":
    main()
