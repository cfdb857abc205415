"""Keep compilers running, each in a sandbox of its own, where it compiles many programs and runs none.

A server's wall has no network and shows it nothing of the user, as a program's does. What it makes goes into another
wall, where the program runs. A server that fails, or takes too long, is ended, and the program is built cold, with
MultiPL-E's own command, which stays the reference.
"""

import contextlib
import os
import queue
import select
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from .languages_compiled import JAVATUPLES, JVM
from .sandbox import open_box
from .sandbox_box import Box, Limits, SandboxError
from .sandbox_none import BareBox
from .toolchains import find_jar, find_tool, visible_folders
from .warm_sources import CSHARP, JAVA, SCALA, TYPESCRIPT

_FIRST_ANSWER_S = 60.0
_SERVER = Limits(cpu_s=1 << 30, data_bytes=6 << 30, processes=256, memory_bytes=6 << 30)
_MAX_ANSWER = 512 << 20


@dataclass(frozen=True)
class Built:
    """What a server said: whether the program compiles, its messages, and the files it made."""

    is_built: bool
    messages: bytes
    files: Mapping[str, bytes]
    seconds: float


def _java() -> tuple[dict[str, bytes], list[str]] | None:
    java = find_tool("java")
    if java is None:
        return None
    libraries = find_jar(JAVATUPLES[1]) or "/program"
    return {"SantaJavac.java": JAVA.encode()}, [java, *JVM, "/program/SantaJavac.java", libraries]


def scala_jars() -> list[str]:
    """Return the Scala libraries beside the compiler's script; empty where they are not found."""
    scalac = find_tool("scalac")
    if scalac is None:
        return []
    home = Path(os.path.realpath(scalac)).parent.parent
    folders = (home / "lib", Path("/usr/share/scala/lib"), Path("/usr/share/java"))
    for folder in folders:
        if (folder / "scala-library.jar").is_file() and (folder / "scala-compiler.jar").is_file():
            return sorted(str(path) for path in folder.glob("*.jar") if path.name.startswith(("scala-", "jline")))
    return []


def _scala() -> tuple[dict[str, bytes], list[str]] | None:
    java, jars = find_tool("java"), scala_jars()
    if not java or not jars:
        return None
    command = [java, *JVM, "-Xss8m", "-cp", ":".join(jars), "/program/SantaScalac.java"]
    return {"SantaScalac.java": SCALA.encode()}, command


def _typescript() -> tuple[dict[str, bytes], list[str]] | None:
    node, tsc = find_tool("node"), find_tool("tsc")
    if not node or not tsc:
        return None
    library = Path(os.path.realpath(tsc)).parent.parent / "lib" / "typescript.js"
    # From version 7 on the compiler is a native program without this library.
    if not library.is_file() or library.stat().st_size < 1 << 20:
        return None
    return {"server.js": TYPESCRIPT.encode()}, [node, "--stack-size=4000", "/program/server.js", str(library)]


def _csharp() -> tuple[dict[str, bytes], list[str]] | None:
    mcs, mono, shell = find_tool("mcs"), find_tool("mono"), find_tool("sh")
    library = Path("/usr/lib/mono/4.5/mcs.exe")
    if not mcs or not mono or not shell or not library.is_file() or Path(mcs).name != "mcs":
        return None
    script = f"{mcs} /program/SantaCsc.cs /out:/tmp/SantaCsc.exe && exec {mono} /tmp/SantaCsc.exe {library}"
    return {"SantaCsc.cs": CSHARP.encode()}, [shell, "-c", script]


_SERVERS: Mapping[str, Callable[[], tuple[dict[str, bytes], list[str]] | None]] = MappingProxyType(
    {"cs": _csharp, "java": _java, "scala": _scala, "ts": _typescript}
)


class WarmCompilers:
    """Servers for one evaluation, started when they are first needed, one a worker."""

    def __init__(self, way: str) -> None:
        self._way = way
        self._idle: dict[str, queue.LifoQueue[_Server]] = {code: queue.LifoQueue() for code in _SERVERS}
        self._broken: set[str] = set()
        self._all: list[_Server] = []
        self._lock = threading.Lock()

    def close(self) -> None:
        """End all servers."""
        for server in self._all:
            server.close()

    def build(self, code: str, sources: Mapping[str, bytes], timeout_s: float) -> Built | None:
        """Return the program compiled by a warm compiler; None where there is none, or it failed: build it cold."""
        if self._way == "none" or code not in _SERVERS or code in self._broken or not _is_plain(sources):
            return None
        server = self._taken(code)
        if server is None:
            return None
        try:
            built = server.build(sources, timeout_s)
        except (OSError, EOFError, SandboxError):
            server.close()
            if server.answers == 0:
                self._broken.add(code)  # it never worked; the doctor's cold programs say why
            return None
        self._idle[code].put(server)
        return built

    def _taken(self, code: str) -> "_Server | None":
        with contextlib.suppress(queue.Empty):
            return self._idle[code].get_nowait()
        recipe = _SERVERS[code]()
        if recipe is None:
            self._broken.add(code)
            return None
        server = _Server(open_box(self._way, visible_folders(), scratch_bytes=256 << 20), *recipe)
        with self._lock:
            self._all.append(server)
        return server


def _is_plain(sources: Mapping[str, bytes]) -> bool:
    """Whether all sources are UTF-8: what a compiler does to other bytes is left to the compiler's own command."""
    try:
        for body in sources.values():
            body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


class _Server:
    def __init__(self, box: "Box | BareBox", files: dict[str, bytes], command: list[str]) -> None:
        assert isinstance(box, Box)
        self._box = box
        self.answers = 0
        request_read, self._requests = os.pipe()
        self._answers, answer_write = os.pipe()
        errors = os.open("/dev/null", os.O_WRONLY)
        try:
            box.write(files)
            box.start(command, _SERVER, {}, (request_read, answer_write, errors))
        except BaseException:
            self.close()
            raise
        finally:
            for fd in (request_read, answer_write, errors):
                os.close(fd)
        os.set_blocking(self._requests, False)

    def build(self, sources: Mapping[str, bytes], timeout_s: float) -> Built:
        begun = time.monotonic()
        deadline = begun + timeout_s + (0 if self.answers else _FIRST_ANSWER_S)
        request = [struct.pack(">I", len(sources))]
        for name, body in sources.items():
            label = name.encode()
            request += [struct.pack(">H", len(label)), label, struct.pack(">I", len(body)), body]
        self._write(b"".join(request), deadline)
        is_built = self._read(1, deadline) == b"\x01"
        messages = self._read(self._number(4, deadline), deadline)
        files = {}
        for _ in range(self._number(4, deadline)):
            name = self._read(self._number(2, deadline), deadline).decode()
            files[name] = self._read(self._number(4, deadline), deadline)
        self.answers += 1
        return Built(is_built, messages, files, time.monotonic() - begun)

    def _number(self, size: int, deadline: float) -> int:
        return int.from_bytes(self._read(size, deadline), "big")

    def _write(self, data: bytes, deadline: float) -> None:
        view = memoryview(data)
        while view:
            if not select.select([], [self._requests], [], max(0.0, deadline - time.monotonic()))[1]:
                raise TimeoutError("the compile server does not read")
            view = view[os.write(self._requests, view) :]

    def _read(self, count: int, deadline: float) -> bytes:
        if count > _MAX_ANSWER:
            raise EOFError("the compile server's answer has no sense")
        kept = bytearray()
        while len(kept) < count:
            if not select.select([self._answers], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError("the compile server does not answer")
            chunk = os.read(self._answers, min(count - len(kept), 1 << 20))
            if not chunk:
                raise EOFError("the compile server has ended")
            kept += chunk
        return bytes(kept)

    def close(self) -> None:
        self._box.close()
        for fd in (self._requests, self._answers):
            with contextlib.suppress(OSError):
                os.close(fd)
        self._requests = self._answers = -1
