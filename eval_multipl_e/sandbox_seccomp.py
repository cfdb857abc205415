"""Assemble the filter of system calls that every program runs under, as classic BPF.

Refused are the calls that trace or read other processes, make or enter namespaces, mount, load code into the kernel,
set clocks, reach keys of the user, open sockets of a kind that network namespaces do not cover (vsock, alg, packet), or
give a socket a larger buffer.
Everything else is allowed: what files, memory and processes a program may use is decided by namespaces and limits.
"""

import errno
import functools
import platform
import struct

_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NR_AT, _ARCH_AT, _FIRST_ARGUMENT_AT, _SECOND_ARGUMENT_AT, _THIRD_ARGUMENT_AT = 0, 4, 16, 24, 32
_NEW_NAMESPACES = 0x7E020000
_X32 = 0x40000000  # x86_64's second set of numbers
_SOCKETS = (1, 2, 10, 16)  # unix, inet, inet6, netlink: all of them are inside the network namespace
_TERMINAL_WRITES = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX
_BUFFER_SIZES = (7, 8)  # SO_SNDBUF, SO_RCVBUF: what a socket holds is in no process's count

# Name: (number on x86_64, number on aarch64).
REFUSED = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "fanotify_init": (300, 262),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "quotactl": (179, 60),
    "acct": (163, 89),
    "syslog": (103, 116),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    "vhangup": (153, 58),
}
# These are answered with "no such call", so that the C library and node fall back to others.
ABSENT = {
    "clone3": (435, 435),
    # Memory that belongs to no process, and so is in no process's count; 32,000 sets of semaphores are some 60 GB.
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
}
_BY_ARGUMENT = {"clone": (56, 220), "socket": (41, 198), "ioctl": (16, 29), "setsockopt": (54, 208)}
_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}


def _row(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _answer(number: int) -> bytes:
    return _row(_RETURN, _ERRNO | number)


@functools.cache
def rows(machine: str | None = None) -> bytes:
    """Return the filter for a machine (this one if None), eight bytes a row.

    >>> len(rows("x86_64")) % 8
    0
    """
    machine = machine or platform.machine()
    if machine not in _ARCHITECTURES:
        raise OSError(f"the sandbox knows {' and '.join(_ARCHITECTURES)}, not {machine}")
    column, architecture = _ARCHITECTURES[machine]
    out = [_row(_LOAD, _ARCH_AT), _row(_EQUAL, architecture, 1, 0), _row(_RETURN, _KILL), _row(_LOAD, _NR_AT)]
    if column == 0:
        out += [_row(_ANY_BIT, _X32, 0, 1), _answer(errno.ENOSYS)]
    for table, number in ((REFUSED, errno.EPERM), (ABSENT, errno.ENOSYS)):
        for call in table.values():
            out += [_row(_EQUAL, call[column], 0, 1), _answer(number)]
    out += _when(_BY_ARGUMENT["clone"][column], _FIRST_ARGUMENT_AT, [_row(_ANY_BIT, _NEW_NAMESPACES, 0, 1), _answer(1)])
    kinds = [_row(_EQUAL, kind, len(_SOCKETS) - i, 0) for i, kind in enumerate(_SOCKETS)]
    out += _when(_BY_ARGUMENT["socket"][column], _FIRST_ARGUMENT_AT, [*kinds, _answer(errno.EAFNOSUPPORT)])
    refusals = [row for what in _TERMINAL_WRITES for row in (_row(_EQUAL, what, 0, 1), _answer(errno.EPERM))]
    out += _when(_BY_ARGUMENT["ioctl"][column], _SECOND_ARGUMENT_AT, refusals)
    refusals = [row for what in _BUFFER_SIZES for row in (_row(_EQUAL, what, 0, 1), _answer(errno.ENOPROTOOPT))]
    out += _when(_BY_ARGUMENT["setsockopt"][column], _THIRD_ARGUMENT_AT, refusals)
    return b"".join([*out, _row(_RETURN, _ALLOW)])


def _when(call: int, argument_at: int, body: list[bytes]) -> list[bytes]:
    """Rows that look at an argument of one call and allow what the body does not answer."""
    return [
        _row(_EQUAL, call, 0, len(body) + 2),
        _row(_LOAD, argument_at),
        *body,
        _row(_RETURN, _ALLOW),
    ]
