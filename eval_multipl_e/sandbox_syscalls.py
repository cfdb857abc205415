"""Call the Linux kernel through ctypes for what a sandbox needs: no compiler, no setuid program."""

import ctypes
import os
import platform

NEW_MOUNTS, NEW_UTS, NEW_IPC, NEW_USER, NEW_PIDS, NEW_NET = (
    0x00020000,
    0x04000000,
    0x08000000,
    0x10000000,
    0x20000000,
    0x40000000,
)
READ_ONLY, NO_SUID, NO_DEV, NO_EXEC, REMOUNT, BIND, RECURSIVE, PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
DETACH = 2
_SIGCHLD = 17
_SET_DEATH_SIGNAL, _SET_DUMPABLE, _SET_NO_NEW_PRIVS, _SET_SECCOMP = 1, 4, 38, 22
_FILTER_MODE = 2
# Numbers of the calls that the C library has no function for.
_NUMBERS = {"x86_64": {"clone": 56, "pivot_root": 155}, "aarch64": {"clone": 220, "pivot_root": 41}}

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _number(call: str) -> int:
    machine = platform.machine()
    if machine not in _NUMBERS:
        raise OSError(f"{call}: the sandbox knows x86_64 and aarch64, not {machine}")
    return _NUMBERS[machine][call]


def clone(flags: int) -> int:
    """Fork this process, of one thread, into new namespaces; return 0 in the child, the child's id in the parent."""
    return _checked(_libc.syscall(_number("clone"), flags | _SIGCHLD, 0, 0, 0, 0), "clone")


def unshare(flags: int) -> None:
    """Move this process into new namespaces."""
    _checked(_libc.unshare(flags), "unshare")


def mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """Mount, bind or remount."""
    words = [None if word is None else os.fsencode(word) for word in (source, target, kind, data)]
    _checked(_libc.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3]), f"mount {target}")


def detach(target: str) -> None:
    """Take a mount and all below it out of sight."""
    _checked(_libc.umount2(os.fsencode(target), DETACH), f"umount {target}")


def pivot_root(root: str, old: str) -> None:
    """Make `root` the root folder and hang the former one below it."""
    _checked(_libc.syscall(_number("pivot_root"), os.fsencode(root), os.fsencode(old)), "pivot_root")


def set_host_name(name: str) -> None:
    """Name the machine, as far as this namespace sees it."""
    word = name.encode()
    _checked(_libc.sethostname(word, ctypes.c_size_t(len(word))), "sethostname")


def die_with_parent() -> None:
    """Ask the kernel to end this process when its parent ends."""
    _checked(_libc.prctl(_SET_DEATH_SIGNAL, 9, 0, 0, 0), "prctl death signal")


def hide_memory() -> None:
    """Close this process's memory, descriptors and environment in /proc to others of the same user."""
    _checked(_libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0), "prctl dumpable")


class _Filter(ctypes.Structure):
    _fields_ = (("count", ctypes.c_ushort), ("rows", ctypes.c_char_p))


def forbid(rows: bytes) -> None:
    """Give up new privileges and install a filter of system calls; neither can be undone, both are inherited."""
    _checked(_libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl no new privileges")
    program = _Filter(len(rows) // 8, rows)
    _checked(_libc.prctl(_SET_SECCOMP, _FILTER_MODE, ctypes.byref(program), 0, 0), "prctl seccomp")
