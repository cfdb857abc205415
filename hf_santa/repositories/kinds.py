"""The four kinds of repositories, which files belong to each, and their order of publication."""

import fnmatch
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hf_santa.errors import HfSantaError

PINNED = "model.json"
"""The Space's file that names the model and its commit."""

MARKER = "release.json"
"""The file by which a repository is known as one of ours."""


class ReleaseError(HfSantaError, RuntimeError):
    """A repository cannot be published; the message names the file or repository, and what to do."""


@dataclass(frozen=True)
class Kind:
    """One kind of repository: its folder below OUT, its type on the Hub, and the files that may be in it."""

    name: str
    folder: str
    repo_type: str
    repo_name: str
    allowed: tuple[str, ...]
    pages: tuple[str, ...] = ("README.md",)  # files whose code names repositories

    def allows(self, path: str) -> bool:
        """Return whether a file of this path may be in such a repository; `*` does not cross a folder."""
        return any(
            path.count("/") == pattern.count("/") and fnmatch.fnmatchcase(path, pattern)
            for pattern in (*self.allowed, MARKER)
        )

    @property
    def marker(self) -> bytes:
        """The content of MARKER: the same in every repository of this kind."""
        return (json.dumps({"made_by": "hf-santa", "kind": self.name}) + "\n").encode()


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "dataset",
            "dataset",
            "dataset",
            "santa-data",
            ("README.md", "funnel.json", "data/*/*.parquet", "rejects/*.parquet", "images/*.svg"),
        ),
        Kind(
            "model",
            "model",
            "model",
            "santa",
            (
                *("README.md", "config.json", "generation_config.json", "*_santa.py", ".eval_results/*.yaml"),
                *("tokenizer.json", "tokenizer_config.json", "model.safetensors", "model.safetensors.index.json"),
                *("model-*-of-*.safetensors", "model-*.gguf"),
            ),
        ),
        # `evaluate` looks for a script of the repository's name.
        Kind(
            "metric",
            "eval_multipl_e",
            "space",
            "eval_multipl_e",
            ("README.md", "index.html", "*.py"),
            pages=("README.md", "index.html"),
        ),
        Kind(
            "space",
            "space",
            "space",
            "santa-demo",
            (
                "README.md",
                "*.py",
                "*.css",
                "*.js",
                "*.html",
                "*.svg",
                "requirements.txt",
                "packages.txt",
                "training.index",
                *("page.json", "wllama.wasm", "model.gguf"),  # of the static one
                PINNED,
            ),
        ),
    )
}


def named(what: str) -> list[Kind]:
    """Return the kinds that a word of the command line stands for, in publishing order."""
    return list(KINDS.values()) if what == "all" else [KINDS[what]]


def repo_ids(namespace: str, names: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the repository of each kind in a namespace; `names` replaces the usual names.

    >>> repo_ids("org", {"model": "tiny"})["model"]
    'org/tiny'
    """
    return {kind.name: f"{namespace}/{(names or {}).get(kind.name, kind.repo_name)}" for kind in KINDS.values()}


_FOLDERS = {kind.folder: kind.name for kind in KINDS.values()}
_CALL = re.compile(r'((?:from_pretrained|load_dataset|evaluate\.load|Client)\(\s*)"(?:\./)?(\w+)"')


def for_hub(code: str, ids: Mapping[str, str]) -> str:
    """Return the code with the repository in place of each folder that it loads.

    >>> for_hub('load_dataset("dataset", "base")', repo_ids("org"))
    'load_dataset("org/santa-data", "base")'
    """

    def replaced(found: re.Match[str]) -> str:
        kind = _FOLDERS.get(found[2])
        return f'{found[1]}"{ids[kind]}"' if kind else found[0]

    return _CALL.sub(replaced, code)


def split_card(text: str) -> tuple[dict[str, Any], str]:
    """Return a card's front matter and the text below it.

    Raises:
        ReleaseError: there is no front matter, or it is not a YAML mapping.
    """
    found = re.match(r"---\r?\n(.*?)^---\r?\n", text, re.DOTALL | re.MULTILINE)
    if not found:
        raise ReleaseError("there is no front matter. Begin the file with a line ---, YAML, and another line ---.")
    try:
        header = yaml.safe_load(found[1])
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        where = f" (line {place.line + 2})" if place else ""
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise ReleaseError(f"the front matter is not YAML{where}: {problem}. Mend it.") from error
    if not isinstance(header, dict):
        raise ReleaseError(f"the front matter is a {type(header).__name__}, expected keys and values. Mend it.")
    return header, text[found.end() :]


def card_for_hub(text: str, kind: Kind, ids: Mapping[str, str]) -> str:
    """Return the card with repositories for folders in its code, and links to the others in its front matter."""
    header, body = split_card(text)
    if kind.name == "model":
        header["datasets"] = [ids["dataset"]]
    elif kind.name == "space":
        header["models"] = [ids["model"]]
    return _card(header, for_hub(body, ids))


def with_header(text: str, more: Mapping[str, Any]) -> str:
    r"""Return the card with more keys in its front matter.

    >>> with_header("---\ntitle: A\n---\n# A\n", {"suggested_hardware": "t4-small"})
    '---\ntitle: A\nsuggested_hardware: t4-small\n---\n# A\n'
    """
    header, body = split_card(text)
    return _card({**header, **more}, body)


def _card(header: Mapping[str, Any], body: str) -> str:
    return f"---\n{yaml.safe_dump(dict(header), sort_keys=False, allow_unicode=True, width=120)}---\n{body}"


def data_files_of(config: Mapping[str, Any]) -> list[str]:
    """Return the patterns of files that a dataset's config reads, in any of the forms that the Hub takes.

    >>> data_files_of({"data_files": "data/*.parquet"})
    ['data/*.parquet']
    >>> data_files_of({"data_files": [{"split": "train", "path": ["a.parquet", "b.parquet"]}]})
    ['a.parquet', 'b.parquet']

    Raises:
        ReleaseError: it is in none of them.
    """
    found = config.get("data_files", [])
    parts = found if isinstance(found, list) else list(found.values()) if isinstance(found, dict) else [found]
    paths = [part.get("path") if isinstance(part, dict) else part for part in parts]
    flat = [each for path in paths for each in (path if isinstance(path, list) else [path])]
    if not all(isinstance(path, str) and path for path in flat):
        raise ReleaseError(
            f"config {config.get('config_name')!r} has data_files {found!r}. Expected a path, a list of paths, or a list of "
            "split and path."
        )
    return [str(path) for path in flat]


def files_of(folder: Path) -> dict[str, Path]:
    """Return the files of a folder by path below it, links and all."""
    if not folder.is_dir():
        raise ReleaseError(f"{folder} is not a folder. Make it with `hf-santa stage`.")
    return {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or not path.is_dir()
    }


def digest_of(folder: Path) -> str:
    """Return one SHA-256 over the paths and contents of a folder."""
    digest = hashlib.sha256()
    for name, path in files_of(folder).items():
        with path.open("rb") as opened:
            digest.update(f"{name}\0{hashlib.file_digest(opened, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()
