"""Refuse what must not reach the Hub: secrets, pickles, caches, foreign files, personal data."""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from hf_santa.repositories.kinds import Kind, ReleaseError, files_of
from modeling_santa.own_code import own_code

_CACHES = {"__pycache__", ".cache", ".git", ".hg", ".ipynb_checkpoints", ".mypy_cache", ".pytest_cache", ".ruff_cache"}
_BY_NAME = tuple(
    (re.compile(pattern), why)
    for pattern, why in (
        (r".*\.py[co]", "it is a compiled cache"),
        (r"\.env(\..*)?|.*\.env", "an environment file holds secrets"),
        (r"id_(rsa|dsa|ecdsa|ed25519)|.*\.(pem|key|p12|pfx|jks|keystore|ppk)", "its name is that of a key"),
        (r"\.(netrc|npmrc|pypirc)", "its name is that of a file of passwords"),
        (
            r".*\.(bin|pt|pth|pkl|pickle|ckpt|joblib|npy|npz|h5|dill)",
            "its name is that of a pickle, and loading a pickle runs code. Save weights as safetensors",
        ),
    )
)
_PICKLE_STARTS = (b"PK\x03\x04", *(b"\x80" + bytes([protocol]) for protocol in range(2, 6)))
_TEXT_SUFFIXES = {".py", ".md", ".json", ".yaml", ".yml", ".txt", ".css", ".js", ".html", ".svg", ".toml"}
MAX_NAMED = 12


def check_folder(folder: Path, kind: Kind) -> None:
    """Refuse a folder that holds anything that must not be published.

    Raises:
        ReleaseError: names each file and why it is refused; it never shows what was found in it.
    """
    found = [
        f"{_shown(name)}: {why}"
        for name, path in files_of(folder).items()
        for why in refusals(name, path, folder, kind)
    ]
    if found:
        more = f"\n  and {len(found) - MAX_NAMED} more" if len(found) > MAX_NAMED else ""
        raise ReleaseError(
            f"{folder} must not be published:\n  " + "\n  ".join(found[:MAX_NAMED]) + more + "\n"
            "Take these out, or stage the folder again."
        )


def refusals(name: str, path: Path, folder: Path, kind: Kind) -> Iterator[str]:
    """Return why a file may not be published: nothing for a good one. By its name first, then by its content."""
    from hf_santa.repositories import guard_inside as inside

    by_name = _by_name(name, path, folder) or inside.in_name(name)
    if by_name:
        yield by_name
        return
    if not path.is_file():
        yield "it is no ordinary file"
        return
    with path.open("rb") as opened:
        start = opened.read(4)
    if start.startswith(_PICKLE_STARTS):
        yield "it is a pickle or an archive, and loading a pickle runs code. Save weights as safetensors"
    elif not (kind.allows(name) or (kind.name == "model" and name in own_code(folder))):
        yield f"it is not on the list of what a {kind.name} repository holds"
    else:
        looks = {
            ".parquet": inside.in_rows,
            ".safetensors": inside.in_safetensors,
            ".gguf": inside.in_gguf,
            ".index": inside.in_index,
            ".wasm": lambda file: inside.in_text(file.read_bytes().decode("latin-1")),
            **dict.fromkeys(_TEXT_SUFFIXES, _in_text),
        }
        yield from looks.get(path.suffix, _in_text)(path)


def _shown(name: str) -> str:
    """A file's name, or its last letters where the name itself holds what is refused."""
    from hf_santa.repositories import guard_inside as inside

    return f"a file *{name[-8:]}" if inside.in_name(name) else name


def _by_name(name: str, path: Path, folder: Path) -> str | None:
    parts = PurePosixPath(name).parts
    if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
        return "it is a link that leads out of the folder"
    if caches := _CACHES & set(parts):
        return f"it is in a cache ({caches.pop()})"
    return next((why for pattern, why in _BY_NAME if pattern.fullmatch(parts[-1])), None)


def _in_text(path: Path) -> Iterator[str]:
    from hf_santa.repositories import guard_inside as inside

    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        yield f"it is not UTF-8 (byte {error.start})"
        return
    if path.name == "tokenizer.json":
        yield from inside.in_tokenizer(text)
        return
    yield from inside.in_text(text)
    if path.suffix == ".json":
        yield from inside.in_json(text)
