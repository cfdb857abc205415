"""Prepare once what every program of a toolchain uses, such as precompiled libraries.

Kept in the user's cache folder, made anew for another version of the toolchain, and shown to programs read-only.
"""

import hashlib
import os
import shutil
import stat
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from .errors import MissingToolError
from .languages_interpreted import CLOJURE_FLAGS, CLOJURE_JAR
from .sandbox_native_source import GETPPID, HELPER, MAIN

# What the wall covers with folders of the program's own.
_HIDDEN = ("/tmp", "/dev", "/proc", "/program")  # noqa: S108  # a name, not a file
_lock = threading.Lock()

# Packages whose build and vet records are made beforehand; a program that imports others pays for them itself.
_GO_PACKAGES = [
    "bytes",
    "container/heap",
    "container/list",
    "crypto/md5",
    "encoding/hex",
    "errors",
    "fmt",
    "math",
    "math/big",
    "math/bits",
    "math/rand",
    "os",
    "reflect",
    "regexp",
    "sort",
    "strconv",
    "strings",
    "testing",
    "time",
    "unicode",
    "unicode/utf8",
]


def root() -> Path:
    """Return the folder for all of them: HF_SANTA_EVAL_CACHE, or hf-santa/eval in the user's cache folder.

    Behind the wall /tmp is the program's own, so that what lies there could not be shown.
    """
    own = os.environ.get("HF_SANTA_EVAL_CACHE")
    if own:
        if is_hidden(own):
            raise MissingToolError(
                f"eval_multipl_e: HF_SANTA_EVAL_CACHE={own!r} lies in {_HIDDEN[0]}, of which every program has its own. "
                "Name a folder elsewhere."
            )
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")  # noqa: PTH111, PTH118  # a home that does not exist is no error
    return _elsewhere() if is_hidden(base) else Path(base, "hf-santa", "eval")


def is_hidden(path: str) -> bool:
    """Tell whether a path lies where the wall covers it with a folder of the program's own."""
    return os.path.realpath(path).startswith(tuple(f"{folder}/" for folder in _HIDDEN))


def _elsewhere() -> Path:
    path = Path(f"/var/tmp/hf-santa-{os.geteuid()}")  # noqa: S108  # checked below
    path.mkdir(mode=0o755, exist_ok=True)
    seen = path.lstat()
    if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.geteuid() or seen.st_mode & 0o022:
        raise MissingToolError(
            f"eval_multipl_e: {path} is not a folder of this user alone. Set HF_SANTA_EVAL_CACHE to one."
        )
    return path


def folder(kind: str) -> Path:
    """Return the folder of one kind, made on first use: either whole or not there."""
    version, make = _KINDS[kind]
    key = hashlib.sha256(version().encode()).hexdigest()[:16]
    target = root() / f"{kind}-{key}"
    with _lock:
        if not target.is_dir():
            _make(target, make)
    return target


def _make(target: Path, make: Callable[[Path], None]) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    except OSError as error:
        raise MissingToolError(
            f"eval_multipl_e: {target.parent} can't be written ({error}). Set HF_SANTA_EVAL_CACHE to a folder that can."
        ) from error
    try:
        make(work)
        work.chmod(0o755)
        work.rename(target)
    except OSError:
        if not target.is_dir():  # another process was quicker
            raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def _go_cache(work: Path) -> None:
    tool = shutil.which("go") or "go"
    names = "".join(f'import _ "{name}"\n' for name in _GO_PACKAGES)
    (work / "one_test.go").write_text(
        f'package one_test\n\n{names}import "testing"\n\nfunc TestOne(t *testing.T) {{\n}}\n', encoding="utf-8"
    )
    env = {"PATH": os.environ.get("PATH", ""), "HOME": str(work), "GOCACHE": str(work), "GO111MODULE": "off"}
    subprocess.run([tool, "test", "one_test.go"], cwd=work, env=env, capture_output=True, timeout=300, check=True)
    (work / "one_test.go").unlink()


def _cpp_header(work: Path) -> None:
    header = work / "santa.h"
    header.write_text("#include<assert.h>\n#include<bits/stdc++.h>\n", encoding="utf-8")
    tool = shutil.which("g++") or "g++"
    command = [tool, "-std=c++17", "-x", "c++-header", str(header), "-o", f"{header}.gch"]
    subprocess.run(command, capture_output=True, timeout=300, check=True)


def _helper(work: Path) -> None:
    tool = shutil.which("cc") or shutil.which("gcc") or "cc"
    for name, text, *flags in (("helper.so", GETPPID, "-shared", "-fPIC"), ("launch", MAIN)):
        source = work / "helper.c"
        source.write_text(HELPER + text, encoding="utf-8")
        command = [tool, "-O2", "-Wl,-z,now", *flags, str(source), "-o", str(work / name)]
        subprocess.run(command, capture_output=True, timeout=300, check=True)


_CLOJURE_PROGRAM = """(require '[clojure.test :refer [deftest is run-test]])
(deftest one (is (= (set [1 2]) #{2 1})) (is (thrown? Exception (throw (Exception. "x")))))
(run-test one)
"""


def _clojure_version() -> str:
    jar = Path(CLOJURE_JAR).resolve(strict=True)
    seen = jar.stat()
    java = subprocess.run(["java", "-version"], capture_output=True, text=True, timeout=60, check=True).stderr
    return f"{jar} {seen.st_size} {seen.st_mtime_ns} {java} {' '.join(CLOJURE_FLAGS)}"


def _clojure_archive(work: Path) -> None:
    program = work / "one.clj"
    program.write_text(_CLOJURE_PROGRAM, encoding="utf-8")
    java = shutil.which("java") or "java"
    archive = f"-XX:ArchiveClassesAtExit={work / 'clojure.jsa'}"
    command = [java, archive, *CLOJURE_FLAGS, "-cp", CLOJURE_JAR, "clojure.main", str(program)]
    subprocess.run(command, capture_output=True, timeout=300, check=True)


_KINDS: Mapping[str, tuple[Callable[[], str], Callable[[Path], None]]] = MappingProxyType(
    {
        "cpp": (lambda: _said("g++", "-v", "--version"), _cpp_header),
        "helper": (lambda: HELPER + GETPPID + MAIN, _helper),
        "clj": (_clojure_version, _clojure_archive),
        "go": (lambda: _said("go", "version"), _go_cache),
    }
)
