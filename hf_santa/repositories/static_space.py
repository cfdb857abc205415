"""Write the Space as a static page, on which llama.cpp runs the model in the visitor's browser."""

import base64
import hashlib
import io
import logging
import math
import runpy
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from data_recipes.errors import DataError
from data_recipes.store.training_index import write_seen_index
from hf_santa.files import read_json, write_json
from hf_santa.repositories.kinds import split_card
from hf_santa.repositories.write import StageError, fresh_folder, move_into_place, space_source
from modeling_santa.gguf_export import GgufType, export_gguf

logger = logging.getLogger("hf_santa.repositories")

ENGINE = "@wllama/wllama@3.13.0"
ENGINE_SHA512 = "ZvoRdQAn+E+18EvQ9qS036gudiI9rbZRBJgG/qNICPPwrA0Y6SMMdbziz/j7K/0WxcbJlhaRraVIYsnEy732NA=="
ENGINE_FILES = {"wllama.js": "package/esm/index.min.js", "wllama.wasm": "package/esm/wasm/wllama.wasm"}
MAX_BYTES = 2_000_000_000  # what a browser holds in one piece
MAX_INDEX_MB = 4  # what a visitor loads after the first result
SHARED = ("colours.js",)  # of the other Space


def stage_static_space(
    model: Path,
    out: Path,
    *,
    type: GgufType = "q8_0",  # noqa: A002 - the flag's name
    engine: Path | None = None,
    store: Path | None = None,
) -> None:
    """Write the static Space: page, engine, the model as one GGUF file, and an index of its training data where that is small.

    Args:
        model: A staged model folder.
        out: The folder to write.
        type: How the file holds the weights.
        engine: The npm package's archive; None fetches the pinned one by `npm pack`.
        store: The model's training data, for the comparison of results with it.

    Raises:
        StageError: the engine can't be had or is not the pinned one, or the model is too large for a browser.
        ModelError: the model can't be exported.
    """
    partial = fresh_folder(out)
    for source in sorted((space_source().parent / "santa_static").iterdir()):
        if source.is_file():
            shutil.copyfile(source, partial / source.name)
    for name in SHARED:
        shutil.copyfile(space_source() / name, partial / name)
    write_engine(engine, partial)
    done = export_gguf(model, partial / "model.gguf", type=type)
    if done.size > MAX_BYTES:
        raise StageError(
            f"space: the model's file has {done.size / 1e9:.1f} GB, and a browser takes 2. Choose --gguf q4_k."
        )
    if not done.can_infill:
        raise StageError(f"space: the tokenizer of {model} has no fill-in-the-middle tokens, and the page fills gaps.")
    context = read_json(model / "config.json", {"n_positions": int}, "Save the model again.")["n_positions"]
    card = (model / "README.md").read_text("utf-8") if (model / "README.md").is_file() else ""
    about = {
        "name": next((line[2:] for line in card.splitlines() if line.startswith("# ")), model.resolve().name),
        "parameters": _parameters(model),
        "context": context,
        "type": type,
        "megabytes": round(done.size / 1e6, 1),
        "licence": split_card(card)[0].get("license") if card.startswith("---") else None,
        "index": store is not None and _is_indexed(store, partial / "training.index"),
        "examples": _examples(),
        "engine": ENGINE,
    }
    write_json(partial / "page.json", about)
    move_into_place(partial, out)


def _parameters(model: Path) -> int:
    from safetensors import safe_open

    count = 0
    for file in sorted(model.glob("*.safetensors")):
        with safe_open(file, "numpy") as tensors:
            count += sum(math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118 - no mapping
    return count


def _is_indexed(store: Path, out: Path) -> bool:
    """Write the index of a store's text; a text that is too large for a page leaves it without one."""
    try:
        write_seen_index(store, out, max_mb=MAX_INDEX_MB)
    except DataError as error:
        logger.info("the page does not compare with the training data: %s", error)
        return False
    return True


def _examples() -> list[dict[str, str]]:
    """The other Space's examples, those with a gap and those without in one list."""
    found: dict[tuple[str, str], Any] = runpy.run_path(str(space_source() / "examples.py"))["EXAMPLES"]
    return [
        {"language": language, "label": example.label, "text": example.text}
        for (_, language), examples in found.items()
        for example in examples
    ]


def write_engine(archive: Path | None, folder: Path) -> None:
    """Write the engine's two files from the npm package's archive, after a look at its digest.

    Raises:
        StageError: there is no npm, the package can't be fetched, or it is not the pinned one.
    """
    with tempfile.TemporaryDirectory() as scratch:
        data = (archive or _fetched(Path(scratch))).read_bytes()
    digest = base64.b64encode(hashlib.sha512(data).digest()).decode()
    if digest != ENGINE_SHA512:
        raise StageError(
            f"space: {archive or ENGINE} has another SHA-512 than the pinned release. Nothing was written."
        )
    with tarfile.open(fileobj=io.BytesIO(data)) as opened:
        for name, member in ENGINE_FILES.items():
            found = opened.extractfile(member)
            assert found is not None
            (folder / name).write_bytes(found.read())


def check_static_space(folder: Path) -> str:
    """Check that a staged static Space is whole: its page's files are there, and the model's file opens.

    Raises:
        StageError: something is missing or damaged.
    """
    from gguf import GGUFReader

    needed = ["index.html", "page.js", "seen.js", "style.css", "page.json", "model.gguf", *SHARED, *ENGINE_FILES]
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing:
        raise StageError(f"space: {folder} lacks {', '.join(missing)}. Stage it again.")
    try:
        tensors = len(GGUFReader(folder / "model.gguf").tensors)
    except (ValueError, IndexError, KeyError) as error:
        raise StageError(f"space: {folder / 'model.gguf'} does not open ({error}). Stage it again.") from error
    return f"static tensors={tensors}"


def is_static(folder: Path) -> bool:
    """Return whether a staged Space is the static one."""
    return (folder / "page.json").is_file()


def _fetched(folder: Path) -> Path:
    if shutil.which("npm") is None:
        raise StageError(f"space: npm is not installed, and it fetches the page's engine ({ENGINE}). Install Node.js.")
    done = subprocess.run(
        ["npm", "pack", "--silent", ENGINE], cwd=folder, capture_output=True, text=True, check=False, timeout=300
    )
    found = next(folder.glob("*.tgz"), None)
    if done.returncode or found is None:
        reason = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        raise StageError(f"space: npm could not fetch {ENGINE} ({reason}). Check the connection and stage again.")
    return found
