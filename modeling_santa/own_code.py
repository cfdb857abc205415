"""Find the code files of a user's own that a model folder's `auto_map` names, so that copies of the folder keep them."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modeling_santa.errors_santa import ModelError
from modeling_santa.json_files import read_object

CONFIGS = ("config.json", "tokenizer_config.json")


def own_code(folder: Path, *, configs: tuple[str, ...] = CONFIGS) -> list[str]:
    """Return the names of the user's own code files, with the files beside them that they import.

    Classes of this package and entries that name another repository (`owner/name--file.Class`) have no file here.

    Raises:
        ModelError: an entry is no `file.Class`, or its file is missing or not Python.
    """
    waiting = [module for name in configs for module in _modules(folder / name)]
    found: dict[str, None] = {}
    while waiting:
        module = waiting.pop(0)
        if f"{module}.py" not in found and not _is_ours(module):
            found[f"{module}.py"] = None
            waiting += _imported(folder / f"{module}.py")
    return sorted(found)


def _modules(config: Path) -> Iterator[str]:
    if not config.is_file():
        return
    given = read_object(config, {}, "Save or download it again.").get("auto_map") or {}
    for name, places in given.items() if isinstance(given, dict) else ():
        for place in places if isinstance(places, list) else [places]:
            if place is None or "--" in str(place):
                continue
            module, _, class_name = str(place).rpartition(".")
            if not (module.isidentifier() and class_name.isidentifier()):
                raise ModelError(
                    f"{config}: auto_map names {place!r} for {name}, expected file.Class, of a file in this folder. "
                    "Mend or remove the entry."
                )
            yield module


def _is_ours(module: str) -> bool:
    return module.endswith("_santa") and (Path(__file__).parent / f"{module}.py").is_file()


def _imported(path: Path) -> Iterator[str]:
    """Yield the modules beside a file that it imports (`from .name import …`)."""
    if not path.is_file():
        raise ModelError(
            f"{path} does not exist, but an auto_map or a file that one names asks for it. "
            "Copy it into the folder, or remove the entry."
        )
    try:
        tree: Any = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        raise ModelError(f"{path} is not Python ({error}). Mend it, or remove the auto_map's entry.") from error
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module:
            yield node.module.partition(".")[0]
