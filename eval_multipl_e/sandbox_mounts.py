"""Choose what a program sees: system folders and tools, read-only, and empty folders of its own.

The view is built once, in the fork server's own mount namespace, and inherited by every program.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from .sandbox_syscalls import (
    BIND,
    NO_DEV,
    NO_EXEC,
    NO_SUID,
    PRIVATE,
    READ_ONLY,
    RECURSIVE,
    REMOUNT,
    detach,
    mount,
    pivot_root,
)

PROGRAM = "/program"
SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
# Only what loaders and language runtimes read; never passwd, shadow, hosts or keys. Copied: a mount costs more.
ETC = (
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "alternatives",
    "localtime",
    "java*",
    "ssl/openssl.cnf",
    "R",
    "php",
    "mono",
    "ldc2.conf",
    "emacs",
    "fpc*.cfg",
    "perl",
    "racket",
    "erlang",
)
STATE = ("var/lib/ghc", "var/lib/ocaml")  # package tables that two compilers keep outside /usr
_DEVICES = ("null", "zero", "full", "random", "urandom")
_QUIET = NO_SUID | NO_DEV


def build(root: str, paths: Sequence[str]) -> None:
    """Build the view at `root`, an empty folder, and make it this process's root, read-only."""
    mount(None, "/", None, RECURSIVE | PRIVATE)
    mount("tmpfs", root, "tmpfs", _QUIET, "size=64m,mode=0755")
    base = Path(root)
    for name in ("proc", "tmp", "dev/shm", "old", PROGRAM[1:]):
        (base / name).mkdir(parents=True)
    for name in (*SYSTEM, *STATE):
        source = Path("/", name)
        if source.is_symlink():
            (base / name).symlink_to(source.readlink())
        elif source.is_dir():
            _show(str(source), base / name)
    for path in paths:
        _show(path, base / path[1:])
    for name in _DEVICES:
        (base / "dev" / name).touch()
        mount(f"/dev/{name}", str(base / "dev" / name), None, BIND)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        (base / "dev" / name).symlink_to(f"/proc/self/fd/{number}")
    (base / "dev/fd").symlink_to("/proc/self/fd")
    _copy_settings(base)
    # A namespace of processes may mount a /proc of its own only where a whole one is in sight.
    mount("/proc", str(base / "proc"), None, BIND | RECURSIVE)
    # For what an interpreter writes while it gets warm; each program has a folder of its own over this one.
    mount("tmpfs", str(base / "tmp"), "tmpfs", _QUIET, "size=16m,mode=1777")
    pivot_root(root, str(base / "old"))
    os.chdir("/")
    detach("/old")
    mount(None, "/", None, REMOUNT | BIND | READ_ONLY | _QUIET)


def own_folders(program_bytes: int, scratch_bytes: int) -> None:
    """Give one program its own /tmp, /dev/shm, /program and /proc."""
    mount("tmpfs", "/tmp", "tmpfs", _QUIET, f"size={scratch_bytes},nr_inodes=50000,mode=1777")  # noqa: S108  # the private one
    mount("tmpfs", "/dev/shm", "tmpfs", _QUIET, f"size={scratch_bytes},nr_inodes=50000,mode=1777")  # noqa: S108  # the private one
    mount("tmpfs", PROGRAM, "tmpfs", _QUIET, f"size={program_bytes},nr_inodes=50000,mode=0755")
    mount("proc", "/proc", "proc", _QUIET | NO_EXEC)


def seal_program() -> None:
    """Make the program's folder read-only, from now on."""
    mount(None, PROGRAM, None, REMOUNT | BIND | READ_ONLY | _QUIET)


def _show(source: str, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    mount(source, str(target), None, BIND | RECURSIVE)
    mount(None, str(target), None, REMOUNT | BIND | READ_ONLY | _QUIET)


def _copy_settings(base: Path) -> None:
    for source in sorted(path for pattern in ETC for path in Path("/etc").glob(pattern) if path.exists()):
        target = base / source.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, ignore=_unreadable)
        elif os.access(source, os.R_OK):
            shutil.copy(source, target)


def _unreadable(folder: str, names: list[str]) -> list[str]:
    # Links are copied as links; a file that the user may not read is left out, as it would be of no use.
    return [name for name in names if not (path := Path(folder, name)).is_symlink() and not os.access(path, os.R_OK)]
