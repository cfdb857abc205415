"""Join the files of one repository into one document, in the order of their paths or of what they import.

Each file begins with a comment that names its path, so that no special token is needed and the text stays source code: as
DeepSeek-Coder has it, where StarCoder2 has tokens of its own. In the order `imports` a file stands behind those that it
imports, so that what a model reads first is what the next file calls.

Sources: DeepSeek-Coder (Guo et al. 2024), section 2.2; StarCoder2 (Lozhkov et al. 2024), section 5.
"""

import heapq
import posixpath
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from modeling_santa.errors_santa import ModelError

Order = Literal["path", "imports"]
ORDERS: tuple[Order, ...] = ("path", "imports")

MAX_DOCUMENT_BYTES = 4 << 20
"""A larger repository becomes several documents, cut between files."""

_COMMENTS: Mapping[str, tuple[str, ...]] = {
    "# {}": (
        *(
            "py",
            "pyi",
            "pyx",
            "rb",
            "sh",
            "bash",
            "zsh",
            "pl",
            "pm",
            "r",
            "jl",
            "ex",
            "exs",
            "nim",
            "mk",
            "cmake",
            "tcl",
        ),
        *("yaml", "yml", "toml", "cfg", "ini", "ps1", "tf", "graphql", "awk", "raku", "cr", "nix", "gd", "coffee"),
    ),
    "-- {}": ("sql", "lua", "hs", "elm", "adb", "ads", "vhd", "vhdl"),
    "% {}": ("tex", "erl", "hrl", "m", "pro"),
    ";; {}": ("lisp", "el", "clj", "cljs", "scm", "rkt", "asm"),
    "<!-- {} -->": ("html", "htm", "xml", "vue", "svelte", "md", "svg", "xhtml"),
    "/* {} */": ("css", "scss", "less", "c", "h"),
    "(* {} *)": ("ml", "mli", "v", "sml"),
    "! {}": ("f90", "f95", "f03"),
}
_COMMENT_OF = {ending: comment for comment, endings in _COMMENTS.items() for ending in endings}
_OTHERS = "// {}"

_PYTHON = re.compile(
    r"^[ \t]*(?:from[ \t]+(\.*[\w.]*)[ \t]+import[ \t]+\(?([\w, \t]*)|import[ \t]+([\w., \t]+))", re.MULTILINE
)
_SCRIPT = re.compile(r"""(?:\bfrom|\brequire\(|\bimport\(?)\s*['"](\.[^'"\n]*)['"]""")
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*["<]([^">\n]+)[">]', re.MULTILINE)
_JVM = re.compile(r"^[ \t]*import[ \t]+(?:static[ \t]+)?([\w.]+)", re.MULTILINE)
_RUST = re.compile(r"^[ \t]*(?:pub(?:\([^)\n]*\))?[ \t]+)?mod[ \t]+(\w+)[ \t]*;", re.MULTILINE)
_RUBY = re.compile(r"""^[ \t]*require_relative[ \t]+['"]([^'"\n]+)['"]""", re.MULTILINE)
_ANYWHERE = {"c": _INCLUDE, "jvm": _JVM}
"""What imports by the ending of a path."""

_BESIDE = {"script": _SCRIPT, "rust": _RUST, "ruby": _RUBY}
"""What imports by a path from the file's own folder."""

_FAMILIES = {
    "python": ("py", "pyi", "pyx"),
    "script": ("js", "jsx", "mjs", "cjs", "ts", "tsx", "mts", "vue", "svelte"),
    "c": ("c", "h", "cc", "cpp", "cxx", "hh", "hpp", "hxx", "cu", "cuh", "m", "mm"),
    "jvm": ("java", "kt", "scala", "groovy"),
    "rust": ("rs",),
    "ruby": ("rb",),
}
_FAMILY_OF = {ending: family for family, endings in _FAMILIES.items() for ending in endings}
_FOLDER_NAMES = ("__init__", "index", "mod")


@dataclass(frozen=True, slots=True)
class RepositoryFile:
    """A file of a repository; `repo` may be empty where nothing says which."""

    repo: str
    path: str
    text: str


def repository_documents(
    files: Iterable[RepositoryFile], folder: Path, *, order: Order, max_bytes: int = MAX_DOCUMENT_BYTES
) -> Iterator[str]:
    """Yield a document a repository, in the order of their names; a file that names no repository is one by itself.

    The texts wait in a nameless file in `folder`, so memory holds the paths alone, and the texts of one repository.

    Raises:
        ModelError: `order` is unknown.
    """
    if order not in ORDERS:
        raise ModelError(f"order {order!r} of a repository's files is unknown. Choose one of {', '.join(ORDERS)}.")
    places: defaultdict[str, list[tuple[str, int, int]]] = defaultdict(list)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as spill:
        alone = 0
        for file in files:
            raw = file.text.encode("utf-8", "surrogatepass")
            name = file.repo or f"\uffff{alone:012d}"
            alone += not file.repo
            places[name].append((file.path, spill.tell(), len(raw)))
            spill.write(raw)
        for repo in sorted(places):
            texts = []
            for path, place, size in sorted(places[repo]):
                spill.seek(place)
                texts.append((path, spill.read(size).decode("utf-8", "surrogatepass")))
            yield from _documents(in_order(texts) if order == "imports" else texts, max_bytes)


def _documents(texts: Iterable[tuple[str, str]], max_bytes: int) -> Iterator[str]:
    parts: list[str] = []
    held = 0
    for path, text in texts:
        part = f"{heading(path)}\n{text}" + ("" if text.endswith("\n") else "\n")
        if parts and held + len(part.encode("utf-8", "surrogatepass")) > max_bytes:
            yield "\n".join(parts)
            parts, held = [], 0
        parts.append(part)
        held += len(part.encode("utf-8", "surrogatepass")) + 1
    if parts:
        yield "\n".join(parts)


def heading(path: str) -> str:
    """Return the comment that names a file, in its own language.

    >>> heading("a/b.py"), heading("a/b.ts"), heading("a.css")
    ('# a/b.py', '// a/b.ts', '/* a.css */')
    """
    ending = path.rpartition(".")[2].lower()
    comment = _COMMENT_OF.get(ending, _OTHERS if "." in posixpath.basename(path) else "# {}")
    return comment.format(" ".join(path.split()))


def in_order(texts: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the files so that each stands behind those that it imports; where nothing decides, by path.

    Of files that import each other the one with the fewest imports left comes first.

    >>> [path for path, _ in in_order([("a.py", "import c"), ("b.py", ""), ("c.py", "from b import x")])]
    ['b.py', 'c.py', 'a.py']
    """
    known = dict(texts)
    wanted = {path: targets for path, targets in _imports(known).items() if targets}
    users: defaultdict[str, list[str]] = defaultdict(list)
    for path, targets in wanted.items():
        for target in targets:
            users[target].append(path)
    left = {path: len(wanted.get(path, ())) for path in known}
    waiting = [(count, path) for path, count in left.items()]
    heapq.heapify(waiting)
    ordered: list[str] = []
    done = set[str]()
    while waiting:
        count, path = heapq.heappop(waiting)
        if path in done or count != left[path]:
            continue
        done.add(path)
        ordered.append(path)
        for user in users[path]:
            left[user] -= 1
            heapq.heappush(waiting, (left[user], user))
    return [(path, known[path]) for path in ordered]


def _imports(known: Mapping[str, str]) -> dict[str, set[str]]:
    """Return for each file the files of the repository that it imports."""
    by_ending: dict[str, list[str]] = {}
    for path in sorted(known):
        for name in _names(path):
            parts = name.split("/")
            for start in range(len(parts)):
                by_ending.setdefault("/".join(parts[start:]), []).append(path)
    found = {}
    for path, text in known.items():
        targets = {_nearest(path, by_ending.get(name, ()), is_whole) for name, is_whole in _wanted(path, text)}
        found[path] = {target for target in targets if target and target != path}
    return found


def _names(path: str) -> set[str]:
    """Return what a file may be imported as: its path with and without its ending, and its folder if it stands for it."""
    stem = posixpath.splitext(path)[0]
    names = {path, stem}
    if posixpath.basename(stem) in _FOLDER_NAMES and "/" in stem:
        names.add(posixpath.dirname(stem))
    return names


def _nearest(path: str, candidates: Sequence[str], is_whole: str | None) -> str | None:
    """Return the candidate that shares most of its path with a file; of a relative import the very path."""
    fitting = [other for other in candidates if is_whole is None or is_whole in _names(other)]
    family = _FAMILY_OF.get(path.rpartition(".")[2].lower())
    fitting = [other for other in fitting if _FAMILY_OF.get(other.rpartition(".")[2].lower()) == family]
    return max(fitting, key=lambda other: len(posixpath.commonprefix([path, other])), default=None)


def _wanted(path: str, text: str) -> Iterator[tuple[str, str | None]]:
    """Yield what a file imports: the ending of a path, and the whole path where the import is relative."""
    folder = posixpath.dirname(path)
    family = _FAMILY_OF.get(path.rpartition(".")[2].lower())
    if family == "python":
        for found in _PYTHON.finditer(text):
            yield from _of_python(folder, *found.groups())
    elif family in _ANYWHERE:
        for found in _ANYWHERE[family].finditer(text):
            yield posixpath.normpath(found[1].replace(".", "/") if family == "jvm" else found[1]), None
    elif family in _BESIDE:
        is_folder = family != "rust" or posixpath.basename(path) in {"mod.rs", "lib.rs", "main.rs"}
        for found in _BESIDE[family].finditer(text):
            yield _relative(folder if is_folder else posixpath.splitext(path)[0], found[1])
            if family == "script":  # `./a.js` may mean a.ts
                yield _relative(folder, posixpath.splitext(found[1])[0])


def _relative(folder: str, name: str) -> tuple[str, str]:
    whole = posixpath.normpath(posixpath.join(folder, name))
    return whole, whole


def _of_python(folder: str, module: Any, names: Any, modules: Any) -> Iterator[tuple[str, str | None]]:
    if modules is not None:
        for each in modules.split(","):
            if words := each.split():
                yield words[0].replace(".", "/"), None
        return
    dots = len(module) - len(module.lstrip("."))
    inside = module.lstrip(".").replace(".", "/")
    above = folder
    for _ in range(dots - 1):
        above = posixpath.dirname(above)
    for name in ["", *(words[0] for each in names.split(",") if (words := each.split()))]:
        if target := "/".join(part for part in (inside, name) if part):
            yield _relative(above, target) if dots else (target, None)
        elif dots and above:
            yield above, above
